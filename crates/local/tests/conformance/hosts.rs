//! What only sandbox hosts have: what they know, and what becomes of everything when one of them or their server dies.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bailiwick_model::limits;
use bailiwick_policy::InForce;
use bailiwick_runtime::conformance::Harness;
use bailiwick_runtime::{
    Command, Error, Event, Execution, ExitStatus, Running, StopReason, Streams,
};
use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt;

use crate::harness::{Local, policy_that_allows, shell};

/// How a process is started that is a server with sandboxes: this argument and its state directory.
pub(crate) const SERVER: &str = "--server";
const GRACE: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_secs(60);

fn processes() -> impl Iterator<Item = u32> {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn arguments(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// The processes that are hosts of a server.
fn hosts_of(server: u32) -> Vec<u32> {
    let server = server.to_string();
    let is_host = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1));
        parent == Some(&server) && arguments(*pid).starts_with(b"bailiwick-sandbox-host")
    };
    processes().filter(is_host).collect()
}

/// The processes with a word of this test alone among their arguments.
fn with_argument(word: &str) -> Vec<u32> {
    let has_it = |pid: &u32| {
        let arguments = arguments(*pid);
        arguments
            .split(|byte| *byte == 0)
            .any(|argument| argument == word.as_bytes())
    };
    processes().filter(has_it).collect()
}

fn word() -> String {
    let mut bits = [0; 4];
    rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty()).expect("bits");
    format!("9{:09}", u32::from_ne_bytes(bits) % 1_000_000_000)
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SOON, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, Signal::KILL).expect("it is ours");
}

fn descriptors(pid: u32) -> BTreeSet<PathBuf> {
    let directory = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
    let links = directory.flatten();
    links
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .collect()
}

async fn last_event(running: &mut Running<InForce>) -> Option<Event> {
    let mut last = None;
    while let Some(event) = running.events.recv().await {
        last = Some(event);
    }
    last
}

/// Something that prints for ever, and is told apart by a word.
async fn printing(running: &Running<InForce>, word: &str) -> Execution {
    let script = format!("while :; do echo x; done; : {word}");
    let command = Command::new(["sh", "-c", &script, word]);
    running.sandbox.exec(command).await.expect("it starts")
}

pub(crate) async fn a_host_has_nothing_of_its_server(local: &Local) {
    let secret = tempfile::NamedTempFile::new().expect("a file");
    let inherited = rustix::io::fcntl_dupfd_cloexec(secret.as_file(), 3).expect("a descriptor");
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).expect("for children");
    let running = local.start(local.spec()).await;
    let hosts = hosts_of(std::process::id());
    assert_eq!(hosts.len(), 1, "one is enough for one sandbox");
    for pid in hosts {
        let environment = fs::read(format!("/proc/{pid}/environ")).expect("the environment");
        assert!(environment.is_empty(), "{environment:?}");
        assert!(!descriptors(pid).contains(secret.path()));
        assert_eq!(
            fs::read_link(format!("/proc/{pid}/cwd")).ok(),
            Some("/".into())
        );
    }
    assert!(
        descriptors(std::process::id()).contains(secret.path()),
        "control"
    );
    running.sandbox.stop(GRACE).await.expect("it stops");
}

pub(crate) async fn sandboxes_are_spread_and_started_from_any_thread(local: &Local) {
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (runtime, spec) = (local.runtime(), local.spec());
        starting.spawn(async move { runtime.start(spec).await.expect("it starts") });
    }
    let started = starting.join_all().await;
    assert_eq!(hosts_of(std::process::id()).len(), 2);
    let listed = local.runtime().list().await.expect("a list");
    assert_eq!(listed.len(), started.len());
    for running in started {
        running.sandbox.stop(GRACE).await.expect("it stops");
    }
}

