//! The `peer` program: reads the command line, carries it out, and ends with its exit code.

use std::{io::Write as _, process::ExitCode, thread, time::Duration};

use p2p_ci::logging;
use peer::{commands, config::Cli, output};

/// Threads for blocking work: disks gain nothing from more, and a container may allow few.
const MAX_BLOCKING_THREADS: usize = 64;

/// Threads that the network gets: every second processor, since reading, checking and storing documents has threads of
/// its own. With one for each of two processors, a mirror of the series took 8 % longer: the tasks of a connection then
/// wake each other across processors.
fn network_threads() -> usize {
    thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))
}

/// How long blocking work that was begun may take to end, such as removing the temporary file of a download.
const LAST_WRITES: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let cli = Cli::read();
    // Every command tells what matters by itself; RUST_LOG=info adds what an operator may want to know.
    logging::init("warn");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(network_threads())
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = output::quietly(runtime.block_on(Box::pin(commands::run(cli))));
            runtime.shutdown_timeout(LAST_WRITES);
            result
        }
        Err(error) => Err(peer::error::PeerError::system("cannot start")(error)),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            // In one piece, as others may write to the same terminal. Where it is gone there is nobody left to tell.
            let _ = std::io::stderr().write_all(format!("peer: {error}\n").as_bytes());
            error.exit().into()
        }
    }
}
