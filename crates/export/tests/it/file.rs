//! Lines in a file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use bailiwick_export::{ExportError, Sink};

use crate::{delivery, dialer, line, sink};

fn lines(numbers: impl IntoIterator<Item = u32>) -> String {
    numbers
        .into_iter()
        .map(|number| line(number) + "\n")
        .collect()
}

#[tokio::test]
async fn records_are_lines_in_their_order_that_nobody_else_can_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let mut sink = sink(&format!("file:{}", path.display()));
    sink.deliver(&delivery(1..=3)).await.unwrap();
    sink.deliver(&delivery(4..=4)).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), lines(1..=4));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_file_that_was_rotated_away_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let old = directory.path().join("audit.jsonl.1");
    let mut sink = sink(&format!("file:{}", path.display()));
    sink.deliver(&delivery([1])).await.unwrap();
    fs::rename(&path, &old).unwrap();
    sink.deliver(&delivery([2])).await.unwrap();
    fs::remove_file(&path).unwrap();
    sink.deliver(&delivery([3])).await.unwrap();
    assert_eq!(fs::read_to_string(&old).unwrap(), lines([1]));
    assert_eq!(fs::read_to_string(&path).unwrap(), lines([3]));
}

#[tokio::test]
async fn a_line_that_a_crash_has_cut_is_taken_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let long = "x".repeat(10_000);
    for (there, stays) in [
        (lines([1]) + "{\"sequence\":2", lines([1])),
        (lines([1]) + &long, lines([1])),
        (long.clone(), String::new()),
        (lines([1]), lines([1])),
    ] {
        fs::write(&path, there).unwrap();
        let mut sink = sink(&format!("file:{}", path.display()));
        sink.deliver(&delivery([2])).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), stays + &lines([2]));
    }
}

#[tokio::test]
async fn what_cannot_be_written_shows_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    fs::write(&target, "").unwrap();
    let link = directory.path().join("link");
    symlink(&target, &link).unwrap();
    for path in [
        directory.path().to_owned(),
        directory.path().join("missing/audit.jsonl"),
        // Somebody else's choice of a file.
        link,
    ] {
        let destination = format!("file:{}", path.display()).parse().unwrap();
        let refused = Sink::open(&destination, &dialer(), None).err().unwrap();
        assert!(matches!(refused, ExportError::File { .. }), "{refused}");
    }
    assert_eq!(fs::read(&target).unwrap(), b"");
}
