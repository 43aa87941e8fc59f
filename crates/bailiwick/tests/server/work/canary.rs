//! A secret that a session uses is searched for wherever something is kept or told.

use std::fs;
use std::path::Path;

use bailiwick_testkit::{
    Authority, HttpsServer, ModelStep, User, descendants, file_with, has, memory_has,
};
use serde_json::{Value, json};

use super::{Place, bash, id, leading_to};

/// Long enough that nothing else has it by chance.
const SECRET: &str = "canary-7d3e9b51f0a2-canary";

/// The secret as it would be found: as it is, and as others write it down.
fn spellings() -> Vec<String> {
    let hexadecimal = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    // In base64, from each of the three places at which it may begin.
    let inner = [&SECRET[..24], &SECRET[1..25], &SECRET[2..26]].map(base64);
    [SECRET.to_owned(), hexadecimal]
        .into_iter()
        .chain(inner)
        .collect()
}

/// Of whole groups of three bytes.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = text.as_bytes().chunks_exact(3);
    let group = |group: &[u8]| {
        let number = group
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[number >> shift & 63]))
    };
    groups.flat_map(group).collect()
}

/// The processes of sandboxes: those below the server that are in other process namespaces.
fn inside(server: u32) -> Vec<u32> {
    let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = namespace(server);
    descendants(server)
        .into_iter()
        .filter(|pid| namespace(*pid).is_some_and(|other| Some(other) != own))
        .collect()
}

/// Looks through the memory of all processes that it sees but its own, and through files, for what is written backwards in its argument; says for
/// each kind how much it could look at.
const SEARCH: &str = r#"
import os, sys
wanted = sys.argv[1][::-1].encode()
memories = files = 0
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) == os.getpid():
        continue
    for name in ("environ", "cmdline"):
        try:
            if wanted in open(f"/proc/{pid}/{name}", "rb").read():
                print("FOUND in", name, pid)
        except OSError:
            pass
    try:
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
            for line in maps:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                try:
                    memory.seek(start)
                    if wanted in memory.read(end - start):
                        print("FOUND in memory of", pid)
                except (OSError, ValueError, OverflowError):
                    continue
                memories += 1
    except OSError:
        pass
for top in ("/workspace", "/home", "/tmp", "/var/tmp", "/etc", "/run", "/mnt", "/dev/shm"):
    for directory, _, names in os.walk(top):
        for name in names:
            try:
                path = os.path.join(directory, name)
                if os.path.isfile(path):
                    if wanted in open(path, "rb").read():
                        print("FOUND in", path)
                    files += 1
            except OSError:
                pass
print("looked into", "memory," if memories else "no memory,", "files" if files > 50 else "few files")
"#;

/// The processes of the sandbox, looked at from outside.
fn searched_inside(place: &Place) {
    let server = place.up.process.id();
    let programs = inside(server);
    assert!(
        programs.len() >= 3,
        "the init, the shell, the program: {programs:?}"
    );
    for pid in &programs {
        for spelling in spellings() {
            let wanted = spelling.as_bytes();
            assert!(
                !memory_has(*pid, wanted),
                "{spelling} in the memory of {pid}"
            );
            for name in ["environ", "cmdline"] {
                let content = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
                assert!(!has(&content, wanted), "{spelling} in {name} of {pid}");
            }
        }
    }
    // The controls: the placeholder is found inside, and the secret with who keeps it.
    let have =
        |wanted: &str, pids: &[u32]| pids.iter().any(|pid| memory_has(*pid, wanted.as_bytes()));
    assert!(have("bw_placeholder_", &programs));
    let outside: Vec<_> = descendants(server)
        .into_iter()
        .filter(|pid| !programs.contains(pid))
        .collect();
    assert!(have(SECRET, &outside), "{outside:?}");
}

/// Asks for whatever the API shows of a vault and its session.
fn look_around(place: &Place, vault: &str, credential: &str, session: &str) {
    let paths = [
        "/v1/vaults".to_owned(),
        format!("/v1/vaults/{vault}"),
        format!("/v1/vaults/{vault}/credentials"),
        format!("/v1/vaults/{vault}/credentials/{credential}"),
        "/v1/sessions".to_owned(),
        format!("/v1/sessions/{session}"),
        format!("/v1/sessions/{session}/events?limit=1000"),
        format!("/v1/sessions/{session}/events?limit=1000&order=desc"),
        format!("/v1/sessions/{session}/threads"),
        format!("/v1/sessions/{session}/resources"),
        format!("/v1/files?scope_id={session}"),
        "/v1/environments".to_owned(),
        "/v1/agents".to_owned(),
        "/api/audit-log".to_owned(),
        "/api/organization".to_owned(),
        "/api/whoami".to_owned(),
        "/metrics".to_owned(),
    ];
    for path in &paths {
        let (status, _) = place.exchange("GET", path, &Value::Null);
        assert!(status < 500, "{path}: {status}");
    }
    // What is refused is told without it.
    let credentials = format!("/v1/vaults/{vault}/credentials");
    let wrong = [
        json!({"auth": {"type": "environment_variable", "secret_name": "API_TOKEN", "secret_value": SECRET, "networking": {"type": "unrestricted"}}}),
        json!({"auth": {"type": "environment_variable", "secret_name": "OTHER", "secret_value": SECRET, "networking": {"type": "nonsense"}}}),
        json!({"auth": {"type": "environment_variable", "secret_name": "OTHER", "secret_value": [SECRET]}}),
        json!({"auth": {"type": "static_bearer", "token": SECRET, "mcp_server_url": "nonsense"}}),
    ];
    for body in &wrong {
        let (status, answer) = place.exchange("POST", &credentials, body);
        assert!((400..500).contains(&status), "{answer:#}");
    }
    let (status, _) = place.send(
        "POST",
        &credentials,
        "application/json",
        &format!("{{\"auth\": \"{SECRET}"),
    );
    assert_eq!(status, 400);
}

