//! What is in `deploy/`, as far as a machine without its programs can tell.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{finish, machine};

fn read(path: &str) -> String {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy"));
    fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Each `--option` must be one of `bailiwick up`.
#[track_caller]
fn are_options_of_up<'a>(words: impl IntoIterator<Item = &'a str>) {
    let help = finish(&mut machine().command(["up", "--help"])).stdout;
    let options: Vec<_> = words
        .into_iter()
        .filter(|word| word.starts_with("--"))
        .collect();
    assert!(!options.is_empty());
    for option in options {
        assert!(
            help.contains(&format!("{option} <")),
            "{option} is no option of `bailiwick up`"
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "a test asks systemd")]
fn systemd_analyze(arguments: &[&str]) -> Option<std::process::Output> {
    match Command::new("systemd-analyze").args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: systemd-analyze cannot be run: {error}");
            None
        }
    }
}

#[test]
fn the_unit_is_one_that_systemd_understands_and_exposes_little() {
    let unit = read("systemd/bailiwick.service");
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .expect("a start");
    let (program, options) = start.split_once(' ').expect("options");
    assert!(options.starts_with("up "));
    are_options_of_up(options.split(' '));
    // It is not installed here.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bailiwick.service");
    fs::write(
        &file,
        unit.replace(program, env!("CARGO_BIN_EXE_bailiwick")),
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let Some(verified) = systemd_analyze(&["verify", "--man=no", file]) else {
        return;
    };
    let complaint = String::from_utf8_lossy(&verified.stderr);
    let ours: Vec<_> = complaint
        .lines()
        .filter(|line| line.contains("bailiwick.service"))
        .collect();
    assert!(verified.status.success() && ours.is_empty(), "{complaint}");
    // Of 100, where a unit without any of it has 96.
    let exposed = systemd_analyze(&["security", "--offline=true", "--threshold=20", file]).unwrap();
    let told = String::from_utf8_lossy(&exposed.stdout);
    assert!(
        exposed.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&exposed.stderr)
    );
}

#[test]
fn the_composition_is_yaml_and_its_parts_belong_together() {
    let compose: Value = serde_saphyr::from_str(&read("docker/compose.yaml")).expect("YAML");
    let server = &compose["services"]["bailiwick"];
    let command: Vec<_> = server["command"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    assert_eq!(command[0], "up");
    are_options_of_up(command);
    for service in server["depends_on"].as_object().unwrap().keys() {
        assert!(
            compose["services"][service]["healthcheck"].is_object(),
            "{service}"
        );
    }
    let volume = compose["services"]["database"]["volumes"][0]
        .as_str()
        .unwrap();
    let name = volume.split(':').next().unwrap();
    assert!(compose["volumes"].as_object().unwrap().contains_key(name));
    let port = server["ports"][0].as_str().unwrap();
    assert!(
        port.starts_with("127.0.0.1:"),
        "{port} is open to everybody"
    );
    let dockerfile = format!("../{}", server["build"]["dockerfile"].as_str().unwrap());
    assert!(read(&dockerfile).contains("ENTRYPOINT"));
    let url = server["environment"]["BAILIWICK_DATABASE_URL"]
        .as_str()
        .unwrap();
    assert!(url.ends_with("@database/bailiwick"), "{url}");
}

#[test]
fn the_composition_gives_the_server_all_that_it_needs_but_a_database_that_answers() {
    let compose: Value = serde_saphyr::from_str(&read("docker/compose.yaml")).expect("YAML");
    let variables = compose["services"]["bailiwick"]["environment"].clone();
    let machine = machine();
    let mut up = machine.command(["up", "--listen", "127.0.0.1:0"]);
    for name in variables.as_object().unwrap().keys() {
        let value = match name.as_str() {
            "BAILIWICK_DATABASE_URL" => "postgres://bailiwick:x@127.0.0.1:1/bailiwick".to_owned(),
            _ => "5a".repeat(32),
        };
        up.env(name, value);
    }
    let ended = finish(&mut up).exits(125);
    assert!(
        ended.stderr.contains("cannot open the database"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_image_runs_as_nobody_in_particular_and_starts_the_server() {
    let text = read("docker/Dockerfile");
    let value = |instruction: &str| {
        let mut lines = text
            .lines()
            .filter_map(|line| line.strip_prefix(instruction));
        lines
            .next_back()
            .unwrap_or_else(|| panic!("no {instruction}"))
            .trim()
            .to_owned()
    };
    assert_eq!(value("ENTRYPOINT"), r#"["/usr/local/bin/bailiwick"]"#);
    let command: Vec<String> = serde_json::from_str(&value("CMD")).unwrap();
    assert_eq!(command[0], "up");
    are_options_of_up(command.iter().map(String::as_str));
    assert_eq!(value("USER"), "10001:10001");
    // `up` becomes the second.
    let programs = "/source/target/release/bailiwick /source/target/release/bailiwick-server";
    assert!(value("COPY").contains(programs));
    let toolchain = read("../Cargo.toml");
    let version = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap();
    assert!(
        text.contains(&format!("FROM rust:{}-", version.trim_matches('"'))),
        "{version}"
    );
}

#[test]
fn the_variables_of_deploy_are_read() {
    let machine = machine();
    let mut command = machine.command(["up", "--listen", "127.0.0.1:0"]);
    let ended = finish(command.env("BAILIWICK_DATABASE_URL", "mysql://x:secret@y/z")).exits(125);
    assert!(
        ended
            .stderr
            .contains("BAILIWICK_DATABASE_URL cannot be used"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
}
