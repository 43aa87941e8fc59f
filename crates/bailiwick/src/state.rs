//! Where the state directory is.

use std::path::PathBuf;

use bailiwick_local::{StateDirectory, StateError};

use crate::host_environment::HostEnvironment;

/// root: /var/lib/bailiwick. Anybody else: $XDG_STATE_HOME/bailiwick, ~/.local/state/bailiwick (XDG Base Directory Specification), or
/// without a home a directory of the own under /tmp.
pub(crate) fn open(host: &HostEnvironment) -> Result<StateDirectory, StateError> {
    let uid = rustix::process::geteuid();
    let home = host
        .home
        .as_ref()
        .filter(|home| home.is_dir())
        .map(|home| home.join(".local/state"));
    let path = if uid.is_root() {
        PathBuf::from("/var/lib/bailiwick")
    } else if let Some(directory) = host.state_home.clone().or(home) {
        directory.join("bailiwick")
    } else {
        PathBuf::from(format!("/tmp/bailiwick-{}", uid.as_raw()))
    };
    StateDirectory::open(path)
}
