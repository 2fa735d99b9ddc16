//! `peer shell`: shares a folder, and takes the same verbs at a prompt.
//!
//! Unlike the commands of the same names, `lookup` and `list` ask within the peer's own session with the registry, which
//! leaves out what this peer itself shares.

mod actions;
mod add;
mod notices;
mod prompt;
pub mod verb;

use std::{path::Path, sync::Arc, time::Duration};

use p2p_ci::{client::CallError, registry_url::RegistryUrl, shutdown::Signals, text::escaped};
use tokio::sync::broadcast::{self, error::RecvError};

use self::{
    prompt::{Answer, Prompt},
    verb::{Parsed, Verb},
};
use super::{
    Context, blocking,
    join::{check_port, node_config},
    leaving::leave,
    open_library, probe,
};
use crate::{
    config::{SharingArgs, ShellArgs},
    error::{Exit, PeerError},
    library::{Durability, Library, Target},
    limits,
    node::Node,
    output::{Output, human, is_reader_gone},
    state::{StateDir, StateFile},
    uplink::NodeEvent,
};

/// How long `connect` waits for the uploads of the session that it ends; downloaders go on at other holders.
const RECONNECT_GRACE: Duration = Duration::from_secs(5);

/// The signal that ends the shell whatever it does, by the name that [`Signals`] gives it.
const TERMINATE: &str = "SIGTERM";

/// Takes commands at a prompt until the user leaves, the input ends, or SIGTERM arrives.
///
/// # Errors
///
/// [`PeerError`] when the folder cannot be shared, or stdout cannot be written to.
pub async fn run(context: &Context, args: &ShellArgs) -> Result<Exit, PeerError> {
    check_port(&args.sharing)?;
    let mut signals = Signals::install().map_err(PeerError::system("cannot catch signals"))?;
    let mut output = Output::standard(false);
    let state_dir = StateDir::resolve(&args.sharing.state)?;
    let (library, report) = tokio::select! {
        opened = open_library(&args.dir, state_dir.path(), &mut output) => opened?,
        _ = signals.next() => return Ok(Exit::Done),
    };
    let documents = human::count(report.documents as u64, "document");
    let ignored = human::count(report.skipped.total(), "other file");
    output.lines(format_args!(
        "sharing {documents} of {} ({ignored} ignored)",
        shown(library.root())
    ))?;
    let root = library.root().to_owned();
    let target = blocking("opening the folder", move || Target::open(&root, Durability::End)).await??;
    let prompt = Prompt::open(state_dir.path().join("history"))?;
    let shell = Shell::start(
        context.remembering(&state_dir),
        args.sharing.clone(),
        library,
        target,
        state_dir,
    )?;
    take_lines(shell, prompt, &mut signals, &mut output).await
}

/// Takes lines until there are no more, and leaves.
async fn take_lines(
    mut shell: Shell,
    mut prompt: Prompt,
    signals: &mut Signals,
    output: &mut Output,
) -> Result<Exit, PeerError> {
    let mut next = match shell.settle(signals, output).await {
        Some(TERMINATE) => Next::Leave(Exit::Done),
        _ => Next::Line,
    };
    if prompt.is_interactive() {
        output.lines("type help for the commands; Ctrl-D leaves")?;
    }
    loop {
        next = match next {
            Next::Line => shell.take_line(&mut prompt, signals, output).await?,
            Next::Connect(registry) => {
                shell = shell.reconnect(registry, signals, output).await?;
                Next::Line
            }
            Next::Leave(exit) => {
                // Puts the terminal back as it was before anything else is written to it.
                drop(prompt);
                shell.leave(signals, output).await?;
                return Ok(exit);
            }
        }
    }
}

/// What follows after a line.
#[derive(Debug)]
enum Next {
    /// Another line.
    Line,
    /// A new session, here or at another registry.
    Connect(Option<RegistryUrl>),
    /// The end.
    Leave(Exit),
}

/// Shows what is no verb.
fn tell(parsed: Parsed, output: &mut Output) -> Result<Next, PeerError> {
    match parsed {
        Parsed::Nothing | Parsed::Verb(_) => {}
        Parsed::Usage(text) => output.lines(text.trim_end())?,
        Parsed::Mistake(text) => output.message(text),
    }
    Ok(Next::Line)
}

/// Tells what a verb failed of. The shell goes on, unless nobody reads what it shows.
fn report(error: PeerError, output: &mut Output) -> Result<Next, PeerError> {
    if is_reader_gone(&error) {
        return Err(error);
    }
    if let PeerError::Registry {
        url,
        source: CallError::Unreachable { detail, .. },
    } = &error
    {
        let detail = escaped(detail);
        output.message(format_args!(
            "cannot reach the registry at {url}: {detail}; \"connect URL\" names another"
        ));
    } else {
        output.message(error);
    }
    Ok(Next::Line)
}

fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy()).to_string()
}

