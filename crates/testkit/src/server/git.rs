//! Servers of git: over HTTPS, and over ssh by OpenSSH's own.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::LOOPBACK;
use super::https::python;
use super::port::FreePort;
use crate::process::{Child, command, eventually, succeed};
use crate::{Authority, User};

const SCRIPT: &str = concat!(
    include_str!("../../data/tls_server.py"),
    include_str!("../../data/git_server.py")
);

/// `git http-backend` behind TLS, on 127.0.0.1.
#[derive(Debug)]
pub struct GitHttpsServer {
    process: Child,
    address: SocketAddr,
}

impl GitHttpsServer {
    /// Serves the repositories below `root`, with a certificate for `names`; `credentials` (`user:password`) may be asked for, or be empty.
    pub fn start(authority: &Authority, names: &[&str], root: &Path, credentials: &str) -> Self {
        let certificate = authority.issue(names);
        let mut python = command(python(), User::current());
        python
            .args(["-c", SCRIPT])
            .args([root, &certificate.certificate, &certificate.key])
            .arg(credentials);
        let process = Child::start_helper(&mut python);
        let port = process.wait_for("the server's port", |line| {
            serde_json::from_str::<Value>(line).ok()?["port"].as_u64()
        });
        Self {
            process,
            address: SocketAddr::new(LOOPBACK, u16::try_from(port).expect("a port")),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes each answer had so far.
    pub fn answers(&self) -> Vec<u64> {
        let lines = self.process.printed();
        let sizes = lines
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["answered"].as_u64());
        sizes.collect()
    }
}

/// `sshd` for the user who runs the test, with keys of its own, on 127.0.0.1.
#[derive(Debug)]
pub struct SshServer {
    _process: Child,
    directory: TempDir,
    port: FreePort,
}

impl SshServer {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// Also where there is no `sshd`.
    pub fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        for key in ["host", "user"] {
            let mut keygen = command("ssh-keygen", User::current());
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]);
            succeed(keygen.arg(path(key)));
        }
        fs::copy(path("user.pub"), path("authorized")).expect("a file");
        // Where sshd goes when it has nothing to look for (sshd(8), FILES).
        if User::current().is_root() {
            fs::create_dir_all("/run/sshd").expect("a directory");
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions("/run/sshd", mode).expect("permissions");
        }
        let port = FreePort::find();
        let configuration = format!(
            "ListenAddress 127.0.0.1:{}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n",
            port.number(),
            path("host").display(),
            path("authorized").display(),
        );
        fs::write(path("config"), configuration).expect("a file");
        let mut sshd = command("/usr/sbin/sshd", User::current());
        let process = Child::start_helper(sshd.args(["-D", "-e", "-f"]).arg(path("config")));
        eventually("sshd", Duration::from_secs(60), || {
            process
                .complained()
                .contains("Server listening")
                .then_some(())
        });
        Self {
            _process: process,
            directory,
            port,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The name of who may log in.
    pub fn user() -> String {
        let printed = succeed(command("id", User::current()).arg("-un"));
        printed.trim_end().to_owned()
    }

    /// The private key that is let in.
    pub fn key(&self) -> Vec<u8> {
        fs::read(self.path("user")).expect("a file")
    }

    /// A line of known hosts for this server under that name.
    pub fn known_host(&self, name: &str) -> String {
        let key = fs::read_to_string(self.path("host.pub")).expect("a file");
        format!("[{name}]:{} {key}", self.port.number())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}
