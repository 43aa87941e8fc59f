//! Files of sessions: those that come in, and those that are handed over.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use bailiwick_control::{ContentLimits, FileFacts, FileList, Workplaces as _};
use bailiwick_model::limits::FILE_MOUNT_PATH_BYTES;
use bailiwick_model::{FileId, SessionId, SessionResourceId, Verdict};
use bailiwick_store::{File, PageRequest};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::json;

use crate::{Place, SLOW, Server, fake, object, until};

impl Place {
    async fn upload(&self, contents: &[u8]) -> FileId {
        let mut upload = self.control.begin_file(&self.caller).await.unwrap();
        upload.write(contents).await.unwrap();
        upload.finish(FileFacts::default()).await.unwrap().id
    }

    /// Gives a session a copy of a file.
    async fn gives(
        &self,
        session: &SessionId,
        file: &FileId,
        path: &str,
    ) -> Result<SessionResourceId, String> {
        let body = json!({"type": "file", "file_id": file.to_string(), "mount_path": path});
        let body = object(body);
        let added = self
            .control
            .add_session_resource(&self.caller, session, &body);
        let added = added.await.map_err(|error| error.to_string())?;
        Ok(added.id)
    }

    /// What a session hands over is written, and its turn is over: what the model is told.
    async fn hands_over(
        &self,
        server: &Server,
        session: &SessionId,
        name: &str,
        content: &str,
    ) -> String {
        let path = format!("/mnt/session/outputs/{name}");
        let told = self.writes_to(server, session, (&path, content)).await;
        let scope = self.store.scope(self.caller.organization());
        let session = scope.session(session).await.unwrap().unwrap();
        let organization = self.caller.organization();
        server.sandboxes.rest(organization, &session).await;
        told.unwrap()
    }

    /// Names and lengths of what a session handed over, the oldest first.
    async fn handed_over(&self, session: &SessionId) -> Vec<(String, i64)> {
        let files = self.files_of(session).await.into_iter().rev();
        files.map(|file| (file.filename, file.size_bytes)).collect()
    }

    async fn files_of(&self, session: &SessionId) -> Vec<File> {
        let page = FileList::Older(PageRequest {
            before: None,
            limit: 100,
        });
        let files = self.control.files(&self.caller, page, Some(session));
        files.await.unwrap().items
    }

    /// Deletes one of the files of a session, by its name and length.
    async fn deletes(&self, session: &SessionId, name: &str, bytes: i64) {
        let files = self.files_of(session).await.into_iter();
        let mut found = files.filter(|file| file.filename == name && file.size_bytes == bytes);
        let id = found.next().unwrap().id;
        self.control.delete_file(&self.caller, &id).await.unwrap();
    }

    /// Entries of the audit log about files that were made.
    async fn files_made(&self) -> usize {
        let scope = self.store.scope(self.caller.organization());
        let entries = scope.audit_entries(0, 1000).await.unwrap();
        let made = entries.iter().filter(|entry| entry.action == "file.create");
        made.count()
    }
}

/// A pipe in the place of the file that is written next: whoever copies stands still until it is let go.
struct StandsStill(PathBuf);

impl StandsStill {
    fn new(server: &Server, session: &SessionId) -> Self {
        let path = server.uploads.join(format!("{session}.arriving"));
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        Self(path)
    }

    /// As long as this is open, what is written has room.
    fn lets_go(&self) -> std::io::Result<fs::File> {
        fs::File::options().read(true).write(true).open(&self.0)
    }
}

impl Drop for StandsStill {
    /// A test that fails ends all the same.
    fn drop(&mut self) {
        drop(self.lets_go());
    }
}

#[tokio::test]
async fn one_content_is_one_file_however_many_paths_lead_to_it() {
    let place = Place::new().await;
    let server = place.server(fake());
    let session = place.session().await;
    let (one, other) = (place.upload(b"one").await, place.upload(b"two").await);
    let first = place.gives(&session, &one, "a").await.unwrap();
    for path in ["b/c", "d"] {
        place.gives(&session, &one, path).await.unwrap();
    }
    place.gives(&session, &other, "e").await.unwrap();
    place.writes(&server, &session).await.unwrap();
    let directory = server.uploads.join(session.to_string());
    let look = |path: &str| fs::metadata(directory.join(path)).unwrap();
    assert_eq!(look("a").nlink(), 3);
    assert_eq!(look("b/c").ino(), look("a").ino());
    assert_eq!(look("d").ino(), look("a").ino());
    assert_ne!(look("e").ino(), look("a").ino(), "the control");
    // What takes one of them away leaves the others, and its place can be another's.
    let taken = place
        .control
        .delete_session_resource(&place.caller, &session, &first);
    taken.await.unwrap();
    place.writes(&server, &session).await.unwrap();
    assert!(!directory.join("a").exists());
    assert_eq!(fs::read(directory.join("b/c")).unwrap(), b"one");
    place.gives(&session, &other, "a").await.unwrap();
    place.writes(&server, &session).await.unwrap();
    assert_eq!(look("a").ino(), look("e").ino());
    assert_eq!(look("d").nlink(), 2);
    server.ends().await;
    assert!(!directory.exists());
}

#[tokio::test]
async fn files_are_placed_as_long_as_the_disk_has_room() {
    let place = Place::new().await;
    let full = place.server_with(fake(), |sandboxes| sandboxes.with_free_bytes(u64::MAX));
    let session = place.session().await;
    let file = place.upload(b"one").await;
    place.gives(&session, &file, "a").await.unwrap();
    let refused = place.writes(&full, &session).await.unwrap_err();
    assert!(refused.contains("has no room"), "{refused}");
    let directory = full.uploads.join(session.to_string());
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    assert!(!directory.with_extension("arriving").exists());
    // The controls: a session without files, and a disk with room.
    let other = place.session().await;
    place.writes(&full, &other).await.unwrap();
    full.ends().await;
    let server = place.server(fake());
    place.writes(&server, &session).await.unwrap();
    let placed = server.uploads.join(session.to_string()).join("a");
    assert_eq!(fs::read(placed).unwrap(), b"one");
    server.ends().await;
}

