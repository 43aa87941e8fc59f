//! Trees that want out, or do not want to go.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_images::store::remove_tree;
use bailiwick_images::{GcLimits, StoreError};
use rustix::fs::{Mode, OFlags};

use crate::harness::{PARTS, Place, inputs, start};

pub(crate) fn links_lead_neither_a_commit_nor_a_removal_out() {
    let place = Place::new();
    let outside = place.directory.path().join("outside");
    fs::create_dir_all(outside.join("inner")).unwrap();
    fs::write(outside.join("inner/file"), vec![b'x'; 1 << 20]).unwrap();
    fs::set_permissions(outside.join("inner"), fs::Permissions::from_mode(0o500)).unwrap();
    let before = census(&outside);

    let draft = place.draft(inputs("a"));
    plant(&draft.tree(), &outside);
    plant(&draft.work(), &outside);
    // The control: who follows the links gets there.
    assert!(draft.tree().join("directory/inner/file").is_file());
    let layer = draft.commit(Vec::new(), 0, 0).unwrap();
    assert_eq!(layer.record.files, 5);
    assert!(layer.record.bytes < 1 << 20);
    place.store.remove(&layer.key).unwrap();
    assert!(!layer.directory.exists());

    let draft = place.draft(inputs("a"));
    plant(&draft.tree(), &outside);
    draft.abandon().unwrap();
    assert!(place.names("building").is_empty());

    // In place of the tree itself.
    let draft = place.draft(inputs("a"));
    fs::remove_dir(draft.tree()).unwrap();
    symlink(&outside, draft.tree()).unwrap();
    draft.commit(Vec::new(), 0, 0).unwrap_err();
    assert!(place.names("building").is_empty());
    let link = place.directory.path().join("link");
    symlink(&outside, &link).unwrap();
    remove_tree(&link).unwrap();
    assert_eq!(census(&outside), before);
    fs::set_permissions(outside.join("inner"), fs::Permissions::from_mode(0o700)).unwrap();
}

/// Links to a directory and its contents, by every kind of path.
fn plant(directory: &Path, outside: &Path) {
    symlink(outside, directory.join("directory")).unwrap();
    symlink(outside.join("inner/file"), directory.join("file")).unwrap();
    symlink("../../../../outside", directory.join("relative")).unwrap();
    symlink(".", directory.join("loop")).unwrap();
    fs::create_dir(directory.join("deep")).unwrap();
    symlink(outside.join("inner"), directory.join("deep/directory")).unwrap();
}

/// Names, permissions and sizes.
fn census(directory: &Path) -> Vec<(PathBuf, u32, u64)> {
    let of = |path: PathBuf| {
        let metadata = fs::metadata(&path).unwrap();
        (path, metadata.mode(), metadata.size())
    };
    ["", "inner", "inner/file"]
        .map(|part| of(directory.join(part)))
        .into()
}

pub(crate) fn directories_without_permissions_are_counted_and_stay_as_they_were() {
    let place = Place::new();
    let draft = place.draft(inputs("a"));
    let modes = lock_up(&draft.tree());
    let layer = draft.commit(Vec::new(), 0, 0).unwrap();
    assert_eq!(layer.record.files, modes.len() as u64 * 2);
    assert_eq!(layer.record.unread, 0);
    assert!(layer.record.bytes >= modes.len() as u64 * 2 * 4096);
    for mode in modes {
        let metadata = fs::metadata(layer.tree().join(format!("{mode:o}"))).unwrap();
        assert_eq!(metadata.mode() & 0o7777, mode);
    }
    place.store.remove(&layer.key).unwrap();
    assert!(place.names("building").is_empty());
}

pub(crate) fn directories_without_permissions_are_removed() {
    let place = Place::new();
    let draft = place.draft(inputs("a"));
    lock_up(&draft.tree());
    lock_up(&draft.work());
    fs::set_permissions(draft.work(), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(draft.tree(), fs::Permissions::from_mode(0o000)).unwrap();
    draft.abandon().unwrap();
    assert!(place.names("building").is_empty());
}

/// A directory of each of these modes, and in each a file and another directory with a file that has the same mode.
fn lock_up(tree: &Path) -> Vec<u32> {
    let modes = vec![
        0o000, 0o100, 0o200, 0o300, 0o400, 0o500, 0o600, 0o700, 0o077,
    ];
    for mode in &modes {
        let outer = tree.join(format!("{mode:o}"));
        let inner = outer.join("inner");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("file"), "text").unwrap();
        fs::write(outer.join("file"), "text").unwrap();
        for directory in [inner, outer] {
            fs::set_permissions(directory, fs::Permissions::from_mode(*mode)).unwrap();
        }
    }
    modes
}

