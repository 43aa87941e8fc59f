//! What a session's sandbox is made with, and what is told when that cannot be had.

use std::fs;
use std::io::copy;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bailiwick_model::limits::TOOL_SHELL_ANSWER;
use bailiwick_testkit::{Authority, Bailiwick, GitHttpsServer, GitRepository, ModelStep, User};
use serde_json::{Value, json};

use crate::work::{Place, bash, id};

const TOKEN: &str = "ghp-canary-0123456789";

/// github.com, on a loopback address of its own: https has one port.
struct GitHub {
    authority: Authority,
    address: SocketAddr,
    _server: GitHttpsServer,
    _root: tempfile::TempDir,
}

impl GitHub {
    /// With a repository by each of these names, which are all the same one. None where nobody may listen on port 443.
    fn start(repository: &GitRepository, names: &[&str]) -> Option<Self> {
        if !User::current().is_root() {
            eprintln!("skipped: port 443 is root's to listen on");
            return None;
        }
        let root = tempfile::tempdir().unwrap();
        let owner = root.path().join("owner");
        fs::create_dir(&owner).unwrap();
        for name in names {
            std::os::unix::fs::symlink(repository.path(), owner.join(name)).unwrap();
        }
        let authority = Authority::new();
        let credentials = format!("x-access-token:{TOKEN}");
        let server = GitHttpsServer::start(&authority, &["github.com"], root.path(), &credentials);
        Some(Self {
            address: forwarded(server.address()),
            authority,
            _server: server,
            _root: root,
        })
    }

    fn options(&self) -> Vec<String> {
        let certificate = self.authority.certificate().display().to_string();
        let pin = format!("github.com={}", self.address);
        ["--sandbox-resolve", &pin, "--sandbox-ca", &certificate]
            .map(str::to_owned)
            .into()
    }
}

/// Port 443 of an address that nobody else of this machine listens on, which leads to a server.
fn forwarded(server: SocketAddr) -> SocketAddr {
    let [high, low] = server.port().to_be_bytes();
    let listener = TcpListener::bind((Ipv4Addr::new(127, 43, high, low), 443));
    let listener = listener.expect("root may listen on port 443");
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || forward(&client, server));
        }
    });
    address
}

#[expect(clippy::disallowed_methods, reason = "a test is the client")]
fn forward(client: &TcpStream, server: SocketAddr) {
    let Ok(server) = TcpStream::connect(server) else {
        return;
    };
    std::thread::scope(|scope| {
        scope.spawn(|| copy(&mut &*client, &mut &server));
        let _ = copy(&mut &server, &mut &*client);
        let _ = client.shutdown(std::net::Shutdown::Both);
    });
}

