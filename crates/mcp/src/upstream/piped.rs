//! A server that is spoken to over its standard streams (2025-11-25, Transports, "stdio"): a message is a line.
//!
//! There is one session with it, whoever asks: a process is begun with once, and all requests are counted together. What belongs to a request
//! comes to whoever waits for that, and to nobody else. What the server says of no request in particular (a message of its log) comes to one who
//! waits only while nobody else does.
//!
//! What a server writes is bounded: a line, and all that comes between two answers that somebody waits for. A server beyond that has ended, and so
//! has one that closes its output. What is no message is for its log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bailiwick_model::limits::{MCP_ANSWER_BYTES, MCP_ASIDE_TIME, MCP_PIPED_MESSAGES};
use hyper::body::Bytes;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::sync::{OnceCell, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::answer::{Said, change};
use super::begin::{Agreed, INITIALIZED, Offer, discovered, initialize, initialized};
use super::line::{Coming, UNREADABLE, Waiting};
use super::{Asides, Failure, Question, lock};
use crate::client::{McpError, WITHOUT_SESSIONS};
use crate::news::{Change, Following, News};
use crate::raw::Fields;
use crate::secrets::Secrets;
use crate::view::{LogLevel, Notice, Talk};

/// A server over pipes. Its reader and its writer end with it.
pub struct PipedServer {
    messages: mpsc::Sender<Vec<u8>>,
    waiting: Arc<Waiting>,
    news: Arc<News>,
    last_id: AtomicU64,
    /// The least severe that anybody wants of its log.
    level: Mutex<Option<LogLevel>>,
    greeted: OnceCell<Greeted>,
    end: watch::Receiver<Option<PipedEnd>>,
    tasks: [AbortHandle; 2],
}

/// What was agreed with it.
pub(super) struct Greeted {
    pub(super) era: PipedEra,
    pub(super) version: &'static str,
    pub(super) offers: Option<Vec<Offer>>,
}

/// Whether it keeps a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PipedEra {
    Session,
    Requests,
}

/// Why nothing comes from it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PipedEnd {
    /// It closed its output.
    Closed,
    /// It writes more than anybody reads.
    TooMuch,
}

/// What reads its output.
struct Reader<F> {
    secrets: Secrets,
    waiting: Arc<Waiting>,
    news: Arc<News>,
    messages: mpsc::WeakSender<Vec<u8>>,
    asides: Asides,
    log: F,
}