pub(crate) fn a_hundred_thousand_entries_are_counted_and_removed() {
    let place = Place::new();
    let draft = place.draft(inputs("a"));
    // Half of them in one directory, half in many.
    let wide = draft.tree().join("wide");
    fs::create_dir(&wide).unwrap();
    let source = wide.join("0");
    File::create(&source).unwrap();
    // Further names of a file are the quickest to make.
    for number in 1..50_000 {
        fs::hard_link(&source, wide.join(number.to_string())).unwrap();
    }
    let source = draft.tree().join("source");
    File::create(&source).unwrap();
    for number in 0..500 {
        let directory = draft.tree().join(format!("{}/{number}", number % 10));
        fs::create_dir_all(&directory).unwrap();
        for inner in 0..100 {
            fs::hard_link(&source, directory.join(inner.to_string())).unwrap();
        }
    }
    let layer = draft.commit(Vec::new(), 0, 0).unwrap();
    assert_eq!(layer.record.files, 100_001);
    place.store.remove(&layer.key).unwrap();
    assert!(place.names("building").is_empty());
}

pub(crate) fn ten_thousand_levels_are_counted_and_removed() {
    let place = Place::new();
    let draft = place.draft(inputs("a"));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut level = rustix::fs::open(draft.tree(), flags, Mode::empty()).unwrap();
    for _ in 0..10_000 {
        rustix::fs::mkdirat(&level, "d", Mode::RWXU).unwrap();
        level = rustix::fs::openat(&level, "d", flags, Mode::empty()).unwrap();
    }
    // The one file is at the bottom.
    rustix::fs::symlinkat("/", &level, "link").unwrap();
    let layer = draft.commit(Vec::new(), 0, 0).unwrap();
    assert_eq!(layer.record.files, 1);
    place.store.remove(&layer.key).unwrap();
    assert!(place.names("building").is_empty());
}

pub(crate) fn names_that_are_not_text_are_counted_and_removed() {
    let place = Place::new();
    let draft = place.draft(inputs("a"));
    let names: [&[u8]; 6] = [
        b"\xff\xfe",
        b"\xc3\x28",
        b"new\nline",
        b"-rf",
        b"\x1b[2J",
        b"...",
    ];
    for name in names {
        let directory = draft.tree().join(OsStr::from_bytes(name));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join(OsStr::from_bytes(name)), "text").unwrap();
    }
    fs::write(draft.tree().join("x".repeat(255)), "text").unwrap();
    let layer = draft.commit(Vec::new(), 0, 0).unwrap();
    assert_eq!(layer.record.files, names.len() as u64 + 1);
    place.store.remove(&layer.key).unwrap();
    assert!(place.names("building").is_empty());
}

pub(crate) fn a_file_with_two_names_is_counted_once() {
    let place = Place::new();
    let draft = place.draft(inputs("a"));
    let file = draft.tree().join("file");
    fs::write(&file, vec![b'x'; 1 << 20]).unwrap();
    for name in ["b", "c", "d"] {
        fs::hard_link(&file, draft.tree().join(name)).unwrap();
    }
    let layer = draft.commit(Vec::new(), 0, 0).unwrap();
    assert_eq!(layer.record.files, 4);
    assert!((1 << 20..2 << 20).contains(&layer.record.bytes));
}

pub(crate) fn a_removal_that_is_killed_is_finished_by_the_next() {
    let place = Place::new();
    let dead = format!("{}-0123456789abcdef", "a".repeat(64));
    let dead = place.store.path().join("building").join(dead);
    let source = place.directory.path().join("source");
    File::create(&source).unwrap();
    let mut interrupted = 0;
    for round in 0..10 {
        for directory in 0..50 {
            let directory = dead.join(format!("tree/{}/{directory}/x", directory % 5));
            fs::create_dir_all(&directory).unwrap();
            for file in 0..20 {
                fs::hard_link(&source, directory.join(file.to_string())).unwrap();
            }
        }
        let mut child = start("open", place.store.path(), &["-"]);
        std::thread::sleep(Duration::from_micros(1_000 * round));
        child.kill().expect("it has not been waited for");
        child.wait().expect("an end");
        interrupted += u32::from(dead.exists());
        place.open_again();
        assert!(place.names("building").is_empty());
    }
    println!("{interrupted} of 10 removals were interrupted");
    assert!(interrupted > 0);
}

