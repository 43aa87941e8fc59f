//! What a person sees: reports and warnings as they are rendered.

use bailiwick_wire::parse_environment;
use insta::assert_snapshot;

use crate::{networking, parse, render};

#[test]
fn every_error_of_a_file_is_reported_at_once_with_its_place() {
    let text = "\
name: 17
descriptoin: a slip
config:
  type: cloud
  networking:
    type: limited
    allowed_hosts: [*.example.com, \"*.com\", https://api.example.com/v1, ok.example.com, OK.example.com.]
    allow_package_managers: yes
    allowed_cidrs: [10.20.3.4/16]
    presets: [common-dependencies]
    host_ports: [5432, 70000]
  packages:
    pip: [\"--index-url=https://evil.example\"]
metadata:
  bailiwick.owner: me
";
    let errors = parse_environment("environment.yaml", text).unwrap_err();
    assert_snapshot!(render(&errors), @r#"
      × environment.yaml has 12 problems

    Error: wrong_type

      × `name` must be a text, this is a number
       ╭─[environment.yaml:1:7]
     1 │ name: 17
       ·       ─┬
       ·        ╰── here
     2 │ descriptoin: a slip
       ╰────
      help: put it in quotes

    Error: unknown_field

      × an environment has no field "descriptoin"
       ╭─[environment.yaml:2:1]
     1 │ name: 17
     2 │ descriptoin: a slip
       · ─────┬─────
       ·      ╰── here
     3 │ config:
       ╰────
      help: did you mean `description`?

    Error: yaml_feature

      × "*.example.com" is a YAML alias, which environment files do not use
       ╭─[environment.yaml:7:21]
     6 │     type: limited
     7 │     allowed_hosts: [*.example.com, "*.com", https://api.example.com/v1, ok.example.com, OK.example.com.]
       ·                     ──────┬──────
       ·                           ╰── here
     8 │     allow_package_managers: yes
       ╰────
      help: a text that begins with `*` needs quotes: "*.example.com"

    Error: invalid_host

      × `*.com` would cover every site under the public suffix `com`; name the domains that are needed
       ╭─[environment.yaml:7:36]
     6 │     type: limited
     7 │     allowed_hosts: [*.example.com, "*.com", https://api.example.com/v1, ok.example.com, OK.example.com.]
       ·                                    ───┬───
       ·                                       ╰── here
     8 │     allow_package_managers: yes
       ╰────
      help: write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`

    Error: invalid_host

      × a host rule has no scheme; write `api.example.com`
       ╭─[environment.yaml:7:45]
     6 │     type: limited
     7 │     allowed_hosts: [*.example.com, "*.com", https://api.example.com/v1, ok.example.com, OK.example.com.]
       ·                                             ─────────────┬────────────
       ·                                                          ╰── here
     8 │     allow_package_managers: yes
       ╰────
      help: write "api.example.com"

    Error: duplicate

      × "ok.example.com" is listed twice
       ╭─[environment.yaml:7:89]
     6 │     type: limited
     7 │     allowed_hosts: [*.example.com, "*.com", https://api.example.com/v1, ok.example.com, OK.example.com.]
       ·                                                                         ───────┬──────  ───────┬───────
       ·                                                                                │               ╰── here
       ·                                                                                ╰── first here
     8 │     allow_package_managers: yes
       ╰────
      help: keep one of the two

    Error: wrong_type

      × `allow_package_managers` must be true or false, this is a text
       ╭─[environment.yaml:8:29]
     7 │     allowed_hosts: [*.example.com, "*.com", https://api.example.com/v1, ok.example.com, OK.example.com.]
     8 │     allow_package_managers: yes
       ·                             ─┬─
       ·                              ╰── here
     9 │     allowed_cidrs: [10.20.3.4/16]
       ╰────
      help: write `true` or `false`, without quotes

    Error: invalid_cidr

      × bits after the prefix are set; write `10.20.0.0/16`
        ╭─[environment.yaml:9:21]
      8 │     allow_package_managers: yes
      9 │     allowed_cidrs: [10.20.3.4/16]
        ·                     ──────┬─────
        ·                           ╰── here
     10 │     presets: [common-dependencies]
        ╰────
      help: write "10.20.0.0/16"

    Error: unknown_value

      × "common-dependencies" is not a preset
        ╭─[environment.yaml:10:15]
      9 │     allowed_cidrs: [10.20.3.4/16]
     10 │     presets: [common-dependencies]
        ·               ─────────┬─────────
        ·                        ╰── here
     11 │     host_ports: [5432, 70000]
        ╰────
      help: did you mean `common_dependencies`?

    Error: wrong_type

      × an entry of `host_ports` must be a port (1 to 65535), this is a number
        ╭─[environment.yaml:11:24]
     10 │     presets: [common-dependencies]
     11 │     host_ports: [5432, 70000]
        ·                        ──┬──
        ·                          ╰── here
     12 │   packages:
        ╰────
      help: write a number from 1 to 65535, without quotes

    Error: invalid_package

      × `config.packages.pip[0]`: "--index-url=https://evil.example" begins with `-`, so that pip would read an option;
      │ options are not set here
        ╭─[environment.yaml:13:11]
     12 │   packages:
     13 │     pip: ["--index-url=https://evil.example"]
        ·           ─────────────────┬────────────────
        ·                            ╰── here
     14 │ metadata:
        ╰────
      help: write NAME, NAME==VERSION or NAME with specifiers, such as "pytest==8.3.4" or "Flask[async]>=2,<3"

    Error: reserved_metadata

      × metadata keys that begin with "bailiwick." are reserved
        ╭─[environment.yaml:15:3]
     14 │ metadata:
     15 │   bailiwick.owner: me
        ·   ───────┬───────
        ·          ╰── here
        ╰────
      help: choose another key
    "#);
}

#[test]
fn a_report_has_at_most_a_hundred_problems_and_counts_the_rest() {
    let many: String = (0..1000).map(|n| format!("unknown{n}: x\n")).collect();
    let errors = parse_environment("environment.yaml", &many).unwrap_err();
    assert_eq!(errors.problems().count(), 100);
    assert_snapshot!(errors, @"environment.yaml has 1001 problems, of which these are the first 100");
}

#[test]
fn a_file_that_can_be_used_still_warns() {
    let text = networking(
        r#"type: limited, allowed_hosts: ["*.github.io", x.example], denied_hosts: [x.example]"#,
    );
    let file = parse(&text);
    assert_snapshot!(render(&file.warnings("environment.yaml", &text).unwrap()), @r#"
      ⚠ environment.yaml has 2 warnings

    Warning: shared_suffix

      ⚠ the names below `github.io` belong to different owners, anyone may get one; name those that are needed
       ╭─[environment.yaml:4:47]
     3 │   type: cloud
     4 │   networking: {type: limited, allowed_hosts: ["*.github.io", x.example], denied_hosts: [x.example]}
       ·                                               ──────┬──────
       ·                                                     ╰── here
       ╰────
      help: name the hosts that you mean

    Warning: allowed_and_denied

      ⚠ "x.example" is allowed and denied; the denial wins
       ╭─[environment.yaml:4:89]
     3 │   type: cloud
     4 │   networking: {type: limited, allowed_hosts: ["*.github.io", x.example], denied_hosts: [x.example]}
       ·                                                              ────┬────                  ────┬────
       ·                                                                  │                          ╰── here
       ·                                                                  ╰── first here
       ╰────
      help: remove one of the two
    "#);
}

#[test]
fn nothing_in_a_file_reaches_the_terminal_as_a_control_sequence() {
    let obeyed = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    let raw = "name: \x1b]52;c;ZXZpbA==\x07\n";
    let escaped = "name: x\n\"\\e[31m\": x\nscope: \"\\x9b2J\\u202e\"\nmetadata: {\"\\e]0;x\\a\": 7, y: \"a\u{202e}b\", \"z\u{202e}\": 8}\n";
    for text in [raw, escaped] {
        let errors = parse_environment("\x1b]0;title\x07.yaml", text).unwrap_err();
        let shown = render(&errors);
        assert_eq!(shown.chars().find(|c| obeyed(*c)), None, "{shown:?}");
        assert!(
            shown.contains(r"\u{1b}"),
            "the control: it is shown escaped: {shown}"
        );
    }
}

#[test]
fn a_report_about_one_long_line_stays_short() {
    let many: String = (0..5000)
        .map(|n| format!(r#""unknown{n}": "x", "same": 1, "#))
        .collect();
    let text = format!("{{{many} \"name\": \"x\"}}");
    let errors = parse_environment("environment.json", &text).unwrap_err();
    let shown = render(&errors);
    assert!(shown.len() < 400_000, "{} bytes", shown.len());
    assert_snapshot!(shown.split("Error: ").nth(40).unwrap(), @r#"
    duplicate

      × the key "same" stands here twice
       ╭─[environment.json:1:1170]
     1 │ {"unknown0": "x", "same": 1, "unknown1": "x", "same": 1, "unknown2": "x", "same": 1, "unknown3": "x", "same": 1, "unknown4": "x", "same": 1, "unknown5": "x", "same": 1, "unknown6": "x", "same": 1, "unknown7": "x", "same": 1, "unknown8": "x", "same": 1, "unknown9": "x", "same": 1, "unknown10": "x", "same": 1, "unknown11": "x", "same": 1, "unknown12": "x", "same": 1, "unknown13": "x", "same": 1, "unknown14": "x", "same": 1, "unknown15": "x", "same": 1, "unknown16": "x", "same": 1, "unknown17": "x", "same": 1, "unknown18": "x", "same": 1, "unknown19": "x", "same": 1, "unknown20": "x", "same": 1, "unknown21": "x", "same": 1, "unknown22": "x", "same": 1, "unknown23": "x", "same": 1, "unknown24": "x", "same": 1, "unknown25": "x", "same": 1, "unknown26": "x", "same": 1, "unknown27": "x", "same": 1, "unknown28": "x", "same": 1, "unknown29": "x", "same": 1, "unknown30": "x", "same": 1, "unknown31": "x", "same": 1, "unknown32": "x", "same": 1, "unknown33": "x", "same": 1, "unknown34": "x", "same": 1, "unknown35": "x", "same": 1, "unknown36": "x", "same": 1, "unknown37": "x", "same": 1, "unknown38": "x", "same": 1, "unknown39": "x", "same": 1, "unknown40": "x", "same": 1, "unknown41": "x", "same": 1, "unknown42": "x", "same":
       ·                   ───┬──                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         ───┬──
       ·                      │                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              ╰── here
       ·                      ╰── first here
       ╰────
      help: keep one of the two
    "#);
}
