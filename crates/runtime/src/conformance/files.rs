//! Files in and out.

use std::path::Path;
use std::time::Duration;

use super::{Harness, programs, run, started, stop};
use crate::{CaptureLimits, Error, ExitStatus, FileKind, PathProblem};

const ENOUGH: CaptureLimits = CaptureLimits {
    files: 100,
    bytes: 1 << 20,
    time: Duration::from_secs(60),
};

fn problem<T>(result: &Result<T, Error>) -> Option<PathProblem> {
    match result {
        Err(Error::Path { problem, .. }) => Some(*problem),
        Ok(_) | Err(_) => None,
    }
}

/// What is written from outside is there inside, and the other way round.
pub async fn files_are_written_and_read<H: Harness>(harness: &H) {
    let running = started(harness).await;
    let path = Path::new("/tmp/some/new/directory/file");
    for contents in [&b"first"[..], b"", b"\0\xff binary \n"] {
        running
            .sandbox
            .write_file(path, contents.to_vec(), 0o644)
            .await
            .expect("it is written");
        assert_eq!(
            running
                .sandbox
                .read_file(path, 1000)
                .await
                .expect("it is read"),
            contents
        );
    }
    assert_eq!(
        run(&running, &programs::WRITE_FILES, |_| {}).await.0,
        ExitStatus::Exited(0)
    );
    assert_eq!(
        running
            .sandbox
            .read_file(Path::new("/tmp/probe/deep/b"), 4)
            .await
            .expect("it is read"),
        b"beta"
    );
    stop(running).await;
}

/// What a path leads to is told with its size and permissions.
pub async fn a_file_is_looked_at<H: Harness>(harness: &H) {
    let running = started(harness).await;
    let path = Path::new("/tmp/looked/at");
    let write = running.sandbox.write_file(path, b"12345".to_vec(), 0o751);
    write.await.expect("it is written");
    let entry = running.sandbox.look_at(path).await.expect("it is there");
    assert_eq!(
        (entry.kind, entry.bytes, entry.mode),
        (FileKind::File, 5, 0o751)
    );
    let above = running.sandbox.look_at(Path::new("/tmp/looked")).await;
    assert_eq!(above.expect("it is there").kind, FileKind::Directory);
    let missing = running.sandbox.look_at(Path::new("/tmp/missing")).await;
    assert_eq!(problem(&missing), Some(PathProblem::NotFound));
    stop(running).await;
}

/// A file of exactly the limit is read, a longer one is not.
pub async fn a_limit_on_reading_is_kept<H: Harness>(harness: &H) {
    let running = started(harness).await;
    let path = Path::new("/tmp/ten");
    running
        .sandbox
        .write_file(path, vec![b'x'; 10], 0o600)
        .await
        .expect("it is written");
    assert_eq!(
        running
            .sandbox
            .read_file(path, 10)
            .await
            .expect("it is read")
            .len(),
        10
    );
    assert_eq!(
        problem(&running.sandbox.read_file(path, 9).await),
        Some(PathProblem::TooLarge)
    );
    stop(running).await;
}

/// One problem for each cause.
pub async fn wrong_paths_are_told_apart<H: Harness>(harness: &H) {
    let running = started(harness).await;
    assert_eq!(
        run(&running, &programs::WRITE_FILES, |_| {}).await.0,
        ExitStatus::Exited(0)
    );
    let read = async |path| problem(&running.sandbox.read_file(Path::new(path), 1000).await);
    assert_eq!(read("/tmp/nothing").await, Some(PathProblem::NotFound));
    assert_eq!(read("/tmp/probe").await, Some(PathProblem::NotAFile));
    assert_eq!(read("tmp/probe/a").await, Some(PathProblem::NotAbsolute));
    let list = async |path| problem(&running.sandbox.list_files(Path::new(path), 1000).await);
    assert_eq!(list("/tmp/nothing").await, Some(PathProblem::NotFound));
    assert_eq!(list("/tmp/probe/a").await, Some(PathProblem::NotADirectory));
    let written = running
        .sandbox
        .write_file(Path::new("/tmp/probe/a/below"), Vec::new(), 0o644)
        .await;
    assert_eq!(problem(&written), Some(PathProblem::NotADirectory));
    stop(running).await;
}

/// [`Sandbox::list_files`](crate::Sandbox::list_files).
pub async fn directories_are_listed_by_name<H: Harness>(harness: &H) {
    let running = started(harness).await;
    assert_eq!(
        run(&running, &programs::WRITE_FILES, |_| {}).await.0,
        ExitStatus::Exited(0)
    );
    let entries = running
        .sandbox
        .list_files(Path::new("/tmp/probe"), 2)
        .await
        .expect("a list");
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (entry.name.to_str(), entry.kind, entry.bytes))
        .collect();
    assert_eq!(
        seen,
        [
            (Some("a"), FileKind::File, 5),
            (Some("deep"), FileKind::Directory, 0)
        ]
    );
    let one = running.sandbox.list_files(Path::new("/tmp/probe"), 1).await;
    assert_eq!(problem(&one), Some(PathProblem::TooLarge));
    stop(running).await;
}

/// [`Sandbox::capture`](crate::Sandbox::capture).
pub async fn files_are_captured_whole_or_not_at_all<H: Harness>(harness: &H) {
    let running = started(harness).await;
    assert_eq!(
        run(&running, &programs::WRITE_FILES, |_| {}).await.0,
        ExitStatus::Exited(0)
    );
    let roots = [Path::new("/tmp/probe"), Path::new("/tmp/nothing")];
    let mut captured = running
        .sandbox
        .capture(&roots, ENOUGH)
        .await
        .expect("the files");
    captured.sort_by(|a, b| a.path.cmp(&b.path));
    let seen: Vec<_> = captured
        .iter()
        .map(|file| (file.path.to_str(), &file.contents[..], file.executable))
        .collect();
    assert_eq!(
        seen,
        [
            (Some("/tmp/probe/a"), &b"alpha"[..], false),
            (Some("/tmp/probe/deep/b"), &b"beta"[..], false),
        ]
    );
    let no_time = CaptureLimits {
        time: Duration::ZERO,
        ..ENOUGH
    };
    for (limits, expected) in [
        (CaptureLimits { files: 1, ..ENOUGH }, PathProblem::TooLarge),
        (CaptureLimits { bytes: 8, ..ENOUGH }, PathProblem::TooLarge),
        (no_time, PathProblem::TooSlow),
    ] {
        let captured = running.sandbox.capture(&roots, limits).await;
        assert_eq!(problem(&captured), Some(expected));
    }
    stop(running).await;
}

/// Attack 43: nothing of one sandbox is in another, at the same time or after it.
pub async fn sandboxes_do_not_see_each_others_files<H: Harness>(harness: &H) {
    let path = Path::new("/tmp/secret");
    let first = started(harness).await;
    first
        .sandbox
        .write_file(path, b"secret".to_vec(), 0o666)
        .await
        .expect("it is written");
    assert!(
        first.sandbox.read_file(path, 100).await.is_ok(),
        "control: it is there"
    );
    let second = started(harness).await;
    assert_eq!(
        problem(&second.sandbox.read_file(path, 100).await),
        Some(PathProblem::NotFound)
    );
    let mut spec = super::spec(harness);
    spec.id = first.sandbox.id().clone();
    stop(first).await;
    let third = harness
        .runtime()
        .start(spec)
        .await
        .expect("a sandbox starts under the same id");
    assert_eq!(
        problem(&third.sandbox.read_file(path, 100).await),
        Some(PathProblem::NotFound)
    );
    stop(second).await;
    stop(third).await;
}
