//! HTTPS and HTTP/2, through a terminator of TLS in front of the scripted model.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_llm::proxy::{Route, SettledAs, Target};
use bailiwick_llm::{
    Authentication, Client, Protocol, Request, Timeouts, Turn, Upstream, UpstreamError,
};
use bailiwick_outbound::{Outbound, Way, trusting};
use bailiwick_policy::HostFacts;
use bailiwick_testkit::{Authority, ModelScript, ModelServer, ModelStep, Pace};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::front::Front;

/// Takes TLS off and passes the rest on.
async fn terminator(
    authority: &Authority,
    names: &[&str],
    protocols: &[&str],
    behind: SocketAddr,
) -> SocketAddr {
    let issued = authority.issue(names);
    let certificate = CertificateDer::from_pem_file(issued.certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(issued.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = config
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut inside = acceptor.accept(stream).await.ok()?;
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a test's own server connects to another of its own"
                )]
                let mut outside = TcpStream::connect(behind).await.ok()?;
                tokio::io::copy_bidirectional(&mut inside, &mut outside)
                    .await
                    .ok()
            });
        }
    });
    address
}

fn trusting_alone(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority.certificate()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

fn client(name: &str, at: SocketAddr, tls: Arc<ClientConfig>) -> Client {
    let (_, host) = watch::channel(Arc::new(HostFacts::unknown()));
    let pin = format!("{name}={at}").parse().unwrap();
    let options = DialOptions {
        pins: [pin].into_iter().collect(),
        ..DialOptions::new(host)
    };
    let timeouts = Timeouts {
        connect: Duration::from_secs(10),
        ..Timeouts::default()
    };
    let outbound = Outbound::new(Arc::new(Dialer::new(options)), tls);
    Client::new(&outbound, Way::Operator, timeouts)
}

fn upstream(name: &str, at: SocketAddr) -> Upstream {
    Upstream {
        base: format!("https://{name}:{}", at.port()).parse().unwrap(),
        protocol: Protocol::Messages,
        authentication: Authentication::ApiKey(super::KEY.parse().unwrap()),
    }
}

fn request() -> Request {
    Request::new("claude-test-1", 100, vec![Turn::user("a")])
}

#[tokio::test]
async fn fifty_answers_at_once_share_connections_of_http_2() {
    let pace = Pace {
        event_ms: 10,
        ..Pace::default()
    };
    let server = ModelServer::start(ModelScript::of([ModelStep::text("b".repeat(300))
        .at(pace)
        .always()]));
    let authority = Authority::new();
    let at = terminator(
        &authority,
        &["model.test"],
        &["h2", "http/1.1"],
        server.address(),
    )
    .await;
    let (client, upstream) = (
        client("model.test", at, trusting_alone(&authority)),
        upstream("model.test", at),
    );
    let whole = async || client.stream(&upstream, &request()).await?.whole().await;
    whole().await.unwrap();
    let all = (0..50).map(|_| whole());
    for message in futures_util::future::join_all(all).await {
        message.unwrap();
    }
    assert_eq!(server.connections(), 1);
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.version == "HTTP/2.0")
    );
}

#[tokio::test]
async fn an_upstream_without_http_2_is_spoken_to_as_it_can() {
    let server = ModelServer::start(ModelScript::of([ModelStep::text("b")]));
    let authority = Authority::new();
    let at = terminator(&authority, &["model.test"], &[], server.address()).await;
    let client = client("model.test", at, trusting_alone(&authority));
    client
        .stream(&upstream("model.test", at), &request())
        .await
        .unwrap()
        .whole()
        .await
        .unwrap();
    assert_eq!(server.requests()[0].version, "HTTP/1.1");
}

#[tokio::test]
async fn a_certificate_that_is_not_the_upstreams_gets_no_key() {
    let server = ModelServer::start(ModelScript::of([ModelStep::text("b").always()]));
    let authority = Authority::new();
    let at = terminator(&authority, &["other.test"], &["h2"], server.address()).await;
    let own = client("model.test", at, trusting_alone(&authority));
    let other_name = own
        .stream(&upstream("model.test", at), &request())
        .await
        .unwrap_err();
    let public = client("other.test", at, trusting(None).unwrap());
    let unknown = public
        .stream(&upstream("other.test", at), &request())
        .await
        .unwrap_err();
    for error in [other_name, unknown] {
        assert!(
            matches!(error, UpstreamError::Tls(_)) && !error.is_transient(),
            "{error:?}"
        );
    }
    assert_eq!(server.requests().len(), 0);
    let right = client("other.test", at, trusting_alone(&authority));
    assert!(
        right
            .stream(&upstream("other.test", at), &request())
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_asks_an_upstream_of_http_2_like_any_other() {
    let server = ModelServer::start(ModelScript::of([ModelStep::text("Through it.").always()]));
    let authority = Authority::new();
    let at = terminator(
        &authority,
        &["model.test"],
        &["h2", "http/1.1"],
        server.address(),
    )
    .await;
    let client = client("model.test", at, trusting_alone(&authority));
    let route = Route {
        target: Target::new(&client, &upstream("model.test", at)),
        model: None,
    };
    let front = Front::start(vec![route]).await;
    let proxy = Upstream {
        base: format!("http://{}/anthropic", front.address)
            .parse()
            .unwrap(),
        protocol: Protocol::Messages,
        authentication: Authentication::None,
    };
    for _ in 0..3 {
        let events = client.stream(&proxy, &request()).await.unwrap();
        let message = events.whole().await.unwrap();
        assert_eq!(message.usage.unwrap().output_tokens, 3);
    }
    assert_eq!(server.connections(), 1);
    assert!(
        server
            .requests()
            .iter()
            .all(|asked| asked.version == "HTTP/2.0")
    );
    let settled = front.settled(3);
    assert!(settled.iter().all(|one| one.kind == SettledAs::Told));
}