pub(crate) async fn a_killed_host_takes_its_sandboxes_along_and_no_others(local: &Local) {
    let words = [word(), word()];
    let mut first = local.start(local.spec()).await;
    let hosts = hosts_of(std::process::id());
    let second = local.start(local.spec()).await;
    let [lost, kept] = [
        printing(&first, &words[0]).await,
        printing(&second, &words[1]).await,
    ];
    until("both run", || {
        words.iter().all(|word| !with_argument(word).is_empty())
    });
    let id = first.sandbox.id().clone();
    assert_eq!(hosts.len(), 1);
    kill(hosts[0]);

    assert_eq!(
        last_event(&mut first).await,
        Some(Event::Stopped(StopReason::Lost))
    );
    let status = lost.control.wait().await;
    assert!(matches!(status, Err(Error::Gone(_))), "{status:?}");
    let refused = first.sandbox.exec(Command::new(["true"])).await.err();
    assert!(
        matches!(&refused, Some(Error::Gone(gone)) if *gone == id),
        "{refused:?}"
    );
    first
        .sandbox
        .stop(GRACE)
        .await
        .expect("it is gone, which is no error");
    until("what it ran ends with it", || {
        with_argument(&words[0]).is_empty()
    });
    assert!(
        !local.state().join("sandboxes").join(id.as_str()).exists(),
        "nothing is left"
    );

    assert!(!with_argument(&words[1]).is_empty(), "the other one runs");
    drop(kept);
    assert_eq!(shell(&second, "echo still here").await.1, "still here\n");
    let third = local.start(local.spec()).await;
    assert_eq!(
        shell(&third, "echo here").await.1,
        "here\n",
        "another host is there"
    );
    assert_eq!(local.runtime().list().await.expect("a list").len(), 2);
    for running in [second, third] {
        running.sandbox.stop(GRACE).await.expect("it stops");
    }
}

