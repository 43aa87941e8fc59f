//! A certificate authority of the test's own, and server certificates from it, made with `openssl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use crate::User;
use crate::process::{command, succeed};

/// A certificate authority. Its files go when it is dropped.
#[derive(Debug)]
pub struct Authority {
    directory: TempDir,
    issued: AtomicU32,
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A fresh one.
    pub fn new() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let authority = Self {
            directory,
            issued: AtomicU32::new(0),
        };
        succeed(
            authority
                .openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout ca.key -out ca.pem")
                .args(["-subj", "/CN=Bailiwick test authority"])
                .args(["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]),
        );
        // Read from inside a sandbox, by another user.
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(
            authority.directory.path(),
            fs::Permissions::from_mode(0o755),
        )
        .expect("permissions");
        authority
    }

    /// Settings of TLS that trust this authority alone.
    ///
    /// # Panics
    ///
    /// When its certificate cannot be read.
    pub fn trusted(&self) -> Arc<ClientConfig> {
        let certificate = CertificateDer::from_pem_file(self.certificate());
        let mut roots = RootCertStore::empty();
        roots
            .add(certificate.expect("a certificate"))
            .expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("its own versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    /// The authority's own certificate, PEM: what `--ca` takes.
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A certificate for these names and addresses.
    pub fn issue(&self, names: &[&str]) -> Certificate {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let [key, request, certificate, extensions] =
            ["key", "csr", "pem", "ext"].map(|kind| format!("server{number}.{kind}"));
        let alternatives = names
            .iter()
            .map(|name| match name.parse::<std::net::IpAddr>() {
                Ok(address) => format!("IP:{address}"),
                Err(_) => format!("DNS:{name}"),
            });
        let alternatives = alternatives.collect::<Vec<_>>().join(",");
        fs::write(
            self.path(&extensions),
            format!("subjectAltName={alternatives}\n"),
        )
        .expect("a file");
        succeed(
            self.openssl(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server",
            )
            .args(["-keyout", &key, "-out", &request]),
        );
        succeed(
            self.openssl("x509 -req -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial")
                .args([
                    "-in",
                    &request,
                    "-out",
                    &certificate,
                    "-extfile",
                    &extensions,
                ]),
        );
        Certificate {
            certificate: self.path(&certificate),
            key: self.path(&key),
        }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    fn openssl(&self, words: &str) -> std::process::Command {
        let mut command = command("openssl", User::current());
        command
            .args(words.split_whitespace())
            .current_dir(self.directory.path());
        command
    }
}
