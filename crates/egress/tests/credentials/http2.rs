//! HTTP/2 on both sides.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bailiwick_model::Reason;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::world::{NAME, Plan, SECRET, World, patient, placeholder};

/// What reached the server: path, header fields, body.
type Seen = Arc<Mutex<Vec<(String, HeaderMap, String)>>>;
type Sender = SendRequest<Full<Bytes>>;

/// A client of a server that reflects the request in a header, the body and a trailer.
async fn reflecting(world: &World) -> (Sender, Seen) {
    let seen = Seen::default();
    let told = seen.clone();
    let (client, server) = tokio::join!(world.connect(NAME, &["h2"]), world.accept());
    let service = service_fn(move |request: Request<Incoming>| reflect(request, told.clone()));
    tokio::spawn(async move {
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = connection
            .serve_connection(TokioIo::new(server), service)
            .await;
    });
    let client = TokioIo::new(client.expect("TLS"));
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(client).await.expect("HTTP/2");
    tokio::spawn(connection);
    (sender, seen)
}

async fn reflect(
    request: Request<Incoming>,
    seen: Seen,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_or_else(
        |error| error.to_string().into(),
        http_body_util::Collected::to_bytes,
    );
    let body = String::from_utf8_lossy(&body).into_owned();
    let key = parts.headers.get("x-key").cloned();
    seen.lock()
        .unwrap()
        .push((parts.uri.to_string(), parts.headers, body.clone()));
    let mut trailers = HeaderMap::new();
    let mut response = Response::builder();
    if let Some(key) = key {
        trailers.insert("x-late", key.clone());
        response = response.header("x-echo", key);
    }
    // In small pieces, but not so many that they look like a flood.
    let piece = (body.len() / 1000).max(3);
    let pieces: Vec<_> = body
        .into_bytes()
        .chunks(piece)
        .map(Bytes::copy_from_slice)
        .collect();
    let frames = pieces
        .into_iter()
        .map(Frame::data)
        .chain([Frame::trailers(trailers)]);
    let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok)));
    Ok(response.body(body).unwrap())
}

fn request(authority: &str, body: String) -> Request<Full<Bytes>> {
    Request::post(format!("https://{authority}/path"))
        .header("x-key", placeholder())
        .body(Full::new(body.into()))
        .unwrap()
}

fn h2() -> Plan {
    Plan {
        protocols: &["h2"],
        ..Plan::default()
    }
}

#[tokio::test]
async fn many_streams_carry_the_secret_out_and_nothing_of_it_back() {
    let world = World::with(h2()).await;
    let (sender, seen) = reflecting(&world).await;
    let asking = (0..20).map(|number| {
        let mut sender = sender.clone();
        async move {
            let body = format!("<{number} {}>", placeholder());
            let response = patient(sender.send_request(request(NAME, body)))
                .await
                .unwrap();
            assert!(
                response.headers()["x-echo"]
                    .as_bytes()
                    .iter()
                    .all(|byte| *byte == b'*')
            );
            let whole = patient(response.into_body().collect()).await.unwrap();
            let late = whole.trailers().unwrap()["x-late"].clone();
            assert!(late.as_bytes().iter().all(|byte| *byte == b'*'));
            let body = String::from_utf8(whole.to_bytes().to_vec()).unwrap();
            // In pieces of three bytes: those of the first may be seen.
            let hidden = "*".repeat(SECRET.len() - 3);
            assert!(body.ends_with(&format!("{hidden}>")), "{body}");
            assert_eq!(body.len(), format!("<{number} {SECRET}>").len());
        }
    });
    let asking: Vec<_> = asking.map(tokio::spawn).collect();
    for one in asking {
        one.await.unwrap();
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 20);
    for (uri, headers, body) in seen.iter() {
        assert_eq!(uri, &format!("https://{NAME}/path"));
        assert_eq!(headers["x-key"], SECRET);
        assert!(body.contains(SECRET));
    }
}

#[tokio::test]
async fn a_body_larger_than_any_window_goes_through() {
    let world = World::with(h2()).await;
    let (mut sender, seen) = reflecting(&world).await;
    let filler = "x".repeat(3_000_000);
    let body = format!("{filler}{}", placeholder());
    let response = patient(sender.send_request(request(NAME, body)))
        .await
        .unwrap();
    let whole = patient(response.into_body().collect())
        .await
        .unwrap()
        .to_bytes();
    assert!(whole.ends_with("*".repeat(SECRET.len()).as_bytes()));
    assert_eq!(seen.lock().unwrap()[0].2, format!("{filler}{SECRET}"));
}

#[tokio::test]
async fn an_authority_that_is_not_the_name_that_was_dialled_is_blocked() {
    let world = World::with(h2()).await;
    let (mut sender, seen) = reflecting(&world).await;
    let response = patient(sender.send_request(request("evil.test", String::new())))
        .await
        .unwrap();
    assert_eq!(response.status(), 403);
    let mut two = request(NAME, String::new());
    two.headers_mut()
        .insert("host", "evil.test".parse().unwrap());
    if let Ok(response) = patient(sender.send_request(two)).await {
        assert_eq!(response.status(), 403);
    }
    drop(sender);
    assert!(seen.lock().unwrap().is_empty());
    assert_eq!(world.flow().await.reason, Reason::HostMismatch);
}
