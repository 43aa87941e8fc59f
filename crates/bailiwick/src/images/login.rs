//! Who pulls images, as docker's configuration says: the file that `docker login` writes.
//!
//! Only what stands in the file is taken. It may also name a program that keeps passwords (`credsStore`, `credHelpers`); that is another
//! program of this host, with all that the caller may do, and no other program is executed.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, bail};
use bailiwick_images::base::oci::Login;
use bailiwick_images::{LOGIN_PASSWORD, LOGIN_USER};
use bailiwick_model::limits::DOCKER_CONFIG_BYTES;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::bad_input::{BadInput, read_text};

/// The registry that a name without one means, and the host under which docker keeps its login.
const DOCKER_HUB: (&str, &str) = ("docker.io", "index.docker.io");

/// What the file has for a registry.
pub(super) enum Found {
    /// A name and a password.
    Login(Login),
    /// A program may have them, which is not asked.
    Kept(Kept),
    /// Nothing.
    Nothing,
}

/// A login that another program keeps.
pub(super) struct Kept {
    registry: String,
    by: String,
}

/// What matters of `config.json`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    /// By the registry's host, or a URL of it.
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

/// What was written at one login.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// Name, colon and password, in base64.
    auth: Option<String>,
    identitytoken: Option<String>,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, by } = self;
        write!(
            f,
            "docker-credential-{by} may have a login for {registry}; it is not executed, and the image is pulled without one (or set {LOGIN_USER} and {LOGIN_PASSWORD})"
        )
    }
}

/// What the file has for a registry; a file that is not there has nothing.
pub(super) fn of_docker(file: &Path, registry: &str) -> anyhow::Result<Found> {
    let text = match read_text(file, DOCKER_CONFIG_BYTES) {
        Err(BadInput::Unreadable { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Ok(Found::Nothing);
        }
        other => other?,
    };
    let unreadable = || {
        let file = file.display();
        format!("cannot read the login for {registry} from {file}")
    };
    find(&text, registry).with_context(unreadable)
}

fn find(text: &str, registry: &str) -> anyhow::Result<Found> {
    // The parser's own words may quote what it read, which may be a password.
    let config: Config = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        anyhow::anyhow!("it is no configuration of docker, at line {line}, column {column}")
    })?;
    for entry in of(&config.auths, registry) {
        if is_set(entry.identitytoken.as_ref()) {
            bail!(
                "it has an identity token, which is not supported: log in with a user name and a password or access token"
            );
        }
        if let Some(auth) = entry.auth.as_ref().filter(|auth| !auth.is_empty()) {
            return decoded(auth)
                .map(Found::Login)
                .context("it is no name and password in base64");
        }
    }
    let mut helpers = of(&config.cred_helpers, registry).chain(&config.creds_store);
    let helper = helpers.find(|helper| !helper.is_empty());
    Ok(helper.map_or(Found::Nothing, |by| {
        Found::Kept(Kept {
            registry: registry.to_owned(),
            by: by.clone(),
        })
    }))
}

fn is_set(text: Option<&String>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

/// What stands under the host of a registry, however that is written.
fn of<'a, T>(map: &'a BTreeMap<String, T>, registry: &'a str) -> impl Iterator<Item = &'a T> {
    let is_hub = registry == DOCKER_HUB.0;
    map.iter()
        .filter(move |(key, _)| {
            let host = host(key);
            host == registry || is_hub && host == DOCKER_HUB.1
        })
        .map(|(_, value)| value)
}

/// The host, with its port, of `host`, `https://host` or `https://host/v1/`.
fn host(key: &str) -> &str {
    let scheme = ["https://", "http://"];
    let rest = scheme.iter().find_map(|scheme| key.strip_prefix(scheme));
    let rest = rest.unwrap_or(key);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

fn decoded(auth: &str) -> Option<Login> {
    let text = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Login {
        user: user.to_owned(),
        password: password.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "puller:se:cret", base64 (RFC 4648).
    const AUTH: &str = "cHVsbGVyOnNlOmNyZXQ=";

    fn found(text: &str, registry: &str) -> String {
        match find(text, registry) {
            Ok(Found::Login(login)) => format!("{} {}", login.user, login.password),
            Ok(Found::Kept(kept)) => kept.by,
            Ok(Found::Nothing) => "nothing".to_owned(),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn a_login_is_found_under_each_form_of_its_registrys_name_and_no_other() {
        for (key, registry) in [
            ("registry.example.com", "registry.example.com"),
            ("https://registry.example.com/v1/", "registry.example.com"),
            ("https://registry.example.com", "registry.example.com"),
            ("localhost:5000", "localhost:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
        ] {
            let text = format!(r#"{{"auths": {{"{key}": {{"auth": "{AUTH}"}}}}}}"#);
            assert_eq!(found(&text, registry), "puller se:cret", "{key}");
            for other in [
                "example.com",
                "registry.example.com.evil.example",
                "localhost",
                "localhost:5001",
                "quay.io",
            ] {
                assert_eq!(found(&text, other), "nothing", "{key}");
            }
        }
    }

    #[test]
    fn what_a_program_keeps_is_told_unless_the_file_has_it_too() {
        let store = format!(
            r#"{{"credsStore": "all", "credHelpers": {{"quay.io": "one"}}, "auths": {{"ghcr.io": {{"auth": "{AUTH}"}}, "quay.io": {{}}}}}}"#
        );
        assert_eq!(found(&store, "docker.io"), "all");
        assert_eq!(found(&store, "quay.io"), "one");
        assert_eq!(found(&store, "ghcr.io"), "puller se:cret");
        let helper = r#"{"credHelpers": {"quay.io": "one"}}"#;
        assert_eq!(found(helper, "docker.io"), "nothing");
        assert_eq!(found("{}", "docker.io"), "nothing");
    }

    #[test]
    fn what_is_no_login_is_refused_without_a_word_of_it() {
        let entry = |entry: &str| format!(r#"{{"auths": {{"quay.io": {entry}}}}}"#);
        for text in [
            entry(r#"{"auth": "hunter2!"}"#),
            entry(r#"{"auth": "aHVudGVyMg=="}"#),
            entry(r#""hunter2""#),
            r#"{"auths": "hunter2"}"#.to_owned(),
        ] {
            let told = found(&text, "quay.io");
            assert!(told.starts_with("it is no "), "{told}");
            assert!(
                !told.contains("hunter2") && !told.contains("aHVu"),
                "{told}"
            );
        }
        let token = entry(&format!(
            r#"{{"auth": "{AUTH}", "identitytoken": "hunter2"}}"#
        ));
        let told = found(&token, "quay.io");
        assert!(told.contains("identity token") && !told.contains("hunter2"));
    }

    #[test]
    fn a_file_that_is_not_there_has_nothing_and_one_that_is_too_large_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.json");
        assert!(matches!(of_docker(&file, "quay.io"), Ok(Found::Nothing)));
        std::fs::write(&file, " ".repeat(DOCKER_CONFIG_BYTES) + "{}").unwrap();
        assert!(of_docker(&file, "quay.io").is_err());
        std::fs::write(&file, " ".repeat(DOCKER_CONFIG_BYTES - 2) + "{}").unwrap();
        assert!(matches!(of_docker(&file, "quay.io"), Ok(Found::Nothing)));
    }
}
