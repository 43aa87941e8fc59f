//! Repositories, over https and of the server's own machine, by git in sandboxes.

use bailiwick_testkit::{
    Authority, GitHttpsServer, GitRepository, Said, SaidManner, StandIn, descendants, eventually,
};

use super::Place;
use crate::{PATIENCE, machine};

const TOKEN: &str = "canary-5f0be1a7";

/// A repository behind TLS that wants a token, and a server whose sandboxes may reach it.
struct Git {
    source: GitRepository,
    server: GitHttpsServer,
    place: Place,
}

impl Git {
    fn new() -> Self {
        let source = GitRepository::new("source");
        source
            .write(
                "docs/keys.md",
                "# Signing keys\n\nRotate them every ninety days.\n",
            )
            .write("docs/old.md", "# Obsolete\n\nTape drives.\n")
            .write("src/main.rs", "fn main() {\n    let turbine = 1;\n}\n");
        source.commit("first");
        let authority = Authority::new();
        let credentials = format!("x-access-token:{TOKEN}");
        let server = GitHttpsServer::start(&authority, &["git.test"], source.root(), &credentials);
        let pin = format!("git.test={}", server.address());
        let certificate = authority.certificate().display().to_string();
        let options = ["--sandbox-resolve", &pin, "--sandbox-ca", &certificate];
        Self {
            source,
            place: Place::on(machine(), &options, &[]),
            server,
        }
    }

    fn url(&self) -> String {
        format!(
            "https://git.test:{}/source/.git",
            self.server.address().port()
        )
    }

    /// The id of a credential for git's host.
    fn credential(&self) -> String {
        let place = &self.place;
        place.machine.write("token", TOKEN);
        place.does(&["vault", "create", "--name", "readers"]);
        let line = "vault credential create readers --variable TOKEN --allowed-host git.test --secret-file token";
        let line: Vec<_> = line.split_whitespace().collect();
        place.json(&line)["id"].as_str().unwrap().to_owned()
    }
}

#[test]
fn system_a_repository_is_read_by_git_with_a_credential_and_only_what_has_changed_again() {
    let git = Git::new();
    let (place, url) = (&git.place, git.url());
    let refused = place.creates(&format!("code --environment prod --git {url}"));
    let refused = refused.exits(2).stderr;
    assert!(refused.contains("no_rule"), "{refused}");
    // Without a credential the server says no, and that is told.
    let credential = git.credential();
    place
        .creates(&format!("open --environment dev --git {url}"))
        .exits(0);
    let sync = place.synced("open");
    assert_eq!(sync["state"], "failed", "{sync}");
    let line = format!(
        "code --environment dev --git {url} --include docs/** --include **/*.rs --vault readers --credential {credential}"
    );
    place.creates(&line).exits(0);
    let sync = place.synced("code");
    assert_eq!(sync["state"], "done", "{sync}");
    assert_eq!(place.titles("dev", "rotate ninety"), ["Signing keys"]);
    assert_eq!(place.titles("dev", "turbine").len(), 1);
    git.source.write(
        "docs/keys.md",
        "# Signing keys\n\nRotate them every sixty days.\n",
    );
    git.source.git(["rm", "--quiet", "docs/old.md"]);
    git.source.commit("second");
    let sync = place.synced("code");
    let count = |name: &str| sync["counts"][name].as_u64().unwrap();
    let counts = (count("changed"), count("unchanged"), count("gone"));
    assert_eq!(counts, (1, 1, 1), "{sync}");
    assert!(place.titles("dev", "tape drives").is_empty());
    assert_eq!(place.titles("dev", "sixty"), ["Signing keys"]);
    // What git connected to are flows of the environment; the token is in nothing that is shown.
    let flows = eventually("flows are kept", PATIENCE, || {
        let flows = place.json(&["flow", "list", "--environment", "dev"]);
        flows.to_string().contains("git.test").then_some(flows)
    });
    let shown = [
        flows.to_string(),
        place.connector(&["get", "code"]).to_string(),
    ];
    let log = place.up.process.complained();
    for shown in [&shown[0], &shown[1], &log] {
        assert!(!shown.contains(TOKEN), "{shown}");
    }
}

#[test]
fn system_a_commit_that_was_fetched_with_a_credential_is_given_to_nobody_without_it() {
    let git = Git::new();
    let (place, url) = (&git.place, git.url());
    let text = "name: other\nconfig: {type: cloud, networking: {type: limited, allowed_hosts: [git.test]}}\n";
    place.machine.write("other.yaml", text);
    place.does(&["environment", "create", "-f", "other.yaml"]);
    let credential = git.credential();
    let commit = git.source.git(["rev-parse", "HEAD"]);
    let creates = |name: &str, rest: &str| {
        place
            .creates(&format!("{name} --git {url} {rest}"))
            .exits(0);
        place.synced(name)["state"].clone()
    };
    let shown = format!("--vault readers --credential {credential}");
    // It is here now, by a branch and by its hash.
    assert_eq!(
        creates("branch", &format!("--environment dev {shown}")),
        "done"
    );
    let pinned = format!("--environment dev --ref {commit} {shown}");
    assert_eq!(creates("pinned", &pinned), "done");
    for environment in ["dev", "other"] {
        let line = format!("--environment {environment} --ref {commit}");
        let name = format!("open-{environment}");
        assert_eq!(creates(&name, &line), "failed");
    }
    assert!(place.titles("other", "rotate ninety").is_empty());
    // Another secret in the same credential opens nothing that the first did.
    place.machine.write("wrong", "wrong");
    let line = format!("vault credential update readers {credential} --secret-file wrong");
    let line: Vec<_> = line.split_whitespace().collect();
    place.does(&line);
    let again = format!("--environment dev --ref {commit} --include docs/** {shown}");
    assert_eq!(creates("wrong", &again), "failed");
    // The control: the credential opens it elsewhere too.
    let line = format!("vault credential update readers {credential} --secret-file token");
    let line: Vec<_> = line.split_whitespace().collect();
    place.does(&line);
    let elsewhere = format!("--environment other --ref {commit} {shown}");
    assert_eq!(creates("elsewhere", &elsewhere), "done");
    assert_eq!(place.titles("other", "rotate ninety"), ["Signing keys"]);
}

