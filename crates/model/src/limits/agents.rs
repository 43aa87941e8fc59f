//! Bounds of agents at work: their tools and sandboxes, and the models that they ask.

use std::time::Duration;

/// Bytes of one command of the tool `bash`.
pub const TOOL_COMMAND_BYTES: usize = 256 * 1024;
/// How long a command runs if nothing else is said.
pub const TOOL_COMMAND_TIME: Duration = Duration::from_secs(120);
/// How long a command may ask to run.
pub const TOOL_COMMAND_TIME_MOST: Duration = Duration::from_secs(60 * 60);
/// How long a command may take to end after SIGINT, before it is killed.
pub const TOOL_INTERRUPT_GRACE: Duration = Duration::from_secs(2);
/// How long a shell may take to start, and to take a command.
pub const TOOL_SHELL_ANSWER: Duration = Duration::from_secs(20);
/// How long what stops processes inside may take, each time.
pub const TOOL_SWEEP_TIME: Duration = Duration::from_secs(3);
/// Characters of a result; what is longer goes to a file in the sandbox.
pub const TOOL_OUTPUT_CHARS: usize = 100_000;
/// Characters that are shown of what went to a file: its end.
pub const TOOL_PREVIEW_CHARS: usize = 10_000;
/// Bytes that are shown of a long output that could not be written to a file: its end.
pub const TOOL_OUTPUT_TAIL_BYTES: usize = 100 * 1024;
/// Bytes of the output of one command that are kept at all: its end.
pub const TOOL_OUTPUT_KEPT_BYTES: usize = 2 << 20;
/// Bytes that are kept of what a shell says besides the output of its commands.
pub const TOOL_PROMPT_BYTES: usize = 64 * 1024;
/// Bytes of a text that the tool `read` shows.
pub const TOOL_TEXT_BYTES: usize = 256 * 1024;
/// Bytes of an image that the tool `read` shows.
pub const TOOL_IMAGE_BYTES: usize = 5 << 20;
/// Bytes of a PDF document that the tool `read` shows.
pub const TOOL_DOCUMENT_BYTES: usize = 20 << 20;
/// Bytes of a file that is read for a part of it, or edited.
pub const TOOL_FILE_BYTES: u64 = 32 << 20;
/// Bytes of a path or of a pattern that a tool takes.
pub const TOOL_PATH_BYTES: usize = 4096;
/// Files that the tool `glob` lists.
pub const TOOL_GLOB_MATCHES: usize = 200;
/// Bytes of the matches that the tool `grep` shows.
pub const TOOL_GREP_BYTES: usize = 100 * 1024;
/// Bytes that the tool `grep` shows of one line.
pub const TOOL_GREP_LINE_BYTES: usize = 2000;
/// Bytes of a file that is searched.
pub const TOOL_GREP_FILE_BYTES: u64 = 8 << 20;
/// Bytes of a compiled pattern.
pub const TOOL_REGEX_BYTES: usize = 10 << 20;
/// Entries of directories that one search looks at.
pub const TOOL_WALK_ENTRIES: usize = 500_000;
/// Directories inside one another that one search goes into.
pub const TOOL_WALK_DEPTH: usize = 64;
/// How long one search may take.
pub const TOOL_WALK_TIME: Duration = Duration::from_secs(60);
/// Files that a search has asked for at a time.
pub const TOOL_READS_AT_ONCE: usize = 16;
/// Destinations that a result names of those that were denied.
pub const TOOL_DENIALS: usize = 20;
/// How long a command waits for the records of its denials where whoever reads them is held up.
pub const TOOL_DENIALS_WAIT: Duration = Duration::from_millis(250);
/// Bytes of a URL that is fetched.
pub const WEB_URL_BYTES: usize = 2048;
/// Bytes of what is fetched.
pub const WEB_FETCH_BYTES: usize = 20 << 20;
/// Bytes of HTML that is made into text.
pub const WEB_HTML_BYTES: usize = 8 << 20;
/// How long fetching takes, redirects included.
pub const WEB_FETCH_TIME: Duration = Duration::from_secs(30);
/// Redirects of one fetch.
pub const WEB_FETCH_REDIRECTS: usize = 10;
/// Bytes of a page's text that count as one token.
pub const WEB_TOKEN_BYTES: usize = 4;
/// URLs of a session's history that are remembered as known.
pub const WEB_KNOWN_URLS: usize = 10_000;

