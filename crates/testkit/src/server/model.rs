//! A scripted Messages API server, which behaves like the real one: framing, usage, caching, errors, and what it refuses.

mod answer;
mod chat;
mod frames;
mod judge;
mod record;
mod responses;
mod script;
mod service;
mod usage;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::oneshot;

pub use record::{ModelRequest, ModelUsage};
pub use script::{
    ModelAnswer, ModelFailure, ModelFault, ModelPiece, ModelReply, ModelScript, ModelStep,
    ModelWhen, Pace,
};

use super::{LOOPBACK, raise_descriptor_limit};
use record::State;

/// A server that answers `POST /v1/messages`, `/v1/messages/count_tokens`, `GET /v1/models`, and `POST /v1/chat/completions`, `/v1/responses` and
/// `/v1/embeddings`, over HTTP/1.1 and HTTP/2 without TLS, from a script. It runs on a thread of its own until it is dropped.
#[derive(Debug)]
pub struct ModelServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl ModelServer {
    /// On some port of 127.0.0.1.
    pub fn start(script: ModelScript) -> Self {
        Self::start_at(SocketAddr::new(LOOPBACK, 0), script)
    }

    /// On this address.
    pub fn start_at(address: SocketAddr, script: ModelScript) -> Self {
        raise_descriptor_limit();
        let listener = std::net::TcpListener::bind(address)
            .unwrap_or_else(|e| panic!("cannot listen on {address}: {e}"));
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("a flag");
        let state = Arc::new(Mutex::new(State::new(script)));
        let (end, ended) = oneshot::channel();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(service::serve(listener, shared, ended));
        });
        Self {
            address,
            state,
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for clients of the Messages API.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL for clients of OpenAI's API.
    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Adds steps behind those that there are.
    pub fn append(&self, steps: impl IntoIterator<Item = ModelStep>) {
        self.state().append(steps);
    }

    /// Every request that has reached it, in order.
    pub fn requests(&self) -> Vec<ModelRequest> {
        self.state().requests.clone()
    }

    /// The bodies of the requests for an answer of a model.
    pub fn asked(&self) -> Vec<Value> {
        let state = self.state();
        let asked = state
            .requests
            .iter()
            .filter(|request| request.is_for_answer());
        asked.map(|request| request.body.clone()).collect()
    }

    /// What all answers took, those that were cut off included: what a ledger should sum to.
    pub fn usage(&self) -> ModelUsage {
        self.state()
            .requests
            .iter()
            .map(|request| request.usage)
            .sum()
    }

    /// How many connections have reached it.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// How many answers are being sent at this moment.
    pub fn streaming(&self) -> usize {
        self.state().streaming
    }

    /// How many requests found no step.
    pub fn unscripted(&self) -> usize {
        self.state().unscripted
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
