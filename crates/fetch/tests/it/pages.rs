//! What is fetched.

use bailiwick_fetch::FetchError;
use bailiwick_model::Reason;

use crate::server::{Manner, Server};
use crate::{World, answer};

#[tokio::test]
async fn a_page_comes_with_its_type_and_nothing_else_is_said_than_what_is_asked_for() {
    let page = answer(
        "200 OK",
        &[("Content-Type", "text/plain"), ("Set-Cookie", "a=b")],
        b"hello",
    );
    let server = Server::answering(page).await;
    let world = World::limited(&["docs.test"]).with("docs.test", &server);
    let url = format!("http://docs.test:{}/a%20b?c=d", server.port());
    for _ in 0..2 {
        let got = world.get(&url).await;
        assert_eq!(got.body(), b"hello");
        assert_eq!(
            got.page.as_ref().unwrap().media_type.as_deref(),
            Some("text/plain")
        );
        let flow = got.flow();
        assert_eq!(flow.reason, Reason::Pinned);
        assert_eq!(flow.rule.as_deref(), Some("docs.test"));
        assert_eq!(flow.address, Some("127.0.0.1".parse().unwrap()));
        assert!(flow.bytes_out > 0 && flow.bytes_in > 5, "{flow:?}");
    }
    let heads = server.heads();
    let expected = format!(
        "GET /a%20b?c=d HTTP/1.1\r\n\
         host: docs.test:{}\r\n\
         accept: text/html, text/*;q=0.9, application/pdf;q=0.9, */*;q=0.8\r\n\
         accept-encoding: gzip, deflate, br\r\n\
         user-agent: bailiwick/{}\r\n\r\n",
        server.port(),
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(heads, [expected.clone(), expected], "no cookie comes back");
}

#[tokio::test]
async fn over_tls_the_certificate_has_to_be_for_the_name() {
    let page = Manner::Answers(answer("200 OK", &[], b"secret"));
    let server = Server::start(page, Some("docs.test")).await;
    let world = World::limited(&["docs.test", "other.test"])
        .with("docs.test", &server)
        .with("other.test", &server);
    let url = |name: &str| format!("https://{name}:{}/", server.port());
    let strangers = world.get(&url("docs.test")).await;
    assert!(matches!(strangers.error(), FetchError::Tls(_)));
    assert_eq!(strangers.flow().reason, Reason::UpstreamCertificate);
    let world = world.trusting(&server);
    assert_eq!(world.get(&url("docs.test")).await.body(), b"secret");
    let other = world.get(&url("other.test")).await;
    assert!(matches!(other.error(), FetchError::Tls(_)));
    assert_eq!(other.flow().reason, Reason::UpstreamCertificate);
    assert_eq!(
        server.heads().len(),
        1,
        "nothing is asked of whom nobody knows"
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_its_body_is_not_read() {
    let mut moved = answer(
        "302 Found",
        &[("Location", "http://169.254.169.254/latest")],
        b"",
    );
    moved = String::from_utf8(moved)
        .unwrap()
        .replace("Length: 0", "Length: 9")
        .into();
    let server = Server::start(Manner::Drips(moved), None).await;
    let world = World::limited(&["docs.test"]).with("docs.test", &server);
    let got = world
        .get(&format!("http://docs.test:{}/", server.port()))
        .await;
    let page = got.page.as_ref().unwrap();
    assert_eq!(page.status, 302);
    assert_eq!(
        page.location.as_deref(),
        Some("http://169.254.169.254/latest")
    );
    assert_eq!(server.connections(), 1);
    assert_eq!(got.flows.len(), 1, "nobody went where it leads");
}

#[tokio::test]
async fn a_fetch_that_is_given_up_is_recorded_too() {
    let server = Server::start(Manner::Silent, None).await;
    let world = World::limited(&["docs.test"]).with("docs.test", &server);
    let flows = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let all = std::sync::Arc::clone(&flows);
    let record = move |flow| all.lock().unwrap().push(flow);
    let url = format!("http://docs.test:{}/", server.port());
    let fetching = world.ask(&url, crate::MOST, record);
    let short = std::time::Duration::from_millis(200);
    assert!(tokio::time::timeout(short, fetching).await.is_err());
    let flows = flows.lock().unwrap();
    assert_eq!(flows.len(), 1);
    assert_eq!(flows[0].reason, Reason::Pinned);
}
