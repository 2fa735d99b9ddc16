//! Seeds that CI runs; `cargo xtask sim` runs more of them.

use std::process::Command;

fn sim(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(arguments)
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(told).unwrap())
}

#[test]
fn seeds_hold() {
    let (holds, told) = sim(&["--seeds", "200"]);
    assert!(holds, "{told}");
    assert!(told.contains("200 seeds in"), "{told}");
    assert!(!told.contains(", 0 lies"), "the liar was never asked: {told}");
}

#[test]
fn a_seed_gives_the_same_run_again() {
    // Seed 16 kills the registry, others peers; all of them cut something off.
    let (holds, told) = sim(&["--seeds", "20", "--twice"]);
    assert!(holds, "{told}");
}

#[test]
fn other_seeds_give_other_runs() {
    let (first, second) = (sim(&["--only", "1"]), sim(&["--only", "2"]));
    assert!(first.0 && second.0, "{} {}", first.1, second.1);
    assert_ne!(first.1, second.1);
    assert!(first.1.contains("registered as"), "{}", first.1);
}