/// What is outside of the sandbox: memory, files, logs, answers, questions to the model.
fn searched_outside(place: &Place, audit: &Path, exported: &Path) {
    let log = place.up.process.complained();
    assert!(log.contains("/credentials"), "{log}");
    let answers = place.answers.borrow();
    let audit = fs::read_to_string(audit).unwrap();
    assert!(audit.contains("credential"), "{audit}");
    let told = [
        ("the log", log),
        ("what is printed", place.up.process.printed()),
        ("answers", answers.concat()),
        ("the exported audit log", audit),
        (
            "a file of the audit log",
            fs::read_to_string(exported).unwrap(),
        ),
        (
            "questions to the model",
            json!(place.model.requests()).to_string(),
        ),
    ];
    // The client said it itself; no answer repeats that.
    for spelling in spellings() {
        for (what, text) in &told {
            assert!(!text.contains(&spelling), "{spelling} in {what}: {text}");
        }
        let state = place.machine.sandboxes();
        let state = ["sandboxes", "checkpoints", "uploads"].map(|name| state.with_file_name(name));
        let kept = [place.machine.workspace(), place.machine.home()];
        for directory in kept.iter().chain(&state) {
            assert_eq!(file_with(directory, spelling.as_bytes()), None);
        }
    }
    // The control: the search finds what is in the database.
    let kept = file_with(&place.machine.workspace().join("data"), b"API_TOKEN");
    assert!(kept.is_some());
}

/// Uses the secret, holds on to what came of that, and then looks for it.
fn steps(port: u16) -> [ModelStep; 5] {
    // It is reflected, kept in files, and in what works on in the background.
    let used = format!(
        "curl -sS -m 20 -H \"x-token: $API_TOKEN\" -d \"body $API_TOKEN\" https://own.test:{port}/ | tee answer /mnt/session/outputs/answer"
    );
    let held = "python3 -c 'import os, time; held = open(\"answer\").read() + os.environ[\"API_TOKEN\"]; time.sleep(600)' >/dev/null 2>&1 & sleep 0.5";
    let backwards: String = SECRET.chars().rev().collect();
    let search = format!(
        "cat > search.py <<'END'\n{SEARCH}\nEND\npython3 search.py {backwards}; rm search.py"
    );
    [
        bash(&used),
        bash(held),
        ModelStep::text("Done."),
        bash(&search),
        ModelStep::text("Done."),
    ]
}

#[test]
fn system_a_secret_in_use_is_nowhere_but_with_its_server() {
    if !User::current().is_root() {
        eprintln!("skipped: the memory of other users' processes is root's to read");
        return;
    }
    let authority = Authority::new();
    let own = HttpsServer::start(&authority, &["own.test"]);
    let mut options = leading_to(&authority, &[("own.test", &own)]);
    let elsewhere = tempfile::tempdir().unwrap();
    let audit = elsewhere.path().join("audit.jsonl");
    let export = format!("audit=file:{}", audit.display());
    options.extend(["--log-level", "trace", "--export", &export].map(str::to_owned));
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let place = Place::new(steps(own.address().port()), &options);
    let networking = json!({"type": "limited", "allowed_hosts": ["own.test"]});
    let environment = place.environment(&networking);
    let vault = id(&place.asks("POST", "/v1/vaults", &json!({"display_name": "vault"})));
    let body = json!({"auth": {
        "type": "environment_variable",
        "secret_name": "API_TOKEN",
        "secret_value": SECRET,
        "networking": {"type": "limited", "allowed_hosts": ["own.test"]},
    }});
    let credentials = format!("/v1/vaults/{vault}/credentials");
    let credential = id(&place.asks("POST", &credentials, &body));
    let session = place.session(&environment, &json!({"vault_ids": [vault]}));
    place.says(&session, "Go.");
    // The control: it was used, in a head and in a body.
    let request = own.requests().pop().unwrap();
    assert!(request["headers"].to_string().contains(SECRET), "{request}");
    assert!(request["body"].to_string().contains(SECRET), "{request}");
    searched_inside(&place);
    let results = place.says(&session, "Look.");
    assert!(results[0].contains("x-token"), "{results:#?}");
    assert!(
        results[2].contains("looked into memory, files"),
        "{results:#?}"
    );
    assert!(!results[2].contains("FOUND"), "{results:#?}");
    look_around(&place, &vault, &credential, &session);
    let exported = place.machine.workspace().join("exported.jsonl");
    let arguments = ["audit-log", "export", exported.to_str().unwrap()];
    place.up.asks(&place.machine, &arguments).exits(0);
    searched_outside(&place, &audit, &exported);
    place.asks(
        "POST",
        &format!("/v1/sessions/{session}/archive"),
        &json!({}),
    );
    place.waits_until_none_runs();
    place.up.stop();
}

#[test]
fn what_is_looked_for_is_what_others_would_write() {
    assert_eq!(base64("canary-7d"), "Y2FuYXJ5LTdk");
    assert_eq!(spellings().len(), 5);
}