#[tokio::test]
async fn the_longest_path_that_a_file_may_have_is_placed() {
    let place = Place::new().await;
    let server = place.server(fake());
    let session = place.session().await;
    let file = place.upload(b"one").await;
    let above = ["d".repeat(200).as_str(); 5].join("/");
    let most = FILE_MOUNT_PATH_BYTES - above.len() - 1;
    let path = format!("{above}/{}", "f".repeat(most));
    let longer = format!("{path}f");
    let refused = place.gives(&session, &file, &longer).await.unwrap_err();
    assert!(refused.contains("mount_path"), "{refused}");
    place.gives(&session, &file, &path).await.unwrap();
    place.writes(&server, &session).await.unwrap();
    let placed = server.uploads.join(session.to_string()).join(path);
    assert_eq!(fs::read(placed).unwrap(), b"one");
    server.ends().await;
}

#[tokio::test]
async fn a_tightening_does_not_wait_for_files_that_are_copied() {
    let place = Place::new().await;
    let server = place.server(fake());
    let session = place.session().await;
    place.writes(&server, &session).await.unwrap();
    assert_eq!(server.verdicts().await, [Verdict::Allow]);
    let file = place.upload(b"one").await;
    place.gives(&session, &file, "a").await.unwrap();
    let still = StandsStill::new(&server, &session);
    let has_ended = Cell::new(false);
    let calling = async {
        let wrote = place.writes(&server, &session).await;
        has_ended.set(true);
        wrote
    };
    let tightening = async {
        tokio::time::sleep(SLOW / 3).await;
        place.tighten(&session).await;
        until("the narrower policy", async || {
            server.verdicts().await == [Verdict::Deny]
        })
        .await;
        assert!(!has_ended.get(), "the control: it is still copied");
        still.lets_go().unwrap()
    };
    let (wrote, _open) = tokio::join!(calling, tightening);
    wrote.unwrap();
    server.ends().await;
}

#[tokio::test]
async fn a_session_that_ends_while_its_files_are_copied_leaves_none() {
    let place = Place::new().await;
    let server = place.server(fake());
    let session = place.session().await;
    place.writes(&server, &session).await.unwrap();
    let directory = server.uploads.join(session.to_string());
    assert!(directory.exists(), "the control");
    let file = place.upload(b"one").await;
    place.gives(&session, &file, "a").await.unwrap();
    let still = StandsStill::new(&server, &session);
    let ending = async {
        tokio::time::sleep(SLOW / 3).await;
        let archived = place.control.archive_session(&place.caller, &session);
        archived.await.unwrap();
        until("its end", async || server.running().await.is_empty()).await;
        still.lets_go().unwrap()
    };
    let (wrote, _open) = tokio::join!(place.writes(&server, &session), ending);
    let refused = wrote.unwrap_err();
    assert!(refused.contains("has ended"), "{refused}");
    until("no files", async || !directory.exists()).await;
    assert!(!directory.with_extension("arriving").exists());
    server.ends().await;
    assert!(!directory.exists());
}

#[tokio::test]
async fn what_a_session_hands_over_is_bounded_over_all_its_turns() {
    const FULL: &str = "as much as it may in all, 3 files";
    let place = Place::with(ContentLimits {
        output_files: 3,
        output_bytes: 10,
        ..ContentLimits::default()
    })
    .await;
    let server = place.server(fake());
    let session = place.session().await;
    // A copy that it was given is nothing that it handed over.
    let file = place.upload(b"a file of twenty byte").await;
    let copy = place.gives(&session, &file, "in").await.unwrap();
    place.hands_over(&server, &session, "a", "one").await;
    place.hands_over(&server, &session, "a", "four").await;
    place.hands_over(&server, &session, "b", "").await;
    let taken = place
        .control
        .delete_session_resource(&place.caller, &session, &copy);
    taken.await.unwrap();
    let of = |names: &[(&str, i64)]| -> Vec<(String, i64)> {
        let names = names.iter();
        names
            .map(|(name, bytes)| ((*name).to_owned(), *bytes))
            .collect()
    };
    let three = of(&[("a", 3), ("a", 4), ("b", 0)]);
    assert_eq!(place.handed_over(&session).await, three, "the control");
    let made = place.files_made().await;
    // Also one without bytes is a file, and its refusal is told once.
    place.hands_over(&server, &session, "c", "").await;
    let told = place.hands_over(&server, &session, "c", "x").await;
    assert!(told.contains(FULL), "{told}");
    let told = place.hands_over(&server, &session, "c", "y").await;
    assert!(!told.contains(FULL), "{told}");
    assert_eq!(place.handed_over(&session).await, three);
    assert_eq!(place.files_made().await, made);
    // Whoever deletes some makes room.
    place.deletes(&session, "a", 3).await;
    place.hands_over(&server, &session, "c", "z").await;
    let three = of(&[("a", 4), ("b", 0), ("c", 1)]);
    assert_eq!(place.handed_over(&session).await, three);
    // In bytes too.
    place.deletes(&session, "b", 0).await;
    place.hands_over(&server, &session, "d", "123456").await;
    let told = place.hands_over(&server, &session, "d", "12345").await;
    assert!(told.contains(FULL), "{told}");
    let three = of(&[("a", 4), ("c", 1), ("d", 5)]);
    assert_eq!(place.handed_over(&session).await, three);
    server.ends().await;
}
