//! `bailiwick` and the program beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_bailiwick");
const BESIDE: &str = env!("CARGO_BIN_EXE_bailiwick-server");

/// How the client calls itself; nothing else has this text.
const USER_AGENT: &str = concat!("bailiwick/", env!("CARGO_PKG_VERSION"));

fn has_client(program: &str) -> bool {
    let bytes = fs::read(program).unwrap();
    let wanted = USER_AGENT.as_bytes();
    bytes.windows(wanted.len()).any(|bytes| bytes == wanted)
}

#[test]
fn what_starts_sandboxes_has_no_http_client_in_it() {
    assert!(has_client(BESIDE));
    assert!(!has_client(PROGRAM));
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test starts the program itself"
)]
fn run(program: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), told)
}

#[test]
fn without_the_program_beside_it_what_needs_no_server_works_and_the_rest_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let alone = directory.path().join("bailiwick");
    fs::copy(PROGRAM, &alone).unwrap();
    fs::set_permissions(&alone, fs::Permissions::from_mode(0o755)).unwrap();
    for arguments in [
        &["policy", "presets"][..],
        &["environment", "--help"],
        &["key", "create", "--help"],
        &["completions", "bash"],
    ] {
        assert_eq!(
            run(&alone, arguments),
            (Some(0), String::new()),
            "{arguments:?}"
        );
    }
    // What was typed wrong is told before.
    let (code, told) = run(&alone, &["key", "create"]);
    assert_eq!(code, Some(2), "{told}");
    for arguments in [&["key", "list"][..], &["environment", "list"], &["up"]] {
        let (code, told) = run(&alone, arguments);
        assert_eq!(code, Some(125), "{told}");
        assert!(told.contains("bailiwick-server is not there"), "{told}");
    }
}