#[test]
fn system_what_a_repository_holds_leads_nowhere_and_runs_nothing() {
    let git = Git::new();
    let place = &git.place;
    let files = git.source.path();
    std::os::unix::fs::symlink("/etc/passwd", files.join("docs/passwd.md")).unwrap();
    std::os::unix::fs::symlink("../..", files.join("docs/up")).unwrap();
    git.source
        .write(".gitattributes", "*.md filter=evil\n")
        .write(
            ".gitmodules",
            "[submodule \"x\"]\n\tpath = x\n\turl = https://evil.test/x\n",
        )
        .write(
            "docs/.git-hooks/post-checkout",
            "#!/bin/sh\ntouch /tmp/ran\n",
        );
    git.source.commit("hostile");
    let credential = git.credential();
    let line = format!(
        "code --environment dev --git {} --vault readers --credential {credential}",
        git.url()
    );
    place.creates(&line).exits(0);
    let sync = place.synced("code");
    assert_eq!(sync["state"], "done", "{sync}");
    assert_eq!(place.titles("dev", "rotate ninety"), ["Signing keys"]);
    assert!(place.titles("dev", "root bash nologin").is_empty());
    let documents = place.connector(&["documents", "code"]).to_string();
    assert!(!documents.contains("passwd"), "{documents}");
    // Other transports are refused when they are written.
    for url in [
        "ssh://git@git.test/source",
        "git@git.test:source",
        "http://git.test/source",
        "git://git.test/source",
        "ext::sh -c id",
    ] {
        let line = [
            "knowledge-connector",
            "create",
            "x",
            "--environment",
            "dev",
            "--git",
            url,
        ];
        let refused = place.up.asks(&place.machine, &line);
        assert_eq!(refused.code, 2, "{url}: {}", refused.stderr);
        assert!(
            refused.stderr.contains("source.repository"),
            "{}",
            refused.stderr
        );
    }
}

#[test]
fn system_a_repository_of_the_servers_machine_is_read_only_below_what_the_operator_named() {
    let git = Git::new();
    let place = &git.place;
    let outside = format!("code --environment dev --git {}", git.source.url());
    let refused = place.creates(&outside).exits(2).stderr;
    assert!(refused.contains("knowledge_roots"), "{refused}");
    // The same, cloned to where the operator lets it be read.
    let notes = place.notes();
    let into = format!("{notes}/clone");
    git.source.git(["clone", "--quiet", ".", &into]);
    let line = format!("own --environment prod --git file://{into}");
    place.creates(&line).exits(0);
    let sync = place.synced("own");
    assert_eq!(sync["state"], "done", "{sync}");
    assert_eq!(place.titles("prod", "rotate ninety"), ["Signing keys"]);
    assert!(place.titles("dev", "rotate ninety").is_empty());
}

#[test]
fn system_a_policy_that_is_tightened_ends_a_fetch() {
    let authority = Authority::new();
    // It takes requests and says nothing, for longer than anybody here waits.
    let silent = StandIn::secure(&authority, &["git.test"], |_| Said {
        manner: SaidManner::Silent,
        ..Said::status(200)
    });
    let pin = format!("git.test={}", silent.address());
    let certificate = authority.certificate().display().to_string();
    let options = ["--sandbox-resolve", &pin, "--sandbox-ca", &certificate];
    let place = Place::on(machine(), &options, &[]);
    let port = silent.address().port();
    place
        .creates(&format!(
            "code --environment dev --git https://git.test:{port}/source"
        ))
        .exits(0);
    eventually("git asks", PATIENCE, || {
        (!silent.asked().is_empty()).then_some(())
    });
    let fetches = || {
        let all = descendants(place.up.process.id());
        all.iter().any(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("git-remote-https")
        })
    };
    assert!(fetches());
    place.machine.write(
        "dev.yaml",
        "name: dev\nconfig: {type: cloud, networking: {type: limited}}\n",
    );
    place.does(&["environment", "update", "dev", "-f", "dev.yaml"]);
    let sync = eventually("the end of the sync", PATIENCE, || {
        let found = place.connector(&["get", "code"]);
        (found["sync"]["state"] == "failed").then(|| found["sync"].clone())
    });
    assert!(
        sync["error"].as_str().unwrap().contains("no_rule"),
        "{sync}"
    );
    eventually("the end of the fetch", PATIENCE, || {
        (!fetches()).then_some(())
    });
}
