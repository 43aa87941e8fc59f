//! Requests to servers that do as they like, on loopback.

mod server;

use std::sync::Arc;
use std::time::Duration;

use bailiwick_dial::{DialOptions, Dialer};
use bailiwick_model::limits::OUTBOUND_HEAD_BYTES;
use bailiwick_model::{Flow, PolicySource, Reason};
use bailiwick_outbound::{
    Account, HttpUrl, Message, NotWhole, Outbound, OutboundError, Pool, PoolLimits, Waited, Way,
};
use bailiwick_policy::{
    EffectivePolicy, EgressPolicy, HostFacts, OrganizationFloor, Policy, SessionGrants,
};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::Method;
use hyper::body::{Bytes, Frame};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use server::{Heard, Server};

const SECRET: &str = "Bearer secret-0123456789";
const LIMITS: PoolLimits = PoolLimits {
    connect: Duration::from_secs(10),
    tls: Duration::from_secs(10),
    idle_connections: 4,
    idle_time: Duration::from_secs(60),
    head_bytes: OUTBOUND_HEAD_BYTES,
    headers: 32,
    ping: Duration::from_secs(20),
};

/// The way to `a.test`, which is the server, for whoever may go there.
fn outbound(server: &Server) -> Outbound {
    let (_, host) = watch::channel(Arc::new(HostFacts::unknown()));
    let pin = format!("a.test={}", server.address()).parse().unwrap();
    let options = DialOptions {
        pins: [pin].into_iter().collect(),
        ..DialOptions::new(host)
    };
    Outbound::trusting_this_machine(Arc::new(Dialer::new(options))).unwrap()
}

fn policy(hosts: &[&str]) -> Policy {
    let policy = EgressPolicy {
        allowed_hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        ..EgressPolicy::limited()
    };
    let source = PolicySource::BuiltIn;
    let effective = EffectivePolicy { policy, source };
    Policy::compile(
        effective,
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    )
}

fn url(server: &Server) -> HttpUrl {
    let text = format!("http://a.test:{}/b", server.address().port());
    text.parse().unwrap()
}

