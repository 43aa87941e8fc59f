//! A repository that sandboxes and a person's script clone over HTTPS: git's own server, where `github.com` leads to.

use std::fs;
use std::io::copy;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, ensure};
use bailiwick_testkit::{Authority, GitHttpsServer, GitRepository};

use crate::os;

/// What the server is called: https has one port, so it has an address of its own.
const NAME: &str = "github.com";
/// What it asks for.
pub(crate) const TOKEN: &str = "ghp-bench-0123456789";
/// Files of the repository, of a few kilobytes each.
const FILES: u32 = 500;

/// A server with one repository; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Repository {
    authority: Authority,
    address: SocketAddr,
    _server: GitHttpsServer,
    _source: GitRepository,
    _root: tempfile::TempDir,
}

impl Repository {
    /// Makes the repository and serves it.
    pub(crate) fn serve() -> Result<Self> {
        ensure!(os::find("python3").is_some(), "python3 is not installed");
        let listener = TcpListener::bind((Ipv4Addr::new(127, 43, 7, 7), 443));
        let listener = listener.context("port 443 of a loopback address is root's")?;
        let source = GitRepository::new("source");
        let text = "one line of some forty characters, no more\n".repeat(100);
        for number in 0..FILES {
            source.write(&format!("file-{number}"), &text);
        }
        source.commit("all of it");
        let root = tempfile::tempdir()?;
        let owner = root.path().join("owner");
        fs::create_dir(&owner)?;
        symlink(source.path(), owner.join("repository"))?;
        let authority = Authority::new();
        let credentials = format!("x-access-token:{TOKEN}");
        let server = GitHttpsServer::start(&authority, &[NAME], root.path(), &credentials);
        let (address, behind) = (listener.local_addr()?, server.address());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                thread::spawn(move || forward(&client, behind));
            }
        });
        Ok(Self {
            authority,
            address,
            _server: server,
            _source: source,
            _root: root,
        })
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("https://{NAME}/owner/repository")
    }

    /// What a server is told so that its sandboxes find it.
    pub(crate) fn options(&self) -> Vec<String> {
        let certificate = self.authority.certificate().display().to_string();
        let pin = format!("{NAME}={}", self.address);
        ["--sandbox-resolve", &pin, "--sandbox-ca", &certificate]
            .map(str::to_owned)
            .into()
    }

    /// What a person would type, as a word of a shell's command.
    pub(crate) fn clone_into(&self, directory: &Path) -> String {
        format!(
            "GIT_SSL_CAINFO={} git -c http.curloptResolve={NAME}:443:{} clone --quiet https://x-access-token:{TOKEN}@{NAME}/owner/repository {}",
            self.authority.certificate().display(),
            self.address.ip(),
            directory.display()
        )
    }
}

fn forward(client: &TcpStream, server: SocketAddr) {
    let Ok(server) = os::connect(server) else {
        return;
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            // Whoever goes first ends it for both.
            let _ = copy(&mut &*client, &mut &server);
            let _ = server.shutdown(Shutdown::Write);
        });
        let _ = copy(&mut &server, &mut &*client);
        let _ = client.shutdown(Shutdown::Both);
    });
}
