//! Webhooks.

use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use bailiwick_export::{ExportError, Sink, WebhookSecret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{SECRET, delivery, dialer, line, sink};

/// A request, as a receiver sees it.
#[derive(Debug, Clone)]
struct Request {
    head: String,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
            .unwrap_or_default()
    }
}

/// A receiver that gives these answers in turn, and then the last one for ever; what it got.
async fn receiver(answers: &'static [&'static str]) -> (String, Arc<Mutex<Vec<Request>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
    let got = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&got);
    tokio::spawn(async move {
        for turn in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            let request = loop {
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).await.unwrap();
                bytes.extend_from_slice(&buffer[..length]);
                let text = String::from_utf8(bytes.clone()).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let request = Request {
                    head: head.to_owned(),
                    body: body.to_owned(),
                };
                if request.header("content-length") == body.len().to_string() {
                    break request;
                }
            };
            requests.lock().unwrap().push(request);
            let answer = answers[usize::min(turn, answers.len() - 1)];
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, got)
}

#[tokio::test]
async fn a_delivery_is_a_signed_request() {
    let (url, got) = receiver(&["204 No Content"]).await;
    let mut sink = sink(&url);
    sink.deliver(&delivery([1, 2])).await.unwrap();
    let request = got.lock().unwrap()[0].clone();
    assert!(request.head.starts_with("POST /hook?a=b HTTP/1.1\r\n"));
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(
        request.body,
        format!("{{\"records\":[{},{}]}}", line(1), line(2))
    );
    let (id, timestamp) = (
        request.header("webhook-id"),
        request.header("webhook-timestamp"),
    );
    assert_eq!(id, "audit-2");
    let age = jiff::Timestamp::now().as_second() - timestamp.parse::<i64>().unwrap();
    assert!((0..60).contains(&age), "{age}");
    let key = STANDARD.decode(&SECRET["whsec_".len()..]).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signature = request.header("webhook-signature");
    let tag = STANDARD.decode(signature.strip_prefix("v1,").unwrap());
    let verify = |body: &str| {
        let message = format!("{id}.{timestamp}.{body}");
        hmac::verify(&key, message.as_bytes(), tag.as_ref().unwrap())
    };
    verify(&request.body).unwrap();
    verify("{}").unwrap_err();
}

#[tokio::test]
async fn only_an_answer_of_success_is_a_delivery() {
    let answers = &[
        "500 Internal Server Error",
        "302 Found\r\nlocation: /elsewhere",
        "410 Gone",
        "200 OK",
    ];
    let (url, got) = receiver(answers).await;
    let mut sink = sink(&url);
    for status in [500, 302, 410] {
        let refused = sink.deliver(&delivery([1])).await.unwrap_err();
        assert!(
            matches!(refused, ExportError::Status(found) if found == status),
            "{refused}"
        );
    }
    sink.deliver(&delivery([1])).await.unwrap();
    let got = got.lock().unwrap();
    assert_eq!(got.len(), 4);
    // Who gets it again can tell.
    let ids: Vec<_> = got
        .iter()
        .map(|request| request.header("webhook-id"))
        .collect();
    assert_eq!(ids, ["audit-1"; 4]);
}

#[tokio::test]
async fn nothing_is_sent_without_tls_where_tls_was_meant() {
    let (url, got) = receiver(&["200 OK"]).await;
    let mut sink = sink(&url.replacen("http:", "https:", 1));
    sink.deliver(&delivery([1])).await.unwrap_err();
    assert_eq!(got.lock().unwrap().len(), 0);
}

#[test]
fn a_webhook_needs_a_secret_that_nobody_guesses_and_nothing_prints() {
    let destination = "https://logs.example.com/hook".parse().unwrap();
    let refused = Sink::open(&destination, &dialer(), None).err().unwrap();
    assert!(matches!(refused, ExportError::NoSecret), "{refused}");
    let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
    for right in [24, 64] {
        let secret: WebhookSecret = of(right).parse().unwrap();
        assert_eq!(format!("{secret:?}"), "whsec_\u{2026}");
    }
    for wrong in [
        of(23),
        of(65),
        String::new(),
        "whsec_".to_owned(),
        "secret".to_owned(),
    ] {
        assert!(wrong.parse::<WebhookSecret>().is_err(), "{wrong}");
    }
}
