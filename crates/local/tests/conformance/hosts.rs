//! What only sandbox hosts have: what they know, and what becomes of everything when one of them or their server dies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::Local;

/// The processes that are hosts of this one.
fn hosts() -> Vec<u32> {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_host = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1));
        let name = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        parent == Some(&own) && name.starts_with(b"bailiwick-sandbox-host")
    };
    numbers.filter(is_host).collect()
}

fn descriptors(pid: u32) -> BTreeSet<PathBuf> {
    let directory = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
    let links = directory
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok());
    links.collect()
}

pub(crate) async fn a_host_has_nothing_of_its_server(local: &Local) {
    let secret = tempfile::NamedTempFile::new().expect("a file");
    let inherited = rustix::io::fcntl_dupfd_cloexec(secret.as_file(), 3).expect("a descriptor");
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).expect("for children");
    let running = local.start(local.spec()).await;
    let hosts = hosts();
    assert_eq!(hosts.len(), 1, "one is enough for one sandbox");
    for pid in hosts {
        let environment = fs::read(format!("/proc/{pid}/environ")).expect("the environment");
        assert!(environment.is_empty(), "{environment:?}");
        assert!(!descriptors(pid).contains(secret.path()));
        assert_eq!(
            fs::read_link(format!("/proc/{pid}/cwd")).ok(),
            Some("/".into())
        );
    }
    let own = descriptors(std::process::id());
    assert!(own.contains(secret.path()), "control: {own:?}");
    running
        .sandbox
        .stop(std::time::Duration::ZERO)
        .await
        .expect("it stops");
    assert!(Path::new("/proc/self").exists());
}
