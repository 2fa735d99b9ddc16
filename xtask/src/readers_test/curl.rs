//! curl asks for everything that a client of the RFC Editor's site may ask for.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{LONG_NUMBERS, Swarm, until};

/// A request, and what curl must tell of the answer: its status, and lines of its head.
struct Case {
    path: &'static str,
    options: &'static [&'static str],
    status: &'static str,
    says: &'static [&'static str],
}

const CASES: [Case; 17] = [
    case(
        "/rfc/rfc9110.txt",
        &[],
        "200",
        &["content-length: 502941", "content-type: text/plain; charset=utf-8"],
    ),
    case("/in-notes/rfc9110.txt", &[], "200", &["accept-ranges: bytes"]),
    case("/rfc/rfc9110.json", &[], "200", &["content-type: application/json"]),
    case("/rfc/rfc9110.txt", &["-I"], "200", &["content-length: 502941"]),
    case(
        "/rfc/rfc9110.txt",
        &["-r", "100-199"],
        "206",
        &["content-range: bytes 100-199/502941", "content-length: 100"],
    ),
    case(
        "/rfc/rfc9110.txt",
        &["-r", "-5"],
        "206",
        &["content-range: bytes 502936-502940/502941"],
    ),
    case(
        "/rfc/rfc9110.txt",
        &["-r", "502941-"],
        "416",
        &["content-range: bytes */502941"],
    ),
    case(
        "/rfc/rfc9110.txt",
        &["--compressed"],
        "200",
        &["content-encoding: gzip"],
    ),
    case("/rfc/rfc09110.txt", &[], "301", &["location: /rfc/rfc9110.txt"]),
    case("/info/rfc9110", &[], "301", &["location: /info/rfc9110/"]),
    case(
        "/info/rfc9110/",
        &[],
        "200",
        &["content-type: text/html; charset=utf-8"],
    ),
    case("/rfc/rfc9110.txt/", &[], "301", &["location: /rfc/rfc9110.txt"]),
    case(
        "/rfc/rfc99999.txt",
        &[],
        "404",
        &["content-type: text/plain; charset=utf-8"],
    ),
    case("/rfc/..%2f..%2fetc/passwd", &["--path-as-is"], "404", &[]),
    case("/rfc/../../etc/passwd", &["--path-as-is"], "404", &[]),
    case(
        "/rfc/rfc9110.txt",
        &["-X", "PUT", "-d", "x"],
        "405",
        &["allow: get, head"],
    ),
    case(
        "/bcp/bcp14.txt",
        &[],
        "200",
        &["content-type: text/plain; charset=utf-8"],
    ),
];

const fn case(
    path: &'static str,
    options: &'static [&'static str],
    status: &'static str,
    says: &'static [&'static str],
) -> Case {
    Case {
        path,
        options,
        status,
        says,
    }
}

/// Makes every request.
pub(super) fn run(swarm: &Swarm) -> Result<()> {
    let folder = swarm.cluster.make_folder("curl")?;
    let ask = |path: &str, options: &[&str]| -> Result<(String, String)> {
        let url = format!("{}{path}", swarm.one);
        let arguments = [
            &["-s", "-o", "body", "-D", "head", "-w", "%{http_code}"],
            options,
            &[url.as_str()],
        ]
        .concat();
        let done = swarm.tool("curl", &folder, &arguments)?.expect_code("curl", 0)?;
        Ok((
            done.stdout,
            fs::read_to_string(folder.join("head"))?.to_ascii_lowercase(),
        ))
    };
    until("the site to know of BCP 14", || {
        Ok((ask("/bcp/bcp14.txt", &[])?.0 == "200").then_some(()))
    })?;
    for Case {
        path,
        options,
        status,
        says,
    } in &CASES
    {
        let (got, head) = ask(path, options)?;
        ensure!(
            got == *status,
            "{path} {options:?} was answered with {got} instead of {status}: {head}"
        );
        for line in *says {
            ensure!(
                head.contains(line),
                "{path} {options:?} was answered without `{line}`: {head}"
            );
        }
    }
    for number in LONG_NUMBERS {
        let name = format!("rfc{number}.txt");
        ensure!(ask(&format!("/rfc/{name}"), &[])?.0 == "200");
        swarm.check_same(&folder.join("body"), &name)?;
    }
    let index = until("the index to have all", || {
        ask("/rfc-index.txt", &[])?;
        let index = fs::read_to_string(folder.join("body"))?;
        Ok(index.contains("\n100000 ").then_some(index))
    })?;
    ensure!(
        index.contains("\n9110 HTTP Semantics. R. Fielding, Ed., M. Nottingham, Ed., "),
        "{index:.3000}"
    );
    revalidate(swarm, &folder)?;
    println!(
        "ok  curl: {} requests, and what it has already",
        CASES.len() + LONG_NUMBERS.len()
    );
    Ok(())
}

/// Asks again for what curl has already, by its tag and by its time.
fn revalidate(swarm: &Swarm, folder: &std::path::Path) -> Result<()> {
    let url = format!("{}/rfc/rfc9110.txt", swarm.one);
    let status = |options: &[&str]| -> Result<String> {
        let arguments = [
            &["-s", "-o", "again.txt", "-w", "%{http_code}"],
            options,
            &[url.as_str()],
        ]
        .concat();
        Ok(swarm.tool("curl", folder, &arguments)?.expect_code("curl", 0)?.stdout)
    };
    ensure!(status(&["-R", "--etag-save", "tag"])? == "200");
    ensure!(status(&["--etag-compare", "tag"])? == "304", "the tag of what curl has");
    ensure!(status(&["-z", "again.txt"])? == "304", "the time of what curl has");
    let tag = fs::read_to_string(folder.join("tag")).context("curl kept no tag")?;
    ensure!(
        tag.contains(&crate::documents::sha256(&folder.join("again.txt"))?),
        "the tag is the digest: {tag}"
    );
    Ok(())
}
