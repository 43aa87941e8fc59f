//! Plain HTTP/1.1 that serves the files of a directory, as a mirror of packages does.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{LOOPBACK, TcpService};

/// Answers GET and HEAD with the file at that path below a directory, else 404. `index.html` stands for its directory.
#[derive(Debug)]
pub struct FileServer {
    service: TcpService,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FileServer {
    /// On 127.0.0.1. Files may come and go meanwhile.
    pub fn start(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let service = TcpService::start(SocketAddr::new(LOOPBACK, 0), move |stream| {
            // An error is the end of this client, which the client notices itself.
            let _ = serve(stream, &directory, &seen);
        });
        Self { service, asked }
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.service.address().port()
    }

    /// The paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn serve(
    mut stream: TcpStream,
    directory: &Path,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let mut words = head.split(' ');
        let (method, target) = (words.next(), words.next().unwrap_or_default());
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(target.to_owned());
        let (status, body) = match find(directory, target) {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", Vec::new()),
        };
        // An index that does not call itself a page is none to pip.
        let is_page = body.starts_with(b"<");
        let kind = if is_page {
            "text/html"
        } else {
            "application/octet-stream"
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        if method == Some("GET") {
            stream.write_all(&body)?;
        }
    }
}

/// The file by this path, if it leads nowhere else.
fn find(directory: &Path, target: &str) -> Option<Vec<u8>> {
    let target = target.split('?').next()?.trim_start_matches('/');
    let is_plain = Path::new(target)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let path = directory.join(target);
    let path = if path.is_dir() {
        path.join("index.html")
    } else {
        path
    };
    is_plain.then(|| fs::read(path).ok()).flatten()
}
