//! Images of OCI registries. All of this runs inside the sandbox of a build, whose network is the registry: what a registry answers is
//! parsed and unpacked there.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::task::{Context, Poll};

use bailiwick_model::limits::OCI_LAYERS;
use bailiwick_policy::{HOST_SERVICE, HostPattern, HostPatternError};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use tokio::io::AsyncWrite;

/// What names this machine in a reference; inside it is [`HOST_SERVICE`].
const HERE: &[&str] = &["localhost", "127.0.0.1", "[::1]", HOST_SERVICE];
/// The registry that references without one mean.
const DOCKER_HUB: &str = "docker.io";
/// Where some registries keep what they only refer to: registry, and what else a pull reaches.
const ELSEWHERE: &[(&str, &[&str])] = &[
    (
        DOCKER_HUB,
        &[
            "registry-1.docker.io",
            "index.docker.io",
            "auth.docker.io",
            "production.cloudflare.docker.com",
            "*.r2.cloudflarestorage.com",
        ],
    ),
    ("ghcr.io", &["pkg-containers.githubusercontent.com"]),
    ("quay.io", &["*.quay.io"]),
    ("gcr.io", &["storage.googleapis.com"]),
    ("public.ecr.aws", &["*.cloudfront.net"]),
    ("mcr.microsoft.com", &["*.data.mcr.microsoft.com"]),
];