/// Sessions that have a sandbox on one server, or one that was kept, at the same time.
pub const SESSION_SANDBOXES: usize = 500;
/// Of one organization: it does not keep the others from having any.
pub const SESSION_SANDBOXES_OF_ORGANIZATION: usize = 250;
/// How long the sandbox of a session that does nothing runs on before it is kept.
pub const SESSION_SANDBOX_IDLE: Duration = Duration::from_secs(10 * 60);
/// Bytes that what one server kept of the sandboxes of one organization takes; of more, what was kept longest ago is given up.
pub const SESSION_SANDBOX_KEPT_BYTES_OF_ORGANIZATION: u64 = 32 << 30;
/// How often in a row the sandbox of a session may fail to be kept; then it is ended.
pub const SESSION_SANDBOX_KEEPS: u32 = 3;
/// How often a server looks whether what the sandboxes of its sessions were made from still holds.
pub const SESSION_SANDBOX_LOOK: Duration = Duration::from_secs(2);
/// How long programs of a session's sandbox have to end by themselves.
pub const SESSION_SANDBOX_GRACE: Duration = Duration::from_secs(2);
/// Policies that one session can be tightened by: each is asked about each connection.
pub const SESSION_TIGHTENINGS: usize = 32;
/// Sessions whose tightening waits to be seen to; of more, all are looked at.
pub const TIGHTENINGS_UNHEARD: usize = 256;
/// Secrets that were replaced while one connection was open and that it remembers, to take them out of answers.
pub const FORMER_SECRETS_KEPT: usize = 64;
/// How long a sandbox runs on while nobody can find out, or make, what holds for it now.
pub const SESSION_SANDBOX_STALE: Duration = Duration::from_secs(30);
/// Memory of a session's sandbox, with the files that are held in it, where there is a control group to hold it.
pub const SESSION_SANDBOX_MEMORY_BYTES: u64 = 4 << 30;
/// Private files of a session's sandbox.
pub const SESSION_SANDBOX_DISK_BYTES: u64 = 3 << 30;
/// Files of sessions are placed for their sandboxes as long as the file system keeps as many bytes free.
pub const SESSION_FILES_FREE_BYTES: u64 = 512 << 20;
/// How long the shell of a session has to tell its state before its sandbox is kept without.
pub const SESSION_SHELL_SAVE: Duration = Duration::from_secs(5);
/// Files that are taken of what an agent hands over, each time.
pub const SESSION_OUTPUT_FILES: usize = 1000;
/// Bytes of all of them together; they are held in memory while they are taken.
pub const SESSION_OUTPUT_BYTES: u64 = 128 << 20;
/// How long reading them may take: what runs in the sandbox is to hold up nobody.
pub const SESSION_OUTPUT_TIME: Duration = Duration::from_secs(5 * 60);
/// Files of a session that its agent has handed over and that are there, in all.
pub const SESSION_OUTPUT_TOTAL_FILES: u64 = 10_000;
/// Bytes of them, in all.
pub const SESSION_OUTPUT_TOTAL_BYTES: u64 = 2 << 30;
/// Sessions of one server whose outputs are taken at the same time, each with what it hands over in memory.
pub const SESSION_OUTPUT_TURNS: usize = 4;
/// Of one organization: it does not keep the others from handing over.
pub const SESSION_OUTPUT_TURNS_OF_ORGANIZATION: usize = 2;
/// How long cloning a repository of a session takes.
pub const REPOSITORY_CLONE_TIME: Duration = Duration::from_secs(10 * 60);
/// Bytes that are kept of what git complains.
pub const REPOSITORY_CLONE_OUTPUT_BYTES: usize = 64 << 10;

