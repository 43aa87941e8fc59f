//! What images lie over of this host, made under a strict umask. Alone in its process: the umask is the process's.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bailiwick_local::snapshot;
use rustix::fs::Mode;

/// The directories below this one, as paths below it.
fn directories(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    let mut next = 0;
    while let Some(directory) = found.get(next).cloned() {
        next += 1;
        let below = fs::read_dir(root.join(&directory)).into_iter().flatten();
        let below = below
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        found.extend(below.map(|entry| directory.join(entry.file_name())));
    }
    found.split_off(1)
}

fn mode(path: &Path) -> Option<u32> {
    Some(fs::symlink_metadata(path).ok()?.mode() & 0o1777)
}

#[test]
fn directories_of_a_snapshot_have_the_modes_of_this_hosts_whatever_the_umask_says() {
    let into = tempfile::tempdir().expect("a directory");
    rustix::process::umask(Mode::from_raw_mode(0o077));
    snapshot(into.path()).expect("a snapshot");
    let found = directories(into.path());
    assert!(found.contains(&"etc/ssl/certs".into()), "{found:#?}");
    for directory in found {
        let here = mode(&into.path().join(&directory));
        let on_host = mode(&Path::new("/").join(&directory));
        // What was not copied but made is open to everybody.
        assert!(
            here == on_host || here == Some(0o755),
            "{}: {here:?}, not {on_host:?}",
            directory.display()
        );
    }
}