/// Why an image was not pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The registry, or what it served.
    #[error(transparent)]
    Registry(#[from] OciDistributionError),
    /// Too many layers.
    #[error("the image has {0} layers; {OCI_LAYERS} is the most")]
    Layers(usize),
    /// A layer could not be unpacked; why was told on standard error.
    #[error("a layer could not be unpacked")]
    Unpack,
    /// The program that unpacks could not be started or spoken to.
    #[error("cannot unpack a layer: {0}")]
    Io(#[from] std::io::Error),
}

/// Who pulls. What is printed of it has no password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password or token.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The hosts and ports that a pull reaches, and the port of this machine where the registry is one of its services.
///
/// # Errors
///
/// The registry's name cannot be allowed.
pub fn reached(reference: &Reference) -> Result<(Vec<HostPattern>, Option<u16>), HostPatternError> {
    let registry = reference.registry();
    if let Some(port) = port_here(registry) {
        return Ok((Vec::new(), Some(port)));
    }
    let elsewhere = ELSEWHERE.iter().filter(|(name, _)| *name == registry);
    let mut hosts = vec![host_pattern(registry)?];
    for name in elsewhere.flat_map(|(_, names)| *names) {
        hosts.push(name.parse()?);
    }
    Ok((hosts, None))
}

/// The registry as the sandbox reaches it.
pub fn inside(reference: &Reference) -> Reference {
    let Some(port) = port_here(reference.registry()) else {
        return reference.clone();
    };
    let (registry, repository) = (format!("{HOST_SERVICE}:{port}"), reference.repository());
    match reference.digest() {
        Some(digest) => Reference::with_digest(registry, repository.to_owned(), digest.to_owned()),
        None => Reference::with_tag(
            registry,
            repository.to_owned(),
            reference.tag().unwrap_or("latest").to_owned(),
        ),
    }
}

/// The same image by the digest of its manifest.
pub fn pinned(reference: &Reference, digest: &str) -> Reference {
    reference.clone_with_digest(digest.to_owned())
}

/// Whether the registry is a service of the machine that pulls.
pub fn is_here(reference: &Reference) -> bool {
    let registry = reference.registry();
    HERE.contains(&registry) || port_here(registry).is_some()
}

fn host_pattern(registry: &str) -> Result<HostPattern, HostPatternError> {
    if registry.contains(':') {
        registry.parse()
    } else {
        format!("{registry}:443").parse()
    }
}

fn port_here(registry: &str) -> Option<u16> {
    let (host, port) = registry.rsplit_once(':')?;
    HERE.contains(&host).then(|| port.parse().ok()).flatten()
}

fn client(reference: &Reference) -> Client {
    Client::new(ClientConfig {
        protocol: protocol(reference.registry()),
        ..ClientConfig::default()
    })
}

fn protocol(registry: &str) -> ClientProtocol {
    // A service of this machine has no certificate for that name; docker does the same with localhost.
    if port_here(registry).is_some() {
        ClientProtocol::HttpsExcept(vec![registry.to_owned()])
    } else {
        ClientProtocol::Https
    }
}

fn auth(login: Option<&Login>) -> RegistryAuth {
    login.map_or(RegistryAuth::Anonymous, |login| {
        RegistryAuth::Basic(login.user.clone(), login.password.clone())
    })
}

/// The digest of the manifest for this machine's platform.
///
/// # Errors
///
/// [`PullError::Registry`].
pub async fn look_up(reference: &Reference, login: Option<&Login>) -> Result<String, PullError> {
    let (_, digest) = client(reference)
        .pull_image_manifest(reference, &auth(login))
        .await?;
    Ok(digest)
}

/// Pulls an image and unpacks its layers, one over the other, into `root`; returns their digests, the lowest first.
///
/// A layer is unpacked while it comes; one whose digest turns out to be another fails the whole, and with it the build. `program` is what unpacks one layer from
/// its standard input: see [`super::unpack::unpack`].
///
/// # Errors
///
/// [`PullError`]; what was unpacked so far stays.
pub async fn pull(
    reference: &Reference,
    login: Option<&Login>,
    program: &[&str],
    root: &Path,
) -> Result<Vec<String>, PullError> {
    let client = client(reference);
    let (manifest, _) = client.pull_image_manifest(reference, &auth(login)).await?;
    if manifest.layers.len() > OCI_LAYERS {
        return Err(PullError::Layers(manifest.layers.len()));
    }
    let mut digests = Vec::new();
    for layer in &manifest.layers {
        println!("{} {} bytes", layer.digest, layer.size);
        let mut unpacking = Unpacking::start(program, root)?;
        let pulled = client.pull_blob(reference, layer, &mut unpacking).await;
        let unpacked = unpacking.finish()?;
        // If the other end is gone, why it went says more than that it is gone.
        if !unpacked {
            return Err(PullError::Unpack);
        }
        pulled?;
        digests.push(layer.digest.clone());
    }
    Ok(digests)
}

/// The process that unpacks a layer. Writing to it blocks: nothing else goes on beside it.
struct Unpacking {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Unpacking {
    #[expect(
        clippy::disallowed_methods,
        reason = "inside a sandbox, this very program once more: a process that changes its root is good for nothing else"
    )]
    fn start(program: &[&str], root: &Path) -> std::io::Result<Self> {
        let mut child = Command::new(program.first().copied().unwrap_or_default())
            .args(program.iter().skip(1))
            .arg(root)
            .stdin(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        Ok(Self { child, stdin })
    }

    fn finish(mut self) -> std::io::Result<bool> {
        drop(self.stdin.take());
        Ok(self.child.wait()?.success())
    }
}

impl AsyncWrite for Unpacking {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let stdin = self.get_mut().stdin.as_mut();
        Poll::Ready(stdin.map_or(Ok(0), |stdin| stdin.write(bytes)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_of_this_machine_is_reached_by_its_port_alone() {
        let reference: Reference = "localhost:5000/team/base:1".parse().unwrap();
        assert_eq!(reached(&reference).unwrap(), (Vec::new(), Some(5000)));
        assert_eq!(
            inside(&reference).to_string(),
            "host.internal:5000/team/base:1"
        );
        let by_digest = pinned(&reference, &format!("sha256:{}", "0".repeat(64)));
        assert!(
            inside(&by_digest)
                .to_string()
                .starts_with("host.internal:5000/team/base@sha256:")
        );
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_tls_and_only_by_its_own_name() {
        let is_plain = |registry| match protocol(registry) {
            ClientProtocol::HttpsExcept(except) => except == [registry],
            ClientProtocol::Https | ClientProtocol::Http => false,
        };
        assert!(is_plain("host.internal:5000"));
        for registry in [
            "host.internal.example.com",
            "host.internal.example.com:5000",
            "host.internals:5000",
            "registry.example.com:5000",
        ] {
            assert!(!is_plain(registry), "{registry}");
        }
        // By this name it is the same machine as by `localhost`.
        let reference: Reference = "host.internal:5000/team/base:1".parse().unwrap();
        assert_eq!(reached(&reference).unwrap(), (Vec::new(), Some(5000)));
        assert_eq!(inside(&reference), reference);
        let elsewhere: Reference = "host.internal.example.com:5000/a".parse().unwrap();
        let (hosts, port) = reached(&elsewhere).unwrap();
        assert_eq!((hosts.len(), port), (1, None));
    }

    #[test]
    fn a_password_is_not_printed() {
        let login = Login {
            user: "puller".to_owned(),
            password: "secret".to_owned(),
        };
        let text = format!("{login:?}");
        assert!(
            text.contains("puller") && !text.contains("secret"),
            "{text}"
        );
    }

    #[test]
    fn a_pull_reaches_its_registry_and_where_that_keeps_its_layers() {
        let hosts = |text: &str| -> Vec<String> {
            let reference = text.parse().unwrap();
            let (hosts, port) = reached(&reference).unwrap();
            assert_eq!(port, None);
            hosts.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            hosts("registry.example.com/a"),
            ["registry.example.com:443"]
        );
        assert_eq!(
            hosts("registry.example.com:5000/a"),
            ["registry.example.com:5000"]
        );
        assert!(hosts("debian:12").contains(&"auth.docker.io".to_owned()));
    }
}
