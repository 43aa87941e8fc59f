//! The server, and the ways to it that need no peer's program.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::Stage;
use crate::os;
use crate::protocol::{NAMES, Services};
use crate::worker::Worker;

/// The server's process and where it is.
#[derive(Debug)]
pub(crate) struct Destination {
    _server: Worker,
    pub(crate) services: Services,
    pub(crate) certificate: PathBuf,
}

impl Destination {
    /// Makes a certificate and starts the server.
    pub(crate) fn start(stage: &Stage) -> Result<Self> {
        let (certificate, key) = (stage.path("certificate.pem"), stage.path("key.pem"));
        let mut openssl = os::command("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ]);
        openssl
            .args(["-subj", "/CN=bench", "-addext"])
            .arg(format!("subjectAltName=DNS:{}", NAMES.https));
        // webpki takes no CA certificate for a server's.
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        let output = openssl
            .arg("-out")
            .arg(&certificate)
            .arg("-keyout")
            .arg(&key)
            .output()?;
        ensure!(
            output.status.success(),
            "openssl: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut command = stage.role("server");
        command
            .arg("--certificate")
            .arg(&certificate)
            .arg("--key")
            .arg(&key);
        let mut server = Worker::start("the server", command)?;
        let services = server.hear()?;
        Ok(Self {
            _server: server,
            services,
            certificate,
        })
    }

    /// A client that goes straight to `services`, or through a proxy.
    pub(crate) fn client(
        &self,
        stage: &Stage,
        services: Services,
        proxy: Option<SocketAddr>,
    ) -> Result<Worker> {
        client(stage, services, proxy, &self.certificate)
    }

    /// A client that trusts another authority than the server's.
    pub(crate) fn client_trusting(
        &self,
        stage: &Stage,
        authority: &Path,
        proxy: Option<SocketAddr>,
    ) -> Result<Worker> {
        client(stage, self.services, proxy, authority)
    }

    /// A process that stands in for the server, and where: `role` is the bare relay's or Bailiwick's relay alone.
    pub(crate) fn stand_in(&self, stage: &Stage, role: &str) -> Result<(Worker, Services)> {
        let mut command = stage.role(role);
        destinations(
            &mut command,
            &self.services.map(|address| address.to_string()),
        );
        let mut relay = Worker::start(role, command)?;
        let services = relay.hear()?;
        Ok((relay, services))
    }
}

fn client(
    stage: &Stage,
    services: Services,
    proxy: Option<SocketAddr>,
    certificate: &Path,
) -> Result<Worker> {
    let mut command = stage.role("client");
    destinations(&mut command, &services.map(|address| address.to_string()));
    if let Some(proxy) = proxy {
        command.arg("--proxy").arg(proxy.to_string());
    }
    command.arg("--certificate").arg(certificate);
    Worker::start("a client", command)
}

/// `--echo`, `--source` and `--https`.
pub(crate) fn destinations(command: &mut Command, services: &Services<String>) {
    command.args([
        "--echo",
        &services.echo,
        "--source",
        &services.source,
        "--https",
        &services.https,
    ]);
}
