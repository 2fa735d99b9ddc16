//! What people type: command lines, lines of the shell, addresses of registries and peers, rates.

use std::net::{IpAddr, SocketAddr};

use clap::Parser as _;
use p2p_ci::{
    address::{self, Scope},
    registry_url::RegistryUrl,
};
use peer::{
    commands::shell::verb::{Parsed, Verb, help, parse},
    config::{self, Cli},
    output::human,
    uploads::UploadRate,
};

use crate::{
    input,
    plain::{assert_inert, assert_message},
};

pub(crate) fn run(data: &[u8]) {
    let (choice, bytes) = input::choice(data, 8);
    let text = &*input::text(bytes);
    match choice {
        0 => line(text),
        1 => quoted(text),
        2 => registry_url(text),
        3 => addresses(text),
        4 => rate(text),
        5 => program(Cli::try_parse_from(typed("peer", text)).err()),
        6 => program(registry::Args::try_parse_from(typed("registry", text)).err()),
        _ => figures(bytes),
    }
}

/// The words of a command line, divided as no shell would divide them.
fn typed<'a>(program: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
    std::iter::once(program).chain(text.split('\n'))
}

/// Any line is understood, or answered by one sentence.
fn line(text: &str) {
    assert_parsed(&parse(text));
    assert_parsed(&help(Some(text)));
}

fn assert_parsed(parsed: &Parsed) {
    match parsed {
        Parsed::Mistake(mistake) => assert_message(mistake),
        Parsed::Usage(usage) => assert_inert(usage, true),
        Parsed::Verb(verb) => assert_verb(verb),
        Parsed::Nothing => {}
    }
}

fn assert_verb(verb: &Verb) {
    match verb {
        Verb::Query { numbers } => assert!(!numbers.is_empty()),
        Verb::Lookup(lookup) => assert!(!lookup.words.is_empty()),
        Verb::Download(download) => assert!(!download.words.is_empty()),
        Verb::List(list) => assert!(list.ranges.iter().all(|wanted| wanted.range.first <= wanted.range.last)),
        Verb::Connect { .. } | Verb::State | Verb::Add { .. } | Verb::Peers | Verb::Quit | Verb::Help { .. } => {}
    }
}

/// Whatever is quoted arrives as it is.
fn quoted(path: &str) {
    if path.is_empty() || path.starts_with('-') {
        return;
    }
    let escaped: String = path.chars().flat_map(|c| ['\\', c]).collect();
    let single = format!("'{}'", path.replace('\'', "'\\''"));
    let double = format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""));
    for word in [escaped, single, double] {
        let Parsed::Verb(verb) = parse(&format!(" add  {word} 9110")) else {
            panic!("not understood: {word}");
        };
        let Verb::Add { path: told, number } = *verb else {
            panic!("{verb:?} is not to add something");
        };
        assert_eq!(told.to_str(), Some(path));
        assert_eq!(number.map(|number| number.get()), Some(9110));
    }
}

fn registry_url(text: &str) {
    match text.parse::<RegistryUrl>() {
        Ok(url) => {
            assert!(!url.host.is_empty() && url.port > 0);
            assert_inert(&url.to_string(), false);
            assert_eq!(url.to_string().parse(), Ok(url), "{text:?}");
        }
        Err(error) => assert_message(&error.to_string()),
    }
}

fn addresses(text: &str) {
    let mut parts = text.split(' ');
    let mut next = || parts.next().and_then(|part| part.parse::<SocketAddr>().ok());
    let Some(one) = next() else { return };
    let plain = address::canonical(one);
    assert_eq!(address::canonical(plain), plain);
    assert_eq!(address::spelled(plain), plain.to_string());
    let ip = plain.ip();
    assert_eq!(
        address::scope(one.ip()),
        address::scope(ip),
        "a disguise changes nothing"
    );
    assert_eq!(address::is_host(one.ip()), address::is_host(ip));
    let is_loopback = match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 127,
        IpAddr::V6(ip) => u128::from(ip) == 1,
    };
    assert_eq!(address::scope(ip) == Scope::Loopback, is_loopback);
    assert!(address::reaches(ip, ip), "everybody reaches itself");
    for network in [address::neighbourhood(ip), address::accountable(ip)] {
        assert_eq!(address::neighbourhood(network), address::neighbourhood(ip));
    }
    let allowed = address::AllowedSources::default();
    assert_eq!(allowed.contains(ip), address::scope(ip) != Scope::Global);
    if let Some(other) = next() {
        let reached = address::reaches(ip, other.ip());
        assert!(reached || address::scope(other.ip()) < Scope::Private);
    }
}

/// A rate is what its digits and its unit say.
fn rate(text: &str) {
    let parsed = text.parse::<UploadRate>();
    match &parsed {
        Ok(rate) => {
            assert!((32 << 10..=1 << 40).contains(&rate.bytes_per_second()));
            assert_inert(&rate.to_string(), false);
        }
        Err(error) => assert_message(&error.to_string()),
    }
    if let Some(plainly) = rate_plainly(text) {
        let wanted = (32 << 10..=1 << 40).contains(&plainly).then_some(plainly);
        assert_eq!(
            parsed.ok().map(|rate| u128::from(rate.bytes_per_second())),
            wanted,
            "{text:?}"
        );
    }
}

/// Bytes per second of a rate that is written in the usual way, with few digits.
fn rate_plainly(text: &str) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_plain = |digits: &str| (1..=9).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit());
    if !is_plain(whole) || !(fraction.is_empty() || is_plain(fraction)) {
        return None;
    }
    let unit: u128 = match unit {
        "k" | "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    Some(digits * unit / scale)
}

/// A command line that makes no sense is answered, with nothing in the answer that acts on a terminal but ends of lines.
fn program(error: Option<clap::Error>) {
    let Some(error) = error else { return };
    let told = config::told(&error);
    assert!(!told.is_empty());
    assert_inert(&told, true);
}

/// Figures for people are never wider than a column.
fn figures(bytes: &[u8]) {
    let mut number = [0; 8];
    number.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    let value = u64::from_be_bytes(number);
    let span = std::time::Duration::from_millis(value);
    let time = p2p_ci::document::UnixSeconds(value.cast_signed());
    // No network carries more than that a second.
    let per_second = (value >> 8) as f64;
    for text in [
        human::bytes(value),
        human::rate(value, span),
        human::rate_of(per_second),
        human::span(span),
        human::utc(time),
        human::ago(time),
        human::count(value, "RFC"),
    ] {
        assert_inert(&text, false);
        assert!((1..=40).contains(&text.len()), "{text}");
    }
}