impl Drop for PipedServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl PipedServer {
    /// One whose input and output these are. Nothing is sent until it is used. `log` is given lines that are no messages, and messages of its log,
    /// as they came. Of what it answers, these secrets are not shown.
    ///
    /// Must be called inside a tokio runtime.
    pub fn new<'s>(
        (input, output): (
            impl AsyncWrite + Send + Unpin + 'static,
            impl AsyncRead + Send + Unpin + 'static,
        ),
        secrets: impl IntoIterator<Item = &'s str>,
        log: impl Fn(&[u8]) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let mut hidden = Secrets::default();
        secrets.into_iter().for_each(|secret| hidden.add(secret));
        let (messages, to_write) = mpsc::channel(MCP_PIPED_MESSAGES);
        let (waiting, news) = (Arc::<Waiting>::default(), Arc::<News>::default());
        let (ended, end) = watch::channel(None);
        let reader = Reader {
            secrets: hidden,
            waiting: Arc::clone(&waiting),
            news: Arc::clone(&news),
            messages: messages.downgrade(),
            asides: Asides::default(),
            log,
        };
        let tasks = [
            tokio::spawn(write(input, to_write)).abort_handle(),
            tokio::spawn(reader.read(output, ended)).abort_handle(),
        ];
        Arc::new(Self {
            messages,
            waiting,
            news,
            last_id: AtomicU64::new(0),
            level: Mutex::default(),
            greeted: OnceCell::new(),
            end,
            tasks,
        })
    }

    /// Waits until nothing comes from it any more.
    pub async fn over(&self) {
        // Without its reader nothing comes either.
        let _ = self.end.clone().wait_for(Option::is_some).await;
    }

    /// Whether nothing comes from it any more.
    pub fn is_over(&self) -> bool {
        self.waiting.is_closed()
    }

    pub(super) fn fresh_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What it tells of changes, from now on.
    pub(super) fn follow(&self) -> Following {
        self.news.follow()
    }

    /// The level that it is to be told, if this one is below what it was told before.
    pub(super) fn lowered(&self, level: LogLevel) -> Option<LogLevel> {
        let mut known = lock(&self.level);
        if known.is_some_and(|known| known <= level) {
            return None;
        }
        *known = Some(level);
        Some(level)
    }

    /// What was agreed with it, once it is: whoever comes first asks.
    pub(super) async fn greeted(self: &Arc<Self>) -> Result<&Greeted, Failure> {
        self.greeted.get_or_try_init(|| self.greet()).await
    }

    async fn greet(self: &Arc<Self>) -> Result<Greeted, Failure> {
        let id = self.fresh_id();
        let result = match self.alone((id, initialize(id))).await {
            Ok(result) => result,
            // It may be of the revision without sessions.
            Err(refused @ Failure::Refused(_)) => {
                return self.discover().await.map_err(|_| refused);
            }
            Err(failure) => return Err(failure),
        };
        let (version, offers) = initialized(&result)?;
        self.tell(INITIALIZED.to_vec()).await;
        Ok(Greeted {
            era: PipedEra::Session,
            version,
            offers,
        })
    }

    async fn discover(self: &Arc<Self>) -> Result<Greeted, Failure> {
        let era = PipedEra::Requests;
        let unsaid = Agreed::piped(Arc::clone(self), (era, WITHOUT_SESSIONS));
        let question = Question {
            method: "server/discover",
            fields: b"",
            name: None,
        };
        let id = self.fresh_id();
        let message = question.message(id, &unsaid, &Talk::silent());
        let result = self.alone((id, message)).await?;
        Ok(Greeted {
            era,
            version: WITHOUT_SESSIONS,
            offers: discovered(&result)?,
        })
    }

    async fn alone(&self, asked: (u64, Vec<u8>)) -> Result<Bytes, Failure> {
        let silent = (&Talk::silent(), &|_: Change| {});
        self.request(asked, (silent.0, silent.1)).await
    }

    /// A request, and its result.
    pub(super) async fn request(
        &self,
        (id, message): (u64, Vec<u8>),
        (talk, told): (&Talk, &(dyn Fn(Change) + Send + Sync)),
    ) -> Result<Bytes, Failure> {
        let mut following = self.news.follow();
        let mut awaited = self.waiting.enter(id).map_err(|_| self.why())?;
        let sent = self.messages.send(one_line(message)).await;
        sent.map_err(|_| self.why())?;
        loop {
            tokio::select! {
                biased;
                changes = following.next() => changes.into_iter().for_each(told),
                coming = awaited.coming.recv() => match coming.ok_or_else(|| self.why())? {
                    Coming::Answer(answer) => return answer.map_err(Failure::Refused),
                    Coming::Notice(notice) => talk.tell(notice).await,
                    Coming::Unreadable => return Err(UNREADABLE.into()),
                    // Its reader answers that.
                    Coming::Asked(..) => {}
                },
            }
        }
    }

    /// Sends a message and waits for nothing but room for it.
    pub(super) async fn tell(&self, message: Vec<u8>) {
        let telling = self.messages.send(one_line(message));
        // Whoever does not read hears nothing.
        let _ = timeout(MCP_ASIDE_TIME, telling).await;
    }

    fn why(&self) -> McpError {
        match *self.end.borrow() {
            Some(PipedEnd::TooMuch) => McpError::TooLong,
            Some(PipedEnd::Closed) | None => McpError::Ended,
        }
    }
}

