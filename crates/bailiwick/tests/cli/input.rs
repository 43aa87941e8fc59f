//! Bad input: a clear message, exit code 2, and nothing started.

use insta::assert_snapshot;

use crate::{bailiwick, bailiwick_with, written};

/// Runs `bailiwick run` with these arguments before a command that would leave a trace.
fn refused(arguments: &[&str]) -> String {
    refused_with(arguments, &[])
}

fn refused_with(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let work = directory.path().to_str().unwrap();
    let rest = ["-w", work, "--", "/bin/sh", "-c", "echo started > trace"];
    let outcome = bailiwick_with(&[&["run"], arguments, &rest].concat(), variables);
    assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome}");
    assert_eq!(outcome.stdout, "", "{arguments:?}");
    assert!(!trace.exists(), "{arguments:?} started the command");
    outcome.stderr
}

#[test]
fn a_value_that_is_none_is_named_with_the_form_it_has() {
    for arguments in [
        ["--memory", "2 gigs"],
        ["--memory", "0"],
        ["--cpus", "two"],
        ["--cpus", "-1"],
        ["--pids", "0"],
        ["--disk", "all"],
        ["--timeout", "soon"],
        ["--resolve", "a.example"],
        ["--resolve", "a.example=b.example"],
        ["--resolve", "a.example=127.0.0.1"],
        ["--host-port", "0"],
        ["--publish", "65536"],
        ["-e", "NAME"],
        ["-e", "=x"],
        ["--upstream-proxy", "socks5://p.example"],
        ["--no-such-flag", "x"],
    ] {
        let message = refused(&arguments);
        assert!(
            message.contains(arguments[0]) || message.contains(arguments[1]),
            "{arguments:?}: {message}"
        );
    }
    assert_snapshot!(refused(&["--memory", "2 gigs"]), @r"
    error: invalid value '2 gigs' for '--memory <SIZE>': write a number and a unit: 512MiB, 2GiB, 1.5GB

    For more information, try '--help'.
    ");
    assert_snapshot!(refused(&["--resolve", "a.example=127.0.0.1"]), @r"
    error: invalid value 'a.example=127.0.0.1' for '--resolve <NAME=ADDR[:PORT]>': a name pinned to loopback needs the port: a.example=127.0.0.1:PORT

    For more information, try '--help'.
    ");
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    assert_snapshot!(refused(&["-f", "no/such/file.yaml"]), @"error: cannot read no/such/file.yaml: No such file or directory (os error 2)");
    assert_snapshot!(refused(&["-f", "examples"]), @"error: cannot read examples: Is a directory (os error 21)");
    assert_snapshot!(refused(&["--ca", "examples/node-test.yaml"]), @"error: examples/node-test.yaml holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
    assert_snapshot!(refused(&["--toolchain", "Cargo.toml"]), @"error: Cargo.toml is not a directory");
    assert_snapshot!(refused(&["--base", "no/such/directory"]), @"error: cannot read no/such/directory: No such file or directory (os error 2)");
    let bytes = written("latin1.yaml", b"name: caf\xe9\n");
    assert!(refused(&["-f", bytes.path()]).contains("is not UTF-8 text"));
    let large = written("large.yaml", vec![b'#'; 1024 * 1024 + 1]);
    assert!(refused(&["-f", large.path()]).contains("more than 1048576 bytes"));
    let endless = refused(&["-f", "/dev/zero"]);
    assert!(endless.contains("more than 1048576 bytes"), "{endless}");
}

#[test]
fn an_environment_with_problems_starts_nothing() {
    let file = written(
        "broken.yaml",
        "name: x\nconfig: {type: cloud, networking: {type: limited, allowed_hosts: [*.example.com]}}\n",
    );
    let message = refused(&["-f", file.path()]);
    assert!(
        message.contains("has 1 problem") && message.contains("needs quotes"),
        "{message}"
    );
}

#[test]
fn a_proxy_of_the_environment_that_cannot_be_used_is_named() {
    assert_snapshot!(refused_with(&[], &[("https_proxy", "socks5://user:secret@proxy.example:1080")]), @r#"error: the proxy of the environment (https_proxy, all_proxy or http_proxy) cannot be used (unset it, or give --upstream-proxy): the scheme "socks5" is not supported for a proxy; only http (CONNECT) is"#);
}

#[test]
fn a_sandbox_id_cannot_be_a_path() {
    for id in ["../../etc", "a/b", "UPPER", ""] {
        assert_eq!(bailiwick(&["kill", id]).code, Some(2), "{id:?}");
        assert_eq!(
            bailiwick(&["exec", id, "--", "true"]).code,
            Some(2),
            "{id:?}"
        );
    }
    assert_eq!(bailiwick(&["kill"]).code, Some(2));
}

#[test]
fn run_needs_a_command() {
    assert_eq!(bailiwick(&["run"]).code, Some(2));
    assert_eq!(bailiwick(&["run", "--"]).code, Some(2));
}
