//! Locks that mean harm. The control of all of them is that the lock is taken without the change.

use std::fmt::Write as _;

use bailiwick_images::Lock;
use bailiwick_model::limits::{LOCK_FILE_BYTES, LOCK_TEXT_BYTES, LOCKED_PACKAGES};
use serde_json::{Value, json};

use crate::{DIGITS, whole};

/// What is said of a lock with a change at a place (a JSON pointer, RFC 6901); `null` removes what is there.
fn refusal(place: &str, value: &Value) -> String {
    let mut lock = whole();
    let (parent, name) = place.rsplit_once('/').unwrap();
    let parent = lock
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("{place}"));
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value.clone(),
        Value::Object(map) if value.is_null() => drop(map.remove(name)),
        Value::Object(map) => drop(map.insert(name.to_owned(), value.clone())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => panic!("{place}"),
    }
    match Lock::parse(&lock.to_string()) {
        Ok(_) => panic!("taken: {place} = {value}"),
        Err(error) => {
            let cause = std::error::Error::source(&error);
            let causes = cause.map(|cause| format!(": {cause}"));
            format!("{error}{}", causes.unwrap_or_default())
        }
    }
}

/// What is said of each, in a golden table by the test's name.
macro_rules! check {
    ($cases:expr) => {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(table($cases));
        });
    };
}

fn table(cases: &[(&str, Value)]) -> String {
    let mut text = String::new();
    for (place, value) in cases {
        let short = place.strip_prefix("/managers/").unwrap_or(place);
        let _ = writeln!(text, "{short} = {value}: {}", refusal(place, value));
    }
    text
}

#[test]
fn names_and_versions_that_a_manager_would_read_as_something_else_are_refused() {
    Lock::parse(&whole().to_string()).unwrap();
    check!(&[
        (
            "/managers/apt/packages/0/name",
            json!("--allow-unauthenticated")
        ),
        ("/managers/apt/packages/0/name", json!("graphviz-")),
        ("/managers/apt/packages/0/version", json!("1/sid")),
        ("/managers/cargo/packages/1/version", json!("^1.18")),
        (
            "/managers/cargo/packages/1/name",
            json!("hyperfine --git https://x")
        ),
        ("/managers/gem/packages/0/version", json!("~>1.0")),
        ("/managers/gem/packages/0/name", json!("../../evil")),
        ("/managers/go/packages/0/version", json!("master")),
        ("/managers/npm/packages/2/version", json!("file:../x")),
        ("/managers/npm/packages/2/name", json!("a\tb")),
        ("/managers/npm/packages/2/version", json!("latest")),
        (
            "/managers/pip/packages/0/name",
            json!("Flask\n--index-url http://x")
        ),
        ("/managers/pip/packages/0/name", json!("-r /etc/passwd")),
        (
            "/managers/pip/packages/0/version",
            json!("3.0.3 --hash=sha256:00")
        ),
        ("/managers/pip/packages/0/version", json!("3.*")),
        ("/managers/pip/declared/0", json!("--pre")),
    ]);
}

#[test]
fn hashes_and_sources_that_prove_nothing_are_refused() {
    check!(&[
        ("/managers/apt/packages/0/hash", Value::Null),
        ("/managers/cargo/packages/0/hash", Value::Null),
        ("/managers/gem/packages/0/hash", Value::Null),
        ("/managers/go/packages/0/hash", Value::Null),
        ("/managers/npm/packages/2/hash", Value::Null),
        ("/managers/pip/packages/0/hash", Value::Null),
        (
            "/managers/pip/packages/0/hash",
            json!("md5:d41d8cd98f00b204e9800998ecf8427e")
        ),
        (
            "/managers/pip/packages/0/hash",
            json!(format!("sha256:{DIGITS} --index-url x"))
        ),
        ("/managers/pip/packages/0/hash", json!(DIGITS)),
        ("/managers/go/packages/0/hash", json!("h1:")),
        ("/managers/npm/packages/2/hash", json!("sha512-")),
        (
            "/managers/npm/packages/2/hash",
            json!(format!("sha512-{}", "A".repeat(86)))
        ),
        ("/managers/npm/packages/2/source", Value::Null),
        (
            "/managers/npm/packages/2/source",
            json!("git+ssh://git@example.org/x")
        ),
        (
            "/managers/npm/packages/2/source",
            json!("file:///etc/passwd")
        ),
        (
            "/managers/npm/packages/2/source",
            json!("https://user:secret@example.org/x.tgz")
        ),
        (
            "/managers/npm/packages/2/source",
            json!("https://example.org/x.tgz\tmore")
        ),
    ]);
}

