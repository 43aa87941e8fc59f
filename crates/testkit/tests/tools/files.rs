//! Files, and attempts to make the tools leave the sandbox by them.

use std::path::Path;
use std::time::{Duration, Instant};

use bailiwick_tools::Block;
use serde_json::json;

use crate::harness::{Local, Session};

async fn told(session: &Session, name: &str, input: serde_json::Value) -> (String, bool) {
    let result = session.call(name, input).await;
    (result.as_text(), result.is_error)
}

fn good(text: &str) -> (String, bool) {
    (text.to_owned(), false)
}

pub(crate) async fn files_are_written_read_and_edited(local: &Local) {
    let session = local.session().await;
    let write = json!({"file_path": "a/b/c.sh", "content": "#!/bin/sh\necho one\n"});
    assert_eq!(
        told(&session, "write", write).await,
        good("wrote 19 bytes to /workspace/a/b/c.sh")
    );
    assert_eq!(
        session
            .prints("stat -c '%a %U' a/b/c.sh; cat a/b/c.sh")
            .await,
        format!(
            "644 {}\n#!/bin/sh\necho one",
            session.prints("id -un").await
        )
    );
    session
        .prints("chmod 751 a/b/c.sh; ln -s c.sh a/b/link")
        .await;
    let edit =
        json!({"file_path": "/workspace/a/b/link", "old_string": "one", "new_string": "two"});
    assert_eq!(
        told(&session, "edit", edit).await,
        good("replaced 1 occurrence in /workspace/a/b/link")
    );
    assert_eq!(
        session
            .prints("a/b/c.sh; stat -c %a a/b/c.sh; readlink a/b/link")
            .await,
        "two\n751\nc.sh"
    );
    let read = json!({"file_path": "a/b/c.sh", "view_range": [2, -1]});
    assert_eq!(told(&session, "read", read).await, good("echo two\n"));
    session.stop().await;
}

pub(crate) async fn what_cannot_be_done_is_told(local: &Local) {
    let session = local.session().await;
    session
        .prints("mkdir -p a/b; printf '#!/bin/sh\\necho two\\n' >a/b/c.sh")
        .await;
    for (name, input, part) in [
        (
            "read",
            json!({"file_path": "nothing"}),
            "/workspace/nothing: no such file or directory",
        ),
        (
            "read",
            json!({"file_path": "a"}),
            "/workspace/a is a directory",
        ),
        (
            "read",
            json!({"file_path": "a/b/c.sh/d"}),
            "is not a directory",
        ),
        (
            "read",
            json!({"path": "a"}),
            "`file_path` is missing. It takes {file_path: string",
        ),
        ("read", json!({"file_path": "/bin/sh"}), "holds no text"),
        (
            "write",
            json!({"file_path": "/usr/bin/new", "content": ""}),
            "/usr/bin/new: ",
        ),
        (
            "write",
            json!({"file_path": "a", "content": ""}),
            "is not a regular file",
        ),
        (
            "edit",
            json!({"file_path": "a/b/c.sh", "old_string": "o", "new_string": ""}),
            "stands in the file 2 times",
        ),
        (
            "edit",
            json!({"file_path": "a/b/c.sh", "old_string": "nothing", "new_string": ""}),
            "does not stand in the file",
        ),
        ("nothing", json!({}), "there is no tool \"nothing\""),
        (
            "web_fetch",
            json!({"url": "https://example.com"}),
            "there is no tool",
        ),
    ] {
        let (text, is_error) = told(&session, name, input).await;
        assert!(is_error && text.contains(part), "{name}: {text}");
    }
    session
        .prints("head -c 300000 /dev/zero | tr '\\0' '\\n' >long")
        .await;
    let (text, is_error) = told(&session, "read", json!({"file_path": "long"})).await;
    assert!(
        is_error && text.contains("the file has 300000 lines: give a (shorter) view_range"),
        "{text}"
    );
    session.stop().await;
}

/// Attack 52: nothing that was made inside leads out, and the control: inside it leads where it says.
pub(crate) async fn links_lead_nowhere_but_inside(local: &Local) {
    let outside = tempfile::NamedTempFile::new_in("/tmp").expect("a file");
    std::fs::write(&outside, "of the host").expect("it is written");
    let shown = outside.path().display().to_string();
    let session = local.session().await;
    session
        .prints(&format!(
            "echo inside >/tmp/file; ln -s /tmp/file near; ln -s {shown} far; ln -s / root; ln -s /proc/self/root/{shown} proc; \
             ln -s /proc/1/environ environ; ln -s loop loop"
        ))
        .await;
    assert_eq!(
        told(&session, "read", json!({"file_path": "near"})).await,
        good("inside\n")
    );
    assert_eq!(
        told(&session, "read", json!({"file_path": "root/tmp/file"})).await,
        good("inside\n")
    );
    for path in [
        "far",
        "proc",
        "environ",
        "loop",
        "/proc/1/environ",
        "/proc/self/mem",
        "/proc/1/root/etc/shadow",
    ] {
        let (text, is_error) = told(&session, "read", json!({"file_path": path})).await;
        assert!(is_error && !text.contains("of the host"), "{path}: {text}");
        told(
            &session,
            "edit",
            json!({"file_path": path, "old_string": "of", "new_string": "by"}),
        )
        .await;
        told(&session, "grep", json!({"pattern": "host", "path": path})).await;
    }
    for path in [
        "far",
        &format!("root{shown}"),
        &format!("../../../../../../{shown}"),
    ] {
        told(
            &session,
            "write",
            json!({"file_path": path, "content": "from inside"}),
        )
        .await;
    }
    assert_eq!(
        std::fs::read_to_string(&outside).expect("it is read"),
        "of the host"
    );
    session.stop().await;
}

