//! What is refused: the place, the code, the message and the fix of each problem.

use insta::assert_snapshot;

use crate::{networking, parse, problems};

#[test]
fn a_syntax_error_says_where_reading_ended() {
    check!("name: x\nconfig:\n\ttype: cloud\n", @"3:2 syntax: this is not YAML: tabs disallowed within this context (block indentation) | indent with spaces: YAML does not take tabs there");
    check!("name: x\nconfig: {type: cloud\n", @"2:9 syntax: this is not YAML: unclosed bracket '{' | check the indentation, brackets and quotes at this place; what stands after it was not checked");
    check!("name: x\n  config: y: z\n", @"2:9 syntax: this is not YAML: mapping values are not allowed in this context | a text that holds `: ` needs quotes, and every key of a map the same indentation");
    check!("\u{0}", @r"1:1 syntax: this is not YAML: unexpected character: `\u{0}' | check the indentation, brackets and quotes at this place; what stands after it was not checked");
    check!("", @"1:1 empty: the file is empty | write at least `name: NAME`");
    check!("# only a comment\n", @"1:1 empty: the file is empty | write at least `name: NAME`");
    check!("just a text", @"1:1 wrong_type: an environment must be a map, this is a text | write `key: value` pairs, indented below the field");
    check!("- a list", @"1:1 wrong_type: an environment must be a map, this is a list | write `key: value` pairs, indented below the field");
}

