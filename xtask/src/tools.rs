//! Programs of others that are installed on this machine.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Where distributions put servers, which users' search paths may leave out.
const FOR_ADMINISTRATORS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Where a program is, if it is installed.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(FOR_ADMINISTRATORS.iter().map(Path::new).map(Path::to_owned));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Whether a program is installed.
pub fn has(name: &str) -> bool {
    find(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_system_has_is_found_and_nonsense_is_not() {
        assert!(has("sh"));
        assert!(!has("no-such-program-anywhere"));
    }
}
