//! A server of HTTP (1.1, kept alive) that answers at once: it stands behind what is measured, so it is in every latency.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::worker;

/// Who knows what to say.
pub(crate) trait Answers: Send + Sync + 'static {
    /// The whole answer, head and body, to a whole request.
    fn to(&self, request: &[u8]) -> Cow<'_, str>;
}

/// Serves until standard input ends; the first line on standard output says where.
pub(crate) fn run(answers: impl Answers) -> Result<()> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || serve(listener, answers));
    worker::say(&address)?;
    worker::wait_for_end()
}

/// One thread for all, as short as it can be.
fn serve(listener: std::net::TcpListener, answers: impl Answers) -> Result<()> {
    listener.set_nonblocking(true)?;
    let answers = Arc::new(answers);
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(async {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(answer(stream, Arc::clone(&answers)));
            }
        })
}

async fn answer(mut stream: TcpStream, answers: Arc<impl Answers>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let request = loop {
            if let Some(request) = request(&buffer)?
                && buffer.len() >= request.end
            {
                break request;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let answer = answers.to(&buffer[..request.end]);
        stream.write_all(answer.as_bytes()).await?;
        buffer.clear();
        if request.is_last {
            return Ok(());
        }
    }
}

/// What of a request has to be known to answer it.
struct Request {
    /// Where it ends.
    end: usize,
    /// Whether the connection ends with its answer.
    is_last: bool,
}

/// A request, once its head is there.
fn request(bytes: &[u8]) -> Result<Option<Request>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(body) = head.parse(bytes)? else {
        return Ok(None);
    };
    let field = |name: &str| {
        let mut fields = head.headers.iter();
        let field = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(field.value).ok()
    };
    let length: usize = field("content-length")
        .unwrap_or("0")
        .parse()
        .context("a length")?;
    Ok(Some(Request {
        end: body + length,
        is_last: field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
    }))
}
