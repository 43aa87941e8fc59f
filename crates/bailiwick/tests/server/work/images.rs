//! What sandboxes of sessions stand on, and what is installed in them: bases of a registry, packages of real ones, projects and repositories.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bailiwick_testkit::{
    Authority, Bailiwick, GitHttpsServer, GitRepository, ModelStep, OciRegistry, Postgres,
    SecureRegistry, User, root_archive,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Place, bash, id};

/// An image is pulled, or packages are installed from a registry of the network.
const BUILD: Duration = Duration::from_secs(600);

fn done() -> ModelStep {
    ModelStep::text("Done.")
}

/// A registry of the network, `registry.test`, that anybody may pull from.
struct Registry {
    authority: Authority,
    plain: OciRegistry,
    secure: SecureRegistry,
    layers: TempDir,
}

impl Registry {
    fn start() -> Self {
        let (authority, plain) = (Authority::new(), OciRegistry::start());
        Self {
            secure: plain.over_https(&authority, &["registry.test"]),
            layers: tempfile::tempdir().unwrap(),
            authority,
            plain,
        }
    }

    fn options(&self) -> [String; 4] {
        let certificate = self.authority.certificate().display().to_string();
        let pin = format!("registry.test=127.0.0.1:{}", self.secure.port());
        [
            "--sandbox-resolve".to_owned(),
            pin,
            "--sandbox-ca".to_owned(),
            certificate,
        ]
    }

    /// Pushes an image of one program and a shell, with these entries over them.
    fn push(&self, name: &str, entries: &[Value]) -> String {
        let file = |name: &str| -> PathBuf { self.layers.path().join(name) };
        let (root, above) = (file("root.tar.gz"), file("above.tar.gz"));
        root_archive(&root, &json!([{"program": "/bin/bash"}]));
        let bare = [json!({"bare": true})];
        let entries: Vec<_> = bare.iter().chain(entries).cloned().collect();
        root_archive(&above, &Value::from(entries));
        self.plain.push(name, &[&root, &above])
    }

    fn base(&self, name: &str) -> String {
        format!("oci:registry.test:{}/{name}", self.secure.port())
    }
}

impl Place {
    fn for_images(
        machine: Bailiwick,
        steps: impl IntoIterator<Item = ModelStep>,
        options: &[String],
    ) -> Self {
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        Self::on(machine, steps, &options, &[])
    }

    fn of(&self, config: &Value) -> String {
        let mut config = config.clone();
        config["type"] = "cloud".into();
        let body = json!({"name": self.name(), "config": config});
        id(&self.asks("POST", "/v1/environments", &body))
    }

    /// As [`Self::says`], where an image may have to be built first.
    fn says_patiently(&self, session: &str, text: &str) -> Vec<String> {
        let idle = self.count(session, "session.status_idle");
        self.tells(session, text);
        self.rests_within(session, idle + 1, BUILD);
        self.results(session)
    }

    /// What a session was told of errors.
    fn told(&self, session: &str) -> Vec<Value> {
        let events = self.events(session).into_iter();
        let errors = events.filter(|event| event["type"] == "session.error");
        errors.map(|event| event["error"].clone()).collect()
    }

    /// How many layers there are of the organization.
    fn layers(&self) -> usize {
        let organization = id(&self.asks("GET", "/api/organization", &Value::Null));
        let layers = std::fs::read_dir(self.machine.images().join("layers"));
        let records = layers
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|layer| std::fs::read_to_string(layer.path().join("layer.json")).ok());
        records
            .filter(|record| record.contains(&organization))
            .count()
    }
}

fn machines() -> Vec<Bailiwick> {
    Bailiwick::each(env!("CARGO_BIN_EXE_bailiwick"))
}

