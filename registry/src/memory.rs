//! How much memory, and so how many connections, this process may have.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use rustix::{
    process::{Resource, getrlimit},
    system::sysinfo,
};

use crate::limits::CONNECTION_BYTES;

/// Where Linux shows its control groups, and what those of version 2 say of memory.
const CGROUPS: (&str, &str) = ("/sys/fs/cgroup", "memory.max");

/// The same for version 1.
const CGROUPS_OF_MEMORY: (&str, &str) = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes");

/// How many connections fit into half of the memory; the other half is for the index and its answers.
#[must_use]
pub fn connection_limit() -> usize {
    let machine = sysinfo();
    #[allow(clippy::useless_conversion, reason = "there are machines on which it has 32 bits")]
    let units = u64::from(machine.totalram);
    let memory = units.saturating_mul(machine.mem_unit.into());
    let of_process = [Resource::As, Resource::Data].map(|resource| getrlimit(resource).current);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_group = group_limit(&groups, |path| fs::read_to_string(path).ok());
    let least = of_process.into_iter().flatten().chain(of_group).fold(memory, u64::min);
    connections_within(least)
}

fn connections_within(bytes: u64) -> usize {
    usize::try_from(bytes / 2 / CONNECTION_BYTES)
        .unwrap_or(usize::MAX)
        .max(1)
}

/// The least that the control group of a process and those around it allow, which is what a container has. `groups` is what
/// `/proc/PID/cgroup` says.
fn group_limit(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let of_version_1 = groups
        .lines()
        .find_map(|line| line.split_once(":memory:").map(|(_, own)| own));
    let of_version_2 = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let (own, (root, file)) = match (of_version_1, of_version_2) {
        (Some(own), _) => (own, CGROUPS_OF_MEMORY),
        (None, Some(own)) => (own, CGROUPS),
        (None, None) => return None,
    };
    let names = Path::new(own).components();
    let mut group = PathBuf::from(root);
    // A container may see only its own group, at the root, and be told a path that leads out of it.
    group.extend(names.filter(|part| matches!(part, Component::Normal(_))));
    let around = group.ancestors().take_while(|path| path.starts_with(root));
    // `max` where there is no limit.
    around
        .filter_map(|path| read(&path.join(file))?.trim().parse().ok())
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_memory_is_for_connections() {
        assert_eq!(connections_within(512 << 20), 4096);
        assert_eq!(connections_within(24 << 30), 196_608);
        assert_eq!(connections_within(0), 1, "less than one is none");
        assert!(connection_limit() > 100, "on this machine");
    }

    #[test]
    fn the_tightest_group_counts() {
        let read = |path: &Path| match path.to_str()? {
            "/sys/fs/cgroup/memory.max" => Some("max\n".to_owned()),
            "/sys/fs/cgroup/lab/memory.max" => Some("1048576\n".to_owned()),
            "/sys/fs/cgroup/lab/registry/memory.max" => Some("2097152\n".to_owned()),
            _ => None,
        };
        assert_eq!(
            group_limit("1:name=systemd:/\n0::/lab/registry\n", read),
            Some(1_048_576)
        );
        assert_eq!(group_limit("0::/\n", read), None);
        assert_eq!(
            group_limit("0::/../../lab\n", read),
            Some(1_048_576),
            "as a container may see its own"
        );
        let read =
            |path: &Path| (path == "/sys/fs/cgroup/memory/lab/memory.limit_in_bytes").then(|| "4096\n".to_owned());
        assert_eq!(
            group_limit("12:memory:/lab\n11:cpu,cpuacct:/\n0::/other\n", read),
            Some(4096)
        );
        assert_eq!(group_limit("", read), None);
    }
}
