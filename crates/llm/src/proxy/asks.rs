//! What a request says, as far as it matters to who may ask and what it may cost.

mod key;
mod reading;
mod urls;

use std::borrow::Cow;
use std::ops::Range;

use bailiwick_model::limits::{
    LLM_ASKED_TOOLS, LLM_BYTES_OF_A_TOKEN, LLM_CONTEXT_TOKENS, LLM_MODEL_CHARS, LLM_OUTPUT_TOKENS,
    LLM_PICTURE_TOKENS, LLM_PROVIDER_PROMPT_TOKENS, LLM_PROVIDER_TOOL_ROUNDS, LLM_REQUEST_BYTES,
};

use hyper::HeaderMap;

use crate::proxy::Endpoint;
use crate::{ModelPrice, Usage};

pub use reading::read;
pub use urls::fetched_urls;

/// A beta of Anthropic's for a context of a million tokens.
const LONG_CONTEXT: &str = "context-1m";
/// Tools of providers that cost the tokens that they bring, and nothing else.
const WITHOUT_A_FEE: [&str; 2] = ["web_fetch_", "tool_search_tool_"];
/// Tools of providers that reach nothing outside of them.
const WITHIN_THE_PROVIDER: [&str; 5] = [
    "tool_search_tool_",
    "code_execution_",
    "code_interpreter",
    "file_search",
    "image_generation",
];

/// What a request says. It borrows from the request's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asks<'b> {
    /// The model; none where the endpoint has no body.
    pub model: Option<AskedModel<'b>>,
    /// Whether the answer is to be a stream.
    pub stream: bool,
    /// Tokens that the answer, or each of several, has at most.
    pub output_cap: Option<u64>,
    /// How many answers are asked for.
    pub choices: u64,
    /// The tools that it defines.
    pub tools: Vec<AskedTool<'b>>,
    /// Whether it has content whose tokens its bytes do not bound: by a URL or an id, documents, sound, and whatever is not known.
    pub is_open: bool,
    /// Pictures that are in it.
    pub pictures: u64,
    /// What makes it dearer than the price table knows: the name of the field that asks for it.
    pub surcharge: Option<&'static str>,
    /// Whether the answer is to be fetched later, so that what it took is never told here.
    pub background: bool,
    /// Whether it may have a longer context than its model usually has.
    pub is_long: bool,
    /// Its length.
    pub bytes: usize,
    pub(super) usage: AsksUsage,
    costs: bool,
    has_output: bool,
    predicted_bytes: u64,
}

/// The model that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedModel<'b> {
    /// Its name, without escapes.
    pub name: Cow<'b, str>,
    /// Where the JSON string is in the body, quotes included.
    pub at: Range<usize>,
}

/// A tool that a request defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedTool<'b> {
    /// One that the client runs, by the name that the model knows it by.
    Client(Cow<'b, str>),
    /// One that the provider runs, by its type.
    Provider(Cow<'b, str>),
    /// A server that the provider connects to.
    McpServer {
        /// What the request calls it.
        name: Cow<'b, str>,
        /// Where it is; none for a connector of the provider's own.
        url: Option<Cow<'b, str>>,
    },
}

/// Whether a stream ends with what it took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum AsksUsage {
    /// It does, or there is no stream.
    #[default]
    Anyway,
    /// It would if these bytes stood there in place of what does.
    With(Range<usize>, &'static str),
}

/// Why a body is no request that can be passed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotARequest {
    /// It is no JSON object, or is too deep.
    #[error("the body is no JSON object that can be read (line {line}, column {column})")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Where there is to be none.
    #[error("this request has no body")]
    HasBody,
    /// More than any upstream takes.
    #[error("the request has {bytes} bytes, more than {LLM_REQUEST_BYTES}")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// Parsers differ in which of two they take, which would be a way around limits.
    #[error("{field:?} is there twice: write it once")]
    Twice {
        /// The field.
        field: &'static str,
    },
    /// Some parsers take another spelling for the same field, which would be a way around limits.
    #[error("a field is spelled almost as {field:?}: write it exactly so")]
    Spelling {
        /// The field.
        field: &'static str,
    },
    /// It is not what the API has there.
    #[error("{field}: it has to be {expected}")]
    Value {
        /// The field.
        field: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// More than any model gives.
    #[error("{field}: it can be {most} at most")]
    TooMuch {
        /// The field.
        field: &'static str,
        /// How much would be taken.
        most: u64,
    },
    /// Servers that stand before several providers would ask another model, which nobody decided about.
    #[error("{field:?} names models besides the one of the request: leave it out")]
    OtherModels {
        /// The field.
        field: &'static str,
    },
    /// There is no model.
    #[error("model: a request names one")]
    NoModel,
    /// Its name is too long.
    #[error("model: a name has 1 to {LLM_MODEL_CHARS} characters")]
    ModelName,
    /// More tools than are read.
    #[error("tools: there are more than {LLM_ASKED_TOOLS}")]
    TooManyTools,
}

impl AskedTool<'_> {
    /// Whether using it has a price that is not one of tokens. What is not known may have one.
    fn has_a_fee(&self) -> bool {
        match self {
            Self::Client(_) | Self::McpServer { .. } => false,
            Self::Provider(kind) => !WITHOUT_A_FEE.iter().any(|free| kind.starts_with(free)),
        }
    }
}

