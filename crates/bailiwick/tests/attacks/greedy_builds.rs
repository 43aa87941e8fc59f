//! Packages that use up what there is while they are installed, and packages of one name that are not the same.

use std::fs;

use bailiwick_testkit::{Bailiwick, LeakCheck, Outcome};

use crate::images::{ENVIRONMENT, Index};
use crate::support::{PYTHON, everyone};

const BACKEND: &str = include_str!("probe/greedy_backend.py");

/// An index with a package that takes this much of something.
fn index(kind: &str, amount: u32) -> Index {
    let backend = tempfile::NamedTempFile::new().expect("a file");
    let text = format!("KIND, AMOUNT = {kind:?}, {amount}\n{BACKEND}");
    fs::write(backend.path(), text).expect("the backend");
    Index::of(backend.path(), 1)
}

/// Builds an image with such a package. The index is of this build alone, and so is the layer.
fn build(bailiwick: &Bailiwick, kind: &str, amount: u32, options: &[&str]) -> (Index, Outcome) {
    let index = index(kind, amount);
    let file = bailiwick.write(bailiwick.home().join("greedy.yaml"), ENVIRONMENT);
    let arguments = ["image", "build", "--registry"].map(Into::into);
    let named = [index.registry().into(), "-f".into(), file.into_os_string()];
    let outcome = bailiwick.execute(
        arguments
            .into_iter()
            .chain(named)
            .chain(options.iter().map(Into::into)),
    );
    (index, outcome)
}

/// A build that takes too much is ended and says of what, and leaves nothing; the same one that takes little goes well.
#[track_caller]
fn check(
    bailiwick: &Bailiwick,
    kind: &str,
    [little, much]: [u32; 2],
    options: &[&str],
    says: &str,
) {
    goes_well(bailiwick, kind, little, options);
    is_ended(bailiwick, kind, much, options, says);
}

#[track_caller]
fn goes_well(bailiwick: &Bailiwick, kind: &str, little: u32, options: &[&str]) {
    let (index, control) = build(bailiwick, kind, little, options);
    control.success();
    bailiwick
        .execute(["image", "remove", &index.layer(bailiwick)])
        .success();
}

#[track_caller]
fn is_ended(bailiwick: &Bailiwick, kind: &str, much: u32, options: &[&str], says: &str) {
    let (_index, refused) = build(bailiwick, kind, much, options);
    assert_eq!(refused.code, 125, "{refused:#?}");
    assert!(
        refused.stderr.contains(&format!("pip ran into {says}")),
        "{refused:#?}"
    );
    assert!(
        refused.stderr.contains("bailiwick image log"),
        "{refused:#?}"
    );
    assert!(drafts(bailiwick).is_empty(), "{:?}", drafts(bailiwick));
}

/// What builds of this one's left on disk. Root's store is the machine's, where others build.
fn drafts(bailiwick: &Bailiwick) -> Vec<std::path::PathBuf> {
    if bailiwick.user().is_root() {
        return Vec::new();
    }
    let entries = fs::read_dir(bailiwick.images().join("building")).expect("a store");
    entries.flatten().map(|entry| entry.path()).collect()
}

#[test]
fn a_build_that_fills_the_disk_is_ended_while_it_writes() {
    let mut leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        leaks.watch_directory(&bailiwick.sandboxes());
        let says = "the limit of builds on disk space, 100 MiB";
        check(&bailiwick, "disk", [10, 4000], &["--disk", "100MiB"], says);
        // Where no look of the outside finds it before the end.
        check(&bailiwick, "hidden", [10, 200], &["--disk", "100MiB"], says);
    }
}

#[test]
fn a_build_that_takes_too_long_is_ended() {
    let mut leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        leaks.watch_directory(&bailiwick.sandboxes());
        let says = "the limit of builds on time, 15 s";
        // A build has a time for itself, which is longer on a busy machine.
        goes_well(&bailiwick, "time", 0, &["--timeout", "100s"]);
        is_ended(&bailiwick, "time", 600, &["--timeout", "15s"], says);
    }
}

#[test]
fn a_build_that_floods_the_machine_with_processes_is_stopped_without_being_asked() {
    let mut leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        leaks.watch_directory(&bailiwick.sandboxes());
        let says = "the limit of builds on processes";
        check(&bailiwick, "processes", [100, 6000], &[], says);
    }
}

#[test]
fn a_build_that_takes_the_memory_is_ended_where_a_control_group_can_hold_that_and_built_without_where_none_can()
 {
    let mut leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        leaks.watch_directory(&bailiwick.sandboxes());
        if bailiwick.user().is_root() {
            let says = "the limit of builds on memory, 400 MiB";
            let amounts = [20, 1000];
            check(&bailiwick, "memory", amounts, &["--memory", "400MiB"], says);
            continue;
        }
        let (index, usual) = build(&bailiwick, "memory", 20, &[]);
        usual.success();
        index.layer(&bailiwick);
        let (_index, asked) = build(&bailiwick, "memory", 20, &["--memory", "400MiB"]);
        let is_refused = asked.code == 125 && asked.stderr.contains("control group");
        assert!(is_refused || asked.code == 0, "{asked:#?}");
    }
}

#[test]
fn what_one_registry_serves_under_a_name_is_not_given_to_who_asks_another() {
    let bailiwick = everyone().pop().expect("somebody");
    let (one, other) = (index("time", 0), index("time", 1));
    let used = |index: &Index| {
        let use_it = "import hostile; print(hostile.AMOUNT)";
        index
            .run(&bailiwick)
            .command([PYTHON, "-c", use_it])
            .success()
    };
    assert_eq!(used(&one).stdout, "0\n");
    assert_eq!(used(&other).stdout, "1\n");
    // The control: who asks the first one again gets what was built then.
    let again = used(&one);
    assert!(
        again.stdout == "0\n" && !again.stderr.contains("installing"),
        "{again:#?}"
    );
}
