//! Builds: one for each key, whole or not there.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Child;
use std::time::{Duration, Instant};

use bailiwick_images::{Begin, ResolvedPackage, Store, StoreError};

use crate::child::verify;
use crate::harness::{PARTS, Place, inputs, inputs_on, start};

pub(crate) fn a_layer_is_there_after_its_commit_and_not_before() {
    let place = Place::new();
    let key = inputs("a").key();
    assert!(!place.has(&key));
    let draft = place.draft(inputs("a"));
    assert_eq!(draft.key(), &key);
    assert_eq!(fs::read_dir(draft.tree()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(draft.work()).unwrap().count(), 0);
    let mode = fs::metadata(draft.tree()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    fs::write(draft.tree().join("file"), "text").unwrap();
    draft.log().unwrap().write_all(b"one\n").unwrap();
    draft.log().unwrap().write_all(b"two\n").unwrap();
    assert!(!place.has(&key));
    let package = ResolvedPackage {
        name: "six".into(),
        version: "1.17.0".into(),
        source: None,
        hash: Some("sha256:00".into()),
        detail: None,
    };
    let layer = draft.commit(vec![package.clone()], 1_000, 7).unwrap();
    let found = place.store.find(&key).unwrap().expect("it is there");
    assert_eq!(found, layer);
    assert_eq!(found.record.resolved, [package]);
    assert_eq!((found.record.built_at, found.record.seconds), (1_000, 7));
    assert_eq!(found.record.inputs, inputs("a"));
    assert_eq!(fs::read(found.tree().join("file")).unwrap(), b"text");
    let mut log = String::new();
    let file = place.store.log(&key).unwrap();
    file.expect("a log").read_to_string(&mut log).unwrap();
    assert_eq!(log, "one\ntwo\n");
    assert!(matches!(place.store.begin(inputs("a")), Ok(Begin::Ready(ready)) if ready == layer));
    assert_eq!(place.store.list().unwrap(), [layer]);
    assert!(place.names("building").is_empty());
}

pub(crate) fn a_key_that_is_being_built_is_busy() {
    let place = Place::new();
    let draft = place.draft(inputs("a"));
    assert!(matches!(place.store.begin(inputs("a")), Ok(Begin::Busy)));
    // The control: it is about this key alone.
    drop(place.draft(inputs("b")));
    drop(draft);
    drop(place.draft(inputs("a")));
}

pub(crate) fn of_processes_that_race_for_one_key_one_builds() {
    let place = Place::new();
    for round in 0..10 {
        let name = round.to_string();
        let racers: Vec<_> = (0..4)
            .map(|_| start("build", place.store.path(), &[&name]))
            .collect();
        let ends = racers.into_iter().map(|child| {
            let output = child.wait_with_output().expect("an end");
            assert!(output.status.success());
            String::from_utf8(output.stdout).expect("text")
        });
        let (built, ready): (Vec<_>, Vec<_>) = ends.partition(|said| said == "open\nbuilt\n");
        assert_eq!(built.len(), 1);
        assert!(
            ready.iter().all(|said| said == "open\nready\n"),
            "{ready:?}"
        );
    }
}

pub(crate) fn a_build_killed_at_any_moment_never_leaves_a_wrong_or_half_layer() {
    const ROUNDS: u32 = 100;
    let place = Place::new();
    let key = inputs("a").key();
    let mut child = start("build", place.store.path(), &["a"]);
    wait_for(&mut child, "open");
    let begun = Instant::now();
    wait_for(&mut child, "built");
    let mut whole = begun.elapsed();
    child.wait().expect("an end");
    verify(&place.store.find(&key).unwrap().expect("it was built"));
    place.store.remove(&key).unwrap();

    let mut committed = 0;
    for round in 0..ROUNDS {
        let mut child = start("build", place.store.path(), &["a"]);
        wait_for(&mut child, "open");
        // Again and again from at once to some time after the end.
        let moment = round % 10;
        std::thread::sleep(whole * moment / 8);
        child.kill().expect("it has not been waited for");
        child.wait().expect("an end");
        let store = place.open_again();
        assert!(place.names("building").is_empty(), "round {round}");
        if let Some(layer) = store.find(&key).unwrap() {
            verify(&layer);
            store.remove(&key).unwrap();
            committed += 1;
        } else if moment == 9 {
            // The machine has become slower.
            whole *= 2;
        }
        assert!(place.names("layers").is_empty(), "round {round}");
    }
    println!("{committed} of {ROUNDS} were killed after their commit; a build took {whole:?}");
    assert!((1..ROUNDS).contains(&committed), "{committed}");
    let mut child = start("build", place.store.path(), &["a"]);
    wait_for(&mut child, "built");
    child.wait().expect("an end");
    verify(&place.store.find(&key).unwrap().expect("it was built"));
}

pub(crate) fn a_layer_whose_removal_is_killed_is_whole_or_gone() {
    let place = Place::new();
    let key = inputs("a").key();
    for round in 0..30 {
        let mut child = start("build", place.store.path(), &["a"]);
        wait_for(&mut child, if place.has(&key) { "ready" } else { "built" });
        child.wait().expect("an end");
        let mut child = start("remove", place.store.path(), &["a"]);
        wait_for(&mut child, "open");
        std::thread::sleep(Duration::from_micros(200 * round));
        child.kill().expect("it has not been waited for");
        child.wait().expect("an end");
        if let Some(layer) = place.store.find(&key).unwrap() {
            verify(&layer);
        }
        place.open_again();
        assert!(place.names("building").is_empty(), "round {round}");
    }
}

pub(crate) fn a_build_that_lives_is_not_swept() {
    let place = Place::new();
    let mut lives = start("build-slowly", place.store.path(), &["lives"]);
    let mut dies = start("build-slowly", place.store.path(), &["dies"]);
    wait_for(&mut lives, "building");
    wait_for(&mut dies, "building");
    assert_eq!(place.names("building").len(), 2);
    dies.kill().expect("it has not been waited for");
    dies.wait().expect("an end");
    let store = place.open_again();
    assert_eq!(place.names("building").len(), 1);
    assert!(matches!(store.begin(inputs("lives")), Ok(Begin::Busy)));
    drop(lives.stdin.take());
    assert!(lives.wait().expect("an end").success());
    let layer = store.find(&inputs("lives").key()).unwrap();
    verify(&layer.expect("it was built"));
    assert!(!place.has(&inputs("dies").key()));
}

pub(crate) fn an_abandoned_build_leaves_its_log_alone() {
    let place = Place::new();
    let key = inputs("a").key();
    for end in ["abandon", "drop"] {
        let draft = place.draft(inputs("a"));
        fs::write(draft.tree().join("file"), "text").unwrap();
        writeln!(draft.log().unwrap(), "{end}").unwrap();
        if end == "abandon" {
            draft.abandon().unwrap();
        } else {
            drop(draft);
        }
        let mut log = String::new();
        let file = place.store.log(&key).unwrap();
        file.expect("a log").read_to_string(&mut log).unwrap();
        assert_eq!(log, format!("{end}\n"));
        assert_eq!(place.names("logs").len(), 1);
        for part in ["building", "layers", "keys"] {
            assert!(place.names(part).is_empty(), "{part}");
        }
    }
    // A build that succeeds makes it old.
    place.layer(inputs("a"), 1);
    assert!(place.names("logs").is_empty());
}

pub(crate) fn the_log_of_a_killed_build_is_kept() {
    let place = Place::new();
    let mut child = start("build-slowly", place.store.path(), &["a"]);
    wait_for(&mut child, "building");
    child.kill().expect("it has not been waited for");
    child.wait().expect("an end");
    let log = place.open_again().log(&inputs("a").key()).unwrap();
    let mut text = String::new();
    log.expect("a log").read_to_string(&mut text).unwrap();
    assert_eq!(text, "half way\n");
}

pub(crate) fn a_build_keeps_the_layer_below_it() {
    let place = Place::new();
    let below = place.layer(inputs("below"), 1);
    let draft = place.draft(inputs_on("above", &below));
    let refused = place.store.remove(&below.key);
    assert!(matches!(refused, Err(StoreError::InUse { .. })));
    draft.abandon().unwrap();
    place.store.remove(&below.key).unwrap();
}

pub(crate) fn a_build_on_a_layer_that_is_not_there_is_refused() {
    let place = Place::new();
    let below = place.layer(inputs("below"), 1);
    place.store.remove(&below.key).unwrap();
    let refused = place.store.begin(inputs_on("above", &below));
    assert!(matches!(refused, Err(StoreError::Missing { key }) if key == below.key));
    assert!(place.names("building").is_empty());
}

pub(crate) fn a_directory_without_a_good_record_is_no_layer() {
    let place = Place::new();
    let breaks: [fn(&std::path::Path); 7] = [
        |record| fs::remove_file(record).unwrap(),
        |record| fs::write(record, "").unwrap(),
        |record| fs::write(record, "{\"inputs\": 7}").unwrap(),
        |record| {
            let half = fs::read(record).unwrap();
            fs::write(record, &half[..half.len() / 2]).unwrap();
        },
        |record| {
            let elsewhere = record.with_file_name("elsewhere");
            fs::rename(record, &elsewhere).unwrap();
            symlink(elsewhere, record).unwrap();
        },
        |record| {
            fs::remove_file(record).unwrap();
            let mode = rustix::fs::Mode::RUSR;
            rustix::fs::mkfifoat(rustix::fs::CWD, record, mode).unwrap();
        },
        |record| {
            let tree = record.with_file_name("tree");
            fs::remove_dir_all(&tree).unwrap();
            symlink("/usr", tree).unwrap();
        },
    ];
    for (number, damage) in breaks.into_iter().enumerate() {
        let layer = place.layer(inputs("a"), 1);
        assert!(place.has(&layer.key));
        damage(&layer.directory.join("layer.json"));
        assert!(!place.has(&layer.key), "{number}");
        assert!(place.store.list().unwrap().is_empty(), "{number}");
        let held = place.store.hold(std::slice::from_ref(&layer.key));
        assert!(matches!(held, Err(StoreError::Missing { .. })), "{number}");
        // What takes its place is built anew.
        let again = place.layer(inputs("a"), 1);
        assert!(again.tree().join("file").exists());
        place.store.remove(&again.key).unwrap();
        assert!(place.names("building").is_empty());
    }
}

pub(crate) fn a_record_of_another_key_is_no_layer() {
    let place = Place::new();
    let (a, b) = (place.layer(inputs("a"), 1), place.layer(inputs("b"), 1));
    let record = |layer: &bailiwick_images::Layer| layer.directory.join("layer.json");
    fs::copy(record(&a), record(&b)).unwrap();
    assert!(place.has(&a.key));
    assert!(!place.has(&b.key));
}

pub(crate) fn a_store_that_others_may_write_is_refused() {
    let place = Place::new();
    for part in PARTS {
        let directory = place.store.path().join(part);
        let set = |mode| fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        let mode = fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        for loose in [0o777, 0o770, 0o702] {
            set(loose);
            let refused = Store::open(place.store.path());
            assert!(matches!(refused, Err(StoreError::NotOurs { .. })), "{part}");
        }
        set(0o700);
        place.open_again();
    }
    let link = place.directory.path().join("link");
    symlink(place.store.path(), &link).unwrap();
    assert!(matches!(Store::open(link), Err(StoreError::NotOurs { .. })));
}

pub(crate) fn a_store_of_somebody_else_is_refused() {
    let place = Place::new();
    let path = place.store.path();
    std::os::unix::fs::chown(path, Some(12345), Some(12345)).unwrap();
    let refused = Store::open(path);
    assert!(matches!(
        refused,
        Err(StoreError::NotOurs { owner: 12345, .. })
    ));
}

pub(crate) fn a_record_that_is_too_large_is_refused() {
    let place = Place::new();
    let package = ResolvedPackage {
        name: "x".repeat(bailiwick_model::limits::LAYER_RECORD_BYTES),
        version: String::new(),
        source: None,
        hash: None,
        detail: None,
    };
    let refused = place.draft(inputs("a")).commit(vec![package], 0, 0);
    assert!(matches!(refused, Err(StoreError::RecordTooLarge { .. })));
    assert!(place.names("building").is_empty());
    assert!(place.names("layers").is_empty());
}

/// Waits until the child says the line.
pub(crate) fn wait_for(child: &mut Child, line: &str) {
    let out = child.stdout.as_mut().expect("a pipe");
    // One byte at a time: what comes after the line is for the next who waits.
    let said = BufReader::with_capacity(1, out).lines();
    let mut said = said.map_while(Result::ok);
    assert!(
        said.any(|said| said == line),
        "it ended and never said {line}"
    );
}
