//! Files of a directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use bailiwick_knowledge::{DirectoryConnector, Globs, Kind};
use tempfile::TempDir;

use crate::world::Kept;

fn connector(root: &Path, globs: Globs) -> DirectoryConnector {
    let link = "https://files.test/base".parse().unwrap();
    DirectoryConnector::new(root, globs, Some(link)).unwrap()
}

fn write(root: &Path, path: &str, contents: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

#[tokio::test]
async fn files_are_read_then_read_again_only_when_they_changed_and_forgotten_when_they_are_gone() {
    let root = TempDir::new().unwrap();
    let root = root.path();
    write(root, "a.md", "---\ntitle: Alpha\n---\n# One\n\nwords");
    write(root, "docs/b c.html", "<title>Beta</title><main><p>said");
    write(root, "src/main.rs", "fn main() {}");
    write(root, "picture.png", b"\x89PNG\r\n\x1a\n\0\0\0");
    write(root, ".git/config", "secret = 1");
    write(root, "empty.txt", "");
    let globs = Globs::new(&["**"], &["old/**"]).unwrap();
    let mut kept = Kept::default();
    assert_eq!(
        kept.synced(&connector(root, globs.clone())).await,
        [3, 0, 0, 2, 0]
    );
    assert_eq!(kept.keys(), ["a.md", "docs/b c.html", "src/main.rs"]);
    let alpha = kept.document("a.md");
    assert_eq!(
        (alpha.title.as_str(), alpha.kind),
        ("Alpha", Kind::Markdown)
    );
    assert!(alpha.updated_at.is_some());
    let beta = kept.document("docs/b c.html");
    assert_eq!((beta.title.as_str(), beta.text.as_str()), ("Beta", "said"));
    let link = beta.link.as_ref().unwrap();
    assert_eq!(link.as_str(), "https://files.test/base/docs/b%20c.html");
    assert_eq!(kept.document("src/main.rs").title, "main.rs");

    write(root, "a.md", "# Two\n");
    fs::remove_file(root.join("src/main.rs")).unwrap();
    assert_eq!(kept.synced(&connector(root, globs)).await, [1, 1, 1, 2, 0]);
    assert_eq!(kept.document("a.md").title, "Two");
    // What the patterns leave out is gone, too.
    let fewer = Globs::new(&["**/*.html"], &[]).unwrap();
    assert_eq!(kept.synced(&connector(root, fewer)).await, [0, 1, 1, 0, 0]);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_fails_alone() {
    let root = TempDir::new().unwrap();
    let root = root.path();
    write(root, "a.txt", "words");
    write(root, "broken.pdf", "no pdf");
    let mut kept = Kept::default();
    let first = kept.synced(&connector(root, Globs::everything())).await;
    assert_eq!(first, [1, 0, 0, 0, 1]);
    assert_eq!(kept.failure(), "it is no PDF document that can be read");
}

#[tokio::test]
async fn a_directory_that_is_gone_deletes_nothing() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("root");
    write(&path, "a.txt", "words");
    let mut kept = Kept::default();
    assert_eq!(
        kept.synced(&connector(&path, Globs::everything())).await,
        [1, 0, 0, 0, 0]
    );
    fs::remove_dir_all(&path).unwrap();
    let gone = DirectoryConnector::new(&path, Globs::everything(), None);
    assert!(gone.unwrap_err().to_string().contains("cannot be opened"));
    assert_eq!(kept.keys(), ["a.txt"]);
}

#[tokio::test]
async fn no_link_leads_out_of_the_directory() {
    let outside = TempDir::new().unwrap();
    write(outside.path(), "secret.txt", "secret");
    let root = TempDir::new().unwrap();
    let root = root.path();
    write(root, "a.txt", "words");
    write(root, ".git/config", "secret = 1");
    symlink(outside.path().join("secret.txt"), root.join("file.txt")).unwrap();
    symlink(outside.path(), root.join("directory")).unwrap();
    symlink("/proc/self/environ", root.join("magic.txt")).unwrap();
    symlink(".git/config", root.join("inside.txt")).unwrap();
    symlink("loop.txt", root.join("loop.txt")).unwrap();
    let mut kept = Kept::default();
    let counts = kept.synced(&connector(root, Globs::everything())).await;
    assert_eq!(counts, [1, 0, 0, 5, 0]);
    assert_eq!(kept.keys(), ["a.txt"]);
    assert!(
        kept.skipped
            .values()
            .all(|why| why == "it is a link, and links are not followed")
    );
}

#[tokio::test]
async fn what_becomes_a_link_between_listing_and_reading_is_not_followed() {
    use bailiwick_knowledge::{Connector as _, Reading};
    let outside = TempDir::new().unwrap();
    write(outside.path(), "a.txt", "secret");
    let root = TempDir::new().unwrap();
    let root = root.path();
    write(root, "docs/a.txt", "words");
    let connector = connector(root, Globs::everything());
    fs::remove_dir_all(root.join("docs")).unwrap();
    symlink(outside.path(), root.join("docs")).unwrap();
    for key in ["docs/a.txt", "../x", "/etc/passwd", "docs/../../x"] {
        let reading = connector.read(&key.parse().unwrap(), None).await;
        assert!(matches!(reading, Ok(Reading::Gone)), "{key}: {reading:?}");
    }
}
