//! What Linux tells about a process under `/proc`: whether it stands still, and what it is connected to.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result};

/// Whether every thread of a process is stopped (by SIGSTOP).
pub fn is_stopped(process: u32) -> Result<bool> {
    let tasks = format!("/proc/{process}/task");
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else {
            // The thread has ended since the folder was read.
            continue;
        };
        if state(&stat) != Some('T') {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The state in a line such as `42 (name) S 1 …`; the name may hold spaces and parentheses.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The remote ports of a process's established TCP connections.
pub fn connected_ports(process: u32) -> Result<BTreeSet<u16>> {
    let descriptors = format!("/proc/{process}/fd");
    let mut sockets = BTreeSet::new();
    for descriptor in fs::read_dir(&descriptors).with_context(|| format!("cannot read {descriptors}"))? {
        let Ok(target) = fs::read_link(descriptor?.path()) else {
            continue;
        };
        let target = target.to_string_lossy();
        if let Some(inode) = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
            sockets.insert(inode.to_owned());
        }
    }
    let mut ports = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        // There is no tcp6 where IPv6 is switched off.
        let text = fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        ports.extend(text.lines().filter_map(|line| established_port(line, &sockets)));
    }
    Ok(ports)
}

/// The remote port in a line of `/proc/net/tcp`, if the connection is established and its socket is one of these.
fn established_port(line: &str, sockets: &BTreeSet<String>) -> Option<u16> {
    /// TCP_ESTABLISHED in the kernel's enumeration of states.
    const ESTABLISHED: &str = "01";
    let mut fields = line.split_whitespace();
    let (remote, state) = (fields.nth(2)?, fields.next()?);
    let inode = fields.nth(5)?;
    let port = u16::from_str_radix(remote.rsplit_once(':')?.1, 16).ok()?;
    (state == ESTABLISHED && sockets.contains(inode)).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_a_name_of_any_form() {
        assert_eq!(state("42 (a) b (c) T 1 42"), Some('T'));
        assert_eq!(state("garbage"), None);
    }

    #[test]
    fn a_line_of_the_table_yields_the_port_of_an_established_connection() {
        let line = "   1: 0100007F:A1B2 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1";
        let sockets = BTreeSet::from(["4711".to_owned()]);
        assert_eq!(established_port(line, &sockets), Some(40_000));
        assert_eq!(established_port(&line.replace(" 01 ", " 06 "), &sockets), None);
        assert_eq!(established_port(line, &BTreeSet::new()), None);
    }

    #[test]
    fn a_real_connection_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _connection = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert!(connected_ports(std::process::id()).unwrap().contains(&port));
        assert!(!is_stopped(std::process::id()).unwrap());
    }
}
