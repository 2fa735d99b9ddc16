//! What Linux tells about a process under `/proc`: whether it stands still, what it is connected to,
//! and what it has cost.

use std::{collections::BTreeSet, fs, time::Duration};

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

/// A process and whatever it has started, as far as that still runs, each with its children after it.
pub fn tree(process: u32) -> Vec<u32> {
    let mut all = vec![process];
    let mut next = 0;
    while let Some(&parent) = all.get(next) {
        next += 1;
        // Each thread has children of its own. What has ended since it was listed has none.
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten();
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    all
}

/// The processor time of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// What its threads have used, those that have ended included.
    pub own: Duration,
    /// What those of its children have used, and theirs, that it has waited for.
    pub waited_for: Duration,
}

/// The processor time of a process; none when it has ended.
pub fn times(process: u32) -> Option<Times> {
    parse_times(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

fn parse_times(stat: &str) -> Option<Times> {
    /// The kernel counts in units of 10 ms towards programs (USER_HZ), whatever it does inside.
    const TICK: Duration = Duration::from_millis(10);
    // What follows the name begins with field 3; the times are fields 14 to 17.
    let mut fields = stat.rsplit_once(") ")?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    let of = |user: u32, system: u32| TICK * user.saturating_add(system);
    Some(Times {
        own: of(ticks()?, ticks()?),
        waited_for: of(ticks()?, ticks()?),
    })
}

/// The most memory that a process has had resident, in bytes; none when it has ended.
pub fn peak_memory(process: u32) -> Option<u64> {
    memory(process, "VmHWM:")
}

/// The memory that a process has resident, in bytes; none when it has ended.
pub fn resident_memory(process: u32) -> Option<u64> {
    memory(process, "VmRSS:")
}

fn memory(process: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// How many descriptors a process has open; none when it has ended.
pub fn descriptors(process: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{process}/fd")).ok()?.count())
}

/// How many threads a process has; none when it has ended.
pub fn threads(process: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{process}/task")).ok()?.count())
}

/// How often this host had no room for a connection that a listener had not accepted yet.
pub fn listen_overflows() -> Result<u64> {
    let netstat = fs::read_to_string("/proc/net/netstat").context("cannot read /proc/net/netstat")?;
    counter(&netstat, "TcpExt:", "ListenOverflows").context("the system does not count overflows of listeners")
}

/// A counter in a file that has a line of names above each line of values.
fn counter(netstat: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter(|line| line.starts_with(group));
    let place = lines.next()?.split_whitespace().position(|found| found == name)?;
    lines.next()?.split_whitespace().nth(place)?.parse().ok()
}

/// The bytes that a process has handed to the system to write, to files and sockets alike; none when it has ended.
pub fn written_bytes(process: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{process}/io")).ok()?;
    io.lines()
        .find_map(|line| line.strip_prefix("wchar:"))?
        .trim()
        .parse()
        .ok()
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
    fn processor_times_are_read_past_a_name_of_any_form() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 7 3 20 0 1 0 100";
        let times = parse_times(stat).unwrap();
        assert_eq!(times.own, Duration::from_secs(2));
        assert_eq!(times.waited_for, Duration::from_millis(100));
        assert_eq!(parse_times("garbage"), None);
    }

    #[test]
    fn this_process_has_a_tree_and_memory_and_has_written() {
        let this = std::process::id();
        assert_eq!(tree(this).first(), Some(&this));
        // In this order: other tests of this process take memory meanwhile.
        let resident = resident_memory(this).unwrap();
        assert!(peak_memory(this).unwrap() >= resident);
        assert!(resident_memory(this).unwrap() > 1 << 10);
        assert!(descriptors(this).unwrap() >= 3 && threads(this).unwrap() >= 1);
        assert!(times(this).is_some() && written_bytes(this).is_some());
    }

    #[test]
    fn a_counter_is_found_by_its_name_in_the_line_above() {
        let netstat = "TcpExt: A ListenOverflows B\nTcpExt: 1 42 3\nIpExt: ListenOverflows\nIpExt: 7\n";
        assert_eq!(counter(netstat, "TcpExt:", "ListenOverflows"), Some(42));
        assert_eq!(counter(netstat, "IpExt:", "ListenOverflows"), Some(7));
        assert_eq!(counter(netstat, "TcpExt:", "C"), None);
        assert!(listen_overflows().is_ok());
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