/// A tag is looked up once for each revision of an environment; the tools work on a root that has nothing of this machine's.
#[test]
fn system_a_session_stands_on_its_base_by_digest_and_comes_back_on_it() {
    let registry = Registry::start();
    let edition = |text: &str| {
        [json!({"name": "etc/edition", "content": format!("{text}\n"), "mode": 0o644})]
    };
    for machine in machines() {
        registry.push("team/base:1", &edition("first"));
        let look = "cat /etc/edition; id -u; ls /usr/bin/env 2>/dev/null || echo nothing of the host; touch /bin/x 2>/dev/null || echo read-only; echo kept > file; WORD=kept";
        let tool = |name: &str, input: Value| ModelStep::tool(name, input);
        let file = "/workspace/words";
        let steps = [
            bash(look),
            tool("write", json!({"file_path": file, "content": "one word\n"})),
            tool("grep", json!({"pattern": "word", "path": "/workspace"})),
            tool("glob", json!({"pattern": "*", "path": "/workspace"})),
            done(),
            bash("cat /etc/edition file words; echo $WORD"),
            done(),
            bash("cat /etc/edition"),
            done(),
            bash("cat /etc/edition"),
            done(),
        ];
        let options = [
            &registry.options()[..],
            &["--sandbox-idle".into(), "1s".into()],
        ]
        .concat();
        let place = Place::for_images(machine, steps, &options);
        let environment = place.of(&json!({"base": registry.base("team/base:1")}));
        let session = place.session(&environment, &Value::Null);
        let results = place.says_patiently(&session, "Go.");
        assert_eq!(place.told(&session), Vec::<Value>::new(), "{results:#?}");
        assert!(
            results[0].starts_with("first\n1000\nnothing of the host\nread-only"),
            "{results:#?}"
        );
        assert!(results[2].contains("words"), "{results:#?}");
        assert!(results[3].contains("/workspace/file"), "{results:#?}");
        place.waits_until_none_runs();
        registry.push("team/base:1", &edition("second"));
        let results = place.says_patiently(&session, "Again.");
        assert_eq!(results[4], "first\nkept\none word\nkept", "{results:#?}");
        // The same revision, and then another one.
        let later = place.session(&environment, &Value::Null);
        assert_eq!(place.says_patiently(&later, "Go."), ["first"]);
        let path = format!("/v1/environments/{environment}");
        place.asks("POST", &path, &json!({"description": "looked up again"}));
        let newest = place.session(&environment, &Value::Null);
        assert_eq!(place.says_patiently(&newest, "Go."), ["second"]);
        place.up.stop();
    }
}

