//! The crate at its door: a text in, a value or a rendered report out. What is taken is here.

use bailiwick_model::{PackageManager, PackageSpec};
use bailiwick_policy::{EgressPolicy, Mode};
use bailiwick_wire::{EnvironmentFile, parse_environment};
use insta::assert_snapshot;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use proptest::prelude::*;

fn parse(text: &str) -> EnvironmentFile {
    parse_environment("environment.yaml", text)
        .unwrap_or_else(|errors| panic!("{}", render(&errors)))
}

/// What a person sees, without colour.
fn render(diagnostic: &dyn Diagnostic) -> String {
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(120)
        .render_report(&mut text, diagnostic)
        .unwrap();
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What is wrong with `text`, one line a problem: place, code, message, fix.
fn problems(text: &str) -> String {
    let errors = parse_environment("environment.yaml", text).expect_err("the file was taken");
    let line = |(at, problem): (bailiwick_wire::Position, &bailiwick_wire::Problem)| {
        format!(
            "{}:{} {}: {problem} | {}\n",
            at.line,
            at.column,
            problem.cause().code(),
            problem.cause().help()
        )
    };
    errors.problems().map(line).collect()
}

/// A file whose networking is `fields`.
fn networking(fields: &str) -> String {
    format!("name: x\nconfig:\n  type: cloud\n  networking: {{{fields}}}\n")
}

/// The problems of a text are these.
macro_rules! check {
    ($text:expr, @$snapshot:literal) => {
        insta::assert_snapshot!(crate::problems($text), @$snapshot)
    };
}

mod refused;
mod reports;

#[test]
fn the_seed_example_is_taken_as_yaml_and_as_json() {
    let yaml = parse(include_str!("../../../../examples/node-test.yaml"));
    let json = parse(
        r#"{"name": "node-test-env", "config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["api.example.com"],
            "allow_package_managers": true, "allow_mcp_servers": true},
            "packages": {"type": "packages", "npm": ["typescript", "tsx"], "pip": ["pytest==8.3.4"]}}}"#,
    );
    assert_eq!(yaml, json);
    let policy = yaml.policy.unwrap();
    assert_eq!(policy.mode, Mode::Limited);
    assert!(
        policy.allow_package_managers && policy.allow_mcp_servers && policy.allow_credential_hosts
    );
    let npm = yaml.packages.of(PackageManager::Npm).iter();
    assert_eq!(
        npm.map(PackageSpec::as_str).collect::<Vec<_>>(),
        ["typescript", "tsx"]
    );
}

#[test]
fn json_is_taken_however_it_is_indented_and_escaped() {
    let text = "{\n\t\"name\":\t\"\\u0078 \\ud83d\\ude00 \\/\",\r\n\t\"config\": {\"type\":\"cloud\"}\n}\n";
    assert_eq!(parse(text).name.as_str(), "x 😀 /");
}

#[test]
fn the_canonical_form_shows_every_field_of_the_wire() {
    let file = parse(include_str!("../../../../examples/payments-dev.yaml"));
    assert_snapshot!(file.to_yaml().unwrap(), @r#"
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
    assert_eq!(parse(&file.to_yaml().unwrap()), file);
}

#[test]
fn a_file_that_names_no_policy_has_none() {
    for text in [
        "name: x",
        "name: x\nconfig:",
        "name: x\nconfig: {type: cloud}",
        "name: x\nconfig: {type: cloud, networking: null}",
    ] {
        assert_eq!(parse(text).policy, None, "{text}");
    }
}

#[test]
fn limited_with_nothing_in_it_is_a_policy_that_allows_nothing() {
    for fields in [
        "type: limited",
        "type: limited, allowed_hosts: []",
        "type: limited, allowed_hosts: null, allow_mcp_servers: null",
    ] {
        assert_eq!(
            parse(&networking(fields)).policy,
            Some(EgressPolicy::limited()),
            "{fields}"
        );
    }
}

#[test]
fn a_windows_file_with_a_byte_order_mark_is_taken() {
    assert_eq!(
        parse("\u{feff}name: x\r\nconfig:\r\n  type: cloud\r\n")
            .name
            .as_str(),
        "x"
    );
    check!("\u{feff}name: x\r\nnme: y\r\n", @r#"2:1 unknown_field: an environment has no field "nme" | did you mean `name`?"#);
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*|[-a-c:\\[\\]{},&*!|>'\"%@`#? \n\t\r]{0,200}") {
        if let Err(errors) = parse_environment("any.yaml", &text) {
            prop_assert!(errors.problems().count() > 0);
            render(&errors);
        }
    }

    #[test]
    fn arbitrary_values_in_the_right_places_never_panic(
        name in any::<String>(), host in any::<String>(), cidr in any::<String>(), package in any::<String>(), cut in 0_usize..400,
    ) {
        let text = format!(
            "name: {name:?}\nconfig:\n  type: cloud\n  networking: {{type: limited, allowed_hosts: [{host:?}], allowed_cidrs: [{cidr}]}}\n  packages: {{pip: [{package:?}]}}\n"
        );
        if let Err(errors) = parse_environment("any.yaml", &text[..text.floor_char_boundary(cut)]) {
            render(&errors);
        }
    }

    #[test]
    fn the_canonical_form_means_the_same(
        name in "[ -~]{0,8}[a-z][ -~äöü✓]{0,8}",
        description in proptest::option::of("[ -~\n\täöü✓]{0,40}"),
        hosts in proptest::collection::btree_set("(\\*\\.)?(true|null|no|[a-z0-9_-]{1,6})\\.[a-z]{2,5}\\.example(:[1-9][0-9]{0,3})?", 0..5),
        metadata in proptest::collection::btree_map("[ -~]{1,10}", "[ -~\n]{0,10}|true|null|1.10|~", 0..4),
        packages in proptest::collection::btree_set("[a-z]{2,5}(==[0-9]\\.[0-9]{1,2}(\\.\\*)?)?|null|[a-z]\\[yes\\]>=1,!=2", 0..4),
        flags in any::<(bool, bool)>(),
    ) {
        let text = serde_json::json!({
            "name": name, "description": description, "metadata": metadata,
            "config": {"type": "cloud", "networking": {
                "type": "limited", "allowed_hosts": hosts, "allow_mcp_servers": flags.0, "allow_credential_hosts": flags.1,
                "allow_package_managers": true,
            }, "packages": {"pip": packages}},
        }).to_string();
        if let Ok(file) = parse_environment("a.yaml", &text) {
            prop_assert_eq!(parse_environment("b.yaml", &file.to_yaml().unwrap()).map_err(|errors| render(&errors)), Ok(file));
        }
    }
}

#[test]
fn a_project_is_taken_and_written_again() {
    let text = "name: x\nconfig:\n  type: cloud\n  project:\n    repository: https://example.com/team/app.git\n    ref: main\n    setup: [npm ci, make]\n";
    let file = parse(text);
    let project = file.project.as_ref().expect("a project");
    assert_eq!(project.name.as_str(), "app");
    assert_eq!(project.setup.len(), 2);
    let written = file.to_short_yaml().unwrap();
    assert_snapshot!(written, @r#"
    name: x
    config:
      type: cloud
      project:
        repository: https://example.com/team/app.git
        ref: main
        name: app
        setup:
        - npm ci
        - make
    "#);
    assert_eq!(parse(&written).project, file.project);
}