/// The message without ends of lines. A client's JSON goes into it as it came, where they may stand between two values: what stands on a line of
/// its own would be a message of its own, which nobody has judged.
fn one_line(mut message: Vec<u8>) -> Vec<u8> {
    for byte in &mut message {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    message.push(b'\n');
    message
}

/// A server that does not read holds up whoever asks it.
async fn write(mut input: impl AsyncWrite + Unpin, mut messages: mpsc::Receiver<Vec<u8>>) {
    while let Some(message) = messages.recv().await {
        let written = async {
            input.write_all(&message).await?;
            input.flush().await
        };
        if written.await.is_err() {
            return;
        }
    }
}

/// What there is next.
enum Next {
    Line(Bytes),
    End(PipedEnd),
}

/// The next line, of at most `room` bytes. What comes after the last end of a line is none.
async fn next_line(output: &mut (impl AsyncBufRead + Unpin), room: usize) -> Next {
    let mut line = Vec::new();
    loop {
        let read = match output.fill_buf().await {
            Ok(read) if !read.is_empty() => read,
            Ok(_) | Err(_) => return Next::End(PipedEnd::Closed),
        };
        let end = memchr::memchr(b'\n', read);
        let taken = end.unwrap_or(read.len());
        if taken > room - line.len() {
            return Next::End(PipedEnd::TooMuch);
        }
        line.extend_from_slice(&read[..taken]);
        output.consume(end.map_or(taken, |end| end + 1));
        if end.is_some() {
            return Next::Line(line.into());
        }
    }
}

impl<F: Fn(&[u8])> Reader<F> {
    async fn read(
        mut self,
        output: impl AsyncRead + Unpin,
        ended: watch::Sender<Option<PipedEnd>>,
    ) {
        let end = self.read_on(BufReader::new(output)).await;
        ended.send_replace(Some(end));
        self.waiting.close();
    }

    async fn read_on(&mut self, mut output: impl AsyncBufRead + Unpin) -> PipedEnd {
        let mut room = MCP_ANSWER_BYTES;
        loop {
            let line = match next_line(&mut output, room).await {
                Next::Line(line) => line,
                Next::End(end) => return end,
            };
            // An empty line is something too.
            let Some(left) = room.checked_sub(line.len() + 1) else {
                return PipedEnd::TooMuch;
            };
            room = left;
            if self.take(&line) {
                room = MCP_ANSWER_BYTES;
                self.asides = Asides::default();
            }
        }
    }

    /// Whether somebody waited for it.
    fn take(&mut self, line: &Bytes) -> bool {
        if !line.trim_ascii_start().starts_with(b"{") {
            (self.log)(line);
            return false;
        }
        let Ok(said) = Said::without(&self.secrets, line.clone()) else {
            (self.log)(line);
            self.waiting.unreadable();
            return false;
        };
        match said {
            Said::Answer { id, answer } => self.waiting.answered(id, answer),
            Said::Asks { id, asked } => {
                let answer = self.asides.answer(&id, asked);
                if let Some((answer, messages)) = answer.zip(self.messages.upgrade()) {
                    // Who does not read needs no answer.
                    let _ = messages.try_send(one_line(answer));
                }
                false
            }
            Said::Tells { method, params } => {
                self.told((&method, &params), line);
                false
            }
            Said::Else => false,
        }
    }

    fn told(&self, (method, params): (&str, &Bytes), line: &[u8]) {
        if let Some(change) = change(method, params) {
            self.news.tell(change);
            return;
        }
        let Some(notice) = Notice::of(method, params) else {
            return;
        };
        match notice {
            Notice::Progress(_) => {
                let fields = Fields::of(params);
                let token = fields.and_then(|it| it.get("progressToken")?.get().parse().ok());
                if let Some(token) = token {
                    self.waiting.tell(Some(token), Coming::Notice(notice));
                }
            }
            Notice::Log(..) => {
                (self.log)(line);
                self.waiting.tell_only(Coming::Notice(notice));
            }
        }
    }
}
