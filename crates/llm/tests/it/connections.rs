//! Who is connected to, and how often.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_dial::DialError;
use bailiwick_llm::{Message, UpstreamError};
use bailiwick_model::{PolicySource, Reason};
use bailiwick_outbound::Way;
use bailiwick_policy::{EffectivePolicy, EgressPolicy, OrganizationFloor, Policy, SessionGrants};
use bailiwick_testkit::{FreePort, ModelScript, ModelServer, ModelStep, Pace};
use tokio::task::JoinSet;

use crate::{TIMEOUTS, client, client_with, request, serve, upstream, upstream_at};

pub(crate) fn way(hosts: &[&str]) -> Way {
    let policy = EgressPolicy {
        allowed_hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        ..EgressPolicy::limited()
    };
    let source = PolicySource::BuiltIn;
    let effective = EffectivePolicy { policy, source };
    Way::Policy(Arc::new(Policy::compile(
        effective,
        &OrganizationFloor::empty(),
        &SessionGrants::none(),
    )))
}

fn denied(error: &UpstreamError) -> Option<Reason> {
    assert!(!error.is_transient(), "{error:?}");
    let UpstreamError::Dial(error) = error else {
        return None;
    };
    match &**error {
        DialError::Denied(decision) => Some(decision.reason),
        DialError::NameNotFound | DialError::Unreachable(_) => None,
    }
}

#[tokio::test]
async fn the_policy_decides_whether_an_upstream_is_connected_to() {
    let server = serve([ModelStep::text("a").always()]);
    let port = server.address().port();
    let pins = [format!("model.test={}", server.address())];
    let named = upstream_at(&format!("http://model.test:{port}"));
    let allowed = client_with(way(&["model.test"]), &pins, TIMEOUTS);
    assert!(allowed.stream(&named, &request()).await.is_ok());
    assert_eq!(server.connections(), 1);
    let others = client_with(way(&["other.test"]), &pins, TIMEOUTS);
    let error = others.stream(&named, &request()).await.unwrap_err();
    assert_eq!(denied(&error), Some(Reason::NoRule));
    // This machine is never one, whatever a rule says, unless it is the operator's own choice.
    let literal = upstream(&server);
    let error = allowed.stream(&literal, &request()).await.unwrap_err();
    assert_eq!(denied(&error), Some(Reason::Floor));
    assert_eq!(server.connections(), 1);
    assert!(client().stream(&literal, &request()).await.is_ok());
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn nobody_there_is_told_with_the_reason() {
    let port = FreePort::find();
    let error = client()
        .stream(
            &upstream_at(&format!("http://{}", port.address())),
            &request(),
        )
        .await
        .unwrap_err();
    assert!(error.is_transient());
    assert_eq!(
        error.to_string(),
        "cannot connect to the model upstream: the connection was refused"
    );
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let server = serve([ModelStep::text("a").always()]);
    let client = client();
    for _ in 0..20 {
        let events = client.stream(&upstream(&server), &request()).await.unwrap();
        events.whole().await.unwrap();
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_the_upstream_closed_meanwhile_is_no_error() {
    let server = serve([ModelStep::text("a").always()]);
    let (client, address) = (client(), server.address());
    let whole = async || -> Result<Message, UpstreamError> {
        client
            .stream(&upstream_at(&format!("http://{address}")), &request())
            .await?
            .whole()
            .await
    };
    whole().await.unwrap();
    drop(server);
    // Until it is known here: a request that is under way at that moment fails, and may be tried again.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let script = ModelScript::of([ModelStep::text("b")]);
    let again = ModelServer::start_at(address, script);
    whole().await.unwrap();
    assert_eq!(again.connections(), 1);
}

/// Resident memory of this process, in KiB.
pub(crate) fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Reads so many answers at once, each of about sixty events, all of them whole. Returns the KiB that each took at most, this process having both sides.
async fn stream_at_once(streams: u64, pace: Pace) -> u64 {
    let server = serve([ModelStep::text("x".repeat(1000)).at(pace).always()]);
    let (client, upstream) = (client(), upstream(&server));
    let before = resident_kib();
    let mut running = JoinSet::new();
    for _ in 0..streams {
        let (client, upstream) = (client.clone(), upstream.clone());
        running.spawn(async move { client.stream(&upstream, &request()).await?.whole().await });
    }
    let mut most = 0;
    while let Some(message) = running.join_next().await {
        message.unwrap().unwrap();
        most = most.max(resident_kib());
    }
    let requests = server.requests();
    assert_eq!(
        requests.iter().filter(|request| request.finished).count() as u64,
        streams
    );
    most.saturating_sub(before) / streams
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_at_once_are_whole_and_take_little_memory() {
    let pace = Pace {
        event_ms: 20,
        delta_chars: 20,
        ..Pace::default()
    };
    let each = stream_at_once(200, pace).await;
    println!("{each} KiB for each stream, with the server's side of it");
    assert!(each < 256, "{each} KiB for each stream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_five_hundred_streams_at_once_are_whole() {
    let pace = Pace {
        event_ms: 40,
        delta_chars: 20,
        ..Pace::default()
    };
    let began = Instant::now();
    stream_at_once(1, pace).await;
    let one = began.elapsed();
    let began = Instant::now();
    let each = stream_at_once(500, pace).await;
    let all = began.elapsed();
    println!("one stream {one:?}, 500 at once {all:?}, {each} KiB for each");
    assert!(each < 256, "{each} KiB for each stream");
}
