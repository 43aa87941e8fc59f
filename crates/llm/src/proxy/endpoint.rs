//! What of a provider's API can be asked through a proxy.

use hyper::Method;

use crate::Protocol;

/// Whose API it is, which says how errors look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Provider {
    /// Anthropic, and who speaks the Messages API.
    Anthropic,
    /// OpenAI, and who speaks its API.
    OpenAi,
}

/// One operation of a provider's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
    /// `GET /v1/models` of Anthropic.
    AnthropicModels,
    /// `POST /v1/chat/completions`.
    ChatCompletions,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `GET /v1/models` of OpenAI.
    OpenAiModels,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Messages,
        Self::CountTokens,
        Self::AnthropicModels,
        Self::ChatCompletions,
        Self::Responses,
        Self::Embeddings,
        Self::OpenAiModels,
    ];

    /// Whose API it belongs to.
    pub fn provider(self) -> Provider {
        match self {
            Self::Messages | Self::CountTokens | Self::AnthropicModels => Provider::Anthropic,
            Self::ChatCompletions | Self::Responses | Self::Embeddings | Self::OpenAiModels => {
                Provider::OpenAi
            }
        }
    }

    /// How it is asked.
    pub fn method(self) -> Method {
        if self.has_body() {
            Method::POST
        } else {
            Method::GET
        }
    }

    /// Its path below the base of an upstream, as [`Protocol`] has it: Anthropic's base is without a version, OpenAI's has it.
    pub fn path(self) -> &'static str {
        match self {
            Self::Messages => "v1/messages",
            Self::CountTokens => "v1/messages/count_tokens",
            Self::AnthropicModels => "v1/models",
            Self::ChatCompletions => "chat/completions",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
            Self::OpenAiModels => "models",
        }
    }

    /// Whether a request has a body, which names a model.
    pub fn has_body(self) -> bool {
        match self {
            Self::Messages
            | Self::CountTokens
            | Self::ChatCompletions
            | Self::Responses
            | Self::Embeddings => true,
            Self::AnthropicModels | Self::OpenAiModels => false,
        }
    }

    /// Whether it lists models.
    pub fn is_list(self) -> bool {
        !self.has_body()
    }

    /// Whether an answer takes tokens that somebody pays.
    pub fn costs(self) -> bool {
        match self {
            Self::Messages | Self::ChatCompletions | Self::Responses | Self::Embeddings => true,
            Self::CountTokens | Self::AnthropicModels | Self::OpenAiModels => false,
        }
    }

    /// Whether an upstream of this protocol has it.
    pub fn is_of(self, protocol: Protocol) -> bool {
        match (self.provider(), protocol) {
            (Provider::Anthropic, Protocol::Messages)
            | (Provider::OpenAi, Protocol::Completions(_)) => true,
            (Provider::Anthropic, Protocol::Completions(_))
            | (Provider::OpenAi, Protocol::Messages) => false,
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }
}
