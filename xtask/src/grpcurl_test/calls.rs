//! Every RPC of all services, called by every tool.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Bench,
    tools::{Answer, Tool},
};
use crate::{documents, json, workspace};

/// Which process is called.
#[derive(Debug, Clone, Copy)]
enum At {
    Registry,
    Peer,
}

/// A call that must succeed.
struct Call {
    at: At,
    method: &'static str,
    requests: &'static str,
    check: fn(&[Value]) -> Result<()>,
}

/// A call that must fail.
struct Failure {
    at: At,
    method: &'static str,
    requests: &'static str,
    /// The code as grpcurl writes it, and as buf does.
    code: (&'static str, &'static str),
    /// What the message must name.
    names: &'static str,
}

const SERVICES: [(At, &str, &[&str]); 3] = [
    (
        At::Registry,
        "p2pci.v1.Registry",
        &[
            "Register",
            "Lookup",
            "LookupMany",
            "ListDocuments",
            "ListPeers",
            "Watch",
        ],
    ),
    (At::Peer, "p2pci.v1.FileTransfer", &["Download", "DownloadMany"]),
    (At::Peer, "p2pci.v1.Facts", &["Describe"]),
];

/// Both versions of reflection and the health service, which both processes serve beside their own.
const COMMON: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

const CALLS: [Call; 10] = [
    Call {
        at: At::Registry,
        method: "p2pci.v1.Registry/Lookup",
        requests: r#"{"number": 9110, "format": "FORMAT_TXT"}"#,
        check: |answers| {
            let [answer] = answers else {
                anyhow::bail!("not one message")
            };
            holds(answer, "/documents/0/document/number", 9110)?;
            holds(answer, "/documents/0/document/sizeBytes", "502941")?;
            holds(
                answer,
                "/documents/0/document/sha256",
                sample("alice/rfc9110.txt")?.as_str(),
            )?;
            holds(answer, "/documents/0/holders/0/name", "alice")
        },
    },
    Call {
        at: At::Registry,
        method: "p2pci.v1.Registry/LookupMany",
        requests: r#"{"numbers": [768, 9999, 791], "format": "FORMAT_TXT"}"#,
        check: |answers| {
            let [udp, nobody, ip] = answers else {
                anyhow::bail!("not three messages")
            };
            holds(udp, "/documents/0/holders/0/name", "bob")?;
            holds(nobody, "/number", 9999)?;
            ensure!(
                nobody.get("documents").is_none(),
                "an RFC that nobody has is listed with documents"
            );
            holds(ip, "/documents/0/holders/0/name", "alice")
        },
    },
    Call {
        at: At::Registry,
        method: "p2pci.v1.Registry/ListDocuments",
        requests: r#"{"format": "FORMAT_TXT"}"#,
        check: |answers| {
            let numbers: Vec<u64> = answers
                .iter()
                .map(|answer| json::number(answer, "/entry/document/number"))
                .collect::<Result<_>>()?;
            ensure!(
                numbers.len() == 14,
                "{} texts instead of those of two peers",
                numbers.len()
            );
            ensure!(numbers.is_sorted(), "not in order: {numbers:?}");
            Ok(())
        },
    },
    Call {
        at: At::Registry,
        method: "p2pci.v1.Registry/ListDocuments",
        requests: r#"{"peer": "bob", "range": {"first": 1000, "last": 1999}, "format": "FORMAT_TXT"}"#,
        check: |answers| {
            let [only] = answers else {
                anyhow::bail!("not one message")
            };
            holds(only, "/entry/document/number", 1149)
        },
    },
    Call {
        at: At::Registry,
        method: "p2pci.v1.Registry/ListPeers",
        requests: "{}",
        check: |answers| {
            let [alice, bob] = answers else {
                anyhow::bail!("not two messages")
            };
            holds(alice, "/peer/name", "alice")?;
            holds(alice, "/peer/reachability", "REACHABILITY_REACHABLE")?;
            holds(bob, "/peer/name", "bob")
        },
    },
    Call {
        at: At::Peer,
        method: "p2pci.v1.FileTransfer/Download",
        requests: r#"{"number": 1119}"#,
        check: |answers| {
            let [header, chunk] = answers else {
                anyhow::bail!("not a header and a chunk")
            };
            holds(header, "/header/number", 1119)?;
            holds(header, "/header/sizeBytes", "143")?;
            holds(header, "/header/sha256", sample("alice/rfc1119.txt")?.as_str())?;
            ensure!(
                json::text(chunk, "/chunk")?.len() == 192,
                "143 bytes are 192 characters of base64"
            );
            Ok(())
        },
    },
    Call {
        at: At::Peer,
        method: "p2pci.v1.FileTransfer/DownloadMany",
        requests: r#"{"requestId": 1, "number": 1119} {"requestId": 2, "number": 9999} {"requestId": 3, "number": 736}"#,
        check: |answers| {
            let kinds: Vec<String> = answers.iter().map(kind_of).collect();
            ensure!(
                kinds == ["1 header", "1 chunk", "2 error", "3 header", "3 chunk"],
                "got {kinds:?}"
            );
            let failed = answers.get(2).context("no error")?;
            holds(failed, "/error/reason", "DOCUMENT_NOT_FOUND")
        },
    },
    Call {
        at: At::Peer,
        method: "p2pci.v1.Facts/Describe",
        requests: r#"{"ranges": [{"first": 9110, "last": 9110}], "references": ["BCP14"]}"#,
        check: |answers| {
            let [opening, facts] = answers else {
                anyhow::bail!("not an opening and facts")
            };
            ensure!(json::text(opening, "/version")?.len() == 32, "no version");
            holds(facts, "/facts/0/number", 8174)?;
            holds(facts, "/facts/1/title", "HTTP Semantics")?;
            holds(facts, "/facts/1/also/0", "STD97")
        },
    },
    Call {
        at: At::Registry,
        method: "grpc.health.v1.Health/Check",
        requests: "{}",
        check: is_serving,
    },
    Call {
        at: At::Peer,
        method: "grpc.health.v1.Health/Check",
        requests: "{}",
        check: is_serving,
    },
];