impl<'b> Asks<'b> {
    fn new(endpoint: Endpoint, bytes: usize) -> Self {
        Self {
            choices: 1,
            bytes,
            costs: endpoint.costs(),
            has_output: match endpoint {
                Endpoint::Messages | Endpoint::ChatCompletions | Endpoint::Responses => true,
                Endpoint::CountTokens
                | Endpoint::AnthropicModels
                | Endpoint::Embeddings
                | Endpoint::OpenAiModels => false,
            },
            ..Self::default()
        }
    }

    /// The name of the model; empty where the endpoint has no body.
    pub fn model_name(&self) -> &str {
        self.model.as_ref().map_or("", |model| &model.name)
    }

    /// Takes up what headers say of what it may cost.
    pub fn heed(&mut self, headers: &HeaderMap) {
        let betas = headers.get_all("anthropic-beta").into_iter();
        let mut betas = betas.filter_map(|value| value.to_str().ok());
        self.is_long = betas.any(|value| {
            let mut betas = value.split(',').map(str::trim);
            betas.any(|beta| beta.starts_with(LONG_CONTEXT))
        });
    }

    /// Adds a tool that it defines.
    fn defines(&mut self, tool: AskedTool<'b>, field: &'static str) {
        if tool.has_a_fee() {
            self.surcharge = Some(field);
        }
        self.tools.push(tool);
    }

    /// The names of the tools that the client runs.
    pub fn client_tools(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().filter_map(|tool| match tool {
            AskedTool::Client(name) => Some(&**name),
            AskedTool::Provider(_) | AskedTool::McpServer { .. } => None,
        })
    }

    /// The MCP servers that the provider connects to: what they are called, and where they are; a connector of the provider's own has no URL.
    pub fn mcp_servers(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.tools.iter().filter_map(|tool| match tool {
            AskedTool::McpServer { name, url } => Some((&**name, url.as_deref())),
            AskedTool::Client(_) | AskedTool::Provider(_) => None,
        })
    }

    /// The first tool that the provider runs and that may reach what the model names, as a search of the web does. What is not known may.
    pub fn reaching_tool(&self) -> Option<&str> {
        self.tools.iter().find_map(|tool| match tool {
            AskedTool::Provider(kind) => {
                let mut within = WITHIN_THE_PROVIDER.iter();
                (!within.any(|known| kind.starts_with(known))).then_some(&**kind)
            }
            AskedTool::Client(_) | AskedTool::McpServer { .. } => None,
        })
    }

    /// Whether the provider runs tools on its own, and the model reads their results, which are in no limit of this request.
    pub fn has_provider_tools(&self) -> bool {
        self.tools.iter().any(|tool| match tool {
            AskedTool::Client(_) => false,
            AskedTool::Provider(_) | AskedTool::McpServer { .. } => true,
        })
    }

    /// The most that the request can take. A token has at least a byte; what its bytes do not bound is bounded by the model's context.
    pub fn worst(&self, price: Option<&ModelPrice>) -> Usage {
        if !self.costs {
            return Usage::default();
        }
        Usage {
            input_tokens: self.worst_input(price),
            output_tokens: self.worst_output(price),
            ..Usage::default()
        }
    }

    fn worst_input(&self, price: Option<&ModelPrice>) -> u64 {
        let context = price.and_then(|price| price.context_tokens);
        let context = match (context, self.is_long) {
            (Some(context), false) => context,
            (Some(context), true) => context.max(LLM_CONTEXT_TOKENS),
            (None, _) => LLM_CONTEXT_TOKENS,
        };
        let pictures = self.pictures.saturating_mul(LLM_PICTURE_TOKENS);
        let bytes = tokens_of(self.bytes).saturating_add(LLM_PROVIDER_PROMPT_TOKENS);
        if self.has_provider_tools() {
            return context.max(bytes).saturating_mul(LLM_PROVIDER_TOOL_ROUNDS);
        }
        if self.is_open {
            return context.max(bytes);
        }
        // Pictures in a request that the context does not take are refused by the provider.
        bytes.saturating_add(pictures.min(context))
    }

    fn worst_output(&self, price: Option<&ModelPrice>) -> u64 {
        if !self.has_output {
            return 0;
        }
        let known = price.and_then(|price| price.output_tokens);
        let most = match (self.output_cap, known) {
            (Some(cap), Some(known)) => cap.min(known),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => LLM_OUTPUT_TOKENS,
        };
        // A prediction that the model did not follow is paid as output.
        most.saturating_add(self.predicted_bytes)
            .saturating_mul(self.choices)
    }

    /// What its input may well take, where nobody counted it; nothing where its bytes do not say.
    pub(super) fn likely_input(&self) -> Option<u64> {
        let says = !self.is_open && self.pictures == 0 && !self.has_provider_tools();
        says.then(|| tokens_of(self.bytes).div_ceil(LLM_BYTES_OF_A_TOKEN))
    }
}

fn tokens_of(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
