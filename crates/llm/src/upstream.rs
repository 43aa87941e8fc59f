//! What a client is told about an upstream.

use bailiwick_outbound::HttpUrl;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};

use crate::openai;
use crate::{BaseUrl, Request, Secret, UpstreamError};

/// The version of the Messages API that is spoken.
pub(crate) const ANTHROPIC_VERSION: &str = "2023-06-01";

/// A server that answers for models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where it is.
    pub base: BaseUrl,
    /// What it speaks.
    pub protocol: Protocol,
    /// What it knows this product by.
    pub authentication: Authentication,
}

/// The API of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `POST {base}/v1/messages`.
    Messages,
    /// `POST {base}/chat/completions`: the base has the version, as in `https://api.openai.com/v1`.
    Completions(OutputCap),
}

/// What an OpenAI-compatible upstream calls the bound of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputCap {
    /// `max_tokens`: vLLM, Ollama and most others.
    MaxTokens,
    /// `max_completion_tokens`: OpenAI itself, whose newer models refuse the other.
    MaxCompletionTokens,
}

/// How an upstream is shown a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// Not at all.
    None,
    /// `x-api-key`.
    ApiKey(Secret),
    /// `Authorization: Bearer`.
    Bearer(Secret),
}

impl Upstream {
    pub(crate) fn key(&self) -> Option<&Secret> {
        match &self.authentication {
            Authentication::None => None,
            Authentication::ApiKey(key) | Authentication::Bearer(key) => Some(key),
        }
    }

    pub(crate) fn url(&self) -> HttpUrl {
        self.base.join(match self.protocol {
            Protocol::Messages => "v1/messages",
            Protocol::Completions(_) => "chat/completions",
        })
    }

    pub(crate) fn body(&self, request: &Request) -> Result<Vec<u8>, UpstreamError> {
        let body = match self.protocol {
            Protocol::Messages => serde_json::to_vec(&Streamed {
                stream: true,
                request,
            }),
            Protocol::Completions(cap) => serde_json::to_vec(&openai::translate(request, cap)?),
        };
        Ok(body.expect("a request is made of what JSON has"))
    }

    pub(crate) fn headers(&self, request: &Request) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match &self.authentication {
            Authentication::None => {}
            Authentication::ApiKey(key) => {
                headers.insert(HeaderName::from_static("x-api-key"), key.header(""));
            }
            Authentication::Bearer(key) => {
                headers.insert(AUTHORIZATION, key.header("Bearer "));
            }
        }
        if self.protocol == Protocol::Messages {
            let version = HeaderValue::from_static(ANTHROPIC_VERSION);
            headers.insert(HeaderName::from_static("anthropic-version"), version);
            for beta in &request.betas {
                let beta = HeaderValue::from_static(beta);
                headers.append(HeaderName::from_static("anthropic-beta"), beta);
            }
        }
        headers
    }
}

#[derive(serde::Serialize)]
struct Streamed<'r> {
    stream: bool,
    #[serde(flatten)]
    request: &'r Request,
}
