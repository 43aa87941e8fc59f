//! The servers that need nothing but this process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use bailiwick_testkit::{BannerServer, HttpServer, UdpEcho};

const PATIENCE: Duration = Duration::from_secs(20);

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn a_banner_comes_first_and_then_an_echo() {
    let server = BannerServer::start();
    assert_eq!(server.connections(), 0);
    let mut stream = connect(server.address());
    let mut banner = [0; 24];
    stream.read_exact(&mut banner).unwrap();
    assert_eq!(&banner, b"SSH-2.0-bailiwick_test\r\n");
    stream.write_all(b"hello").unwrap();
    let mut echo = [0; 5];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!((&echo, server.connections()), (b"hello", 1));
}

#[test]
fn http_tells_every_request_on_a_connection() {
    let server = HttpServer::start();
    let mut stream = connect(server.address());
    for path in ["/one", "/two"] {
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nxyz"
        )
        .unwrap();
        let mut answer = [0; 200];
        let mut length = 0;
        while !String::from_utf8_lossy(&answer[..length]).contains("Content-Length: 3\r\n\r\n") {
            length += stream.read(&mut answer[length..]).unwrap();
        }
    }
    let requests = server.requests();
    assert!(
        requests[0].starts_with("POST /one ") && requests[1].starts_with("POST /two "),
        "{requests:?}"
    );
    assert_eq!(server.connections(), 1);
}

#[test]
fn udp_comes_back() {
    let server = UdpEcho::start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(b"ping", server.address()).unwrap();
    let mut answer = [0; 8];
    assert_eq!(socket.recv(&mut answer).unwrap(), 4);
    assert_eq!(server.datagrams(), 1);
}