const FAILURES: [Failure; 6] = [
    Failure {
        at: At::Registry,
        method: "p2pci.v1.Registry/Lookup",
        requests: r#"{"number": 9999}"#,
        code: ("NotFound", "not_found"),
        names: "9999",
    },
    Failure {
        at: At::Registry,
        method: "p2pci.v1.Registry/Lookup",
        requests: "{}",
        code: ("InvalidArgument", "invalid_argument"),
        names: "number",
    },
    Failure {
        at: At::Registry,
        method: "p2pci.v1.Registry/ListDocuments",
        requests: r#"{"peer": "nobody"}"#,
        code: ("NotFound", "not_found"),
        names: "nobody",
    },
    Failure {
        at: At::Registry,
        method: "p2pci.v1.Registry/Register",
        requests: r#"{"requestId": 1, "leave": {}}"#,
        code: ("InvalidArgument", "invalid_argument"),
        names: "hello",
    },
    Failure {
        at: At::Peer,
        method: "p2pci.v1.FileTransfer/Download",
        requests: r#"{"number": 9999}"#,
        code: ("NotFound", "not_found"),
        names: "9999",
    },
    Failure {
        at: At::Peer,
        method: "p2pci.v1.FileTransfer/Download",
        requests: r#"{"number": 1119, "offset": 144}"#,
        code: ("OutOfRange", "out_of_range"),
        names: "143",
    },
];