/// What a hostile image may try: to have what the server places inside written or read elsewhere, and to keep rights.
#[test]
fn system_a_hostile_base_leads_nothing_that_is_placed_inside_elsewhere() {
    const SECRET: &str = "secret of this machine";
    let registry = Registry::start();
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let away = outside.path().to_str().unwrap();
    let link = |name: &str, target: &str| json!({"name": name, "link": target});
    let mut entries = vec![
        link("etc/passwd", secret.to_str().unwrap()),
        link("etc/resolv.conf", "/mnt/session/uploads/in.txt"),
        link("etc/hosts", "../../../../../../etc/hostname"),
        link("etc/bailiwick", away),
        link("etc/ssl", "/opt/trust"),
        json!({"name": "opt/trust/certs/ca-certificates.crt", "content": ""}),
        link("etc/pki", "/workspace"),
        link("mnt", away),
        link("workspace", "/etc"),
        link("home", away),
        link("tmp", "tmp"),
        link("run", away),
        link("dev", away),
        link(".layers", "/etc"),
        link("loop", "loop"),
        link("srv", "../../../.."),
        json!({"name": "bin/raise", "content": "#!/bin/sh\nid -u\n", "mode": 0o6755}),
        json!({"name": "bin/device", "device": true, "mode": 0o666}),
        json!({"name": "var/.wh...", "content": ""}),
        json!({"name": "var/.wh.", "content": ""}),
    ];
    let whiteouts = (0..2_000).map(|n| json!({"name": format!("usr/.wh.{n}"), "content": ""}));
    entries.extend(whiteouts);
    for machine in machines() {
        let look = format!(
            "cat /mnt/session/uploads/in.txt; cat /etc/resolv.conf; test -s $SSL_CERT_FILE && id -u; raise; \
             ls /bin/device 2>/dev/null || echo no device; cat /etc/passwd {away}/secret 2>/dev/null; echo x > {away}/written 2>/dev/null; \
             echo out > /mnt/session/outputs/out.txt && echo written; pwd; touch /workspace/own /tmp/own && echo own"
        );
        let place = Place::for_images(machine, [bash(&look), done()], &registry.options());
        registry.push("team/hostile:1", &entries);
        let environment = place.of(&json!({"base": registry.base("team/hostile:1")}));
        let file = place.upload("in.txt", "what came in\n");
        let vault = id(&place.asks("POST", "/v1/vaults", &json!({"display_name": "vault"})));
        let resources = json!([{"type": "file", "file_id": file, "mount_path": "/in.txt"}]);
        let more = json!({"resources": resources, "vault_ids": [vault]});
        let session = place.session(&environment, &more);
        let results = place.says_patiently(&session, "Go.");
        assert_eq!(place.told(&session), Vec::<Value>::new(), "{results:#?}");
        let result = &results[0];
        assert!(
            result.starts_with("what came in\nnameserver "),
            "{results:#?}"
        );
        assert!(result.contains("1000\n1000\nno device\n"), "{results:#?}");
        assert!(result.contains("written\n/workspace\nown"), "{results:#?}");
        assert!(!result.contains(SECRET), "{results:#?}");
        assert!(!outside.path().join("written").exists());
        let left: Vec<_> = std::fs::read_dir(outside.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        place.up.stop();
    }
}

#[test]
fn system_a_base_that_cannot_be_had_is_told_with_what_the_registry_said() {
    let registry = Registry::start();
    let steps = (0..3).flat_map(|_| [bash("true"), done()]);
    let place = Place::for_images(crate::machine(), steps, &registry.options());
    let environment = place.of(&json!({"base": registry.base("team/nothing:1")}));
    let session = place.session(&environment, &Value::Null);
    let results = place.says_patiently(&session, "Go.");
    let told = place.told(&session);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["retry_status"]["type"], "retrying");
    let message = told[0]["message"].as_str().unwrap();
    assert!(
        message.contains("cannot look up registry.test"),
        "{told:#?}"
    );
    assert!(results[0].contains("cannot look up"), "{results:#?}");
    // A base without a shell is none that `bash` works on, which is said.
    let file = registry.layers.path().join("bare.tar.gz");
    root_archive(&file, &json!([]));
    registry.plain.push("team/nothing:1", &[&file]);
    let results = place.says_patiently(&session, "Again.");
    assert!(results[1].contains("no /bin/bash"), "{results:#?}");
    // What the organization denies, a build is denied.
    let organization = place.asks("GET", "/api/organization", &Value::Null);
    let floor = json!({"denied_hosts": ["registry.test"], "denied_cidrs": [], "version": organization["version"]});
    place.asks("PATCH", "/api/organization", &floor);
    let path = format!("/v1/environments/{environment}");
    place.asks("POST", &path, &json!({"description": "looked up again"}));
    let denied = place.session(&environment, &Value::Null);
    place.says_patiently(&denied, "Go.");
    let told = place.told(&denied);
    assert!(
        told[0].to_string().contains("cannot look up registry.test"),
        "{told:#?}"
    );
    // What listens on the server's own machine is no registry of anybody's.
    let here = json!({"name": "here", "config": {"type": "cloud", "base": format!("oci:{}", registry.plain.reference("team/nothing:1"))}});
    let (status, refused) = place.exchange("POST", "/v1/environments", &here);
    assert_eq!(status, 400, "{refused:#}");
    assert!(
        refused.to_string().contains("registry_refused"),
        "{refused:#}"
    );
    place.up.stop();
}

