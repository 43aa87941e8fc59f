//! HTTP of a scripted model.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::unfold;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Bytes, Frame as BodyFrame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::answer::Answer;
use super::frames::{self, Frame};
use super::record::{ModelRequest, ModelUsage, State};
use super::script::{ModelAnswer, ModelFailure, ModelFault, ModelReply};
use super::{chat, judge, responses, usage};

/// What the real one takes.
const BODY_BYTES: usize = 32 << 20;
/// How long a stalled stream is silent: longer than any test waits.
const STALL: Duration = Duration::from_secs(3600);
/// How long what was sent has to be written before a connection is broken.
const FLUSH: Duration = Duration::from_millis(30);

type Body = UnsyncBoxBody<Bytes, io::Error>;
type Shared = Arc<Mutex<State>>;

pub(super) async fn serve(listener: TcpListener, state: Shared, mut end: oneshot::Receiver<()>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = &mut end => return,
        };
        // A client that has gone again is no reason to stop serving.
        let Ok((stream, _)) = accepted else { continue };
        stream.set_nodelay(true).expect("an option");
        lock(&state).connections += 1;
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let serve = service_fn(|request| respond(request, Arc::clone(&state)));
            let server = auto::Builder::new(TokioExecutor::new());
            // An error is the end of this client, which the client notices itself.
            let _ = server.serve_connection(TokioIo::new(stream), serve).await;
        });
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn respond(request: Request<Incoming>, state: Shared) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let path = head.uri.path().to_owned();
    let asked = ModelRequest {
        number: 0,
        method: head.method.to_string(),
        version: format!("{:?}", head.version),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: body
            .as_ref()
            .ok()
            .and_then(|body| serde_json::from_slice(body).ok())
            .unwrap_or_default(),
        path,
        status: 200,
        finished: false,
        usage: ModelUsage::default(),
    };
    if asked.path == "/scripted/requests" {
        let requests = json!(lock(&state).requests);
        return Ok(answer(200, "", &requests));
    }
    let asked = record(asked, &state);
    let number = asked.number;
    let response = if body.is_err() {
        refuse(&ModelFailure::of(413), &asked)
    } else {
        route(&head.method, asked, &state).await
    };
    lock(&state).requests[number].status = response.status().as_u16();
    Ok(response)
}

fn record(asked: ModelRequest, state: &Shared) -> ModelRequest {
    let mut state = lock(state);
    let asked = ModelRequest {
        number: state.requests.len(),
        ..asked
    };
    state.requests.push(asked.clone());
    asked
}

async fn route(method: &Method, asked: ModelRequest, state: &Shared) -> Response<Body> {
    let id = request_id(&asked);
    match (method.as_str(), asked.path.as_str()) {
        ("POST", "/v1/messages" | "/v1/chat/completions" | "/v1/responses") => {
            ask(asked, state).await
        }
        ("POST", "/v1/embeddings") => embed(asked, state),
        ("POST", "/v1/messages/count_tokens") => match judge::refuse(&asked, &lock(state)) {
            Some(failure) => refuse(&failure, &asked),
            None => answer(
                200,
                &id,
                &json!({"input_tokens": usage::input_tokens(&asked.body)}),
            ),
        },
        ("GET", "/v1/models") => answer(200, &id, &models(&asked, &lock(state).models)),
        _ => refuse(&ModelFailure::of(404), &asked),
    }
}

fn embed(mut asked: ModelRequest, state: &Shared) -> Response<Body> {
    let mut state = lock(state);
    if let Some(failure) = judge::refuse(&asked, &state) {
        return refuse(&failure, &asked);
    }
    let whole = responses::embeddings(&asked.body);
    asked.usage.input_tokens = whole["usage"]["prompt_tokens"].as_u64().unwrap_or_default();
    asked.finished = true;
    let id = request_id(&asked);
    let number = asked.number;
    state.requests[number] = asked;
    answer(200, &id, &whole)
}

async fn ask(asked: ModelRequest, state: &Shared) -> Response<Body> {
    let step = {
        let mut state = lock(state);
        match judge::refuse(&asked, &state) {
            Some(failure) => Some(ModelAnswer::Failure(failure)),
            None => state.step_for(&asked),
        }
    };
    let reply = match step {
        Some(ModelAnswer::Reply(reply)) => reply,
        Some(ModelAnswer::Failure(failure)) => return refuse(&failure, &asked),
        None => {
            let failure = ModelFailure {
                message: Some("the script has no step for this request".to_owned()),
                ..ModelFailure::of(500)
            };
            return refuse(&failure, &asked);
        }
    };
    tokio::time::sleep(reply.pace.head()).await;
    let input = usage::of_input(&asked.body, &mut lock(state).cached);
    let answered = Answer::new(asked.number, &asked.body, &reply, input);
    if asked.body["stream"] == true {
        return stream(&asked, answered, reply, state);
    }
    let mut state = lock(state);
    state.requests[asked.number].usage = answered.usage;
    state.requests[asked.number].finished = true;
    let whole = match Dialect::of(&asked) {
        Dialect::Messages => answered.json(),
        Dialect::Chat => chat::whole(&answered),
        Dialect::Responses => responses::whole(&answered),
    };
    answer(200, &request_id(&asked), &whole)
}

/// The API that a request is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Messages,
    Chat,
    Responses,
}