/// Bytes of a request to a model upstream; the Messages API takes 32 MB.
pub const LLM_REQUEST_BYTES: usize = 32 << 20;
/// Bytes of the head of an upstream's answer.
pub const LLM_ANSWER_HEAD_BYTES: usize = 64 << 10;
/// Headers of an upstream's answer.
pub const LLM_ANSWER_HEADERS: usize = 128;
/// Bytes of one event of an upstream's stream: results of a search that the upstream ran come in one.
pub const LLM_EVENT_BYTES: usize = 4 << 20;
/// Bytes of one whole answer of a model.
pub const LLM_MESSAGE_BYTES: usize = 32 << 20;
/// Content blocks of one answer of a model.
pub const LLM_MESSAGE_BLOCKS: usize = 1000;
/// Bytes that are read of an upstream's error.
pub const LLM_ERROR_BYTES: usize = 64 << 10;
/// Characters that are kept of what an upstream says about an error.
pub const LLM_ERROR_CHARS: usize = 1000;
/// How long a TLS handshake with an upstream may take.
pub const LLM_TLS_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an upstream may take until the first event of its answer: a long prompt is read first.
pub const LLM_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long an upstream may be silent within its answer.
pub const LLM_CHUNK_TIMEOUT: Duration = Duration::from_secs(120);
/// How long an answer may take as a whole: pings alone could keep it up for ever.
pub const LLM_ANSWER_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// How long the end of an answer's body is awaited once the answer is whole, so that its connection can be used again.
pub const LLM_DRAIN_TIME: Duration = Duration::from_millis(100);
/// Connections to one upstream that are kept although nobody uses them.
pub const LLM_IDLE_CONNECTIONS: usize = 64;
/// How long they are kept.
pub const LLM_IDLE_TIME: Duration = Duration::from_secs(60);
/// How often an upstream with HTTP/2 is asked whether it is still there while answers are awaited, and how long it has for the answer.
pub const LLM_PING: Duration = Duration::from_secs(20);
/// The longest wait before the first retry.
pub const LLM_BACK_OFF_LEAST: Duration = Duration::from_millis(500);
/// The longest wait before any retry, unless the upstream asks for a longer one.
pub const LLM_BACK_OFF_MOST: Duration = Duration::from_secs(30);
/// The longest wait that an upstream may ask for; a longer one is read as this.
pub const LLM_RETRY_AFTER_MOST: Duration = Duration::from_secs(60 * 60);
/// Models in a price table, overrides included.
pub const PRICED_MODELS: usize = 10_000;

/// Tokens that one answer of a model has at most, in a session.
pub const MODEL_OUTPUT_TOKENS: u32 = 32_000;
/// Upstreams of models that one organization can have.
pub const MODEL_UPSTREAMS: usize = 32;
/// Models, or patterns of models, that one upstream answers for.
pub const MODELS_OF_UPSTREAM: usize = 256;
/// The highest number of an upstream's priority; the lowest is asked first.
pub const MODEL_UPSTREAM_PRIORITY: i64 = 1000;
/// Seconds that an upstream can be given to begin an answer.
pub const MODEL_UPSTREAM_SECONDS: i64 = 3600;
/// How often a request to a model that failed, and may not fail again, is made in all.
pub const MODEL_ATTEMPTS: u32 = 5;
/// Sessions that one server has at work at the same time.
pub const SESSIONS_AT_WORK: usize = 1_000;
/// How long an engine waits until it looks itself for sessions that nobody told it of.
pub const ENGINE_LOOK: Duration = Duration::from_secs(1);
/// Events that an engine reads of a session at once.
pub const ENGINE_READ_EVENTS: u32 = 500;
/// How much of a model's context a conversation may take before it is summed up, in percent.
pub const CONTEXT_PERCENT: u64 = 80;
/// Tokens of the context of a model that the price table does not know.
pub const CONTEXT_TOKENS: u64 = 200_000;
/// Requests that a turn makes of its model at most: one that goes round in circles ends.
pub const TURN_MODEL_REQUESTS: u32 = 500;
/// Flows of sessions that are taken away in one change.
pub const EXPIRED_FLOWS: u32 = 1000;
/// Flows of one sandbox that wait to be written; more make the sandbox wait. What the server connects to in a session's stead does not wait, and beyond it loses some, which is told.
pub const SESSION_FLOWS_WAITING: usize = 1024;
/// Flows of one sandbox that are written at once.
pub const SESSION_FLOWS_AT_ONCE: usize = 128;
/// How long flows of one sandbox gather before they are written.
pub const SESSION_FLOWS_GATHER: Duration = Duration::from_millis(100);
/// Flows of one sandbox that are written as they come.
pub const SESSION_FLOWS_AT_PACE: u32 = 10_000;
/// How long each of those beyond takes: a program that does nothing but connect waits, so that it does not fill the database.
pub const SESSION_FLOWS_PACE: Duration = Duration::from_millis(100);
/// How often flows are written again, a second later each time, before they are given up, which is told.
pub const SESSION_FLOWS_ATTEMPTS: u32 = 30;
/// How long a sandbox that ends waits until its flows are written.
pub const SESSION_FLOWS_LAST: Duration = Duration::from_secs(10);

/// Bytes of the events that a stream reads from the database at once, before the last of them: a reader who takes nothing holds no more.
pub const STREAM_READ_BYTES: i64 = 32 << 10;