/// Makes every call with every tool and returns how many that were.
pub fn run(bench: &Bench) -> Result<usize> {
    let mut count = 0;
    look_around(bench)?;
    println!("ok  both tools list and describe all services");
    for tool in [Tool::Grpcurl, Tool::BufV1, Tool::BufV1Alpha] {
        for Call {
            at,
            method,
            requests,
            check,
        } in &CALLS
        {
            let answer = call(bench, tool, *at, method, requests)?;
            let Answer { messages, error } = &answer;
            ensure!(error.is_empty(), "{tool:?}: {method} {requests} failed: {error}");
            check(messages)
                .with_context(|| format!("{tool:?}: {method} {requests} answered {}", shortened(messages)))?;
            count += 1;
        }
        for (at, service, _) in SERVICES {
            let by_name = format!(r#"{{"service": "{service}"}}"#);
            let answer = call(bench, tool, at, "grpc.health.v1.Health/Check", &by_name)?;
            is_serving(&answer.messages).with_context(|| format!("{tool:?}: health of {service}: {answer:?}"))?;
            count += 1;
        }
        for failure in &FAILURES {
            check_failure(bench, tool, failure)?;
            count += 1;
        }
        println!("ok  {tool:?}: every unary and server-streaming RPC, and the errors");
    }
    Ok(count)
}

fn check_failure(bench: &Bench, tool: Tool, failure: &Failure) -> Result<()> {
    let Failure {
        at,
        method,
        requests,
        code,
        names,
    } = failure;
    let said = call(bench, tool, *at, method, requests)?.error;
    let code = if tool == Tool::Grpcurl { code.0 } else { code.1 };
    ensure!(
        said.contains(code) && said.contains(names),
        "{tool:?}: {method} {requests} should fail with {code} and name {names}, but said {said:?}"
    );
    Ok(())
}

fn call(bench: &Bench, tool: Tool, at: At, method: &str, requests: &str) -> Result<Answer> {
    bench.tools.call(tool, bench.address(at), method, requests)
}

/// Lists and describes the services, by both versions of reflection.
fn look_around(bench: &Bench) -> Result<()> {
    for (at, service, methods) in SERVICES {
        let address = bench.address(at);
        let url = format!("http://{address}");
        let listed = bench.tools.grpcurl(&[address, "list"])?;
        let services: Vec<&str> = listed.lines().collect();
        for wanted in COMMON.iter().chain([&service]) {
            ensure!(
                services.contains(wanted),
                "grpcurl lists {services:?}, without {wanted}"
            );
        }
        let described = bench.tools.grpcurl(&[address, "describe", service])?;
        let by_grpcurl = bench.tools.grpcurl(&[address, "list", service])?;
        let by_buf_v1 = bench.tools.buf("grpc-v1", &["--list-methods", &url])?;
        let by_buf_v1alpha = bench.tools.buf("grpc-v1alpha", &["--list-methods", &url])?;
        for method in methods {
            ensure!(
                described.contains(&format!("rpc {method} (")),
                "grpcurl describes no {method}: {described}"
            );
            ensure!(
                by_grpcurl.contains(&format!("{service}.{method}")),
                "grpcurl lists no {method}: {by_grpcurl}"
            );
            for listed in [&by_buf_v1, &by_buf_v1alpha] {
                ensure!(
                    listed.contains(&format!("{service}/{method}")),
                    "buf lists no {method}: {listed}"
                );
            }
        }
    }
    let message = bench
        .tools
        .grpcurl(&[&bench.registry, "describe", "p2pci.v1.LookupRequest"])?;
    ensure!(
        message.contains("uint32 number = 1"),
        "grpcurl describes another LookupRequest: {message}"
    );
    Ok(())
}

impl Bench {
    fn address(&self, at: At) -> &str {
        match at {
            At::Registry => &self.registry,
            At::Peer => &self.alice,
        }
    }
}

fn is_serving(answers: &[Value]) -> Result<()> {
    let [answer] = answers else {
        anyhow::bail!("not one message")
    };
    holds(answer, "/status", "SERVING")
}

/// Checks the value at a JSON pointer.
pub fn holds(value: &Value, pointer: &str, wanted: impl Into<Value>) -> Result<()> {
    let (found, wanted) = (value.pointer(pointer), wanted.into());
    ensure!(found == Some(&wanted), "{pointer} is {found:?}, not {wanted}");
    Ok(())
}

/// Messages for an error: chunks are long.
fn shortened(messages: &[Value]) -> String {
    let cut = |message: &Value| message.to_string().chars().take(300).collect::<String>();
    messages.iter().map(|message| format!("\n  {}", cut(message))).collect()
}

/// "2 error" for an error that answers request 2.
fn kind_of(answer: &Value) -> String {
    let id = json::text(answer, "/requestId").unwrap_or("0");
    let kind = ["header", "chunk", "error"]
        .into_iter()
        .find(|kind| answer.get(kind).is_some());
    format!("{id} {}", kind.unwrap_or("nothing"))
}

fn sample(path: &str) -> Result<String> {
    let digests = documents::sample_digests(&workspace::root().join("xtask/samples"))?;
    digests
        .get(path)
        .cloned()
        .with_context(|| format!("SHA256SUMS lacks {path}"))
}
