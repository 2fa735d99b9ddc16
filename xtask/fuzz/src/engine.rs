//! The fuzzer: libFuzzer around the target that `FUZZ_TARGET` names.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var(fuzz::TARGET_VARIABLE).unwrap_or_default();
    fuzz::find(&name).unwrap_or_else(|| panic!("{} names no target: \"{name}\"", fuzz::TARGET_VARIABLE))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (TARGET.run)(data));