fn repository(name: &str, token: &str, more: &Value) -> Value {
    let mut body = json!({
        "type": "github_repository",
        "url": format!("https://github.com/owner/{name}"),
        "authorization_token": token,
        "mount_path": format!("/workspace/{name}"),
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

/// The errors that the session was told of, in their order: type, and how it goes on.
fn errors(place: &Place, session: &str) -> Vec<(String, String)> {
    let events = place.events(session).into_iter();
    let errors = events.filter(|event| event["type"] == "session.error");
    let word = |value: &Value| value["type"].as_str().unwrap().to_owned();
    errors
        .map(|event| (word(&event["error"]), word(&event["error"]["retry_status"])))
        .collect()
}

#[test]
fn system_repositories_are_there_at_their_branch_and_commit_and_the_token_is_not() {
    let source = GitRepository::new("source");
    source.write("file", "first\n");
    let first = source.commit("first");
    source.write("file", "second\n");
    source.commit("second");
    source.git(["branch", "other"]);
    source.write("file", "third\n");
    source.commit("third");
    let Some(hub) = GitHub::start(&source, &["head", "branch", "commit"]) else {
        return;
    };
    let options = hub.options();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let look = "cat head/file branch/file commit/file; git -C branch branch --show-current; \
                env; cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; git config --list --show-origin; cat */.git/config; \
                grep -rsl ghp-canary /workspace /home /tmp /var/tmp /mnt; echo searched";
    let push = "cd head && git fetch 2>&1 && echo fetched";
    let steps = [bash(look), bash(push), ModelStep::text("Done.")];
    let place = Place::new(steps, &options);
    let environment = place.environment(&json!({"type": "limited"}));
    let resources = json!([
        repository("head", TOKEN, &Value::Null),
        repository(
            "branch",
            TOKEN,
            &json!({"checkout": {"type": "branch", "name": "other"}})
        ),
        repository(
            "commit",
            TOKEN,
            &json!({"checkout": {"type": "commit", "sha": first}})
        ),
    ]);
    let session = place.session(&environment, &json!({"resources": resources}));
    let results = place.says(&session, "Go.");
    let looked = &results[0];
    assert!(
        looked.starts_with("third\nsecond\nfirst\nother\n"),
        "{looked}"
    );
    assert!(looked.contains("searched"), "{looked}");
    assert!(!looked.contains("canary"), "{looked}");
    let encoded = "eC1hY2Nlc3MtdG9rZW46"; // x-access-token:
    assert!(!looked.contains(encoded), "{looked}");
    assert!(results[1].contains("fetched"), "control: {results:#?}");
    assert_eq!(errors(&place, &session), []);
    let told = format!("{:?}", place.events(&session));
    assert!(!told.contains(TOKEN));
    place.up.stop();
}

#[test]
fn system_what_cannot_be_cloned_is_told_once_as_what_it_is_and_the_session_goes_on() {
    let source = GitRepository::new("source");
    source.write("file", "first\n");
    source.commit("first");
    let Some(hub) = GitHub::start(&source, &["right", "wrong", "checkout"]) else {
        return;
    };
    let options = hub.options();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let steps = [
        bash("cat right/file; ls"),
        bash("ls"),
        ModelStep::text("Done."),
    ];
    let place = Place::new(steps, &options);
    let environment = place.environment(&json!({"type": "limited"}));
    let missing = json!({"checkout": {"type": "branch", "name": "missing"}});
    let resources = json!([
        repository("right", TOKEN, &Value::Null),
        repository("wrong", "ghp-canary-another", &Value::Null),
        repository("nothing", TOKEN, &Value::Null),
        repository("checkout", TOKEN, &missing),
    ]);
    let session = place.session(&environment, &json!({"resources": resources}));
    let results = place.says(&session, "Go.");
    assert!(results[0].starts_with("first\n"), "{results:#?}");
    let retrying = |word: &str| (word.to_owned(), "retrying".to_owned());
    assert_eq!(
        errors(&place, &session),
        [
            "repository_authentication_error",
            "repository_not_found_error",
            "repository_checkout_error"
        ]
        .map(retrying),
        "each once: {results:#?}"
    );
    for result in &results {
        assert!(result.contains("repository_checkout_error"), "{result}");
    }
    let told = format!("{:?}", place.events(&session));
    assert!(!told.contains("canary"));
    place.up.stop();
}

/// A commit that is of no branch is not cloned with the others.
#[test]
fn system_a_repository_without_its_commit_is_told_so_each_time_and_comes_when_the_commit_does() {
    let source = GitRepository::new("source");
    source.write("file", "first\n");
    let first = source.commit("first");
    source.write("file", "later\n");
    let later = source.commit("later");
    source.git(["reset", "--quiet", "--hard", &first]);
    let Some(hub) = GitHub::start(&source, &["app"]) else {
        return;
    };
    let options = hub.options();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let steps = [
        bash("ls app"),
        bash("ls app"),
        ModelStep::text("Done."),
        bash("cat app/file; git -C app rev-parse HEAD; ls -A | grep clone; echo end"),
        ModelStep::text("Done."),
    ];
    let place = Place::new(steps, &options);
    let environment = place.environment(&json!({"type": "limited"}));
    let checkout = json!({"checkout": {"type": "commit", "sha": later}});
    let resources = json!([repository("app", TOKEN, &checkout)]);
    let session = place.session(&environment, &json!({"resources": resources}));
    let results = place.says(&session, "Go.");
    for result in &results {
        assert!(result.contains("No such file"), "{result}");
        assert!(result.contains("repository_checkout_error"), "{result}");
    }
    let checkout = "repository_checkout_error".to_owned();
    let told = [(checkout, "retrying".to_owned())];
    assert_eq!(errors(&place, &session), told, "once: {results:#?}");
    source.git(["branch", "later", &later]);
    let results = place.says(&session, "Again.");
    let expect = format!("later\n{later}\nend");
    assert_eq!(results[2], expect, "{results:#?}");
    assert_eq!(errors(&place, &session), told, "{results:#?}");
    place.up.stop();
}

#[test]
fn system_a_credential_for_a_host_that_is_denied_is_told() {
    let steps = [bash("true"), ModelStep::text("Done.")];
    let place = Place::new(steps, &[]);
    let networking = json!({"type": "limited", "denied_hosts": ["*.denied.test"]});
    let environment = place.environment(&networking);
    let vault = id(&place.asks("POST", "/v1/vaults", &json!({"display_name": "vault"})));
    for (name, host) in [
        ("REACHED", "allowed.test"),
        ("UNREACHED", "api.denied.test"),
    ] {
        let credential = json!({"auth": {
            "type": "environment_variable", "secret_name": name, "secret_value": "a-secret-word",
            "networking": {"type": "limited", "allowed_hosts": [host]},
        }});
        let path = format!("/v1/vaults/{vault}/credentials");
        place.asks("POST", &path, &credential);
    }
    let session = place.session(&environment, &json!({"vault_ids": [vault]}));
    place.says(&session, "Go.");
    let terminal = ("credential_host_unreachable_error", "terminal");
    let terminal = (terminal.0.to_owned(), terminal.1.to_owned());
    assert_eq!(errors(&place, &session), [terminal]);
    let events = place.events(&session);
    let error = events.iter().find(|event| event["type"] == "session.error");
    let error = &error.unwrap()["error"];
    assert_eq!(error["vault_id"], vault);
    assert!(error["message"].as_str().unwrap().contains("UNREACHED"));
    place.up.stop();
}

/// What this session's server keeps: of servers beside it, others may be there.
fn kept(machine: &Bailiwick, session: &str) -> Vec<PathBuf> {
    let servers = fs::read_dir(machine.servers());
    let servers = servers.into_iter().flatten().flatten();
    let own = servers.map(|server| server.path());
    own.filter(|server| server.join("uploads").join(session).exists())
        .collect()
}

fn checkpoints(server: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(server.join("checkpoints"))
        .into_iter()
        .flatten();
    files.flatten().map(|file| file.path()).collect()
}

#[test]
fn system_a_damaged_checkpoint_is_told_and_the_session_goes_on_in_another_sandbox() {
    let steps = (0..3).flat_map(|_| [bash("cat file; echo kept > file"), ModelStep::text("Done.")]);
    let place = Place::new(steps, &["--sandbox-idle", "1s"]);
    let environment = place.environment(&json!({"type": "limited"}));
    let file = place.upload("in.txt", "what came in\n");
    let resources = json!([{"type": "file", "file_id": file, "mount_path": "/in.txt"}]);
    let session = place.session(&environment, &json!({"resources": resources}));
    place.says(&session, "Go.");
    place.waits_until_none_runs();
    let results = place.says(&session, "Again.");
    assert_eq!(results[1], "kept", "control");
    place.waits_until_none_runs();
    let servers = kept(&place.machine, &session);
    let [archive] = &checkpoints(&servers[0])[..] else {
        panic!("one checkpoint");
    };
    let whole = fs::metadata(archive).unwrap().len();
    let file = fs::File::options().write(true).open(archive).unwrap();
    file.set_len(whole - 1).unwrap();
    let results = place.says(&session, "Once more.");
    assert!(results[2].contains("started anew"), "{results:#?}");
    assert!(!results[2].starts_with("kept"), "{results:#?}");
    let terminal = ("unknown_error".to_owned(), "terminal".to_owned());
    assert_eq!(errors(&place, &session), [terminal]);
    assert_eq!(checkpoints(&servers[0]), Vec::<PathBuf>::new());
    place.up.stop();
    assert!(
        kept(&place.machine, &session).is_empty(),
        "nothing stays of a server that ended"
    );
}

/// What runs in a shell decides whether it answers, and not for how long nobody else gets at its sandbox.
#[test]
fn system_a_shell_that_does_not_answer_is_not_waited_for_and_the_files_are_kept() {
    let stop = "cd /tmp; echo kept > /workspace/file; (sleep 1; kill -STOP $$) > /dev/null 2>&1 &";
    let steps = [
        bash(stop),
        ModelStep::text("Done."),
        bash("pwd; cat /workspace/file"),
        ModelStep::text("Done."),
    ];
    let place = Place::new(steps, &["--sandbox-idle", "3s"]);
    let environment = place.environment(&json!({"type": "limited"}));
    let session = place.session(&environment, &Value::Null);
    place.says(&session, "Go.");
    let begun = Instant::now();
    place.waits_until_none_runs();
    // So long a shell has for a command.
    assert!(begun.elapsed() < TOOL_SHELL_ANSWER, "it was waited for");
    let results = place.says(&session, "Again.");
    assert!(results[1].starts_with("/workspace\nkept"), "{results:#?}");
    place.up.stop();
}

#[test]
fn system_a_killed_server_s_files_go_with_the_next_start_and_the_agent_is_told() {
    let steps = (0..2).flat_map(|_| [bash("cat file; echo kept > file"), ModelStep::text("Done.")]);
    let options = ["--sandbox-idle", "1s"];
    let mut place = Place::new(steps, &options);
    let environment = place.environment(&json!({"type": "limited"}));
    let file = place.upload("in.txt", "what came in\n");
    let resources = json!([{"type": "file", "file_id": file, "mount_path": "/in.txt"}]);
    let session = place.session(&environment, &json!({"resources": resources}));
    place.says(&session, "Go.");
    place.waits_until_none_runs();
    let before = kept(&place.machine, &session);
    assert_eq!(before.len(), 1, "control");
    assert_eq!(checkpoints(&before[0]).len(), 1, "control");
    place.restart_killed(&options);
    assert!(!before[0].exists(), "{:?}", before[0]);
    let results = place.says(&session, "Again.");
    assert!(results[1].contains("started anew"), "{results:#?}");
    assert!(!results[1].starts_with("kept"), "{results:#?}");
    place.up.stop();
}

#[test]
fn system_a_project_is_there_at_its_head_with_what_its_set_up_made() {
    let source = GitRepository::new("source");
    source.write("file", "first\n");
    source.commit("first");
    let authority = Authority::new();
    let server = GitHttpsServer::start(&authority, &["git.test"], source.root(), "");
    let certificate = authority.certificate().display().to_string();
    let pin = format!("git.test={}", server.address());
    let options = ["--sandbox-resolve", &pin, "--sandbox-ca", &certificate];
    let look =
        "cd source; cat file made; git status --short; echo mine > file; git log --format=%s";
    let steps = [bash(look), ModelStep::text("Done.")];
    let place = Place::new(steps, &options);
    let project = json!({
        "repository": format!("https://git.test:{}/source", server.address().port()),
        "setup": ["cat file file > made"],
    });
    let networking = json!({"type": "limited"});
    let config = json!({"type": "cloud", "networking": networking, "project": project});
    let body = json!({"name": place.name(), "config": config});
    let environment = id(&place.asks("POST", "/v1/environments", &body));
    let session = place.session(&environment, &Value::Null);
    let results = place.says(&session, "Go.");
    assert!(
        results[0].starts_with("first\nfirst\nfirst\n") && results[0].contains("\nfirst"),
        "{results:#?}"
    );
    assert_eq!(errors(&place, &session), []);
    place.up.stop();
}

/// What cannot be built is told, and the session goes on: the next call tries it again.
#[test]
fn system_an_image_that_cannot_be_built_is_told_once_and_the_session_goes_on() {
    let authority = Authority::new();
    let source = GitRepository::new("source");
    let server = GitHttpsServer::start(&authority, &["git.test"], source.root(), "");
    let certificate = authority.certificate().display().to_string();
    let pin = format!("git.test={}", server.address());
    let options = ["--sandbox-resolve", &pin, "--sandbox-ca", &certificate];
    let steps = [bash("true"), bash("true"), ModelStep::text("Done.")];
    let place = Place::new(steps, &options);
    let repository = format!("https://git.test:{}/nothing", server.address().port());
    let config = json!({"type": "cloud", "project": {"repository": repository}});
    let body = json!({"name": place.name(), "config": config});
    let environment = id(&place.asks("POST", "/v1/environments", &body));
    let session = place.session(&environment, &Value::Null);
    let results = place.says(&session, "Go.");
    for result in &results {
        assert!(result.contains("cannot be built"), "{results:#?}");
    }
    let retrying = ("unknown_error".to_owned(), "retrying".to_owned());
    assert_eq!(errors(&place, &session), [retrying]);
    place.up.stop();
}