pub(crate) fn two_may_remove_one_tree() {
    let place = Place::new();
    let tree = place.directory.path().join("tree");
    for _ in 0..3 {
        for directory in 0..100 {
            let directory = tree.join(format!("{}/{directory}/x/y", directory % 7));
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("file"), "text").unwrap();
        }
        let argument = tree.to_str().unwrap();
        let others = [(); 2].map(|()| start("remove-tree", place.store.path(), &[argument]));
        remove_tree(&tree).unwrap();
        for mut other in others {
            assert!(other.wait().expect("an end").success());
        }
        assert!(!tree.exists());
    }
}

/// A mount on the tree is not the tree's, even one of the same file system.
pub(crate) fn a_removal_does_not_cross_a_mount() {
    let place = Place::new();
    let outside = place.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "text").unwrap();
    let tree = place.directory.path().join("tree");
    fs::create_dir_all(tree.join("a/mounted")).unwrap();
    fs::write(tree.join("a/file"), "text").unwrap();
    let script = r#"mount --bind "$1" "$2" && test -f "$2/file" && shift 2 && exec "$@""#;
    let program = std::env::current_exe().expect("the path of this program");
    #[expect(
        clippy::disallowed_methods,
        reason = "a mount that ends with the test needs a namespace of its own"
    )]
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--", "sh", "-c", script, "sh"])
        .args([&outside, &tree.join("a/mounted"), &program])
        .args([crate::harness::ROLE, "remove-tree", "-"])
        .arg(&tree)
        .output()
        .expect("unshare, of util-linux");
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(complaint.contains("gone: "), "{complaint}");
    assert!(outside.join("file").exists());
    // The control: the rest is gone, and without the mount so is this.
    assert!(!tree.join("a/file").exists());
    remove_tree(&tree).unwrap();
    assert!(!tree.exists());
}

/// An ordinary user with subordinate ids makes such trees, and needs a user namespace to remove them.
pub(crate) fn what_belongs_to_another_id_is_told_and_left() {
    let place = Place::new();
    let draft = place.draft(inputs("a"));
    let foreign = draft.tree().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("file"), "text").unwrap();
    fs::write(draft.tree().join("own"), "text").unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&foreign, Some(54321), Some(54321)).unwrap();
    let parts = PARTS.map(|part| place.store.path().join(part));
    let own = [draft.directory().to_owned(), draft.tree(), draft.work()];
    let lock = place
        .store
        .path()
        .join("keys")
        .join(&place.names("keys")[0]);
    for path in parts
        .iter()
        .chain(&own)
        .chain([&lock, &place.directory.path().to_owned()])
    {
        std::os::unix::fs::chown(path, Some(12345), None).unwrap();
    }
    with_effective_user(12345, || {
        let layer = draft.commit(Vec::new(), 0, 0).unwrap();
        assert_eq!((layer.record.files, layer.record.unread), (1, 1));
        let refused = place.store.remove(&layer.key);
        assert!(
            matches!(
                refused,
                Err(StoreError::Io {
                    action: "remove",
                    ..
                })
            ),
            "{refused:?}"
        );
        assert!(!place.has(&layer.key));
        // It is in nobody's way, and whoever cleans up is told.
        let store = place.open_again();
        assert_eq!(place.names("building").len(), 1);
        let limits = GcLimits {
            unused_for: Duration::MAX,
            budget_bytes: None,
        };
        assert_eq!(store.gc(limits, 0).unwrap().failed.len(), 1);
        drop(place.draft(inputs("a")).commit(Vec::new(), 0, 0).unwrap());
    });
    // The control: whoever may, removes it.
    remove_tree(&parts[2]).unwrap();
}

fn with_effective_user(uid: u32, act: impl FnOnce()) {
    let [root, user] = [0, uid].map(rustix::thread::Uid::from_raw);
    rustix::thread::set_thread_res_uid(root, user, root).unwrap();
    act();
    rustix::thread::set_thread_res_uid(root, root, root).unwrap();
}
