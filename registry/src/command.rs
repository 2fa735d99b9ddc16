//! What the program does, and what it tells people.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use p2p_ci::{
    client::{CallError, REGISTRY_SERVICE, check_health, stranger::told_by},
    registry_url::RegistryUrl,
    shutdown::Signals,
    transport::{Dialer, tcp_dialer},
};

use crate::{
    config::{Args, Command, Config},
    limits::HEALTHCHECK_TIMEOUT,
    server::Server,
};

/// Runs the program to its end. Exit code 0 means done, 1 means that it failed and said why on stderr.
pub async fn run(args: Args) -> ExitCode {
    let result = match args.command {
        Some(Command::Healthcheck { registry }) => healthcheck(&registry).await,
        None => serve(args.serve.into()).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when stderr is closed.
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    // Before the address is told, so that whoever read it can already end this process in good order.
    let mut signals = Signals::install()?;
    let banner = banner(&config);
    let mut server = Server::bind(config).await?;
    announce(&server, banner.as_deref());
    tokio::select! {
        () = server.join() => anyhow::bail!("stopped serving without being told to; start it again, and report what the log says"),
        signal = signals.next() => {
            tracing::info!(signal, "shutting down");
            signals.or_exit(server.shutdown()).await;
            Ok(())
        }
    }
}

/// Tells the address on stdout, for people and for programs that started this one.
fn announce(server: &Server, banner: Option<&str>) {
    let mut stdout = io::stdout();
    // A reader that has gone away misses the address, which is no reason not to serve.
    let _ = writeln!(stdout, "registry listening on {}", server.local_addr()).and_then(|()| stdout.flush());
    if let Some(banner) = banner {
        let _ = writeln!(io::stderr(), "{banner}");
    }
}

/// Who may come, when it is not this machine alone.
fn banner(config: &Config) -> Option<String> {
    if config.listen.ip().to_canonical().is_loopback() {
        return None;
    }
    let mut who =
        "private networks (RFC 1918, 100.64.0.0/10, fc00::/7), link-local addresses and this machine".to_owned();
    for range in &config.allow_from {
        who.push_str(&format!(", {range}"));
    }
    Some(format!(
        "there is no TLS and no login yet: whoever can connect from {who} may register, look up and watch; \
         other sources are refused unless --allow-from names them"
    ))
}

async fn healthcheck(url: &RegistryUrl) -> anyhow::Result<()> {
    tokio::time::timeout(HEALTHCHECK_TIMEOUT, check(&tcp_dialer(), url))
        .await
        .map_err(|_| anyhow::anyhow!("{url} did not answer within {} s", HEALTHCHECK_TIMEOUT.as_secs()))?
}

/// Healthy is a registry that answers at any of its host's addresses.
async fn check(dialer: &Dialer, url: &RegistryUrl) -> anyhow::Result<()> {
    let mut last = CallError::Unreachable {
        address: url.to_string(),
        detail: "the name has no address".to_owned(),
    };
    let addresses = dialer.resolve(url.host.clone(), url.port).await;
    let addresses = addresses.map_err(|error| anyhow::anyhow!("cannot resolve {}: {error}", url.host))?;
    for &address in &addresses {
        match check_health(dialer, address, REGISTRY_SERVICE).await {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    for &address in &addresses {
        if let Some(said) = told_by(dialer, address).await {
            anyhow::bail!("{url} is no P2P-CI registry: {said}");
        }
    }
    Err(last.into())
}
