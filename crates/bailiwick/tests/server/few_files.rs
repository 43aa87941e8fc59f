//! A server that may open few files.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use bailiwick_testkit::Child;

use crate::machine;

#[expect(clippy::disallowed_methods, reason = "a test is the client")]
fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address).expect("a connection")
}

/// How long a request on a connection of its own takes.
fn asked(address: &str) -> Duration {
    let begun = Instant::now();
    let mut stream = connect(address);
    let request = "GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    begun.elapsed()
}

/// 64 files are fewer than half of them and what the database has open; 30 are fewer than that, too.
#[test]
fn a_server_with_few_files_answers_beside_any_number_of_idle_connections() {
    for files in [64, 30] {
        let machine = machine();
        #[expect(clippy::disallowed_methods, reason = "a shell sets the limit")]
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -n {files}; exec \"$0\" \"$@\""))
            .args([env!("CARGO_BIN_EXE_bailiwick"), "up"])
            .args(["--listen", "127.0.0.1:0", "--data", "data"])
            .args(["--log-level", "error"])
            .current_dir(machine.workspace());
        let server = Child::start(&mut command);
        let address = server.wait_for("where it listens", |line| {
            line.strip_prefix("listening on http://").map(str::to_owned)
        });
        let mut idle = Vec::new();
        for number in 1..=400 {
            idle.push(connect(&address));
            if number % 100 == 0 {
                let took = asked(&address);
                assert!(took < Duration::from_secs(5), "{files} files: {took:?}");
            }
        }
        let complaints = server.complained();
        let count = complaints.matches("no connection can be accepted").count();
        assert!(count <= 2, "{complaints}");
    }
}