#[test]
fn places_and_paths_that_lead_out_of_a_package_are_refused() {
    let tree = |part: &str| format!("/managers/npm/packages/2/detail/tree/{part}");
    check!(&[
        (&tree("at"), json!("node_modules/../../../etc")),
        (&tree("at"), json!("/usr/bin/tsx")),
        (&tree("at"), json!("node_modules/tsx/node_modules/")),
        (&tree("at"), json!("node_modules/@types/node")),
        (&tree("at"), json!("")),
        (&tree("bin"), json!({"../../../bin/sh": "x"})),
        (&tree("bin"), json!({"sh": "../../../../etc/passwd"})),
        (&tree("bin"), json!({"sh": "/etc/passwd"})),
        (
            &tree("dependencies"),
            json!({"x": "git+https://example.org/x"})
        ),
        (&tree("dependencies"), json!({"x": "file:../../x"})),
        (&tree("dependencies"), json!({"x": "github:a/b"})),
        (&tree("dependencies"), json!({"x": "a/b"})),
        (&tree("dependencies"), json!({"../x": "1"})),
        (&tree("scripts"), json!({"postinstall": "id"})),
        (&tree("link"), json!(true)),
        (&tree("os"), json!(["a\nb"])),
        ("/managers/npm/packages/2/detail", Value::Null),
        ("/managers/npm/packages/2/detail", json!({"program": "tsx"})),
        (
            "/managers/pip/packages/0/detail",
            json!({"program": "Flask"})
        ),
        (
            "/managers/cargo/packages/0/detail",
            json!({"program": "sudo"})
        ),
        ("/managers/cargo/packages/1/detail", Value::Null),
        (
            "/managers/gem/packages/0/detail",
            json!({"platform": "--local"})
        ),
        (
            "/managers/gem/packages/0/detail",
            json!({"platform": "a b"})
        ),
        (
            "/managers/go/packages/0/detail",
            json!({"program": "golang.org/x/tools-evil/cmd"})
        ),
        (
            "/managers/go/packages/0/detail",
            json!({"program": "golang.org/x/tools/cmd@v0.1.0"})
        ),
        (
            "/managers/go/packages/0/detail",
            json!({"program": "golang.org/x/tools/\" -o /bin/sh"})
        ),
    ]);
}

#[test]
fn what_is_no_lock_of_this_format_is_refused() {
    check!(&[
        ("/version", json!(2)),
        ("/version", Value::Null),
        ("/architecture", json!("../x")),
        ("/managers/brew", json!({"declared": [], "packages": []})),
        ("/managers/pip/unknown", json!(1)),
        ("/unknown", json!(1)),
        ("/managers/pip/packages/0/unknown", json!(1)),
        ("/managers/pip/packages/0", json!("Flask==3.0.3")),
    ]);
    assert!(Lock::parse("").is_err());
    assert!(Lock::parse(&"[".repeat(100_000)).is_err());
}

#[test]
fn locks_have_a_size() {
    let text = whole().to_string() + &" ".repeat(LOCK_FILE_BYTES);
    assert!(
        Lock::parse(&text)
            .unwrap_err()
            .to_string()
            .contains("bytes, more than")
    );
    let long = json!(format!(
        "https://example.org/{}",
        "a".repeat(LOCK_TEXT_BYTES)
    ));
    assert!(refusal("/managers/pip/packages/0/source", &long).contains("Flask"));
    let package =
        |n| json!({"name": "a", "version": format!("1.{n}"), "hash": format!("sha256:{DIGITS}")});
    let many: Vec<_> = (0..=LOCKED_PACKAGES).map(package).collect();
    assert!(refusal("/managers/pip/packages", &json!(many)).contains("entries, more than"));
    // The control.
    let mut lock = whole();
    lock["managers"]["pip"]["packages"] = json!(many[1..]);
    Lock::parse(&lock.to_string()).unwrap();
}