fn message() -> Message<Full<Bytes>> {
    let mut secret = HeaderValue::from_static(SECRET);
    secret.set_sensitive(true);
    Message {
        method: Method::POST,
        headers: HeaderMap::from_iter([(AUTHORIZATION, secret)]),
        body: Full::new(Bytes::from_static(b"hello")),
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[tokio::test]
async fn whom_a_policy_does_not_allow_hears_nothing() {
    let mut server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let (flows, told) = std::sync::mpsc::channel::<Flow>();
    let account = Account {
        sandbox: "one".parse().unwrap(),
        environment: None,
        now: || Timestamp::UNIX_EPOCH,
        record: Box::new(move |flow| flows.send(flow).unwrap()),
    };
    let outbound = outbound(&server).on_account(Arc::new(account));
    let url = url(&server);
    let (other, this) = (policy(&["b.test"]), policy(&["a.test"]));
    let denied = outbound
        .ask(Way::Policy(&other), &url, message(), soon())
        .await;
    let denied = denied.unwrap_err();
    assert_eq!(
        denied.denial().map(|denial| denial.reason),
        Some(Reason::NoRule)
    );
    let flow = told.try_recv().unwrap();
    assert_eq!((flow.reason, flow.bytes_out), (Reason::NoRule, 0));
    let pool = Pool::new(&outbound, Way::Policy(Arc::new(other)), LIMITS);
    let denied = pool.ask(&url, message(), LIMITS.connect).await.unwrap_err();
    assert_eq!(
        denied.denial().map(|denial| denial.reason),
        Some(Reason::NoRule)
    );
    assert_eq!(told.try_recv().unwrap().reason, Reason::NoRule);
    assert_eq!(server.connections(), 0);
    // The control: the same request where it is allowed.
    let reached = outbound.reach(Way::Policy(&this), &url).await.unwrap();
    assert_eq!(reached.permit().unwrap().reason, Reason::Pinned);
    let answer = reached.ask(message(), soon()).await.unwrap();
    assert_eq!(answer.into_body().whole(2).await.unwrap(), "hi");
    let Heard::Request(request) = server.hears().await else {
        panic!("no request")
    };
    assert!(request.starts_with("POST /b HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: a.test:{}\r\n", server.address().port())));
    assert!(request.contains("user-agent: bailiwick/"), "{request}");
    let flow = told.try_recv().unwrap();
    assert_eq!(flow.reason, Reason::Pinned);
    assert_eq!(flow.bytes_out, request.len() as u64);
    assert!(told.try_recv().is_err(), "once each");
}

#[tokio::test]
async fn a_connection_of_its_own_ends_with_the_body_and_one_of_a_pool_is_used_again() {
    let mut server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let (outbound, url) = (outbound(&server), url(&server));
    for connections in 1..=2 {
        let asking = outbound.ask(Way::<&Policy>::Operator, &url, message(), soon());
        drop(asking.await.unwrap());
        assert!(matches!(server.hears().await, Heard::Request(_)));
        assert_eq!(server.hears().await, Heard::End);
        assert_eq!(server.connections(), connections);
    }
    let pool = Pool::new(&outbound, Way::Operator, LIMITS);
    for _ in 0..3 {
        let (answer, _) = pool.ask(&url, message(), LIMITS.connect).await.unwrap();
        assert_eq!(answer.into_body().whole(2).await.unwrap(), "hi");
        assert!(matches!(server.hears().await, Heard::Request(_)));
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_redirection_is_an_answer_and_nobody_follows() {
    let other = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let head = format!(
        "HTTP/1.1 307 No\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n",
        other.address()
    );
    let server = Server::answering(head).await;
    let (outbound, url) = (outbound(&server), url(&server));
    let asking = outbound.ask(Way::<&Policy>::Operator, &url, message(), soon());
    assert_eq!(asking.await.unwrap().status(), 307);
    let pool = Pool::new(&outbound, Way::Operator, LIMITS);
    let (answer, _) = pool.ask(&url, message(), LIMITS.connect).await.unwrap();
    assert_eq!(answer.status(), 307);
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn heads_and_bodies_are_bounded_and_no_answer_is_waited_for_without_an_end() {
    let long = "a".repeat(2 * OUTBOUND_HEAD_BYTES);
    let many = "a: b\r\n".repeat(1000);
    for head in [
        format!("HTTP/1.1 200 OK\r\na: {long}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        "SSH-2.0-no\r\n\r\n".to_owned(),
    ] {
        let server = Server::answering(head).await;
        let (outbound, url) = (outbound(&server), url(&server));
        let asking = outbound.ask(Way::<&Policy>::Operator, &url, message(), soon());
        let error = asking.await.unwrap_err();
        assert!(matches!(error, OutboundError::Http(_)), "{error:?}");
        let pool = Pool::new(&outbound, Way::Operator, LIMITS);
        let error = pool.ask(&url, message(), LIMITS.connect).await.unwrap_err();
        assert!(matches!(error, OutboundError::Http(_)), "{error:?}");
    }
    let server = Server::answering("HTTP/1.1 200 OK\r\n\r\nhello").await;
    let (outbound, url) = (outbound(&server), url(&server));
    let asking = outbound.ask(Way::<&Policy>::Operator, &url, message(), soon());
    let body = asking.await.unwrap().into_body();
    assert_eq!(body.whole(4).await.unwrap_err(), NotWhole { most_bytes: 4 });
    let silent = Server::answering("").await;
    let (outbound, url) = (self::outbound(&silent), self::url(&silent));
    let soon = Instant::now() + Duration::from_millis(200);
    let asking = outbound.ask(Way::<&Policy>::Operator, &url, message(), soon);
    let error = asking.await.unwrap_err();
    assert!(
        matches!(error, OutboundError::Timeout(Waited::Answer)),
        "{error:?}"
    );
    let pool = Pool::new(&outbound, Way::Operator, LIMITS);
    let asking = pool.ask(&url, message(), Duration::from_millis(200));
    let error = asking.await.unwrap_err();
    assert!(
        matches!(error, OutboundError::Timeout(Waited::Answer)),
        "{error:?}"
    );
}

#[tokio::test]
async fn bodies_go_through_as_they_come() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n";
    let mut server = Server::answering(head).await;
    let (outbound, url) = (outbound(&server), url(&server));
    let pool = Pool::new(&outbound, Way::Operator, LIMITS);
    let (sender, pieces) = mpsc::channel::<Bytes>(1);
    let body = futures_util::stream::unfold(pieces, async |mut pieces| {
        let piece = Frame::data(pieces.recv().await?);
        Some((Ok::<_, std::convert::Infallible>(piece), pieces))
    });
    let message = Message {
        method: Method::POST,
        headers: HeaderMap::new(),
        body: StreamBody::new(Box::pin(body)),
    };
    let asking = tokio::spawn(async move { pool.ask(&url, message, LIMITS.connect).await });
    sender.send(Bytes::from_static(b"hello")).await.unwrap();
    drop(sender);
    let (answer, _) = asking.await.unwrap().unwrap();
    let Heard::Request(request) = server.hears().await else {
        panic!("no request")
    };
    assert!(request.contains("transfer-encoding: chunked"), "{request}");
    // The answer has no end yet; giving it up ends the connection, which cannot be used again.
    let mut body = answer.into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.data_ref().unwrap(), "hi");
    drop(body);
    assert_eq!(server.hears().await, Heard::End);
}

#[tokio::test]
async fn nothing_that_was_sent_is_in_what_is_shown() {
    let server = Server::answering("HTTP/1.1 no\r\n\r\n").await;
    let (outbound, url) = (outbound(&server), url(&server));
    let asking = outbound.ask(Way::<&Policy>::Operator, &url, message(), soon());
    let error = asking.await.unwrap_err();
    let pool = Pool::new(&outbound, Way::Operator, LIMITS);
    let pooled = pool.ask(&url, message(), LIMITS.connect).await.unwrap_err();
    let shown = format!(
        "{:?} {pool:?} {outbound:?} {error:?} {error} {pooled:?} {pooled}",
        message()
    );
    for secret in ["secret", "hello"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
