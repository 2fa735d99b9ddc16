//! Runs the commands of `docs/grpcurl.md` and compares what they print with what is written there.
//!
//! Blocks marked `console` hold commands after `$ `, in one line or with `\` at the ends of lines, and below each one
//! its output. Lines after `> ` are typed into the running command, each one when everything above it has been
//! printed; `> ^D` closes its input. Addresses are those of a registry on its usual port and of peers on the ports
//! below; ports, ids and times may differ.

use std::{
    fs,
    io::Write,
    process::{ChildStdin, Command},
};

use anyhow::{Context, Result, bail, ensure};

use super::{Bench, normal, tools::CALL_LIMIT};
use crate::{
    cluster::SOON,
    process::{self, Process},
    wait::{self, Look},
    workspace,
};

/// The document, below the root of the workspace.
const DOCUMENT: &str = "docs/grpcurl.md";

/// What the document calls the registry and the two peers.
const ADDRESSES: [&str; 3] = ["127.0.0.1:7734", "127.0.0.1:40001", "127.0.0.1:40002"];

/// One command and what follows it.
#[derive(Debug, PartialEq, Eq)]
struct Example {
    /// The line of the document on which it starts, from 1.
    line: usize,
    command: String,
    /// What is printed before anything is typed, then each typed line with what is printed after it.
    parts: Vec<Part>,
}

/// What is typed, and what is printed after it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Part {
    typed: String,
    printed: String,
    /// The lines of the document that hold the output: from the first, up to before the second. From 0.
    lines: (usize, usize),
}

