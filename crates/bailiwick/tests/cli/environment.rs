//! `bailiwick environment`.

use insta::assert_snapshot;

use crate::{bailiwick, written};

#[test]
fn every_example_is_valid() {
    for example in ["examples/node-test.yaml", "examples/payments-dev.yaml"] {
        let outcome = bailiwick(&["environment", "validate", "-f", example]);
        assert_eq!(
            (outcome.code, outcome.stderr.as_str()),
            (Some(0), ""),
            "{outcome}"
        );
    }
    assert_snapshot!(bailiwick(&["environment", "validate", "-f", "examples/node-test.yaml"]), @r"
    exit code 0
    --- stdout
    examples/node-test.yaml is valid: environment node-test-env, policy limited
    ");
}

const BROKEN: &str = "name: x\nconfig:\n  type: cloud\n  networking:\n    type: limited\n    allowed_host: [a.example]\n    allowed_cidrs: [10.1.2.3/8]\n";

#[test]
fn all_problems_of_a_file_are_shown_in_one_run() {
    let file = written("broken.yaml", BROKEN);
    let outcome = bailiwick(&["environment", "validate", "-f", file.path()]);
    assert_snapshot!(file.anonymous(&outcome), @r#"
    exit code 2
    --- stderr
      × DIR/broken.yaml has 2 problems

    Error: unknown_field

      × `config.networking` has no field "allowed_host"
       ╭─[DIR/broken.yaml:6:5]
     5 │     type: limited
     6 │     allowed_host: [a.example]
       ·     ──────┬─────
       ·           ╰── here
     7 │     allowed_cidrs: [10.1.2.3/8]
       ╰────
      help: did you mean `allowed_hosts`?

    Error: invalid_cidr

      × bits after the prefix are set; write `10.0.0.0/8`
       ╭─[DIR/broken.yaml:7:21]
     6 │     allowed_host: [a.example]
     7 │     allowed_cidrs: [10.1.2.3/8]
       ·                     ─────┬────
       ·                          ╰── here
       ╰────
      help: write "10.0.0.0/8"
    "#);
}

#[test]
fn problems_have_a_form_for_programs() {
    let file = written("broken.yaml", BROKEN);
    assert_snapshot!(bailiwick(&["environment", "validate", "-f", file.path(), "--format", "json"]), @r#"
    exit code 2
    --- stdout
    {
      "valid": false,
      "problems": [
        {
          "severity": "error",
          "line": 6,
          "column": 5,
          "code": "unknown_field",
          "message": "`config.networking` has no field \"allowed_host\"",
          "help": "did you mean `allowed_hosts`?"
        },
        {
          "severity": "error",
          "line": 7,
          "column": 21,
          "code": "invalid_cidr",
          "message": "bits after the prefix are set; write `10.0.0.0/8`",
          "help": "write \"10.0.0.0/8\""
        }
      ]
    }
    "#);
    let valid = bailiwick(&[
        "environment",
        "validate",
        "-f",
        "examples/node-test.yaml",
        "--format",
        "json",
    ]);
    assert_snapshot!(valid, @r#"
    exit code 0
    --- stdout
    {
      "valid": true,
      "problems": []
    }
    "#);
}

#[test]
fn a_warning_is_shown_and_the_file_is_taken() {
    let file = written(
        "shared.yaml",
        "name: x\nconfig: {type: cloud, networking: {type: limited, allowed_hosts: [\"*.github.io\"]}}\n",
    );
    let outcome = bailiwick(&["environment", "validate", "-f", file.path()]);
    assert_snapshot!(file.anonymous(&outcome), @r#"
    exit code 0
    --- stdout
    DIR/shared.yaml is valid: environment x, policy limited
    --- stderr
      ⚠ DIR/shared.yaml has 1 warning

    Warning: shared_suffix

      ⚠ the names below `github.io` belong to different owners, anyone may get one; name those that
      │ are needed
       ╭─[DIR/shared.yaml:2:67]
     1 │ name: x
     2 │ config: {type: cloud, networking: {type: limited, allowed_hosts: ["*.github.io"]}}
       ·                                                                   ──────┬──────
       ·                                                                         ╰── here
       ╰────
      help: name the hosts that you mean
    "#);
}

#[test]
fn show_prints_what_was_understood() {
    assert_snapshot!(bailiwick(&["environment", "show", "-f", "examples/payments-dev.yaml"]), @r#"
    exit code 0
    --- stdout
    name: payments-dev
    config:
      type: cloud
      networking:
        type: limited
        allowed_hosts:
        - api.staging.example.com
        - "*.ci.example.com"
        allow_package_managers: true
        allow_mcp_servers: false
        presets:
        - common_dependencies
        allowed_cidrs:
        - 10.20.0.0/16:5432
        denied_hosts:
        - "*.prod.example.com"
      packages:
        type: packages
        apt: []
        cargo: []
        gem: []
        go: []
        npm:
        - typescript
        - tsx
        pip:
        - pytest==8.3.4
    metadata: {}
    "#);
    let plain = written("plain.yaml", "name: ' plain '\n");
    assert_snapshot!(bailiwick(&["environment", "show", "-f", plain.path()]), @r"
    exit code 0
    --- stdout
    # names no policy: the built-in one (unrestricted) holds
    name: plain
    config:
      type: cloud
      packages:
        type: packages
        apt: []
        cargo: []
        gem: []
        go: []
        npm: []
        pip: []
    metadata: {}
    ");
    assert_snapshot!(bailiwick(&["environment", "show", "-f", plain.path(), "--format", "json"]), @r#"
    exit code 0
    --- stdout
    {
      "name": "plain",
      "config": {
        "type": "cloud",
        "packages": {
          "type": "packages",
          "apt": [],
          "cargo": [],
          "gem": [],
          "go": [],
          "npm": [],
          "pip": []
        }
      },
      "metadata": {}
    }
    "#);
}

#[test]
fn what_show_prints_is_valid_and_means_the_same() {
    let shown = bailiwick(&["environment", "show", "-f", "examples/payments-dev.yaml"]).stdout;
    let file = written("shown.yaml", &shown);
    assert_eq!(
        bailiwick(&["environment", "show", "-f", file.path()]).stdout,
        shown
    );
    let difference = bailiwick(&["policy", "diff", "examples/payments-dev.yaml", file.path()]);
    assert_eq!(difference.stdout, "both allow the same");
}
