//! Bytes go through unchanged, ends are passed on, nothing waits that need not.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use bailiwick_egress::SandboxLimits;
use bailiwick_model::{FlowNote, Reason, Verdict};

use crate::world::{NAME, World, allowing, echo, name, quickest, read_all, read_exact, server};

/// Bytes that differ everywhere.
fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1]
        })
        .collect()
}

#[test]
fn a_line_goes_there_and_back_and_makes_one_flow() {
    let mut world = World::for_server(echo());
    let mut client = world.connect();
    client.write_all(b"PING\r\n").unwrap();
    assert_eq!(read_exact(&client, 6), b"PING\r\n");
    drop(client);
    let flow = world.flow();
    assert_eq!(
        (flow.verdict, flow.reason),
        (Verdict::Allow, Reason::Pinned)
    );
    assert_eq!((flow.bytes_out, flow.bytes_in), (6, 6));
    assert_eq!(flow.address, Some("127.0.0.1".parse().unwrap()));
    assert_eq!(flow.notes, []);
}

#[test]
fn megabytes_both_ways_arrive_unchanged() {
    let mut world = World::for_server(echo());
    let data = pattern(20_000_000, 7);
    let client = world.connect();
    let (mut sender, sent) = (client.try_clone().unwrap(), data.clone());
    let writing = thread::spawn(move || {
        sender.write_all(b"\0").unwrap();
        sender.write_all(&sent).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let back = read_all(&client);
    writing.join().unwrap();
    assert!(back[1..] == data, "{} bytes came back", back.len());
    let flow = world.flow();
    assert_eq!((flow.bytes_out, flow.bytes_in), (20_000_001, 20_000_001));
}

#[test]
fn the_end_of_one_direction_leaves_the_other_open() {
    let server = server(|mut stream| {
        let got = read_all(&stream);
        thread::sleep(Duration::from_millis(50));
        stream.write_all(&pattern(got.len() * 2, 3)).unwrap();
    });
    let mut world = World::for_server(server);
    let mut client = world.connect();
    client.write_all(&[0; 1000]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(read_all(&client) == pattern(2000, 3));
    assert_eq!(world.flow().bytes_in, 2000);
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    let mut world = World::for_server(server(|mut stream| {
        stream.write_all(b"SSH-2.0-Server\r\n").unwrap();
        let _ = stream.read(&mut [0; 10]);
    }));
    let client = world.connect();
    assert_eq!(read_exact(&client, 16), b"SSH-2.0-Server\r\n");
    drop(client);
    assert_eq!(world.flow().bytes_in, 16);
}

#[test]
fn text_without_a_line_end_is_not_kept_for_ever() {
    let world = World::for_server(echo());
    let mut client = world.connect();
    for word in ["hello", " world", " and more"] {
        client.write_all(word.as_bytes()).unwrap();
        assert_eq!(read_exact(&client, word.len()), word.as_bytes());
    }
    client.write_all(b"\r\n").unwrap();
    read_exact(&client, 2);
    let took = quickest(|| {
        let begun = Instant::now();
        client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        read_exact(&client, 16);
        begun.elapsed()
    });
    assert!(
        took < Duration::from_millis(45),
        "after the first line nothing is held: {took:?}"
    );
}

#[test]
fn a_reset_of_the_server_resets_the_client() {
    let mut world = World::for_server(server(|stream| {
        let _ = stream.peek(&mut [0; 1]);
        drop(stream); // with unread bytes: a reset
    }));
    let mut client = world.connect();
    client.write_all(b"PING\r\n").unwrap();
    assert!(client.read(&mut [0; 1]).is_err());
    assert_eq!(world.flow().reason, Reason::Pinned);
}

/// Silence that no busy machine makes of traffic.
const IDLE: Duration = Duration::from_secs(2);

#[test]
fn a_silent_connection_ends_and_says_why() {
    let echo = echo();
    let limits = SandboxLimits {
        idle_timeout: IDLE,
        ..SandboxLimits::default()
    };
    let mut world = World::new(echo, allowing(&[NAME]), limits, (name(), echo.port()));
    let mut client = world.connect();
    let begun = Instant::now();
    while begun.elapsed() < IDLE * 3 / 2 {
        thread::sleep(IDLE / 40);
        client.write_all(b"\0").unwrap();
        read_exact(&client, 1);
    }
    let silent = Instant::now();
    let reset = client.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(reset.err(), Some(ErrorKind::ConnectionReset));
    assert!(silent.elapsed() > IDLE / 2, "{:?}", silent.elapsed());
    let flow = world.flow();
    assert_eq!(flow.notes, [FlowNote::IdleTimeout]);
}

#[test]
fn many_connections_at_once_keep_their_bytes_apart() {
    let mut world = World::for_server(echo());
    let threads: Vec<_> = (0..40)
        .map(|seed| {
            let client = world.connect();
            thread::spawn(move || {
                let data = pattern(300_000, seed * 2 + 1);
                let (mut sender, sent) = (client.try_clone().unwrap(), data.clone());
                let writing = thread::spawn(move || {
                    sender.write_all(&[0]).unwrap();
                    sender.write_all(&sent).unwrap();
                    sender.shutdown(Shutdown::Write).unwrap();
                });
                let back = read_all(&client);
                writing.join().unwrap();
                assert!(back[1..] == data);
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    for _ in 0..40 {
        assert_eq!(world.flow().bytes_out, 300_001);
    }
}
