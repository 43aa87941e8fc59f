//! Syslog.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener};

use crate::{delivery, line, sink};

/// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID - MSG`, and its message.
fn message(text: &str) -> &str {
    let mut fields = text.splitn(8, ' ');
    let mut next = || fields.next().unwrap();
    assert_eq!(next(), "<109>1");
    assert_eq!(next(), "2026-11-18T11:06:40.123456Z");
    assert!(!next().is_empty());
    assert_eq!(next(), "bailiwick");
    assert_eq!(next(), std::process::id().to_string());
    assert_eq!((next(), next()), ("audit", "-"));
    next()
}

/// The next message of a stream, by the length in front of it.
async fn counted(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut length = 0;
    loop {
        match stream.read_u8().await.unwrap() {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

async fn accepted(listener: &TcpListener) -> TcpStream {
    let waiting = tokio::time::timeout(Duration::from_secs(20), listener.accept());
    waiting.await.unwrap().unwrap().0
}

#[tokio::test]
async fn a_datagram_is_a_message() {
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    let mut sink = sink(&format!("syslog+udp://{address}"));
    sink.deliver(&delivery([1, 2])).await.unwrap();
    let mut buffer = vec![0; 70_000];
    for number in [1, 2] {
        let length = receiver.recv(&mut buffer).await.unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        assert_eq!(message(text), line(number));
    }
    // What no datagram holds is cut between two characters.
    let mut long = delivery([1]);
    long.records[0].json = "\u{e9}".repeat(50_000);
    sink.deliver(&long).await.unwrap();
    let length = receiver.recv(&mut buffer).await.unwrap();
    let text = std::str::from_utf8(&buffer[..length]).unwrap();
    assert!(length <= 65_000 && length > 64_990, "{length}");
    assert!(long.records[0].json.starts_with(message(text)));
}

#[tokio::test]
async fn messages_of_a_stream_have_their_lengths() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut sink = sink(&format!("syslog+tcp://{address}"));
    sink.deliver(&delivery([1, 2])).await.unwrap();
    let mut stream = accepted(&listener).await;
    sink.deliver(&delivery([3])).await.unwrap();
    for number in 1..=3 {
        assert_eq!(message(&counted(&mut stream).await), line(number));
    }
}

#[tokio::test]
async fn what_may_have_been_lost_with_a_connection_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut sink = sink(&format!("syslog+tcp://{address}"));
    sink.deliver(&delivery([1])).await.unwrap();
    drop(accepted(&listener).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    sink.deliver(&delivery([2])).await.unwrap();
    let mut stream = accepted(&listener).await;
    for number in [1, 2] {
        assert_eq!(message(&counted(&mut stream).await), line(number));
    }
    // Nobody is there: it is not said to be delivered.
    drop((stream, listener));
    tokio::time::sleep(Duration::from_millis(100)).await;
    sink.deliver(&delivery([3])).await.unwrap_err();
    let listener = TcpListener::bind(address).await.unwrap();
    sink.deliver(&delivery([3])).await.unwrap();
    let mut stream = accepted(&listener).await;
    for number in [2, 3] {
        assert_eq!(message(&counted(&mut stream).await), line(number));
    }
}

#[tokio::test]
async fn a_socket_of_this_machine_takes_datagrams_or_a_stream() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut sink = sink(&format!("syslog+unix:{}", path.display()));
    // Before there is a receiver, and after it was started again.
    sink.deliver(&delivery([1])).await.unwrap_err();
    for _ in 0..2 {
        let receiver = UnixDatagram::bind(&path).unwrap();
        if sink.deliver(&delivery([1, 2])).await.is_err() {
            sink.deliver(&delivery([1, 2])).await.unwrap();
        }
        let mut buffer = [0; 4096];
        for number in [1, 2] {
            let length = receiver.recv(&mut buffer).await.unwrap();
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            assert_eq!(message(text), line(number));
        }
        std::fs::remove_file(&path).unwrap();
    }
    let listener = UnixListener::bind(&path).unwrap();
    if sink.deliver(&delivery([1, 2])).await.is_err() {
        sink.deliver(&delivery([1, 2])).await.unwrap();
    }
    let (mut stream, _) = listener.accept().await.unwrap();
    for number in [1, 2] {
        assert_eq!(message(&counted(&mut stream).await), line(number));
    }
}