pub(crate) async fn what_is_no_file_does_not_hang(local: &Local) {
    let session = local.session().await;
    session
        .prints("mkfifo fifo; ln -s fifo link; ln -s /dev/zero zero; truncate -s 1T sparse; truncate -s 1T small.txt; mkdir closed; chmod 0 closed")
        .await;
    for path in [
        "fifo",
        "link",
        "zero",
        "/dev/zero",
        "/dev/tty",
        "/dev/stdin",
        "/proc/self/mem",
        "/proc/kmsg",
        "sparse",
        "closed",
        "/proc",
        "/dev/pts/ptmx",
    ] {
        for (name, input) in [
            ("read", json!({"file_path": path})),
            ("read", json!({"file_path": path, "view_range": [1, 5]})),
            (
                "edit",
                json!({"file_path": path, "old_string": "a", "new_string": "b"}),
            ),
            (
                "write",
                json!({"file_path": format!("{path}/x/y"), "content": "x"}),
            ),
        ] {
            let begun = Instant::now();
            let (text, is_error) = told(&session, name, input).await;
            assert!(is_error || path == "closed", "{name} {path}: {text}");
            assert!(begun.elapsed() < Duration::from_secs(10), "{name} {path}");
        }
    }
    for path in ["fifo", "link", "zero", "/dev/zero"] {
        let written = told(
            &session,
            "write",
            json!({"file_path": path, "content": "x"}),
        )
        .await;
        assert!(written.1, "{path}: {}", written.0);
    }
    let (text, is_error) = told(&session, "grep", json!({"pattern": "a"})).await;
    assert!(!is_error && text.contains("2 files of more than"), "{text}");
    session.stop().await;
}

/// A directory of the path becomes a link, and a directory again, all the time. Whatever the tools see, they stay inside.
pub(crate) async fn a_swapped_directory_leads_no_write_out(local: &Local) {
    let outside = tempfile::tempdir_in("/tmp").expect("a directory");
    let shown = outside.path().display().to_string();
    let session = local.session().await;
    let swapper = format!(
        "mkdir d e; echo inside >d/f; echo inside >e/f; (while :; do mv d x; ln -s {shown} d; rm d; ln -s e d; sleep 0.005; rm d; mv x d; sleep 0.005; done) >/dev/null 2>&1 & true"
    );
    session.prints(&swapper).await;
    let until = Instant::now() + Duration::from_secs(2);
    let mut seen = 0;
    while Instant::now() < until {
        told(
            &session,
            "write",
            json!({"file_path": "d/new", "content": "from inside"}),
        )
        .await;
        told(
            &session,
            "edit",
            json!({"file_path": "d/f", "old_string": "inside", "new_string": "inside"}),
        )
        .await;
        let (text, is_error) = told(&session, "read", json!({"file_path": "d/f"})).await;
        assert!(is_error || text == "inside\n", "{text}");
        seen += usize::from(!is_error);
    }
    assert!(seen > 0, "control: sometimes it is there");
    let written: Vec<_> = std::fs::read_dir(outside.path())
        .expect("a directory")
        .collect();
    assert!(written.is_empty(), "{written:?}");
    session.stop().await;
}

pub(crate) async fn images_and_documents_are_shown(local: &Local) {
    let session = local.session().await;
    let png = b"\x89PNG\r\n\x1a\n and so on";
    let write = async |name: &str, contents: &[u8]| {
        let written = session
            .sandbox
            .write_file(Path::new(name), contents.to_vec(), 0o644)
            .await;
        written.expect("it is written");
    };
    write("/workspace/picture.txt", png).await;
    write("/workspace/paper", b"%PDF-1.7 and so on").await;
    write("/workspace/text.png", b"no picture").await;
    let picture = session
        .call("read", json!({"file_path": "picture.txt"}))
        .await;
    let [Block::Image { source }] = &picture.content[..] else {
        panic!("{picture:?}")
    };
    assert_eq!(
        (source.media_type, source.data.as_str()),
        ("image/png", "iVBORw0KGgogYW5kIHNvIG9u")
    );
    let paper = session.call("read", json!({"file_path": "paper"})).await;
    assert!(
        matches!(&paper.content[..], [Block::Document { source }] if source.media_type == "application/pdf")
    );
    assert_eq!(
        told(&session, "read", json!({"file_path": "text.png"})).await,
        good("no picture")
    );
    let mut large = png.to_vec();
    large.resize(6 << 20, 0);
    write("/workspace/large.png", &large).await;
    let (text, is_error) = told(&session, "read", json!({"file_path": "large.png"})).await;
    assert!(is_error && text.contains("5242880 is the most"), "{text}");
    session.stop().await;
}
