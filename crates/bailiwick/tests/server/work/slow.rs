//! Clients of streams that never read, and that go away.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bailiwick_testkit::{ModelFault, ModelStep};
use serde_json::{Value, json};

use super::Place;
use super::killed::Stream;

const CLIENTS: usize = 1000;
/// Messages that are said while they do not read, and characters of each.
const MESSAGES: usize = 800;
const LENGTH: usize = 16 * 1024;
/// What the server may grow by: about what it grows by if everybody reads. Each client would need 13 MB of its own.
const GROWTH: u64 = 320 << 20;

/// Memory that a process has, in bytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() << 10
}

/// A client that has asked for a stream, whose answer has begun.
#[expect(clippy::disallowed_methods, reason = "a test is the client")]
fn client(place: &Place, session: &str) -> TcpStream {
    let address = place.up.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let path = format!("/v1/sessions/{session}/events/stream");
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {}\r\n\r\n",
        place.up.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut status = [0; 15];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(status, *b"HTTP/1.1 200 OK");
    stream
}

/// A session whose model never ends, so that all that is said waits.
fn busy() -> (Place, String) {
    let stalled = ModelStep::text("Wait.").with_fault(ModelFault::StallAfter(1));
    let place = Place::new([stalled], &["--no-sandboxes"]);
    let environment = place.environment(&json!({"type": "limited"}));
    let session = place.session(&environment, &Value::Null);
    (place, session)
}

#[test]
fn system_a_thousand_streams_that_nobody_reads_hold_no_memory() {
    let (place, session) = busy();
    let mut reader = Stream::open(&place, &session);
    let clients: Vec<_> = (0..CLIENTS).map(|_| client(&place, &session)).collect();
    let before = resident(place.up.process.id());
    let reading = std::thread::spawn(move || {
        let seen = std::iter::from_fn(|| reader.next());
        let messages = seen.filter(|event| event["type"] == "user.message");
        messages.take(MESSAGES).count()
    });
    let text = "x".repeat(LENGTH);
    let event = json!({"type": "user.message", "content": [{"type": "text", "text": text}]});
    let mut most = before;
    for _ in 0..MESSAGES / 100 {
        let body = json!({"events": vec![event.clone(); 100]});
        place.asks("POST", &format!("/v1/sessions/{session}/events"), &body);
        most = most.max(resident(place.up.process.id()));
    }
    // The control: who reads has it all, beside them.
    assert_eq!(reading.join().unwrap(), MESSAGES);
    most = most.max(resident(place.up.process.id()));
    let grown = most - before;
    eprintln!(
        "{} MiB before, {} MiB more at most",
        before >> 20,
        grown >> 20
    );
    assert!(grown < GROWTH, "{grown} bytes for {CLIENTS} clients");
    // Who takes nothing for 30 seconds is disconnected.
    std::thread::sleep(Duration::from_secs(40));
    for mut client in clients {
        client
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut rest = Vec::new();
        let ended = client.read_to_end(&mut rest);
        let is_cut = match &ended {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(is_cut, "{ended:?} after {} bytes", rest.len());
        assert!(rest.len() < MESSAGES * LENGTH, "it had all of it");
    }
    place.up.stop();
}

/// More of them than there may be streams.
#[test]
fn system_streams_whose_clients_go_away_leave_their_places() {
    let (place, session) = busy();
    for _ in 0..5 {
        let clients: Vec<_> = (0..CLIENTS).map(|_| client(&place, &session)).collect();
        drop(clients);
    }
    let mut reader = Stream::open(&place, &session);
    place.tells(&session, "Still there?");
    assert_eq!(reader.next().unwrap()["type"], "user.message");
    place.up.stop();
}