#[test]
fn system_two_servers_of_one_machine_pull_a_base_once() {
    let (registry, database) = (Registry::start(), Postgres::start());
    registry.push(
        "team/shared:1",
        &[json!({"name": "etc/edition", "content": "shared"})],
    );
    let options = registry.options();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let steps = || vec![bash("cat /etc/edition").in_round(0), done().in_round(1)];
    let replica = || Place::replica(&database, steps(), &options);
    let replicas = [replica(), replica()];
    let environment = replicas[0].of(&json!({"base": registry.base("team/shared:1")}));
    let sessions = [(); 2].map(|()| replicas[0].session(&environment, &Value::Null));
    for (place, session) in replicas.iter().zip(&sessions) {
        place.tells(session, "Go.");
    }
    for session in &sessions {
        replicas[0].rests_within(session, 1, BUILD);
        assert_eq!(replicas[0].results(session), ["shared"]);
    }
    // Two layers of one image. The state directory is root's one; other users have one for each of the test's homes.
    let state_directories = if User::current().is_root() { 1 } else { 2 };
    assert_eq!(registry.secure.pulled(), 2 * state_directories);
    for place in replicas {
        place.up.stop();
    }
}

/// Archives of the server's machine are for whoever the operator allows them, and by links nothing else is.
#[test]
fn system_an_archive_that_the_operator_allows_is_a_base_and_what_a_link_leads_to_is_not() {
    let machine = crate::machine();
    let allowed = machine.home().join("bases");
    std::fs::create_dir(&allowed).unwrap();
    let allowed = allowed.canonicalize().unwrap();
    let entries = json!([{"program": "/bin/bash"}, {"name": "etc/edition", "content": "archived"}]);
    root_archive(&allowed.join("root.tar"), &entries);
    root_archive(&machine.home().join("other.tar"), &entries);
    std::os::unix::fs::symlink(machine.home().join("other.tar"), allowed.join("link.tar")).unwrap();
    let options = [
        "--allow-host-path".to_owned(),
        allowed.display().to_string(),
    ];
    let steps = (0..2).flat_map(|_| [bash("cat /etc/edition"), done()]);
    let place = Place::for_images(machine, steps, &options);
    let base = |name: &str| json!({"base": format!("tar:{}", allowed.join(name).display())});
    let environment = place.of(&base("root.tar"));
    let session = place.session(&environment, &Value::Null);
    assert_eq!(place.says_patiently(&session, "Go."), ["archived"]);
    let mut config = base("link.tar");
    config["type"] = "cloud".into();
    let path = format!("/v1/environments/{environment}");
    place.asks("POST", &path, &json!({"config": config}));
    let session = place.session(&environment, &Value::Null);
    place.says_patiently(&session, "Go.");
    let told = place.told(&session);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["retry_status"]["type"], "terminal", "{told:#?}");
    assert!(
        told[0].to_string().contains("--allow-host-path"),
        "{told:#?}"
    );
    place.up.stop();
}

/// One layer for each manager, made once: for a session, for the next, and for two at once.
#[test]
fn system_packages_of_real_registries_are_built_once_and_what_runs_keeps_them() {
    for machine in machines() {
        let look = "python3 -c 'import six; print(six.__version__)'; node -p 'require(\"is-odd\")(3)'; echo $WORD; WORD=kept";
        // Two at once: what they are answered goes by how far each is.
        let steps = [
            bash(look).in_round(0),
            done().in_round(1),
            bash(look).in_round(2),
            done().in_round(3),
        ];
        let place = Place::for_images(machine, steps, &[]);
        let networking = json!({"type": "limited", "allow_package_managers": true});
        let packages = json!({"pip": ["six==1.16.0"], "npm": ["is-odd@3.0.1"]});
        let environment = place.of(&json!({"networking": networking, "packages": packages}));
        let sessions = [(); 2].map(|()| place.session(&environment, &Value::Null));
        for session in &sessions {
            place.tells(session, "Go.");
        }
        for session in &sessions {
            place.rests_within(session, 1, BUILD);
            let results = place.results(session);
            assert_eq!(results[0].trim_end(), "1.16.0\ntrue", "{results:#?}");
        }
        assert_eq!(place.layers(), 2);
        // The next one has nothing to wait for.
        let begun = Instant::now();
        let later = place.session(&environment, &Value::Null);
        let results = place.says(&later, "Go.");
        assert_eq!(results[0].trim_end(), "1.16.0\ntrue", "{results:#?}");
        assert!(begun.elapsed() < BUILD);
        let path = format!("/v1/environments/{environment}");
        let none = json!({"type": "cloud", "networking": networking, "packages": {"pip": ["bailiwick-no-such-package==9"]}});
        place.asks("POST", &path, &json!({"config": none}));
        let results = place.says(&later, "Again.");
        assert_eq!(
            results[1], "1.16.0\ntrue\nkept",
            "the same one: {results:#?}"
        );
        assert_eq!(place.layers(), 2);
        place.up.stop();
    }
}