/// The server of the next case: sandboxes under load, until it is killed.
pub(crate) async fn be_a_server(state: PathBuf, word: String) {
    let local = Local::hosted_in(state);
    let mut all = Vec::new();
    for _ in 0..4 {
        let running = local.start(local.spec()).await;
        let execution = printing(&running, &word).await;
        all.push((running, execution));
    }
    println!("ready");
    for (_, execution) in &mut all {
        if let Streams::Pipes { stdout, .. } = &mut execution.streams {
            let _ = stdout.read(&mut [0; 100]).await;
        }
    }
    std::future::pending::<()>().await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test starts itself again, as the server that is killed"
)]
pub(crate) async fn a_killed_server_leaves_nothing(local: &Local) {
    let word = word();
    let program = std::env::current_exe().expect("the path of this program");
    let mut server = std::process::Command::new(program)
        .arg(SERVER)
        .args([local.state().as_os_str(), word.as_ref()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("a server");
    let mut said = [0; 6];
    let mut stdout = server.stdout.take().expect("its output");
    stdout.read_exact(&mut said).expect("it is ready");
    let hosts = hosts_of(server.id());
    assert_eq!((&said, hosts.len()), (b"ready\n", 2));
    until("all run", || with_argument(&word).len() >= 4);
    server.kill().expect("it is ours");
    server.wait().expect("its end");
    let is_gone = |pid: &u32| !Path::new("/proc").join(pid.to_string()).exists();
    until("its hosts end", || hosts.iter().all(is_gone));
    until("its sandboxes end", || with_argument(&word).is_empty());
    // What it could not remove itself, the next start removes.
    let next = local.start(local.spec()).await;
    assert_eq!(local.runtime().list().await.expect("a list").len(), 1);
    let entries = fs::read_dir(local.state().join("sandboxes")).expect("entries");
    assert_eq!(entries.count(), 1);
    next.sandbox.stop(GRACE).await.expect("it stops");
}

/// A start that nobody waits for any more leaves no sandbox that nobody has.
pub(crate) async fn an_abandoned_start_leaves_no_sandbox(local: &Local) {
    let control = local.start(local.spec()).await;
    for microseconds in [0, 200, 1000, 3000, 10_000] {
        let start = local.runtime();
        let start = start.start(local.spec());
        let abandoned = tokio::time::timeout(Duration::from_micros(microseconds), start).await;
        if let Ok(Ok(running)) = abandoned {
            running.sandbox.stop(GRACE).await.expect("it stops");
        }
    }
    let begun = Instant::now();
    while local.runtime().list().await.expect("a list").len() > 1 {
        assert!(begun.elapsed() < SOON, "a sandbox is left that nobody has");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    control.sandbox.stop(GRACE).await.expect("it stops");
}

/// More denials than every buffer on the way holds, and nobody reads them; then all of them are there.
pub(crate) async fn events_that_nobody_reads_hold_up_their_own_sandbox_alone(local: &Local) {
    // Fewer at once than are remembered, so that each is told.
    const ROUNDS: usize = 4;
    const NAMES: usize = limits::DENIALS_REMEMBERED * 3 / 4;
    let pause = limits::DENIAL_REPEAT.as_secs() + 1;
    let mut telling = local.start(local.spec()).await;
    let beside = [
        local.start(local.spec()).await,
        local.start(local.spec()).await,
    ];
    assert_eq!(
        hosts_of(std::process::id()).len(),
        2,
        "one of them is in the same host"
    );
    let script = format!(
        "for round in $(seq {ROUNDS}); do
            getent ahostsv4 $(seq -f \"n%g-$round.denied.example\" {NAMES}) || true
            sleep {pause}
         done"
    );
    let execution = telling
        .sandbox
        .exec(Command::new(["sh", "-c", &script]))
        .await;
    let execution = execution.expect("it starts");
    for _ in 0..20 {
        for other in &beside {
            let answer = tokio::time::timeout(SOON, shell(other, "echo here")).await;
            assert_eq!(answer.expect("an answer").1, "here\n");
        }
    }
    let mut denied = BTreeSet::new();
    while denied.len() < ROUNDS * NAMES {
        let event = tokio::time::timeout(SOON, telling.events.recv()).await;
        match event.expect("an event") {
            Some(Event::Flow(flow)) => drop(denied.insert(flow.destination.to_string())),
            Some(Event::Started | Event::Mark(_) | Event::OutOfMemory) => {}
            Some(Event::Stopped(_)) | None => panic!("{} events were lost", denied.len()),
        }
    }
    assert_eq!(
        execution.control.wait().await.expect("a status"),
        ExitStatus::Exited(0)
    );
    for running in beside.into_iter().chain([telling]) {
        drop(running.events);
        running.sandbox.stop(GRACE).await.expect("it stops");
    }
}

/// A connection that is open when its rule goes is cut before `apply_policy` returns.
pub(crate) async fn a_flow_does_not_outlive_its_rule_blocked(local: &Local) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let (told, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.write_all(b"hello\n").expect("it is taken");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        let _ = told.send(rest);
    });
    let hosts = local.with_pin(&format!("flow.example=127.0.0.1:{port}"));
    let mut spec = local.spec();
    spec.network.policy = policy_that_allows("flow.example");
    let mut running = hosts.start(spec).await;
    let script = format!("exec 3<>/dev/tcp/flow.example/{port}; head -n 1 <&3; cat <&3; echo cut");
    let execution = running
        .sandbox
        .exec(Command::new(["bash", "-c", &script]))
        .await;
    let mut execution = execution.expect("it starts");
    let Streams::Pipes { stdout, .. } = &mut execution.streams else {
        panic!("pipes");
    };
    let mut hello = [0; 6];
    stdout
        .read_exact(&mut hello)
        .await
        .expect("control: it is connected");
    assert_eq!(&hello, b"hello\n");
    let applied = running.sandbox.apply_policy(local.policy()).await;
    applied.expect("another policy is in force");
    let mut rest = String::new();
    let ended = tokio::time::timeout(SOON, stdout.read_to_string(&mut rest)).await;
    ended.expect("it is cut").expect("its output");
    assert_eq!(rest, "cut\n");
    assert!(
        received
            .recv_timeout(SOON)
            .expect("cut outside too")
            .is_empty()
    );
    let again = format!("exec 3<>/dev/tcp/flow.example/{port}");
    let (status, said) = shell(&running, &format!("bash -c '{again}'")).await;
    assert_ne!(status, ExitStatus::Exited(0), "{said}");
    running.sandbox.stop(GRACE).await.expect("it stops");
    let mut cut = false;
    while let Some(event) = running.events.recv().await {
        if let Event::Flow(flow) = event {
            cut |= flow.notes.contains(&bailiwick_model::FlowNote::CutByPolicy);
        }
    }
    assert!(cut, "and it is told so");
    hosts.end().await;
}

/// Whether a process has a text anywhere in memory that it wrote: what is mapped from a file is no secret.
fn remembers(pid: u32, text: &[u8]) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let Ok(memory) = fs::File::open(format!("/proc/{pid}/mem")) else {
        return false;
    };
    let regions = maps.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (first, last) = words.next()?.split_once('-')?;
        let is_written = words.next()?.starts_with("rw") && !line.contains("/target/");
        let at = |text: &str| u64::from_str_radix(text, 16).ok();
        is_written.then_some((at(first)?, at(last)?))
    });
    for (first, last) in regions {
        let mut bytes = vec![0; usize::try_from(last - first).expect("a length")];
        // What is not there any more holds nothing.
        if std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, first).is_ok()
            && bytes.windows(text.len()).any(|window| window == text)
        {
            return true;
        }
    }
    false
}

