//! `bailiwick policy`.

use insta::assert_snapshot;

use crate::{bailiwick, bailiwick_with, written};

const PAYMENTS: &str = "examples/payments-dev.yaml";

#[test]
fn check_says_for_each_destination_what_decided() {
    let outcome = bailiwick(&[
        "policy",
        "check",
        "-f",
        PAYMENTS,
        "api.staging.example.com:443",
        "a.b.ci.example.com",
        "ci.example.com",
        "pay.prod.example.com:443",
        "10.20.3.4:5432",
        "10.20.3.4:22",
        "https://registry.npmjs.org/react",
        "169.254.169.254",
        "[::ffff:127.0.0.1]:80",
        "8.8.8.8:53",
    ]);
    assert_snapshot!(outcome, @r"
    exit code 3
    --- stdout
    allow  api.staging.example.com:443  host_rule        api.staging.example.com
    allow  a.b.ci.example.com           host_rule        *.ci.example.com
    deny   ci.example.com               no_rule
           add `ci.example.com` to `allowed_hosts`
    deny   pay.prod.example.com:443     denied_rule      denied: *.prod.example.com
           remove `*.prod.example.com` from `denied_hosts`
    allow  10.20.3.4:5432               cidr_rule        10.20.0.0/16:5432
    deny   10.20.3.4:22                 private_address  not public (private use (RFC 1918)): 10.0.0.0/8
           add `10.20.3.4/32:22` to `allowed_cidrs`
    allow  registry.npmjs.org:443       preset           preset common_dependencies: registry.npmjs.org
    deny   169.254.169.254              floor            floor (metadata: Amazon, Google, Azure, Oracle, DigitalOcean, OpenStack): 169.254.169.254/32
           no rule opens this: metadata: Amazon, Google, Azure, Oracle, DigitalOcean, OpenStack
    deny   127.0.0.1:80                 floor            floor (an address of this host): addresses of the host's interfaces
           open the service with 80 in `host_ports` (or --host-port 80) and connect to host.internal:80
    deny   8.8.8.8:53                   no_rule
           add `8.8.8.8/32:53` to `allowed_cidrs`
    policy: environment payments-dev
    ");
}

#[test]
fn check_ends_with_0_only_if_everything_is_allowed() {
    let allowed = "api.staging.example.com:443";
    for (destinations, code) in [
        (vec![allowed], 0),
        (vec!["evil.example:443"], 3),
        (vec![allowed, "evil.example:443", allowed], 3),
    ] {
        let arguments = [vec!["policy", "check", "-f", PAYMENTS], destinations].concat();
        assert_eq!(bailiwick(&arguments).code, Some(code), "{arguments:?}");
    }
}

#[test]
fn check_without_a_file_asks_the_built_in_policy() {
    assert_snapshot!(bailiwick(&["policy", "check", "example.com:443", "10.0.0.1:443", "localhost:22"]), @r"
    exit code 3
    --- stdout
    allow  example.com:443  unrestricted
    deny   10.0.0.1:443     private_address  not public (private use (RFC 1918)): 10.0.0.0/8
           add `10.0.0.1/32:443` to `allowed_cidrs`
    deny   localhost:22     floor            floor (the host's loopback): localhost
           open the service with 22 in `host_ports` (or --host-port 22) and connect to host.internal:22
    policy: built-in unrestricted policy
    ");
}

#[test]
fn check_knows_the_addresses_of_this_host() {
    let addresses = bailiwick_local::host_facts(Vec::new()).addresses;
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let arguments = ["policy", "check", "--format", "json"]
        .into_iter()
        .chain(addresses.iter().map(String::as_str));
    let outcome = bailiwick(&arguments.collect::<Vec<_>>());
    let answers: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let reasons: Vec<_> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| &answer["reason"])
        .collect();
    assert_eq!(reasons, vec!["floor"; addresses.len()], "{addresses:?}");
    assert_eq!(
        bailiwick(&["policy", "check", "8.8.8.8"]).code,
        Some(0),
        "the control: another address is allowed"
    );
}

#[test]
fn check_answers_in_json_with_stable_fields() {
    assert_snapshot!(bailiwick(&["policy", "check", "-f", PAYMENTS, "--format", "json", "10.20.3.4:5432", "evil.example:443"]), @r#"
    exit code 3
    --- stdout
    [
      {
        "destination": "10.20.3.4:5432",
        "verdict": "allow",
        "reason": "cidr_rule",
        "rule": "10.20.0.0/16:5432",
        "source": {
          "kind": "environment",
          "name": "payments-dev"
        },
        "hint": null
      },
      {
        "destination": "evil.example:443",
        "verdict": "deny",
        "reason": "no_rule",
        "rule": null,
        "source": {
          "kind": "environment",
          "name": "payments-dev"
        },
        "hint": "add `evil.example:443` to `allowed_hosts`"
      }
    ]
    "#);
}

#[test]
fn an_environment_that_names_no_policy_has_the_built_in_one() {
    let file = written("plain.yaml", "name: plain\n");
    assert_snapshot!(bailiwick(&["policy", "check", "-f", file.path(), "example.com:443"]), @r"
    exit code 0
    --- stdout
    allow  example.com:443  unrestricted
    policy: built-in unrestricted policy
    ");
}

#[test]
fn a_destination_that_is_none_is_bad_input() {
    for destination in [
        "0x7f.1",
        "a b",
        "evil\u{1b}]0;x.example",
        "https://",
        "example.com:70000",
        "*.example.com",
        "",
    ] {
        let outcome = bailiwick(&["policy", "check", destination]);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{destination:?}: {outcome}"
        );
    }
}

#[test]
fn diff_tells_what_opens_and_what_closes() {
    let limited = |hosts: &str| {
        format!(
            "name: x\nconfig:\n  type: cloud\n  networking: {{type: limited, allowed_hosts: [{hosts}]}}\n"
        )
    };
    let before = written("before.yaml", limited("a.example, \"*.b.example:443\""));
    let after = written("after.yaml", limited("a.example, c.example, x.b.example"));
    assert_snapshot!(bailiwick(&["policy", "diff", before.path(), after.path()]), @r"
    exit code 0
    --- stdout
    + c.example              no_rule -> host_rule  (c.example)
    + x.b.example:1-442      no_rule -> host_rule  (x.b.example)
    + x.b.example:444-65535  no_rule -> host_rule  (x.b.example)
    - *.b.example:443        host_rule -> no_rule
    ");
    assert_snapshot!(bailiwick(&["policy", "diff", before.path(), after.path(), "--format", "json"]), @r#"
    exit code 0
    --- stdout
    {
      "mode": null,
      "opened": [
        {
          "destination": "c.example",
          "before": "no_rule",
          "after": "host_rule",
          "rule": "c.example"
        },
        {
          "destination": "x.b.example:1-442",
          "before": "no_rule",
          "after": "host_rule",
          "rule": "x.b.example"
        },
        {
          "destination": "x.b.example:444-65535",
          "before": "no_rule",
          "after": "host_rule",
          "rule": "x.b.example"
        }
      ],
      "closed": [
        {
          "destination": "*.b.example:443",
          "before": "host_rule",
          "after": "no_rule",
          "rule": null
        }
      ]
    }
    "#);
    assert_snapshot!(bailiwick(&["policy", "diff", before.path(), before.path()]), @r"
    exit code 0
    --- stdout
    both allow the same
    ");
}

#[test]
fn a_suggested_environment_is_valid_and_allows_what_was_seen() {
    let flow = |destination: &str, protocol: &str, port: u16, reason: &str| {
        format!(
            r#"{{"at":"2026-11-21T12:00:00Z","sandbox":"abc","environment":null,"destination":{{"host":{destination},"port":{port},"protocol":"{protocol}"}},"address":null,"verdict":"deny","reason":"{reason}","source":{{"kind":"built_in"}},"bytes_out":0,"bytes_in":0,"duration_ms":0}}"#
        )
    };
    let flows = [
        flow(r#"{"name":"registry.example"}"#, "dns", 0, "no_rule"),
        flow(r#"{"name":"db.example"}"#, "tcp", 5432, "no_rule"),
        flow(r#"{"address":"10.1.2.3"}"#, "tcp", 22, "private_address"),
        flow(r#"{"address":"169.254.169.254"}"#, "tcp", 80, "floor"),
        flow(r#"{"address":"192.0.2.1"}"#, "udp", 443, "udp"),
    ];
    let file = written("flows.jsonl", flows.join("\n"));
    let suggested = bailiwick(&[
        "policy",
        "suggest",
        "--flows",
        file.path(),
        "--name",
        "seen",
    ]);
    assert_snapshot!(suggested, @r"
    exit code 0
    --- stdout
    # assumed: registry.example was only looked up, never connected to; port 443 is meant
    # not opened: 169.254.169.254:80: the floor: no rule opens it (a service of the host is opened with `host_ports`)
    # not opened: 192.0.2.1:443: UDP is never relayed
    name: seen
    config:
      type: cloud
      networking:
        type: limited
        allowed_hosts:
        - db.example:5432
        - registry.example:443
        allow_package_managers: false
        allow_mcp_servers: false
        allowed_cidrs:
        - 10.1.2.3/32:22
    ");
    let environment = written("environment.yaml", &suggested.stdout);
    let check =
        |destination| bailiwick(&["policy", "check", "-f", environment.path(), destination]).code;
    assert_eq!(
        (
            check("db.example:5432"),
            check("10.1.2.3:22"),
            check("registry.example:443")
        ),
        (Some(0), Some(0), Some(0))
    );
    assert_eq!(
        (
            check("db.example:22"),
            check("169.254.169.254:80"),
            check("other.example:443")
        ),
        (Some(3), Some(3), Some(3))
    );
}

#[test]
fn a_line_that_is_no_flow_is_named() {
    let file = written("flows.jsonl", "\n{\"at\": 1}\n");
    let outcome = bailiwick(&["policy", "suggest", "--flows", file.path()]);
    assert_snapshot!(file.anonymous(&outcome), @r"
    exit code 2
    --- stderr
    error: DIR/flows.jsonl:2 is not a flow, as `bailiwick run --flows FILE` writes them: invalid type: integer `1`, expected a timestamp string at line 1 column 8
    ");
}

#[test]
fn presets_are_listed_and_shown() {
    assert_snapshot!(bailiwick(&["policy", "presets"]), @r"
    exit code 0
    --- stdout
    common_dependencies      47 hosts  presets, version 1
    package_managers         28 hosts  presets, version 1
    allow_package_managers   66 hosts  allow_package_managers
    apt                      23 hosts  allow_package_managers
    cargo                     6 hosts  allow_package_managers
    gem                       4 hosts  allow_package_managers
    go                        7 hosts  allow_package_managers
    npm                       4 hosts  allow_package_managers
    pip                       3 hosts  allow_package_managers
    ");
    let shown = bailiwick(&["policy", "presets", "pip"]);
    assert_snapshot!(shown, @r"
    exit code 0
    --- stdout
    pypi.org                the index
    files.pythonhosted.org  the files
    pypi.python.org         the index, former name
    ");
    let json: serde_json::Value =
        serde_json::from_str(&bailiwick(&["policy", "presets", "--format", "json"]).stdout)
            .unwrap();
    assert_eq!(json[0]["name"], "common_dependencies");
    assert_eq!(
        bailiwick(&["policy", "presets", "no_such_list"]).code,
        Some(2)
    );
}

#[test]
fn colour_is_for_terminals_alone() {
    let outcome = bailiwick_with(
        &["policy", "check", "10.0.0.1:1"],
        &[("TERM", "xterm-256color"), ("CLICOLOR_FORCE", "1")],
    );
    assert!(!outcome.stdout.contains('\u{1b}'), "{outcome}");
}
