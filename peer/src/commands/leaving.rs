//! How those commands end that share.

use std::time::Duration;

use p2p_ci::shutdown::Signals;

use crate::{limits, output::Output};

/// After this long, leaving tells what it waits for.
const QUIET_LEAVING: Duration = Duration::from_secs(1);

/// Waits until everything has ended, uploads above all, and says so where that takes a while. Another signal ends the program
/// at once.
pub(super) async fn leave<T>(leaving: impl Future<Output = T>, signals: &mut Signals, output: &mut Output) -> T {
    tokio::pin!(leaving);
    let quietly = tokio::time::timeout(QUIET_LEAVING, &mut leaving);
    if let Ok(left) = signals.or_exit(quietly).await {
        return left;
    }
    output.wipe_key();
    let most = limits::DRAIN_GRACE.as_secs();
    output.message(format_args!(
        "waiting at most {most} s for running uploads; Ctrl-C ends them"
    ));
    signals.or_exit(leaving).await
}