impl Dialect {
    fn of(asked: &ModelRequest) -> Self {
        match asked.path.as_str() {
            "/v1/chat/completions" | "/v1/embeddings" => Self::Chat,
            "/v1/responses" => Self::Responses,
            _ => Self::Messages,
        }
    }
}

fn request_id(asked: &ModelRequest) -> String {
    format!("req_{:08}", asked.number)
}

fn refuse(failure: &ModelFailure, asked: &ModelRequest) -> Response<Body> {
    let id = request_id(asked);
    let body = match Dialect::of(asked) {
        Dialect::Chat | Dialect::Responses => failure.openai_body(),
        Dialect::Messages => failure.body(&id),
    };
    let mut response = answer(failure.status, &id, &body);
    if let Some(after) = &failure.retry_after {
        response
            .headers_mut()
            .insert("retry-after", after.parse().expect("a header"));
    }
    response
}

fn answer(status: u16, request_id: &str, body: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {});
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("request-id", request_id);
    response.body(body.boxed_unsync()).expect("a response")
}

fn models(asked: &ModelRequest, known: &[String]) -> Value {
    let model = |id: &String| {
        json!({
            "id": id, "type": "model", "object": "model", "display_name": id, "created_at": "2026-01-01T00:00:00Z", "created": 0, "owned_by": "script",
        })
    };
    let data: Vec<_> = known.iter().map(model).collect();
    if asked.headers.contains_key("anthropic-version") {
        json!({"data": data, "has_more": false, "first_id": known.first(), "last_id": known.last()})
    } else {
        json!({"object": "list", "data": data})
    }
}

/// What is to be sent, one event after the other.
struct Sending {
    frames: std::vec::IntoIter<Frame>,
    sent: usize,
    outputs: u64,
    all_outputs: u64,
    answer: Answer,
    reply: ModelReply,
    number: usize,
    dialect: Dialect,
    state: Shared,
    over: bool,
}

fn stream(
    asked: &ModelRequest,
    answer: Answer,
    reply: ModelReply,
    state: &Shared,
) -> Response<Body> {
    let dialect = Dialect::of(asked);
    let frames = match dialect {
        Dialect::Messages => frames::of(&answer, &reply.pace),
        Dialect::Chat => chat::of(&answer, &asked.body, &reply.pace),
        Dialect::Responses => responses::of(&answer, &reply.pace),
    };
    lock(state).streaming += 1;
    let sending = Sending {
        all_outputs: frames.iter().filter(|frame| frame.is_output).count() as u64,
        frames: frames.into_iter(),
        sent: 0,
        outputs: 0,
        answer,
        reply,
        number: asked.number,
        dialect,
        state: Arc::clone(state),
        over: false,
    };
    let body = unfold(sending, async |mut sending| {
        let bytes = sending.next().await?;
        Some((bytes.map(BodyFrame::data), sending))
    });
    let response = Response::builder()
        .header("content-type", "text/event-stream; charset=utf-8")
        .header("cache-control", "no-cache");
    let response = response.header("request-id", request_id(asked));
    response
        .body(StreamBody::new(body).boxed_unsync())
        .expect("a response")
}

impl Sending {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.over {
            return None;
        }
        if let Some(fault) = self.reply.fault.clone() {
            match fault {
                ModelFault::CutAfter(sent) if sent == self.sent => {
                    self.over = true;
                    // What came before is to arrive: hyper throws away what it has not written yet.
                    tokio::time::sleep(FLUSH).await;
                    return Some(Err(io::ErrorKind::ConnectionReset.into()));
                }
                ModelFault::EndAfter(sent) if sent == self.sent => return None,
                ModelFault::StallAfter(sent) if sent == self.sent => {
                    tokio::time::sleep(STALL).await;
                }
                ModelFault::ErrorAfter(sent, failure) if sent == self.sent => {
                    self.over = true;
                    return Some(Ok(self.error(&failure).into()));
                }
                ModelFault::GarbageAfter(sent, garbage) if sent == self.sent => {
                    self.over = true;
                    return Some(Ok(garbage.into()));
                }
                ModelFault::CutAfter(_)
                | ModelFault::EndAfter(_)
                | ModelFault::StallAfter(_)
                | ModelFault::ErrorAfter(..)
                | ModelFault::GarbageAfter(..) => {}
            }
        }
        let frame = self.frames.next()?;
        let pause = self.reply.pace.before(self.sent);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        self.sent += 1;
        self.outputs += u64::from(frame.is_output);
        self.count();
        Some(Ok(frame.bytes.into()))
    }

    fn error(&self, failure: &ModelFailure) -> String {
        match self.dialect {
            Dialect::Messages => frames::event("error", &failure.body("")).bytes,
            Dialect::Chat => chat::data(&failure.openai_body().to_string()).bytes,
            Dialect::Responses => {
                let error = &failure.openai_body()["error"];
                let data = json!({"type": "error", "code": error["code"], "message": error["message"], "param": null});
                frames::event("error", &data).bytes
            }
        }
    }

    /// What it took so far: the whole input with the first event, and of the output the part that was sent.
    fn count(&self) {
        let finished = self.frames.len() == 0;
        let all = self.answer.usage.output_tokens;
        let sent = if finished {
            all
        } else {
            all * self.outputs / self.all_outputs.max(1)
        };
        let mut state = lock(&self.state);
        let request = &mut state.requests[self.number];
        request.usage = ModelUsage {
            output_tokens: sent,
            ..self.answer.usage
        };
        request.finished = finished;
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        lock(&self.state).streaming -= 1;
    }
}
