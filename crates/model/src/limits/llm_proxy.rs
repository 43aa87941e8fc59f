//! Bounds of LLM proxies, whose clients and upstreams are both untrusted.

use std::time::Duration;

/// Characters of the name of a model in a request.
pub const LLM_MODEL_CHARS: usize = 256;
/// Tools that one request defines.
pub const LLM_ASKED_TOOLS: usize = 1000;
/// Bytes of the query of a request that is passed on.
pub const LLM_QUERY_BYTES: usize = 1024;
/// Bytes of the value of one header that is passed on, in either direction.
pub const LLM_PASSED_HEADER_BYTES: usize = 8 << 10;
/// How often each upstream is asked for one request at most.
pub const LLM_PROXY_ROUNDS: u32 = 2;
/// The longest wait between two rounds: a client waits for it. An upstream that wants to be left alone for longer is not asked again.
pub const LLM_PROXY_WAIT_MOST: Duration = Duration::from_secs(5);
/// How long the body of an upstream's error is awaited.
pub const LLM_PROXY_ERROR_TIME: Duration = Duration::from_secs(5);
/// Maps and lists inside one another in an answer; what is deeper is passed on and not read.
pub const LLM_ANSWER_DEPTH: u32 = 128;
/// Bytes of one event that are held back until it is known whether it is one that only the proxy asked for.
pub const LLM_HELD_BYTES: usize = 64 << 10;

/// Tokens that a picture in a request takes at most: the dearest way in which a provider counts one.
pub const LLM_PICTURE_TOKENS: u64 = 50_000;
/// Tokens that a provider adds to a request at most, of its own accord: the prompt that tells a model about tools, and the marks around messages.
pub const LLM_PROVIDER_PROMPT_TOKENS: u64 = 4000;
/// Tokens of the context of a model of which nothing is known.
pub const LLM_CONTEXT_TOKENS: u64 = 1_000_000;
/// Tokens of one kind that a request may ask for, and that an answer is taken to have told. No model has as many: who says more is mistaken, and what
/// they say does not stop a ledger.
pub const LLM_TOKENS_OF_REQUEST: u64 = 1_000_000_000;
/// Answers that one request may ask for ("n" of chat completions).
pub const LLM_CHOICES: u64 = 128;
/// Billionths of a dollar that one request is taken to cost at most.
pub const LLM_COST_OF_REQUEST: i64 = 1_000_000_000_000_000;
/// What is counted in one bucket of a limit at most, in tokens or billionths of a dollar, so that all buckets of a window together fit in 64 bits.
pub const SPEND_OF_BUCKET: i64 = 1 << 52;
/// Tokens of an answer of a model of which nothing is known.
pub const LLM_OUTPUT_TOKENS: u64 = 128_000;
/// How often a model reads its input at most for one request, where the provider itself runs its tools.
pub const LLM_PROVIDER_TOOL_ROUNDS: u64 = 10;
/// Bytes of text that count as one token where nobody counted: a little less than languages have.
pub const LLM_BYTES_OF_A_TOKEN: u64 = 3;
/// Policies of sessions of one organization whose connections to models are kept.
pub const MODEL_POLICIES_KEPT: usize = 16;
/// Parts of the name of a tool, divided by two underscores, behind which it may be one of the registry.
pub const REGISTRY_TOOL_PARTS: usize = 8;
/// How long an answer is read on whose client has gone, to hear what it took.
pub const LLM_READ_ON: Duration = Duration::from_secs(2);
/// Answers that are read on at once, of those that one policy let through; one more is settled as the worst case.
pub const LLM_READING_ON: usize = 64;
/// Models of one list of an upstream.
pub const LLM_LISTED_MODELS: usize = 10_000;
/// Bytes of such a list.
pub const LLM_LISTING_BYTES: usize = 8 << 20;
/// How long an upstream may take to list its models.
pub const LLM_LISTING_TIME: Duration = Duration::from_secs(20);