#[test]
fn what_makes_yaml_surprising_is_refused() {
    check!("name: &n x\ndescription: *n\n", @r#"
    1:7 yaml_feature: &n is a YAML anchor, which environment files do not use | write the value out at each place that needs it
    2:14 yaml_feature: "*n" is a YAML alias, which environment files do not use | a text that begins with `*` needs quotes: "*n"
    "#);
    check!("name: x\nmetadata:\n  <<: {a: b}\n", @"3:3 yaml_feature: the merge key `<<` is not used in environment files | write the keys out");
    check!("name: !!str 7\n", @"1:13 yaml_feature: a YAML tag is not used in environment files | remove the tag; quote the value if it is meant as text");
    check!("name: x\n---\nname: y\n", @"2:1 syntax: the file holds more than one document | write one environment per file: remove everything from the second `---` on");
    check!("%YAML 1.2\n---\nname: x\n", @"1:1 syntax: this is not YAML: YAML directives are disallowed | check the indentation, brackets and quotes at this place; what stands after it was not checked");
    check!("name: x\nname: y\n", @r#"2:1 duplicate: the key "name" stands here twice | keep one of the two"#);
    check!("name: x\n? [a, b]\n: c\ntrue: d\n", @r"
    2:3 syntax: a key must be a text | write a field's name, in quotes if it looks like a number or a boolean
    4:1 syntax: a key must be a text | write a field's name, in quotes if it looks like a number or a boolean
    ");
}

#[test]
fn a_bomb_ends_at_a_bound() {
    let bounded = |text: &str| {
        let begun = std::time::Instant::now();
        let report = problems(text);
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(5),
            "{:.40} took {:?}",
            text,
            begun.elapsed()
        );
        report
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(90)
            .collect::<String>()
    };
    let laughs = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n";
    assert_snapshot!(bounded(laughs), @r#"1:1 unknown_field: an environment has no field "a" | known are `name`, `description`, `sco"#);
    assert_snapshot!(bounded(&"[".repeat(500_000)), @"1:256 too_much: maps and lists are nested more than 16 deep | the deepest place that means");
    assert_snapshot!(bounded(&"{a: ".repeat(200_000)), @"1:1021 too_much: maps and lists are nested more than 16 deep | the deepest place that mean");
    assert_snapshot!(bounded(&"- ".repeat(500_000)), @"1:33 too_much: maps and lists are nested more than 16 deep | the deepest place that means");
    assert_snapshot!(bounded(&"? ".repeat(500_000)), @"1:33 too_much: maps and lists are nested more than 16 deep | the deepest place that means");
    assert_snapshot!(bounded(&format!("[{}", "a,".repeat(500_000))), @"1:40002 too_much: the file has more than 20000 keys and values | an environment names dest");
    assert_snapshot!(bounded(&"a".repeat(1024 * 1024)), @"1:1 wrong_type: an environment must be a map, this is a text | write `key: value` pairs, i");
    assert_snapshot!(bounded(&"a: b\n".repeat(200_000)), @r#"2:1 duplicate: the key "a" stands here twice | keep one of the two"#);
    assert_snapshot!(bounded(&"*x ".repeat(300_000)), @r#"1:1 yaml_feature: "*x" is a YAML alias, which environment files do not use | a text that b"#);
    assert_snapshot!(bounded(&"&x ".repeat(300_000)), @"1:1 yaml_feature: &x is a YAML anchor, which environment files do not use | write the valu");
    assert_snapshot!(bounded(&"#".repeat(1024 * 1024 + 1)), @"1:1 too_much: the file has 1048577 bytes, more than 1048576 | an environment names destina");
}

#[test]
fn unknown_fields_come_with_what_was_meant() {
    check!(&networking("type: limited, allowed_host: [], allow-mcp-servers: true, egress: open"), @r#"
    4:31 unknown_field: `config.networking` has no field "allowed_host" | did you mean `allowed_hosts`?
    4:49 unknown_field: `config.networking` has no field "allow-mcp-servers" | did you mean `allow_mcp_servers`?
    4:74 unknown_field: `config.networking` has no field "egress" | known are `type`, `allowed_hosts`, `allow_package_managers`, `allow_mcp_servers`, `allow_credential_hosts`, `allowed_cidrs`, `presets`, `denied_hosts`, `denied_cidrs`, `host_ports`
    "#);
    check!("id: env_1\nname: x\ncreated_at: now\n", @r#"
    1:1 unknown_field: "id" is set by the server and cannot be written | remove it
    3:1 unknown_field: "created_at" is set by the server and cannot be written | remove it
    "#);
}

#[test]
fn a_value_of_the_wrong_type_says_which_is_wanted() {
    check!("name: true\ndescription: [a]\nconfig: cloud\nmetadata: {build: 1.10, on: true, none: , list: []}\n", @r"
    1:7 wrong_type: `name` must be a text, this is true or false | put it in quotes
    2:14 wrong_type: `description` must be a text, this is a list | write a text
    3:9 wrong_type: `config` must be a map, this is a text | write `key: value` pairs, indented below the field
    4:19 wrong_type: a value of `metadata` must be a text, this is a number | put it in quotes
    4:29 wrong_type: a value of `metadata` must be a text, this is true or false | put it in quotes
    4:39 wrong_type: a value of `metadata` must be a text, this is nothing | write a text, or remove the entry
    4:49 wrong_type: a value of `metadata` must be a text, this is a list | write a text
    ");
    check!(&networking("type: limited, allowed_hosts: api.example.com, allow_mcp_servers: \"true\", host_ports: [\"80\", 0, 8e1]"), @r"
    4:46 wrong_type: `allowed_hosts` must be a list, this is a text | write a list, even for one entry: [entry]
    4:82 wrong_type: `allow_mcp_servers` must be true or false, this is a text | write `true` or `false`, without quotes
    4:103 wrong_type: an entry of `host_ports` must be a port (1 to 65535), this is a text | write a number from 1 to 65535, without quotes
    4:109 wrong_type: an entry of `host_ports` must be a port (1 to 65535), this is a number | write a number from 1 to 65535, without quotes
    4:112 wrong_type: an entry of `host_ports` must be a port (1 to 65535), this is a number | write a number from 1 to 65535, without quotes
    ");
}

#[test]
fn types_and_modes_are_words_of_the_wire() {
    check!("name: x\nconfig: {networking: {allowed_hosts: [a.example]}}\n", @r"
    2:9 missing_field: `config` needs the field `type` | add `type: cloud`
    2:22 missing_field: `config.networking` needs the field `type` | add `type: limited`
    ");
    check!("name: x\nconfig: {type: self_hosted}\nscope: account\n", @r"
    2:16 unknown_value: a self-hosted environment has no sandbox here: `config.type` must be `cloud` | write `type: cloud`
    3:8 unknown_value: `scope: account` is not offered | remove `scope`, or write `scope: organization`
    ");
    check!("name: x\nconfig: {type: Cloud, networking: {type: limitted}, packages: {type: pkgs}}\nscope: team\n", @r#"
    2:16 unknown_value: "Cloud" is not a type of environment | did you mean `cloud`?
    2:42 unknown_value: "limitted" is not a type of networking | did you mean `limited`?
    2:70 unknown_value: "pkgs" is not a type of packages | known are `packages`
    3:8 unknown_value: "team" is not a scope | known are `organization`
    "#);
}

#[test]
fn host_rules_that_would_mislead_are_refused_with_the_fix() {
    let hosts = r#"type: limited, allowed_hosts: ["*", "*.com", "*.co.uk", "a.*.example", "https://x.example/", x.example/path, 10.0.0.1, "[::1]", 0x7f.1,
        "", "a b.example", "evil\0.example", a..example, "x.example:0", "x.example:9-1", "user@x.example", ".example.com"]"#;
    check!(&networking(hosts), @r#"
    4:47 invalid_host: `*` would allow every host; that is the mode `unrestricted`, not a host rule | write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`
    4:52 invalid_host: `*.com` would cover every site under the public suffix `com`; name the domains that are needed | write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`
    4:61 invalid_host: `*.co.uk` would cover every site under the public suffix `co.uk`; name the domains that are needed | write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`
    4:72 invalid_host: `*` may only stand alone in front, as in `*.example.com` | write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`
    4:87 invalid_host: a host rule has no scheme; write `x.example` | write "x.example"
    4:109 invalid_host: a host rule has no path: access is per host; write `x.example` | write "x.example"
    4:125 invalid_host: 10.0.0.1 is an address; put `10.0.0.1/32` under `allowed_cidrs` | move it to `allowed_cidrs`: "10.0.0.1/32"
    4:135 invalid_host: addresses are not host rules; put `::1/128` under `allowed_cidrs` | move it to `allowed_cidrs`: "::1/128"
    4:144 invalid_host: 127.0.0.1 is an address; put `127.0.0.1/32` under `allowed_cidrs` | move it to `allowed_cidrs`: "127.0.0.1/32"
    5:9 invalid_host: a host name cannot be empty | write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`
    5:13 invalid_host: a host name has no white space | write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`
    5:28 invalid_host: '\0' is a control character; a host name has none | write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`
    5:46 invalid_host: a label between two dots is empty | write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`
    5:58 invalid_host: port 0 does not exist; ports are 1 to 65535 | write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`
    5:73 invalid_host: the range 9-1 is empty; write `1-9` | write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`
    5:90 invalid_host: a host name has no user part; write only what follows `@` | write `example.com`, `*.example.com`, or one of them with `:port` or `:low-high`
    5:108 invalid_host: a rule does not start with a dot; write `*.example.com` | write "*.example.com"
    "#);
}

#[test]
fn a_cidr_with_host_bits_is_refused_with_the_corrected_form() {
    check!(&networking(r#"type: limited, allowed_cidrs: [10.20.3.4/16, "10.1.0.0/16:5432-", "fd12::1/32:5432", "::ffff:10.0.0.0/104", 10.0.0.0/33, net]"#), @r#"
    4:47 invalid_cidr: bits after the prefix are set; write `10.20.0.0/16` | write "10.20.0.0/16"
    4:61 invalid_cidr: "" is not a port; write `443` or a range such as `8000-8100` | write for example "10.20.0.0/16", "10.20.0.0/16:5432" or "[fd12::/32]:5432"
    4:82 invalid_cidr: bits after the prefix are set; write `[fd12::/32]:5432` | write "[fd12::/32]:5432"
    4:101 invalid_cidr: this is an IPv4 block in IPv6 form; write `10.0.0.0/8` | write "10.0.0.0/8"
    4:124 invalid_cidr: the prefix length "33" is not a number up to 32 | write for example "10.20.0.0/16", "10.20.0.0/16:5432" or "[fd12::/32]:5432"
    4:137 invalid_cidr: "net" is not a block of addresses; write for example `10.20.0.0/16` or `[fd12::/32]:5432` | write for example "10.20.0.0/16", "10.20.0.0/16:5432" or "[fd12::/32]:5432"
    "#);
}

#[test]
fn duplicates_are_compared_in_normal_form() {
    check!(&networking(r#"type: limited, allowed_hosts: [x.example, X.EXAMPLE., "x.example:443"], allowed_cidrs: [10.0.0.0/8, 10.0.0.0/8], host_ports: [80, 80],
        presets: [package_managers, package_managers]"#), @r#"
    4:58 duplicate: "x.example" is listed twice | keep one of the two
    4:116 duplicate: "10.0.0.0/8" is listed twice | keep one of the two
    4:146 duplicate: "80" is listed twice | keep one of the two
    5:37 duplicate: "package_managers" is listed twice | keep one of the two
    "#);
}

#[test]
fn a_rule_that_would_change_nothing_is_refused() {
    check!(&networking("type: unrestricted, allowed_hosts: [x.example], presets: [], allow_package_managers: false"), @r"
    4:51 needs_limited: `allowed_hosts` opens nothing under `type: unrestricted`, which allows every public destination | write `type: limited` to allow only what is listed, or remove the field
    4:73 needs_limited: `presets` opens nothing under `type: unrestricted`, which allows every public destination | write `type: limited` to allow only what is listed, or remove the field
    4:101 needs_limited: `allow_package_managers` opens nothing under `type: unrestricted`, which allows every public destination | write `type: limited` to allow only what is listed, or remove the field
    ");
    let opens_more = parse(&networking(
        "type: unrestricted, denied_hosts: [x.example], allowed_cidrs: [10.0.0.0/8], host_ports: [5432]",
    ));
    assert_eq!(
        opens_more.policy.map(|policy| policy.host_ports),
        Some(vec![5432])
    );
}

#[test]
fn packages_of_a_limited_environment_need_package_managers() {
    let with =
        |fields: &str, packages: &str| format!("{}  packages: {packages}\n", networking(fields));
    check!(&with("type: limited, allowed_hosts: [pypi.org]", "{pip: [pytest]}"), @"5:13 packages_need_managers: a limited environment that declares packages must allow package managers | add `allow_package_managers: true` to `config.networking`: listing the registries' hosts is not enough");
    check!(&with("type: limited, allow_package_managers: yes", "{pip: [pytest]}"), @"4:55 wrong_type: `allow_package_managers` must be true or false, this is a text | write `true` or `false`, without quotes");
    for (fields, packages) in [
        ("type: limited", "{pip: []}"),
        ("type: limited, allow_package_managers: true", "{pip: [a]}"),
        ("type: unrestricted", "{pip: [a]}"),
    ] {
        parse(&with(fields, packages));
    }
}

#[test]
fn a_package_cannot_be_an_option() {
    check!("name: x\nconfig: {type: cloud, packages: {pip: [-e, \"--index-url=https://evil.example\", \"a --pre\", \"a\\n-e b\", \"\", a, a], apt: [\"-oDpkg::Options\"]}}\n", @r#"
    2:40 invalid_package: `config.packages.pip[0]`: "-e" begins with `-`, so that pip would read an option; options are not set here | write NAME, NAME==VERSION or NAME with specifiers, such as "pytest==8.3.4" or "Flask[async]>=2,<3"
    2:44 invalid_package: `config.packages.pip[1]`: "--index-url=https://evil.example" begins with `-`, so that pip would read an option; options are not set here | write NAME, NAME==VERSION or NAME with specifiers, such as "pytest==8.3.4" or "Flask[async]>=2,<3"
    2:80 invalid_package: `config.packages.pip[2]`: "a --pre" holds white space; write one package an entry, and its version without spaces | write NAME, NAME==VERSION or NAME with specifiers, such as "pytest==8.3.4" or "Flask[async]>=2,<3"
    2:91 invalid_package: `config.packages.pip[3]`: "a\n-e b" holds the control character '\n'; one package is one entry | write NAME, NAME==VERSION or NAME with specifiers, such as "pytest==8.3.4" or "Flask[async]>=2,<3"
    2:102 invalid_package: `config.packages.pip[4]` is empty | write NAME, NAME==VERSION or NAME with specifiers, such as "pytest==8.3.4" or "Flask[async]>=2,<3"
    2:109 duplicate: `config.packages.pip[6]`: "a" is listed twice | keep one of the two
    2:119 invalid_package: `config.packages.apt[0]`: "-oDpkg::Options" begins with `-`, so that apt would read an option; options are not set here | write NAME, NAME=VERSION, NAME:ARCHITECTURE or NAME/SUITE, such as "graphviz" or "python3-pip=23.0.1+dfsg-1"
    "#);
}

#[test]
fn a_package_is_written_as_its_own_manager_wants_it() {
    check!("name: x\nconfig: {type: cloud, packages: {apt: [jq-], cargo: [ripgrep@14], gem: [\"rails@7\"], go: [fmt], npm: [\"express@github:evil/express\"], pip: [\"pytest @ https://evil.example/x.whl\"]}}\n", @r#"
    2:40 invalid_package: `config.packages.apt[0]`: "jq-" has a `-` at its end, which tells apt to remove the package | write NAME, NAME=VERSION, NAME:ARCHITECTURE or NAME/SUITE, such as "graphviz" or "python3-pip=23.0.1+dfsg-1"
    2:54 invalid_package: `config.packages.cargo[0]`: "ripgrep@14" has the version "14"; cargo wants all three numbers, or an operator: `^14` | write NAME, NAME@VERSION or NAME@REQUIREMENT, such as "hyperfine@1.18.0" or "hyperfine@^1.18"
    2:73 invalid_package: `config.packages.gem[0]`: "rails@7" has the name "rails@7"; a gem has letters, digits, `-`, `_` and `.`, the first a letter or digit, and one letter at least | write NAME, NAME:VERSION or NAME:REQUIREMENT, such as "rails:7.1.0" or "rails:~>7.1"
    2:90 invalid_package: `config.packages.go[0]`: "fmt" begins with "fmt", which is no host; a Go path begins with one in lower case, such as `github.com/` | write PATH or PATH@VERSION, such as "golang.org/x/tools/cmd/goimports@latest"
    2:102 invalid_package: `config.packages.npm[0]`: "express@github:evil/express" names a source with "github:"; npm packages come from its registries, where they have names and versions | write NAME, NAME@VERSION, NAME@RANGE or NAME@TAG, such as "express@4.18.0", "@types/node@^20" or "npm@latest"
    2:140 invalid_package: `config.packages.pip[0]`: "pytest @ https://evil.example/x.whl" holds a URL; pip packages come from its registries, where they have names and versions | write NAME, NAME==VERSION or NAME with specifiers, such as "pytest==8.3.4" or "Flask[async]>=2,<3"
    "#);
    let text = r#"{"name": "x", "config": {"type": "cloud", "packages": {"apt": ["g++"], "cargo": ["ripgrep@^14"], "gem": ["rails:7.1.0"],
        "go": ["golang.org/x/tools/cmd/goimports@latest"], "npm": ["@types/node@^20"], "pip": ["Flask[async]>=2,<3"]}}}"#;
    let packages = parse(text).packages;
    let specs = packages.iter().flat_map(|(_, list)| list);
    assert_eq!(
        specs.map(ToString::to_string).collect::<Vec<_>>().join(" "),
        "g++ ripgrep@^14 rails:7.1.0 golang.org/x/tools/cmd/goimports@latest @types/node@^20 Flask[async]>=2,<3"
    );
}

#[test]
fn the_place_of_a_package_counts_the_entries_that_are_no_texts() {
    check!("name: x\nconfig: {type: cloud, packages: {pip: [1.0, pytest, [a], --pre], npm: pytest, brew: [jq]}}\n", @r#"
    2:40 wrong_type: `config.packages.pip[0]` must be a text, this is a number | put it in quotes
    2:53 wrong_type: `config.packages.pip[2]` must be a text, this is a list | write a text
    2:58 invalid_package: `config.packages.pip[3]`: "--pre" begins with `-`, so that pip would read an option; options are not set here | write NAME, NAME==VERSION or NAME with specifiers, such as "pytest==8.3.4" or "Flask[async]>=2,<3"
    2:71 wrong_type: `npm` must be a list, this is a text | write a list, even for one entry: [entry]
    2:79 unknown_field: `config.packages` has no field "brew" | known are `type`, `apt`, `cargo`, `gem`, `go`, `npm`, `pip`
    "#);
}

#[test]
fn packages_are_counted_over_all_managers() {
    let lists = |apt: usize, pip: usize| {
        let list = |count: usize| {
            (0..count)
                .map(|n| format!("package{n}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        format!(
            "name: x\nconfig: {{type: cloud, packages: {{apt: [{}], pip: [{}]}}}}\n",
            list(apt),
            list(pip)
        )
    };
    assert_eq!(parse(&lists(100, 100)).packages.len(), 200);
    check!(&lists(100, 101), @"2:33 too_much: `config.packages` has 201 packages, more than 200 of all managers together | keep at most 200; what a package depends on needs no entry");
    check!(&format!("name: x\nconfig: {{type: cloud, packages: {{apt: [{}]}}}}\n", "a".repeat(257)), @r#"2:40 invalid_package: `config.packages.apt[0]` has 257 bytes, more than 256: a package is a name and a version | write NAME, NAME=VERSION, NAME:ARCHITECTURE or NAME/SUITE, such as "graphviz" or "python3-pip=23.0.1+dfsg-1""#);
}

#[test]
fn a_refused_package_needs_package_managers_too() {
    check!(&format!("{}  packages: {{pip: [--pre]}}\n", networking("type: limited")), @r#"
    5:13 packages_need_managers: a limited environment that declares packages must allow package managers | add `allow_package_managers: true` to `config.networking`: listing the registries' hosts is not enough
    5:20 invalid_package: `config.packages.pip[0]`: "--pre" begins with `-`, so that pip would read an option; options are not set here | write NAME, NAME==VERSION or NAME with specifiers, such as "pytest==8.3.4" or "Flask[async]>=2,<3"
    "#);
}

#[test]
fn names_and_metadata_are_bounded() {
    let text = format!(
        "name: \"\\e]0;x\"\ndescription: {}\nmetadata: {{{}: v, k: {}, sandbox0.managed_agents.x: v, \"\": v}}\n",
        "d".repeat(1025),
        "k".repeat(65),
        "v".repeat(513)
    );
    check!(&text, @r#"
    1:7 invalid_name: the name holds the character '\u{1b}', which is not allowed there | a name has 1 to 256 characters, none of them a control character
    2:14 invalid_description: the description has 1025 characters, more than 1024 | shorten it
    3:12 invalid_metadata: a metadata key has 1 to 64 characters, this one has 65 | choose another key
    3:85 invalid_metadata: a metadata value has at most 512 characters, this one has 513 | shorten it
    3:600 reserved_metadata: metadata keys that begin with "sandbox0.managed_agents." are reserved | choose another key
    3:630 invalid_metadata: a metadata key has 1 to 64 characters, this one has 0 | choose another key
    "#);
    let many: String = (0..17).map(|n| format!("  k{n}: v\n")).collect();
    check!(&format!("name: x\nmetadata:\n{many}"), @"3:3 invalid_metadata: the metadata has 17 pairs, more than 16 | keep at most 16 pairs");
}

#[test]
fn five_hundred_rules_are_taken_and_one_more_is_not() {
    let hosts = |count: usize| {
        (0..count)
            .map(|n| format!("h{n}.example"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let cidrs = |count: usize| {
        (0..count)
            .map(|n| format!("10.{}.{}.0/24", n / 256, n % 256))
            .collect::<Vec<_>>()
            .join(", ")
    };
    parse(&networking(&format!(
        "type: limited, allowed_hosts: [{}], allowed_cidrs: [{}]",
        hosts(500),
        cidrs(500)
    )));
    check!(&networking(&format!("type: limited, denied_hosts: [z.example], allowed_hosts: [{}], allowed_cidrs: [{}]", hosts(500), cidrs(501))), @r#"
    4:45 too_much: 501 host rules, more than 500 | keep at most 500; a wildcard ("*.example.com") or a shorter prefix covers many
    4:6980 too_much: 501 CIDR rules, more than 500 | keep at most 500; a wildcard ("*.example.com") or a shorter prefix covers many
    "#);
}

#[test]
fn a_project_that_git_could_misread_is_refused_with_the_path_of_the_field() {
    check!("name: x\nconfig:\n  type: cloud\n  project:\n    repository: \"ext::sh -c id\"\n    ref: --upload-pack=x\n    name: ../x\n    setup: [npm ci, \"\", 7]\n    branch: x\n", @r#"
    5:17 invalid_project: `config.project.repository` names a helper with "ext::", which git would run as a program | write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or file:///PATH
    6:10 invalid_project: `config.project.ref` begins with `-`, so that git would read an option | write a branch, a tag, a full ref or the hash of a commit
    7:11 invalid_project: `config.project.name` is "../x"; one has at most 64 letters, digits, `.`, `_` and `-`, the first a letter, a digit or `_` | add `name: NAME`, the directory in /workspace
    8:21 invalid_project: `config.project.setup[1]` is empty | write one shell command an entry, such as `npm ci`
    8:25 wrong_type: `setup[2]` must be a text, this is a number | put it in quotes
    9:5 unknown_field: `config.project` has no field "branch" | known are `repository`, `ref`, `name`, `setup`
    "#);
    check!("name: x\nconfig: {type: cloud, project: {ref: main}}\n", @r#"2:32 missing_field: `config.project` needs the field `repository` | add `repository: https://HOST/PATH`"#);
    check!("name: x\nconfig: {type: cloud, project: {repository: \"https://example.com/.x\"}}\n", @r#"2:45 invalid_project: `config.project.name` would be ".x", as the repository's, which no directory here has; give one with `name` | add `name: NAME`, the directory in /workspace"#);
    let many = format!(
        "name: x\nconfig: {{type: cloud, project: {{repository: \"https://example.com/x\", setup: [{}]}}}}\n",
        "a,".repeat(51)
    );
    check!(&many, @r#"2:77 too_much: `config.project.setup` has 51 commands, more than 50 | put them into a script in the repository, and run that"#);
}

#[test]
fn a_base_that_is_none_or_relative_to_nothing_is_refused_with_its_field() {
    check!("name: x\nconfig: {type: cloud, base: \"vm:x\"}\n", @r#"2:29 invalid_base: `config.base` is none of host, dir:PATH, tar:PATH, debian:SUITE and oci:REFERENCE | write host, dir:/PATH, tar:/PATH, debian:SUITE or oci:REFERENCE"#);
    check!("name: x\nconfig: {type: cloud, base: \"dir:rootfs\"}\n", @r#"2:29 invalid_base: `config.base` names a path that is relative to nothing: "dir:rootfs" | write the whole path, from `/` on"#);
    check!("name: x\nconfig: {type: cloud, base: \"debian:--hook\"}\n", @r#"2:29 invalid_base: `config.base` has "--hook" behind `debian:`, which is no name of a Debian release, such as bookworm | write host, dir:/PATH, tar:/PATH, debian:SUITE or oci:REFERENCE"#);
}