/// Runs every command of the document and returns how many there are.
pub fn run(bench: &Bench, bless: bool) -> Result<usize> {
    let path = workspace::root().join(DOCUMENT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let examples = parse(&text)?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // From the end, so that replacing lines does not move those that are still to come.
    let mut outcomes = Vec::new();
    for example in &examples {
        let printed = bench.run_example(example)?;
        for (part, printed) in example.parts.iter().zip(printed) {
            let (there, here) = (
                normal::normal(&part.printed, &ADDRESSES),
                normal::normal(&printed, &bench.addresses()),
            );
            let printed = normal::readdress(&printed, &bench.addresses(), &ADDRESSES);
            if !bless && there != here {
                let Example { line, command, .. } = example;
                let typed = if part.typed.is_empty() {
                    String::new()
                } else {
                    format!(", after {}", part.typed)
                };
                bail!(
                    "{DOCUMENT}:{line}: `{command}` prints something else{typed}.\nthere:\n{}\nhere:\n{printed}\n\
                     (`cargo xtask grpcurl-test --bless` updates the document)",
                    part.printed
                );
            }
            outcomes.push((part.lines, printed));
        }
    }
    if bless {
        for ((first, end), printed) in outcomes.into_iter().rev() {
            lines.splice(
                first..end,
                printed.lines().map(|line| line.trim_end().replace('\t', " ")),
            );
        }
        fs::write(&path, lines.join("\n") + "\n")?;
    }
    println!(
        "ok  the {} commands of {DOCUMENT} print what is written there",
        examples.len()
    );
    Ok(examples.len())
}

impl Bench {
    fn addresses(&self) -> [&str; 3] {
        [&self.registry, &self.alice, &self.bob]
    }

    /// Runs an example and returns what it printed, a text for each part.
    fn run_example(&self, example: &Example) -> Result<Vec<String>> {
        let command = normal::readdress(&example.command, &ADDRESSES, &self.addresses());
        let mut shell = Command::new("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        shell
            .current_dir(workspace::root())
            .env("PATH", format!("{}:{path}", self.tools.folder().display()));
        // A document shows one stream, as a terminal does. `exec` lets signals reach the command itself.
        shell.arg("-c").arg(format!("exec 2>&1; {command}"));
        match example.parts.as_slice() {
            [_] => Ok(vec![process::run(&command, shell, CALL_LIMIT)?.stdout]),
            parts => self.type_into(&command, shell, parts),
        }
    }

    fn type_into(&self, what: &str, shell: Command, parts: &[Part]) -> Result<Vec<String>> {
        let (mut process, stdin) = Process::spawn_with_stdin("example", shell, &self.cluster.logs())?;
        let mut stdin: Option<ChildStdin> = Some(stdin);
        let mut texts = Vec::new();
        let mut seen = 0;
        for part in parts {
            if part.typed == "^D" {
                drop(stdin.take());
                process
                    .ends_well(CALL_LIMIT)
                    .with_context(|| format!("{what} printed {:?}", process.stdout()))?;
            } else if !part.typed.is_empty() {
                let stdin = stdin.as_mut().context("the input is closed already")?;
                writeln!(stdin, "{}", part.typed)?;
            }
            let printed = wait_for_messages(&mut process, seen, messages_in(&part.printed))?;
            texts.push(printed.get(seen..).unwrap_or_default().to_owned());
            seen = printed.len();
        }
        ensure!(stdin.is_none(), "{what}: the example does not end with `> ^D`");
        Ok(texts)
    }
}

/// Waits until so many more messages have been printed, and returns everything that has been printed.
fn wait_for_messages(process: &mut Process, seen: usize, count: usize) -> Result<String> {
    let found = wait::until(&format!("{count} more messages"), SOON, || {
        let runs = process.runs()?;
        let printed = process.stdout()?;
        if messages_in(printed.get(seen..).unwrap_or_default()) >= count {
            return Ok(Look::Done(printed));
        }
        ensure!(runs, "the command ended, having printed {printed}");
        Ok(Look::NotYet(printed))
    })?;
    Ok(found.0)
}

/// The number of messages in a tool's output: each one ends with a brace at the start of a line.
fn messages_in(text: &str) -> usize {
    text.lines()
        .filter(|line| line.starts_with('}') || *line == "{}")
        .count()
}

/// Finds the examples of a Markdown text.
fn parse(text: &str) -> Result<Vec<Example>> {
    let mut examples: Vec<Example> = Vec::new();
    let mut in_block = false;
    let mut continued = false;
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            in_block = !in_block && line == "```console";
            continued = false;
            continue;
        }
        if !in_block {
            continue;
        }
        if let Some(command) = line.strip_prefix("$ ") {
            let part = Part {
                lines: (index + 1, index + 1),
                ..Part::default()
            };
            examples.push(Example {
                line: index + 1,
                command: command.to_owned(),
                parts: vec![part],
            });
            continued = command.ends_with('\\');
            continue;
        }
        let Some(example) = examples.last_mut() else {
            bail!("line {}: output without a command", index + 1)
        };
        if continued {
            example.command = format!("{} {}", example.command.trim_end_matches('\\').trim_end(), line.trim());
            continued = line.ends_with('\\');
            example.parts = vec![Part {
                lines: (index + 1, index + 1),
                ..Part::default()
            }];
        } else if let Some(typed) = line.strip_prefix("> ") {
            let typed = typed.to_owned();
            example.parts.push(Part {
                typed,
                printed: String::new(),
                lines: (index + 1, index + 1),
            });
        } else if let Some(part) = example.parts.last_mut() {
            part.printed.push_str(line);
            part.printed.push('\n');
            part.lines.1 = index + 1;
        }
    }
    ensure!(!examples.is_empty(), "{DOCUMENT} holds no command");
    Ok(examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_output_and_typed_lines_are_told_apart() {
        let text = "Text\n```console\n$ a \\\n    b\n{\n}\n$ c\n> {\"x\": 1}\nout\n> ^D\n```\n$ no\n```sh\n$ no\n```\n";
        let examples = parse(text).unwrap();
        let commands: Vec<&str> = examples.iter().map(|example| example.command.as_str()).collect();
        assert_eq!(commands, ["a b", "c"]);
        assert_eq!(examples[0].parts.len(), 1);
        assert_eq!(
            examples[0].parts[0],
            Part {
                typed: String::new(),
                printed: "{\n}\n".to_owned(),
                lines: (4, 6)
            }
        );
        let typed: Vec<(&str, &str)> = examples[1]
            .parts
            .iter()
            .map(|part| (part.typed.as_str(), part.printed.as_str()))
            .collect();
        assert_eq!(typed, [("", ""), ("{\"x\": 1}", "out\n"), ("^D", "")]);
        assert!(parse("no commands").is_err());
    }

    #[test]
    fn messages_are_counted_by_their_last_lines() {
        assert_eq!(messages_in("{\n  \"a\": {\n  }\n}\n{}\n{\n"), 2);
    }
}
