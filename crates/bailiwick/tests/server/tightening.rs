//! Sessions that are tightened while their sandboxes run, were kept, or are on another server.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bailiwick_testkit::{Authority, HttpsServer, ModelStep, Postgres};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::work::{Place, bash, id, leading_to};

/// How long a connection may outlive the tightening that denies it.
const SOON: Duration = Duration::from_secs(1);

/// Links that a program leaves among its outputs: fewer than what is looked at, and enough for some seconds.
const LINKS: u32 = 100_000;

/// A server that answers what comes first, in whatever protocol, and then keeps the connection until its client goes.
struct Keeper {
    address: SocketAddr,
    open: Arc<Mutex<Vec<String>>>,
}

impl Keeper {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let keeper = Self {
            address: listener.local_addr().unwrap(),
            open: Arc::default(),
        };
        let open = Arc::clone(&keeper.open);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let open = Arc::clone(&open);
                std::thread::spawn(move || keep(stream, &open));
            }
        });
        keeper
    }

    /// The first words of the connections that are open.
    fn open(&self) -> Vec<String> {
        let mut open = self.open.lock().unwrap().clone();
        open.sort();
        open
    }
}

fn keep(mut stream: TcpStream, open: &Mutex<Vec<String>>) {
    let mut buffer = [0; 4096];
    let Ok(read @ 1..) = stream.read(&mut buffer) else {
        return;
    };
    let first = String::from_utf8_lossy(&buffer[..read]).into_owned();
    let word = first.split(' ').next().unwrap().to_owned();
    let answer = match word.as_str() {
        "GET" if first.contains("websocket") => {
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        }
        "GET" => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "CONNECT" => "HTTP/1.1 200 Established\r\n\r\n",
        _ => "hello\n",
    };
    if stream.write_all(answer.as_bytes()).is_err() {
        return;
    }
    let name = first.replace("\r\n", " ").trim().to_owned();
    open.lock().unwrap().push(name.clone());
    while let Ok(1..) = stream.read(&mut buffer) {}
    let mut open = open.lock().unwrap();
    let at = open.iter().position(|one| *one == name);
    at.map(|at| open.remove(at));
}

/// Opens a connection of each kind to two names, and keeps them; says when one ends.
fn holding(port: u16, tls_port: u16) -> String {
    let script = format!(
        r#"
import socket, ssl, threading, time
def hold(name, first, port, tls):
    s = socket.create_connection((name, port), 20)
    if tls:
        s = ssl.create_default_context().wrap_socket(s, server_hostname=name)
    s.sendall(first.encode())
    s.recv(100)
    print("up", name, first.split()[0], flush=True)
    s.settimeout(None)
    try:
        while s.recv(100): pass
        how = "end"
    except OSError as error:
        how = type(error).__name__
    print("cut", name, first.split()[0], how, flush=True)
for name in ("cut.test", "kept.test"):
    for first, port, tls in (
        (f"raw {{name}}\n", {port}, False),
        (f"GET / HTTP/1.1\r\nHost: {{name}}:{port}\r\n\r\n", {port}, False),
        (f"GET /ws HTTP/1.1\r\nHost: {{name}}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", {port}, False),
        (f"CONNECT {{name}}:{port} HTTP/1.1\r\nHost: {{name}}:{port}\r\n\r\n", {port}, False),
        (f"GET /tls HTTP/1.1\r\nHost: {{name}}:{tls_port}\r\n\r\n", {tls_port}, True),
    ):
        threading.Thread(target=hold, args=(name, first, port, tls)).start()
"#
    );
    format!(
        "cat > /workspace/hold.py <<'END'\n{script}\nEND\n\
         python3 /workspace/hold.py > /workspace/log 2>&1 &\n\
         for n in $(seq 200); do [ $(grep -c ^up /workspace/log) = 10 ] && break; sleep 0.1; done; cat /workspace/log"
    )
}