#[test]
fn system_a_package_that_does_not_exist_is_told_in_its_managers_words() {
    let place = Place::for_images(crate::machine(), [bash("true"), done()], &[]);
    let networking = json!({"type": "limited", "allow_package_managers": true});
    let packages = json!({"pip": ["bailiwick-no-such-package==9"]});
    let environment = place.of(&json!({"networking": networking, "packages": packages}));
    let session = place.session(&environment, &Value::Null);
    let results = place.says_patiently(&session, "Go.");
    let told = place.told(&session);
    assert_eq!(told.len(), 1, "{told:#?}");
    let message = told[0]["message"].as_str().unwrap();
    let words = "No matching distribution found for bailiwick-no-such-package==9";
    let other =
        "Could not find a version that satisfies the requirement bailiwick-no-such-package==9";
    assert!(
        message.contains(words) || message.contains(other),
        "{told:#?}"
    );
    assert!(
        results[0].contains("bailiwick-no-such-package"),
        "{results:#?}"
    );
    place.up.stop();
}

/// A Debian release with packages of its own, a project, a repository and a file, in one sandbox.
#[test]
fn system_base_packages_project_repository_and_file_are_there_together() {
    let source = GitRepository::new("source");
    source.write("file", "first\n");
    source.commit("first");
    let authority = Authority::new();
    let server = GitHttpsServer::start(&authority, &["git.test"], source.root(), "");
    let options = [
        "--sandbox-resolve".to_owned(),
        format!("git.test={}", server.address()),
        "--sandbox-ca".to_owned(),
        authority.certificate().display().to_string(),
    ];
    let url = format!("https://git.test:{}/source", server.address().port());
    let look = "cat /etc/debian_version; hello; cat source/made; git -C source log --format=%s; cat /mnt/session/uploads/in.txt";
    let clone = format!("git clone -q {url} cloned && cat cloned/file");
    let place = Place::for_images(
        crate::machine(),
        [bash(look), bash(&clone), done()],
        &options,
    );
    let networking =
        json!({"type": "limited", "allowed_hosts": ["git.test"], "allow_package_managers": true});
    let environment = place.of(&json!({
        "networking": networking,
        "base": "debian:bookworm",
        "packages": {"apt": ["hello", "git", "ca-certificates"]},
        "project": {"repository": url, "setup": ["cat file file > made"]},
    }));
    let file = place.upload("in.txt", "what came in\n");
    let resources = json!([{"type": "file", "file_id": file, "mount_path": "/in.txt"}]);
    let session = place.session(&environment, &json!({"resources": resources}));
    let results = place.says_patiently(&session, "Go.");
    assert_eq!(place.told(&session), Vec::<Value>::new(), "{results:#?}");
    assert!(results[0].starts_with("12."), "{results:#?}");
    assert!(
        results[0].contains("\nHello, world!\nfirst\nfirst\nfirst\nwhat came in"),
        "{results:#?}"
    );
    assert_eq!(results[1], "first", "{results:#?}");
    place.up.stop();
}
