//! Questions over UDP and over TCP (RFC 7766).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bailiwick_model::{Decision, Destination, limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::answer::{Plan, look_up, plan};
use super::message::{Answer, Parsed, Question, parse};
use crate::sandbox::Sandbox;

/// The longest question that is read; real ones are below 512 bytes.
const QUESTION_BYTES: usize = 4096;
/// After how many datagrams the others of the process get their turn.
const DATAGRAMS_PER_TURN: usize = 32;
/// The pause after a socket failed.
const PAUSE: Duration = Duration::from_millis(50);

/// What a message gets at once.
enum Reply {
    /// These bytes, or nothing; and the denial that they are.
    Now(Option<Vec<u8>>, Option<(Destination, Decision)>),
    /// The answer of somebody else.
    Later(Box<Question>, bailiwick_model::HostName),
}

/// Answers one datagram after the other; look-ups that leave the machine go on beside it.
pub(crate) async fn serve_udp(sandbox: Arc<Sandbox>, socket: UdpSocket) {
    let socket = Arc::new(socket);
    let in_flight = Arc::new(Semaphore::new(limits::DNS_IN_FLIGHT));
    let mut buffer = vec![0; QUESTION_BYTES + 1];
    let mut turn = 0;
    loop {
        let received = tokio::select! {
            biased;
            () = sandbox.closed.cancelled() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        match received {
            Ok((length, peer)) if length <= QUESTION_BYTES => {
                datagram(&sandbox, &socket, &in_flight, &buffer[..length], peer).await;
            }
            Ok(_) => {}
            Err(_) => sleep(PAUSE).await,
        }
        turn += 1;
        if turn % DATAGRAMS_PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn datagram(
    sandbox: &Arc<Sandbox>,
    socket: &Arc<UdpSocket>,
    in_flight: &Arc<Semaphore>,
    bytes: &[u8],
    peer: SocketAddr,
) {
    match reply(sandbox, bytes, true) {
        Reply::Now(answer, denial) => {
            // First, so that whoever was told of it can be told why.
            if let Some((destination, decision)) = denial {
                sandbox.record_denial(destination, decision).await;
            }
            // A datagram that cannot be sent is a lost datagram: the client asks again.
            if let Some(answer) = answer {
                let _ = socket.send_to(&answer, peer).await;
            }
        }
        Reply::Later(question, name) => {
            let Ok(permit) = in_flight.clone().try_acquire_owned() else {
                if let Some(answer) = question.encode(Answer::Failed, true) {
                    let _ = socket.send_to(&answer, peer).await;
                }
                return;
            };
            let (asking, socket) = (sandbox.clone(), socket.clone());
            sandbox.tasks.spawn(async move {
                let answer = within_life(&asking, &question, &name).await;
                if let Some(answer) = question.encode(answer, true) {
                    let _ = socket.send_to(&answer, peer).await;
                }
                drop(permit);
            });
        }
    }
}

/// Accepts connections to the resolver.
pub(crate) async fn serve_tcp(sandbox: Arc<Sandbox>, listener: TcpListener) {
    let open = Arc::new(Semaphore::new(limits::DNS_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            biased;
            () = sandbox.closed.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match (accepted, open.clone().try_acquire_owned()) {
            (Ok((stream, _)), Ok(permit)) => {
                let serving = sandbox.clone();
                sandbox.tasks.spawn(async move {
                    tokio::select! {
                        biased;
                        () = serving.closed.cancelled() => {}
                        _ended = connection(&serving, stream) => {}
                    }
                    drop(permit);
                });
            }
            (Ok((stream, _)), Err(_)) => drop(stream),
            (Err(_), _) => sleep(PAUSE).await,
        }
    }
}

/// Questions and answers in turn, each with its length in front (RFC 1035 section 4.2.2), until one side has enough.
async fn connection(sandbox: &Sandbox, mut stream: TcpStream) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let question = read_question(&mut stream, &mut bytes);
        timeout(limits::DNS_IDLE_TIMEOUT, question).await??;
        let (answer, denial) = match reply(sandbox, &bytes, false) {
            Reply::Now(answer, denial) => (answer, denial),
            Reply::Later(question, name) => (
                question.encode(within_life(sandbox, &question, &name).await, false),
                None,
            ),
        };
        let Some(answer) = answer else { return Ok(()) };
        let length = u16::try_from(answer.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes();
        let framed = [&length[..], &answer].concat();
        if let Some((destination, decision)) = denial {
            sandbox.record_denial(destination, decision).await;
        }
        timeout(limits::DNS_IDLE_TIMEOUT, stream.write_all(&framed)).await??;
    }
}

async fn read_question(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    let length = usize::from(stream.read_u16().await?);
    if length > QUESTION_BYTES {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    bytes.resize(length, 0);
    stream.read_exact(bytes).await.map(drop)
}

fn reply(sandbox: &Sandbox, bytes: &[u8], datagram: bool) -> Reply {
    sandbox.questions.fetch_add(1, Ordering::Relaxed);
    let question = match parse(bytes) {
        Parsed::Silence => return Reply::Now(None, None),
        Parsed::Answered(answer) => return Reply::Now(Some(answer), None),
        Parsed::Question(question) => question,
    };
    match plan(sandbox, &question) {
        Plan::Answer(answer) => Reply::Now(question.encode(answer, datagram), None),
        Plan::Deny(answer, destination, decision) => Reply::Now(
            question.encode(answer, datagram),
            Some((destination, decision)),
        ),
        Plan::LookUp(name) => Reply::Later(question, name),
    }
}

/// A look-up that does not outlive the sandbox.
async fn within_life(
    sandbox: &Sandbox,
    question: &Question,
    name: &bailiwick_model::HostName,
) -> Answer {
    tokio::select! {
        biased;
        () = sandbox.closed.cancelled() => Answer::Failed,
        answer = look_up(sandbox, name, question.kind()) => answer,
    }
}
