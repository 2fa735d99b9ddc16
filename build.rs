//! Compiles `proto/` into `$OUT_DIR`: Rust code for both services and the descriptor set that reflection serves.
//!
//! `protox` parses the files in pure Rust, so that no `protoc` is needed on any machine.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 4] = [
    "p2pci/v1/facts.proto",
    "p2pci/v1/file_transfer.proto",
    "p2pci/v1/registry.proto",
    "p2pci/v1/types.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    // Printed by hand: tonic-prost-build's own switch for it is never read.
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("p2pci.v1.bin"), descriptors.encode_to_vec())?;
    // `Bytes` fields share the receive buffer instead of copying every chunk out of it.
    tonic_prost_build::configure()
        .bytes(".")
        .codec_path("crate::codec::LeanCodec")
        .compile_fds(descriptors)?;
    Ok(())
}
