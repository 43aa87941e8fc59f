//! What takes long to make, and is made once for all tests of a build directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// The directory of that name, which `make` has filled: now, or when an earlier test asked for it.
pub(crate) fn made_once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let directory = build_directory().join(name);
    let above = directory.parent().expect("the build directory at least");
    fs::create_dir_all(above).expect("a directory");
    // Tests are processes that begin at once: one makes it, the others wait.
    let lock = File::create(beside(&directory, "lock")).expect("a lock");
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).expect("the lock");
    let done = beside(&directory, "done");
    if !done.exists() {
        if directory.exists() {
            // What an end half-way has left.
            fs::remove_dir_all(&directory).expect("it can be removed");
        }
        fs::create_dir(&directory).expect("a directory");
        make(&directory);
        fs::write(done, "").expect("a mark");
    }
    directory
}

fn beside(directory: &Path, end: &str) -> PathBuf {
    let mut name = directory.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

/// Where this very build lies: what Cargo has marked as such.
fn build_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    let marked = |directory: &&Path| directory.join("CACHEDIR.TAG").exists();
    let found = program.ancestors().find(marked);
    found.expect("a build directory").to_owned()
}