fn children(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let found = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1));
        found == Some(&parent.to_string())
    };
    processes().filter(is_child).collect()
}

/// A launch copies the memory of its process: that of a sandbox has neither its own secrets nor another one's.
pub(crate) async fn no_secret_is_in_the_memory_of_an_init(local: &Local) {
    // Drawn: what is written here is in the program, and so in every host.
    let canary = format!("canary-{}", word());
    let with_secret = || {
        let mut spec = local.spec();
        let header = bailiwick_policy::HeaderProjection {
            host: "server.example".parse().expect("a host"),
            path: "/".parse().expect("a path"),
            name: "authorization".parse().expect("a name"),
            value: bailiwick_model::SecretText::new(canary.clone()),
        };
        let headers = vec![header];
        let projections = bailiwick_policy::Projections::new(Vec::new(), headers);
        spec.network.policy.projections = std::sync::Arc::new(projections);
        spec
    };
    let mut all = Vec::new();
    for round in 0..3 {
        all.push(local.start(with_secret()).await);
        all.push(local.start(local.spec()).await);
        let own = hosts_of(std::process::id());
        assert_eq!(
            own.len(),
            (round + 1) + (round + 1).min(2),
            "each has its own"
        );
    }
    let hosts = hosts_of(std::process::id());
    let knowing = hosts
        .iter()
        .filter(|host| remembers(**host, canary.as_bytes()));
    assert_eq!(knowing.count(), 3, "control: who sends it has it");
    let inits: Vec<_> = hosts.iter().flat_map(|host| children(*host)).collect();
    assert_eq!(inits.len(), all.len(), "control: each is found");
    for init in inits {
        if !rustix::process::geteuid().is_root() {
            let memory = fs::File::open(format!("/proc/{init}/mem"));
            assert!(memory.is_err(), "none but root looks into an init");
            continue;
        }
        let state = local.state().as_os_str().as_encoded_bytes();
        assert!(remembers(init, state), "control: it can be read");
        assert!(!remembers(init, canary.as_bytes()), "{init} has a secret");
    }
    for running in all {
        running.sandbox.stop(GRACE).await.expect("it stops");
    }
    until("the hosts of one sandbox end with it", || {
        hosts_of(std::process::id()).len() == 2
    });
}
