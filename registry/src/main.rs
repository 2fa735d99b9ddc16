//! The registry's program: reads the command line, serves until a signal, ends in good order.

use std::process::ExitCode;

use registry::{Args, run};

/// One thread: this one accepts connections and waits for signals, and those that serve are the server's.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::read();
    p2p_ci::logging::init(if args.command.is_some() { "warn" } else { "info" });
    run(args).await
}
