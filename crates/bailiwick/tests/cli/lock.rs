//! Locks that cannot be used: what is wrong, where, and the way out; nothing is built or started.

use std::fs;

use insta::assert_snapshot;

use crate::{Written, bailiwick, written};

const ENVIRONMENT: &str = "name: t\nconfig:\n  type: cloud\n  networking: {type: limited, allow_package_managers: true}\n  packages: {pip: [flask, six]}\n";

/// An environment file with a lock beside it.
fn with_lock(lock: &str) -> Written {
    let environment = written("environment.yaml", ENVIRONMENT);
    fs::write(environment.path.with_extension("lock"), lock).unwrap();
    environment
}

/// What is said of it, the same by `image build` and by `run`.
fn refused(environment: &Written, options: &[&str]) -> String {
    let build = bailiwick(&[&["image", "build", "-f", environment.path()], options].concat());
    let run = [&["run", "-f", environment.path()], options, &["--", "true"]].concat();
    let run = bailiwick(&run);
    assert_eq!((build.code, run.code), (Some(2), Some(2)), "{build}\n{run}");
    assert_eq!(build.stderr, run.stderr);
    environment.anonymous(&build)
}

fn lock(declared: &str, packages: &str) -> String {
    let architecture = std::env::consts::ARCH;
    format!(
        r#"{{"version": 1, "architecture": "{architecture}", "managers": {{"pip": {{"declared": {declared}, "packages": {packages}}}}}}}"#
    )
}

#[test]
fn a_lock_of_other_packages_is_refused_with_what_differs() {
    let environment = with_lock(&lock(r#"["flask", "django"]"#, "[]"));
    assert_snapshot!(refused(&environment, &[]), @r"
    exit code 2
    --- stderr
    error: DIR/environment.lock cannot be used (`bailiwick image lock` brings it up to date, --no-lock leaves it alone): the lock does not fit what the environment declares: pip six is not in the lock; pip django is in the lock and not declared
    ");
}

#[test]
fn what_is_no_lock_is_refused_with_the_place() {
    assert_snapshot!(refused(&with_lock("name: t"), &[]), @r"
    exit code 2
    --- stderr
    error: DIR/environment.lock cannot be used as a lock: it is not what `bailiwick image lock` writes: expected ident at line 1 column 2
    ");
    let hostile = lock(
        r#"["flask", "six"]"#,
        r#"[{"name": "--index-url", "version": "1.0", "hash": "sha256:00"}]"#,
    );
    assert_snapshot!(refused(&with_lock(&hostile), &[]), @r#"
    exit code 2
    --- stderr
    error: DIR/environment.lock cannot be used as a lock: pip: "--index-url" begins with `-`, so that pip would read an option; options are not set here
    "#);
}

#[test]
fn a_lock_that_is_wanted_must_be_there() {
    let environment = written("environment.yaml", ENVIRONMENT);
    assert_snapshot!(refused(&environment, &["--locked"]), @r"
    exit code 2
    --- stderr
    error: there is no lock DIR/environment.lock; `bailiwick image lock` writes one
    ");
    assert_snapshot!(refused(&environment, &["--lock", "no.lock"]), @r"
    exit code 2
    --- stderr
    error: there is no lock no.lock; `bailiwick image lock` writes one
    ");
    let both = [
        "image",
        "build",
        "-f",
        environment.path(),
        "--locked",
        "--no-lock",
    ];
    assert_eq!(bailiwick(&both).code, Some(2));
}

#[test]
fn a_link_to_nowhere_is_no_missing_lock() {
    let environment = written("environment.yaml", ENVIRONMENT);
    let path = environment.path.with_extension("lock");
    std::os::unix::fs::symlink("nowhere", path).unwrap();
    assert!(refused(&environment, &[]).contains("cannot read DIR/environment.lock"));
}

#[test]
fn a_bill_of_materials_is_of_a_key_or_an_environment() {
    let outcome = bailiwick(&["image", "sbom"]);
    assert_eq!(outcome.code, Some(2));
    let environment = written("environment.yaml", ENVIRONMENT);
    let outcome = bailiwick(&["image", "sbom", "abc", "-f", environment.path()]);
    assert_eq!(outcome.code, Some(2));
}

#[test]
fn what_is_no_lock_is_not_written_over() {
    let environment = written("environment.yaml", ENVIRONMENT);
    for arguments in [["lock", "-o"], ["refresh", "--lock"]] {
        let [verb, option] = arguments;
        let path = environment.path();
        let outcome = bailiwick(&["image", verb, "-f", path, option, path]);
        assert_eq!(outcome.code, Some(2), "{outcome}");
        assert!(outcome.stderr.contains("cannot be used as a lock"));
        assert_eq!(fs::read_to_string(path).unwrap(), ENVIRONMENT);
    }
}