fn kept(keeper: &Keeper, name: &str) -> usize {
    let open = keeper.open();
    open.iter().filter(|one| one.contains(name)).count()
}

/// Whatever is spoken on it: a connection to a host that is denied now is cut within a second, and one to another host stays.
#[test]
fn system_a_connection_does_not_outlive_the_tightening_that_denies_it() {
    let authority = Authority::new();
    let tls = HttpsServer::start(&authority, &["cut.test", "kept.test"]);
    let keeper = Keeper::start();
    let mut options = leading_to(&authority, &[]);
    for name in ["cut.test", "kept.test"] {
        // A pin is for one port.
        for address in [keeper.address, tls.address()] {
            options.push("--sandbox-resolve".to_owned());
            options.push(format!("{name}={address}"));
        }
    }
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let port = keeper.address.port();
    let again = format!(
        "cat /workspace/log; getent ahostsv4 cut.test; echo dns $?; getent ahostsv4 kept.test > /dev/null; echo dns $?\n\
         curl -sS -m 20 http://cut.test:{port}/; echo curl $?; curl -sS -m 20 -o /dev/null http://kept.test:{port}/; echo curl $?"
    );
    let steps = [
        bash(&holding(port, tls.address().port())),
        ModelStep::text("Done."),
        bash(&again),
        ModelStep::text("Done."),
    ];
    let place = Place::new(steps, &options);
    let environment =
        place.environment(&json!({"type": "limited", "allowed_hosts": ["cut.test", "kept.test"]}));
    // So that TLS is looked into, which is another way through the relay.
    let vault = id(&place.asks("POST", "/v1/vaults", &json!({"display_name": "vault"})));
    let credential = json!({"auth": {
        "type": "environment_variable", "secret_name": "TOKEN", "secret_value": "a-secret-word",
        "networking": {"type": "limited", "allowed_hosts": ["cut.test", "kept.test"]},
    }});
    let path = format!("/v1/vaults/{vault}/credentials");
    place.asks("POST", &path, &credential);
    let session = place.session(&environment, &json!({"vault_ids": [vault]}));
    let results = place.says(&session, "Go.");
    assert_eq!(results[0].matches("up ").count(), 10, "{results:#?}");
    for name in ["cut.test", "kept.test"] {
        assert_eq!(kept(&keeper, name), 4, "control: {:?}", keeper.open());
    }
    place.allows(&environment, &["kept.test"]);
    // What only the environment says changes nothing here.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(kept(&keeper, "cut.test"), 4, "{:?}", keeper.open());
    let begun = Instant::now();
    let told = place.tightens(&session);
    assert_eq!(told["closed"][0]["destination"], "cut.test", "{told:#}");
    while kept(&keeper, "cut.test") > 0 {
        assert!(begun.elapsed() < SOON, "open still: {:?}", keeper.open());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(kept(&keeper, "kept.test"), 4, "{:?}", keeper.open());
    let results = place.says(&session, "Again.");
    let log = &results[1];
    assert_eq!(log.matches("cut cut.test").count(), 5, "{log}");
    assert_eq!(log.matches("cut kept.test").count(), 0, "{log}");
    assert!(log.contains("dns 2") && log.contains("dns 0"), "{log}");
    assert!(log.contains("curl 0"), "control: {log}");
    assert!(log.contains("network denied: cut.test"), "{log}");
    place.up.stop();
}

/// What a program puts into its outputs decides how long they are looked through, and not how long a connection lives.
#[test]
fn system_a_tightening_does_not_wait_for_outputs_that_take_long_to_look_through() {
    let keeper = Keeper::start();
    let (port, pin) = (
        keeper.address.port(),
        format!("cut.test={}", keeper.address),
    );
    let fill = format!(
        "cd /mnt/session/outputs && echo done > result.txt && python3 -c '\nimport os\nfor n in range({LINKS}): os.symlink(\"x\", str(n))'\n\
         exec 9<>/dev/tcp/cut.test/{port}; echo raw cut.test >&9; read -t 20 -u 9 line; echo $line"
    );
    let steps = [bash(&fill), ModelStep::text("Done.")];
    let place = Place::new(steps, &["--sandbox-resolve", &pin]);
    let environment = place.environment(&json!({"type": "limited", "allowed_hosts": ["cut.test"]}));
    let session = place.session(&environment, &Value::Null);
    let results = place.says(&session, "Go.");
    assert!(results[0].contains("hello"), "control: {results:#?}");
    assert_eq!(kept(&keeper, "cut.test"), 1, "control: {:?}", keeper.open());
    place.allows(&environment, &["kept.test"]);
    let outputs = || {
        let (_, files) = place.exchange(
            "GET",
            &format!("/v1/files?scope_id={session}"),
            &Value::Null,
        );
        files["data"].as_array().map_or(0, Vec::len)
    };
    let begun = Instant::now();
    place.tightens(&session);
    while kept(&keeper, "cut.test") > 0 {
        assert!(begun.elapsed() < SOON, "open still: {:?}", keeper.open());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(outputs(), 0, "control: they are still looked through");
    while outputs() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(300), "no outputs");
        std::thread::sleep(Duration::from_millis(100));
    }
    place.up.stop();
}