/// A peer with a user at it.
#[derive(Debug)]
struct Shell {
    context: Context,
    sharing: SharingArgs,
    library: Library,
    target: Target,
    node: Node,
    events: broadcast::Receiver<NodeEvent>,
    state_dir: StateDir,
    /// What `peer healthcheck` reads, once there is something to read.
    state_file: Option<StateFile>,
    /// Whether the user knows already that there is no registration.
    told_of_loss: bool,
    /// A part without which this peer is none has failed.
    broken: Option<&'static str>,
}

impl Shell {
    fn start(
        context: Context,
        sharing: SharingArgs,
        library: Library,
        target: Target,
        state_dir: StateDir,
    ) -> Result<Self, PeerError> {
        let node = Node::start(
            node_config(&context, &sharing),
            library.clone(),
            Arc::clone(&context.dialer),
        )?;
        let events = node.events();
        Ok(Self {
            context,
            sharing,
            library,
            target,
            node,
            events,
            state_dir,
            state_file: None,
            told_of_loss: false,
            broken: None,
        })
    }

    /// Takes one line and carries it out.
    async fn take_line(
        &mut self,
        prompt: &mut Prompt,
        signals: &mut Signals,
        output: &mut Output,
    ) -> Result<Next, PeerError> {
        self.tell_what_happened(output);
        prompt.ask();
        let answer = self.next_line(prompt, signals, output).await;
        if let Some(part) = self.broken {
            return Err(PeerError::Broken(part));
        }
        let line = match answer {
            Answer::Line(line) => line,
            Answer::Cleared => return Ok(Next::Line),
            Answer::End => return Ok(Next::Leave(Exit::Done)),
            Answer::Failed(why) => {
                output.message(format_args!("cannot read any further: {}", escaped(&why)));
                return Ok(Next::Leave(Exit::Failed));
            }
        };
        output.refresh_screen();
        let parsed = verb::parse(&line);
        let Parsed::Verb(verb) = parsed else {
            return tell(parsed, output);
        };
        match *verb {
            Verb::Quit => Ok(Next::Leave(Exit::Done)),
            Verb::Help { verb } => tell(verb::help(verb.as_deref()), output),
            Verb::Connect { registry } => Ok(Next::Connect(registry)),
            verb @ (Verb::State
            | Verb::Add { .. }
            | Verb::Query { .. }
            | Verb::Lookup(_)
            | Verb::List(_)
            | Verb::Peers
            | Verb::Download(_)) => {
                let ended = tokio::select! {
                    result = Box::pin(self.carry_out(verb, output)) => Ok(result),
                    name = signals.next() => Err(name),
                };
                match ended {
                    Ok(Err(error)) => report(probe::explained(&self.context, error).await, output),
                    Ok(Ok(())) => Ok(Next::Line),
                    Err(TERMINATE) => Ok(Next::Leave(Exit::Done)),
                    Err(_) => {
                        output.message("stopped");
                        Ok(Next::Line)
                    }
                }
            }
        }
    }

    /// Waits for the line that was asked for, telling meanwhile what happens.
    async fn next_line(&mut self, prompt: &mut Prompt, signals: &mut Signals, output: &mut Output) -> Answer {
        while self.broken.is_none() {
            tokio::select! {
                answer = prompt.answer() => return answer,
                event = self.events.recv() => {
                    let notice = match event {
                        Ok(event) => self.note(&event, output),
                        Err(RecvError::Lagged(missed)) => Some(format!("{missed} notices were missed")),
                        Err(RecvError::Closed) => return prompt.answer().await,
                    };
                    if let Some(notice) = notice
                        && !prompt.notice(&notice)
                    {
                        output.message(notice);
                    }
                }
                name = signals.next() => {
                    // A Ctrl-C that was meant for a command which had just ended comes as a signal; the key itself
                    // never does while a line is being typed.
                    if name == TERMINATE || !prompt.is_interactive() {
                        return Answer::End;
                    }
                }
            }
        }
        Answer::End
    }

    /// Registers anew, here or elsewhere. The documents stay as they are.
    async fn reconnect(
        self,
        registry: Option<RegistryUrl>,
        signals: &mut Signals,
        output: &mut Output,
    ) -> Result<Self, PeerError> {
        let Self {
            mut context,
            sharing,
            library,
            target,
            node,
            state_dir,
            state_file,
            ..
        } = self;
        if let Some(registry) = registry {
            context.registry = registry;
            // What one registry told of peers is nothing that another one is to be believed.
            context = context.remembering(&state_dir);
        }
        output.lines(format_args!("connecting to {}", context.registry))?;
        node.shutdown(RECONNECT_GRACE).await;
        let mut shell = Self::start(context, sharing, library, target, state_dir)?;
        shell.state_file = state_file;
        shell.settle(signals, output).await;
        Ok(shell)
    }

    /// Leaves the registry, and lets running uploads come to their end.
    async fn leave(self, signals: &mut Signals, output: &mut Output) -> Result<(), PeerError> {
        leave(self.node.shutdown(limits::DRAIN_GRACE), signals, output).await;
        output.lines("left")
    }
}
