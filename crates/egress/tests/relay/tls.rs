//! TLS to a name must ask for that name.

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use bailiwick_model::{FlowNote, Reason};

use crate::world::{NAME, World, echo, read_all, read_exact};

fn hello(server_name: Option<&str>) -> Vec<u8> {
    let be16 = |number: usize| u16::try_from(number).unwrap().to_be_bytes();
    let mut extensions = vec![];
    if let Some(name) = server_name {
        extensions.extend([0, 0]);
        extensions.extend(be16(name.len() + 5));
        extensions.extend(be16(name.len() + 3));
        extensions.push(0);
        extensions.extend(be16(name.len()));
        extensions.extend(name.as_bytes());
    }
    let mut body = vec![3, 3];
    body.extend([9; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(be16(extensions.len()));
    body.extend(extensions);
    [&[1, 0][..], &be16(body.len()), &body].concat()
}

fn record(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[22, 3, 1, length[0], length[1]], payload].concat()
}

/// The bytes are forwarded: the server echoes them.
fn passes(bytes: &[u8]) -> World {
    let world = World::for_server(echo());
    let mut client = world.connect();
    client.write_all(bytes).unwrap();
    assert_eq!(read_exact(&client, bytes.len()), bytes);
    world
}

/// Not one byte is forwarded, and the client gets an alert.
fn is_blocked(pieces: &[&[u8]]) {
    let mut world = World::for_server(echo());
    let mut client = world.connect();
    for piece in pieces {
        // Who is refused in the middle of it may find that nobody listens any more.
        if client.write_all(piece).is_err() {
            break;
        }
        sleep(Duration::from_millis(2));
    }
    assert_eq!(read_all(&client), [21, 3, 3, 0, 2, 2, 112]);
    let flow = world.flow();
    assert_eq!((flow.reason, flow.bytes_out), (Reason::SniMismatch, 0));
    assert!(flow.hint.is_some());
}

#[test]
fn the_name_that_was_connected_to_passes() {
    passes(&record(&hello(Some(NAME))));
    passes(&record(&hello(Some("SERVER.Test."))));
}

#[test]
fn another_name_is_blocked() {
    for other in [
        "evil.test",
        "notserver.test",
        "server.test.evil.test",
        "a.server.test",
        "127.0.0.1",
        "server.test\0",
        "*",
    ] {
        is_blocked(&[&record(&hello(Some(other)))]);
    }
}

#[test]
fn no_server_name_passes_and_is_noted() {
    let mut world = passes(&record(&hello(None)));
    assert_eq!(world.flow().notes, [FlowNote::NoSni]);
}

#[test]
fn a_hello_in_fragments_is_put_together() {
    let message = hello(Some(NAME));
    let fragments: Vec<u8> = message.chunks(3).flat_map(record).collect();
    passes(&fragments);
    let message = hello(Some("evil.test"));
    let fragments: Vec<Vec<u8>> = message.chunks(7).map(record).collect();
    is_blocked(&fragments.iter().map(Vec::as_slice).collect::<Vec<_>>());
}

#[test]
fn a_hello_byte_by_byte_is_put_together() {
    let bytes = record(&hello(Some("evil.test")));
    is_blocked(&bytes.chunks(1).collect::<Vec<_>>());
    let world = World::for_server(echo());
    let mut client = world.connect();
    let bytes = record(&hello(Some(NAME)));
    for byte in &bytes {
        client.write_all(&[*byte]).unwrap();
        sleep(Duration::from_millis(1));
    }
    assert_eq!(read_exact(&client, bytes.len()), bytes);
}

#[test]
fn a_hello_of_34_bytes_is_blocked() {
    let tiny = record(&[&[1, 0, 0, 25][..], &[0; 25]].concat());
    assert_eq!(tiny.len(), 34);
    is_blocked(&[&tiny]);
}

#[test]
fn an_oversized_hello_is_blocked() {
    is_blocked(&[&record(&[1, 2, 0, 0])]);
    let small_records: Vec<u8> = std::iter::once(record(&[1, 0, 0xff, 0]))
        .chain((0..20_000).map(|_| record(&[0])))
        .flatten()
        .collect();
    is_blocked(&[&small_records]);
}

#[test]
fn a_second_hello_for_another_name_is_blocked() {
    let world = World::for_server(echo());
    let mut client = world.connect();
    let first = record(&hello(Some(NAME)));
    client.write_all(&first).unwrap();
    assert_eq!(read_exact(&client, first.len()), first);
    let change_cipher_spec = [20, 3, 3, 0, 1, 1];
    client
        .write_all(&[&change_cipher_spec[..], &record(&hello(Some("evil.test")))].concat())
        .unwrap();
    let after = read_all(&client);
    assert!(
        after.len() <= change_cipher_spec.len() + 7,
        "nothing of the second hello came back: {after:?}"
    );
}
