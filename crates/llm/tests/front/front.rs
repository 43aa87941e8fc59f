//! A small server that passes what it is asked on through `proxy`, as the product's does.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bailiwick_llm::proxy::{
    Asked, Endpoint, Provider, ProxyBody, Refusal, Route, Settlement, forward, read,
};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

/// The server, until its runtime ends.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    settlements: Arc<Mutex<Vec<Settlement>>>,
}

impl Front {
    /// Passes on to these; a model `refused:REASON` is refused by the proxy itself.
    pub(crate) async fn start(routes: Vec<Route>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Self {
            address: listener.local_addr().unwrap(),
            settlements: Arc::default(),
        };
        let (served, routes) = (front.clone(), Arc::new(routes));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let (front, routes) = (served.clone(), Arc::clone(&routes));
                tokio::spawn(async move {
                    let serve = service_fn(|request| {
                        let (front, routes) = (front.clone(), Arc::clone(&routes));
                        async move { front.respond(request, &routes).await }
                    });
                    let server = auto::Builder::new(TokioExecutor::new());
                    // An error is the end of this client, which the client notices itself.
                    let _ = server.serve_connection(TokioIo::new(stream), serve).await;
                });
            }
        });
        front
    }

    /// What was settled, once it is so much. More than that is an error.
    pub(crate) fn settled(&self, count: usize) -> Vec<Settlement> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let settlements = self.settlements.lock().unwrap().clone();
            if settlements.len() >= count {
                assert_eq!(settlements.len(), count, "{settlements:?}");
                return settlements;
            }
            assert!(Instant::now() < deadline, "{settlements:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    async fn respond(
        &self,
        request: Request<Incoming>,
        routes: &[Route],
    ) -> Result<Response<ProxyBody>, Infallible> {
        let (head, body) = request.into_parts();
        let (provider, endpoint) = endpoint(&head.method, head.uri.path());
        let Some(endpoint) = endpoint else {
            return Ok(Refusal::UnknownPath.response(provider));
        };
        let Ok(body) = Limited::new(body, 32 << 20).collect().await else {
            return Ok(Refusal::TooLarge.response(provider));
        };
        let body = body.to_bytes();
        let asks = match read(endpoint, &body) {
            Ok(asks) => asks,
            Err(error) => return Ok(Refusal::from(error).response(provider)),
        };
        if let Some(reason) = asks.model_name().strip_prefix("refused:") {
            return Ok(refusal(reason).response(provider));
        }
        let settlements = Arc::clone(&self.settlements);
        let asked = Asked {
            endpoint,
            headers: &head.headers,
            query: head.uri.query(),
            body: &body,
            asks: &asks,
        };
        let settle = move |settlement| settlements.lock().unwrap().push(settlement);
        Ok(forward(routes, asked, settle).await)
    }
}

fn endpoint(method: &Method, path: &str) -> (Provider, Option<Endpoint>) {
    let (provider, prefix) = if path.starts_with("/anthropic/") {
        (Provider::Anthropic, "/anthropic/")
    } else {
        (Provider::OpenAi, "/openai/v1/")
    };
    let path = path.strip_prefix(prefix);
    let found = Endpoint::ALL.into_iter().find(|endpoint| {
        endpoint.provider() == provider
            && endpoint.method() == *method
            && Some(endpoint.path()) == path
    });
    (provider, found)
}

/// Each of the proxy's own refusals, by a word.
fn refusal(reason: &str) -> Refusal {
    use bailiwick_llm::NanoDollars;
    use bailiwick_llm::proxy::{Left, LimitReached};
    match reason {
        "limit" => Refusal::Limit(LimitReached {
            limit: "team payments".to_owned(),
            window: "24h".to_owned(),
            left: Left::NanoDollars(NanoDollars(1_500_000)),
            needed: Left::NanoDollars(NanoDollars(2_000_000_000)),
            resets_at: None,
        }),
        "key" => Refusal::Unauthenticated,
        "forbidden" => Refusal::Forbidden("tool bash: not allowed by this proxy".to_owned()),
        "model" => Refusal::UnknownModel(reason.to_owned()),
        "large" => Refusal::TooLarge,
        "busy" => Refusal::Busy { retry_seconds: 0 },
        "undecided" => Refusal::Undecided,
        "unreachable" => Refusal::Unreachable,
        "denied" => Refusal::Denied,
        "late" => Refusal::TimedOut(bailiwick_llm::Phase::FirstByte),
        other => panic!("no such refusal: {other}"),
    }
}
