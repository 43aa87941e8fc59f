//! A client of the wire API: blocking, a connection for each request.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::os;
use crate::peers::control_plane::KEY;

/// How long an answer or an event may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = os::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// One request; what came back, as JSON.
pub(super) fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> Result<Value> {
    let mut stream = connect(address)?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {KEY}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.starts_with("HTTP/1.1 20"), "{answer}");
    Ok(serde_json::from_str(body)?)
}

/// Makes something; its id.
pub(super) fn made(address: SocketAddr, path: &str, body: &Value) -> Result<String> {
    let made = ask(address, "POST", path, &body.to_string())?;
    Ok(made["id"].as_str().context("no id")?.to_owned())
}

/// An open stream of a session's events, past its head.
pub(super) fn watch(address: SocketAddr, session: &str) -> Result<BufReader<TcpStream>> {
    let mut stream = connect(address)?;
    write!(
        stream,
        "GET /v1/sessions/{session}/events/stream HTTP/1.1\r\nhost: {address}\r\nx-api-key: {KEY}\r\n\r\n"
    )?;
    let mut stream = BufReader::with_capacity(4096, stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
    while line != "\r\n" {
        line.clear();
        ensure!(stream.read_line(&mut line)? > 0, "the head has no end");
    }
    Ok(stream)
}

/// The next event of this type.
pub(super) fn await_event(stream: &mut BufReader<TcpStream>, kind: &str) -> Result<Value> {
    let mut line = String::new();
    loop {
        line.clear();
        let length = stream.read_line(&mut line);
        ensure!(length.context(kind.to_owned())? > 0, "no {kind} came");
        let Some(data) = line.strip_prefix("data: ") else {
            continue;
        };
        let event: Value = serde_json::from_str(data)?;
        ensure!(event["type"] != "session.error", "{event}");
        if event["type"] == kind {
            return Ok(event);
        }
    }
}
