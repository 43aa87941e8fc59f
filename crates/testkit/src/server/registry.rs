//! A real OCI registry, and images to fill it with.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::https::python;
use super::port::FreePort;
use crate::process::{Child, command, eventually, succeed};
use crate::{Authority, User};

const ARCHIVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/root_archive.py");
const PUSH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/push_image.py");
/// Who may pull where the registry asks: `puller`, `secret`.
const ACCOUNTS: &str = "puller:$2b$12$R90yfJ5XJj1f6aorGYAWi.TiLJKHtojU3.aszs.cywVQi2OkFPCB2\n";

/// A registry on 127.0.0.1, without TLS.
#[derive(Debug)]
pub struct OciRegistry {
    // Ends before its files go.
    _process: Child,
    directory: TempDir,
    port: FreePort,
    asks: bool,
}

/// A registry's images once more, over HTTPS on a port of its own.
#[derive(Debug)]
pub struct SecureRegistry {
    process: Child,
    port: FreePort,
}

impl SecureRegistry {
    /// How many layers of images were pulled from it, as its log has it.
    pub fn pulled(&self) -> usize {
        let log = self.process.complained();
        let is_pull = |line: &&str| {
            line.contains("response completed") && line.contains("GET") && line.contains("/blobs/")
        };
        log.lines().filter(is_pull).count()
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }
}

impl OciRegistry {
    /// One that anybody may push to and pull from.
    pub fn start() -> Self {
        Self::launch(false)
    }

    /// One that asks for the user `puller` and the password `secret`.
    pub fn start_with_login() -> Self {
        Self::launch(true)
    }

    fn launch(asks: bool) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let path = directory.path();
        let port = FreePort::find();
        let accounts = path.join("accounts");
        fs::write(&accounts, ACCOUNTS).expect("a file");
        let auth = if asks {
            format!(
                "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                accounts.display()
            )
        } else {
            String::new()
        };
        Self {
            _process: serve(path, port.number(), "", &auth),
            directory,
            port,
            asks,
        }
    }

    /// The same images over HTTPS, with a certificate for `names`, on 127.0.0.1.
    pub fn over_https(&self, authority: &Authority, names: &[&str]) -> SecureRegistry {
        let port = FreePort::find();
        let certificate = authority.issue(names);
        let tls = format!(
            ", tls: {{certificate: {}, key: {}}}",
            certificate.certificate.display(),
            certificate.key.display()
        );
        SecureRegistry {
            process: serve(self.directory.path(), port.number(), &tls, ""),
            port,
        }
    }

    /// `localhost:PORT/NAME:TAG`, as it is pulled.
    pub fn reference(&self, name: &str) -> String {
        format!("localhost:{}/{name}", self.port.number())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Pushes an image, `NAME:TAG`, of layers that [`root_archive`] wrote; returns the digest of its manifest.
    pub fn push(&self, name: &str, layers: &[&Path]) -> String {
        let mut push = command(python(), User::current());
        push.args([PUSH, &self.port.number().to_string(), name])
            .args(layers);
        if self.asks {
            push.env("LOGIN", "puller:secret");
        }
        succeed(&mut push).trim().to_owned()
    }

    /// The files of the blobs that it keeps, for a test that falsifies one.
    pub fn blobs(&self) -> Vec<PathBuf> {
        let root = self
            .directory
            .path()
            .join("data/docker/registry/v2/blobs/sha256");
        let below = |path: PathBuf| {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.path())
        };
        below(root)
            .flat_map(below)
            .map(|blob| blob.join("data"))
            .collect()
    }
}

fn serve(directory: &Path, port: u16, tls: &str, auth: &str) -> Child {
    let settings = directory.join(format!("{port}.yaml"));
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'{tls}}}\n{auth}",
        directory.join("data").display(),
    );
    fs::write(&settings, text).expect("a file");
    let mut server = command("docker-registry", User::current());
    let process = Child::start_helper(server.arg("serve").arg(&settings));
    eventually("the registry", Duration::from_secs(60), || {
        process.complained().contains("listening on").then_some(())
    });
    process
}

/// Writes the archive of a root file system whose only program is busybox (`/bin/sh`, `cat`, `ls`, `stat`, `id`, `readlink`, `touch`,
/// `find`, `wc`), with the entries that `added`, a JSON list, names; compressed with gzip if the name ends in `.gz`.
///
/// An entry is `{"name", "content" | "link" | "hardlink" | "directory" | "device", "mode", "owner"}`, or `{"program"}`, one of this machine's
/// by its path, with the libraries that it needs; after a first `{"bare": true}` there is
/// nothing else.
pub fn root_archive(file: &Path, added: &Value) {
    succeed(
        command(python(), User::current())
            .arg(ARCHIVE)
            .arg(file)
            .arg(added.to_string()),
    );
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("permissions");
}