/// A pipe in the place of the file of a session that is written next: whoever copies stands still until somebody reads.
fn standing_still(place: &Place, session: &str) -> PathBuf {
    let servers = fs::read_dir(place.machine.servers()).unwrap().flatten();
    let mut uploads = servers.map(|server| server.path().join("uploads"));
    let uploads = uploads.find(|uploads| uploads.join(session).exists());
    let pipe = uploads.unwrap().join(format!("{session}.arriving"));
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    pipe
}

/// How long files of a session are copied decides their number and size, and not how long a connection lives.
#[test]
fn system_a_tightening_does_not_wait_for_files_that_are_copied() {
    let keeper = Keeper::start();
    let (port, pin) = (
        keeper.address.port(),
        format!("cut.test={}", keeper.address),
    );
    let hold = format!(
        "exec 9<>/dev/tcp/cut.test/{port}; echo raw cut.test >&9; read -t 20 -u 9 line; echo $line"
    );
    let steps = [
        bash(&hold),
        ModelStep::text("Done."),
        bash("echo went on"),
        ModelStep::text("Done."),
    ];
    let place = Place::new(steps, &["--sandbox-resolve", &pin]);
    let environment = place.environment(&json!({"type": "limited", "allowed_hosts": ["cut.test"]}));
    let session = place.session(&environment, &Value::Null);
    let results = place.says(&session, "Go.");
    assert!(results[0].contains("hello"), "control: {results:#?}");
    assert_eq!(kept(&keeper, "cut.test"), 1, "control: {:?}", keeper.open());
    let file = place.upload("in.txt", "what comes later\n");
    let pipe = standing_still(&place, &session);
    let resource = json!({"type": "file", "file_id": file});
    let path = format!("/v1/sessions/{session}/resources");
    place.asks("POST", &path, &resource);
    place.allows(&environment, &["kept.test"]);
    place.tells(&session, "Again.");
    let begun = Instant::now();
    while place.count(&session, "agent.tool_use") < 2 {
        assert!(begun.elapsed() < PATIENCE, "no call");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(SOON);
    let begun = Instant::now();
    place.tightens(&session);
    while kept(&keeper, "cut.test") > 0 {
        assert!(begun.elapsed() < SOON, "open still: {:?}", keeper.open());
        std::thread::sleep(Duration::from_millis(5));
    }
    let results = place.results(&session);
    assert_eq!(results.len(), 1, "control: it is still copied");
    let _read = fs::File::options().read(true).write(true).open(pipe);
    place.rests(&session, 2);
    let results = place.results(&session);
    assert!(results[1].contains("went on"), "{results:#?}");
    place.up.stop();
}

/// What a session was tightened by holds when its sandbox comes back, and after a restart of the server.
#[test]
fn system_what_a_session_was_tightened_by_holds_in_a_sandbox_that_comes_back() {
    let keeper = Keeper::start();
    let (port, pins) = (
        keeper.address.port(),
        ["cut.test", "kept.test"].map(|name| format!("{name}={}", keeper.address)),
    );
    let ask = format!(
        "cat file; echo kept > file; for n in cut kept; do curl -sS -m 20 -o /dev/null http://$n.test:{port}/; echo $n $?; done"
    );
    let steps = (0..3).flat_map(|_| [bash(&ask), ModelStep::text("Done.")]);
    let options = [
        "--sandbox-idle",
        "1s",
        "--sandbox-resolve",
        &pins[0],
        "--sandbox-resolve",
        &pins[1],
    ];
    let mut place = Place::new(steps, &options);
    let environment =
        place.environment(&json!({"type": "limited", "allowed_hosts": ["cut.test", "kept.test"]}));
    let session = place.session(&environment, &Value::Null);
    let results = place.says(&session, "Go.");
    assert!(
        results[0].contains("cut 0\nkept 0"),
        "control: {results:#?}"
    );
    place.waits_until_none_runs();
    place.allows(&environment, &["kept.test"]);
    place.tightens(&session);
    // Wider again, which is no way back.
    place.allows(&environment, &["cut.test", "kept.test"]);
    let results = place.says(&session, "Again.");
    let back = &results[1];
    assert!(back.starts_with("kept\n"), "its files are there: {back}");
    assert!(!back.contains("cut 0") && back.contains("kept 0"), "{back}");
    assert!(!back.contains("started anew"), "{back}");
    place.restart(&options);
    let results = place.says(&session, "Once more.");
    let anew = &results[2];
    assert!(!anew.contains("cut 0") && anew.contains("kept 0"), "{anew}");
    assert!(anew.contains("started anew"), "{anew}");
    place.up.stop();
}

/// The server that has the sandbox is another one than the server that is asked.
#[test]
fn system_a_tightening_reaches_a_sandbox_on_another_server_within_a_second() {
    let (database, keeper) = (Postgres::start(), Keeper::start());
    let port = keeper.address.port();
    let pins = ["cut.test", "kept.test"].map(|name| format!("{name}={}", keeper.address));
    let url = database.url();
    let resolve = ["--sandbox-resolve", &pins[0], "--sandbox-resolve", &pins[1]];
    let options = [&["--database-url", &url], resolve.as_slice()].concat();
    let hold = format!(
        "for n in cut kept; do (exec 3<>/dev/tcp/$n.test/{port}; echo raw $n.test >&3; head -n 1 <&3; cat <&3) & done; sleep 2"
    );
    let place = Place::new([bash(&hold), ModelStep::text("Done.")], &options);
    let environment =
        place.environment(&json!({"type": "limited", "allowed_hosts": ["cut.test", "kept.test"]}));
    let session = place.session(&environment, &Value::Null);
    place.says(&session, "Go.");
    assert_eq!(kept(&keeper, "cut.test"), 1, "control");
    let other = place.beside(&["--database-url", &url, "--no-sandboxes"]);
    place.allows(&environment, &["kept.test"]);
    let begun = Instant::now();
    let path = format!("/api/sessions/{session}/tighten");
    let (status, told) = place.exchange_with(&other, "POST", &path);
    assert_eq!(status, 200, "{told:#}");
    while kept(&keeper, "cut.test") > 0 {
        assert!(begun.elapsed() < SOON, "open still: {:?}", keeper.open());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(kept(&keeper, "kept.test"), 1, "{:?}", keeper.open());
    other.stop();
    place.up.stop();
}
