//! Many sessions at a time, each in a conversation: what Bailiwick adds to a turn, how many turns there are in a second, and what a session holds.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bailiwick_model::limits::SESSION_SANDBOXES_OF_ORGANIZATION;
use bailiwick_testkit::ModelServer;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant as Moment, sleep_until, timeout};

use super::super::memory::sandbox_processes;
use super::super::wire::made;
use super::{CALL, MODEL, message, model, new_session};
use crate::http_load::Connection;
use crate::os;
use crate::peers::Stage;
use crate::peers::control_plane::{KEY, Place, Server};
use crate::protocol::{HttpLoad, HttpRequest, Timed};
use crate::report::{BAILIWICK, Better, Report, Row};
use crate::statistics::percentile;

/// Turns that begin in a second, all sessions together: what two processors have time for, beside the model and the client.
const TURNS_A_SECOND: u32 = 50;
/// What of a turn waits for the disk before its end is told: the message, that it is taken up with the request to the model, and its answer
/// with the end.
const WRITES_OF_TURN: usize = 3;
/// Of each, in SQLite's log, about: some pages.
const WRITE_BYTES: usize = 16 << 10;
/// How long a turn may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The shell of a sandbox, whose memory is the command's.
const SHELL: &str = "bash";

/// How often each session has a turn.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// So many times, all sessions together evenly.
    Even(u32),
    /// So many times, one after the other.
    AtOnce(u32),
}

/// Somebody who has a conversation.
enum Speaker {
    /// A session, and the stream of its events.
    Session(Box<Talking>),
    /// The model itself: what a turn takes without Bailiwick.
    Model(TcpStream, Vec<u8>),
}

struct Talking {
    connection: Connection,
    order: HttpLoad,
    events: BufReader<TcpStream>,
}

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    let model = model();
    let place = Place::sqlite(stage, "sessions-at-once")?;
    let server = Server::at_work(stage, &place, &model.url(), &[])?;
    let count = stage.pick(500, 50);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let talking = LocalSet::new().block_on(&runtime, talk(stage, (&server, &model), count, report));
    talking.context("sessions without tools")?;
    // More of one organization would be refused.
    let count = stage.pick(u32::try_from(SESSION_SANDBOXES_OF_ORGANIZATION)?, 50);
    let held = LocalSet::new().block_on(&runtime, hold(&server, count, report));
    held.context("sessions with sandboxes")?;
    server.end()
}

async fn talk(
    stage: &Stage,
    (server, model): (&Server, &ModelServer),
    count: u32,
    report: &mut Report,
) -> Result<()> {
    let before = sandbox_processes(server.pid(), SHELL)?;
    let body = new_session(server.address, false)?;
    let mut sessions = Vec::new();
    let mut alone = Vec::new();
    for _ in 0..count {
        sessions.push(Speaker::session(server.address, &body, "Hello.").await?);
        alone.push(Speaker::model(model.address()).await?);
    }
    // The first turn of each opens connections and fills caches.
    (sessions, _) = converse(sessions, Pace::AtOnce(1)).await?;
    let name = format!("each of {count} sessions without a sandbox");
    holds(before, server, count, &name, report)?;
    // What others wrote before is on the disk, or they are measured too.
    rustix::fs::sync();
    let mut file = File::create(stage.path("synced"))?;
    let [mut direct, mut synced, mut took] = [const { Vec::new() }; 3];
    for _ in 0..stage.pick(4, 2) {
        let (all, times) = converse(alone, Pace::Even(1)).await?;
        direct.extend(times);
        alone = all;
        synced.extend(sync(&mut file, count)?);
        let (all, times) = converse(sessions, Pace::Even(1)).await?;
        took.extend(times);
        sessions = all;
    }
    for (what, hundredths) in [("median", 50), ("99 of 100", 99)] {
        let name = format!("turn of {count} sessions, {TURNS_A_SECOND} a second, {what}");
        let mut row = Row::new("sessions", name, "ms", Better::Lower);
        row.aim = (hundredths == 99).then_some("under 10 ms more than the model alone");
        let value = |took: &[f64]| percentile(took, hundredths).into_iter().collect::<Vec<_>>();
        row.add("the model alone", &value(&direct));
        row.add("the disk alone", &value(&synced));
        row.add(BAILIWICK, &value(&took));
        report.rows.push(row);
    }
    let turns = stage.pick(5, 2);
    let begun = Instant::now();
    converse(sessions, Pace::AtOnce(turns)).await?;
    let rate = f64::from(turns * count) / begun.elapsed().as_secs_f64();
    let name = format!("turns of {count} sessions, all at once");
    let mut row = Row::new("sessions", name, "1/s", Better::Higher);
    row.add(BAILIWICK, &[rate]);
    report.rows.push(row);
    Ok(())
}

/// As often as turns begin: as many writes that wait for the disk as a turn has, one after the other. Milliseconds since each was due.
fn sync(file: &mut File, turns: u32) -> Result<Vec<f64>> {
    let begun = Instant::now();
    let mut took = Vec::new();
    for turn in 0..turns {
        let due = begun + Duration::from_secs(1) / TURNS_A_SECOND * turn;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for _ in 0..WRITES_OF_TURN {
            file.write_all(&[0; WRITE_BYTES])?;
            file.sync_data()?;
        }
        took.push(due.elapsed().as_secs_f64() * 1e3);
    }
    Ok(took)
}

/// Sessions that have a sandbox, in which nothing happens.
async fn hold(server: &Server, count: u32, report: &mut Report) -> Result<()> {
    let before = sandbox_processes(server.pid(), SHELL)?;
    let body = new_session(server.address, true)?;
    let mut sessions = Vec::new();
    for _ in 0..count {
        sessions.push(Speaker::session(server.address, &body, CALL.0).await?);
    }
    let begun = Instant::now();
    let (_sessions, _) = converse(sessions, Pace::AtOnce(1)).await?;
    let each = begun.elapsed().as_secs_f64() * 1e3 / f64::from(count);
    let name = format!("each of {count} sandboxes, all asked for at once");
    let mut row = Row::new("sessions", name, "ms", Better::Lower);
    row.add(BAILIWICK, &[each]);
    report.rows.push(row);
    let name = format!("each of {count} sessions with a sandbox, without its shell");
    holds(before, server, count, &name, report)
}

/// The memory of the server, its hosts and the inits, since before the sessions.
fn holds(before: f64, server: &Server, count: u32, name: &str, report: &mut Report) -> Result<()> {
    let grown = sandbox_processes(server.pid(), SHELL)? - before;
    let mut row = Row::new("sessions", name, "KiB", Better::Lower);
    row.add(BAILIWICK, &[grown.max(0.0) / f64::from(count)]);
    report.rows.push(row);
    Ok(())
}

/// Everybody has their turns; milliseconds of each.
async fn converse(speakers: Vec<Speaker>, pace: Pace) -> Result<(Vec<Speaker>, Vec<f64>)> {
    let count = u32::try_from(speakers.len())?;
    let start = Moment::now();
    let speaking = speakers.into_iter().zip(0..).map(|(speaker, number)| {
        tokio::task::spawn_local(speak(speaker, pace, start, number, count))
    });
    let speaking: Vec<_> = speaking.collect();
    let (mut speakers, mut all) = (Vec::new(), Vec::new());
    for one in speaking {
        let (speaker, took) = one.await??;
        speakers.push(speaker);
        all.extend(took);
    }
    Ok((speakers, all))
}

async fn speak(
    mut speaker: Speaker,
    pace: Pace,
    start: Moment,
    number: u32,
    count: u32,
) -> Result<(Speaker, Vec<f64>)> {
    speaker.begin().await?;
    let mut took = Vec::new();
    let (Pace::Even(turns) | Pace::AtOnce(turns)) = pace;
    for turn in 0..turns {
        if let Pace::Even(_) = pace {
            let place = turn * count + number;
            sleep_until(start + Duration::from_secs(1) * place / TURNS_A_SECOND).await;
        }
        let begun = Instant::now();
        timeout(PATIENCE, speaker.turn())
            .await
            .context("a turn without end")??;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok((speaker, took))
}

impl Speaker {
    /// A new session, watched, in which this is said every time.
    async fn session(address: SocketAddr, body: &Value, said: &str) -> Result<Self> {
        let session = made(address, "/v1/sessions", body)?;
        let path = format!("/v1/sessions/{session}/events");
        let mut stream = os::connect_async(address).await?;
        let head =
            format!("GET {path}/stream HTTP/1.1\r\nhost: {address}\r\nx-api-key: {KEY}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut events = BufReader::with_capacity(4096, stream);
        let mut line = String::new();
        events.read_line(&mut line).await?;
        ensure!(line.starts_with("HTTP/1.1 200"), "{line}");
        let order = HttpLoad {
            address,
            key: KEY.to_owned(),
            headers: Vec::new(),
            timed: Timed::Whole,
            connections: 1,
            millis: 0,
            requests: vec![HttpRequest {
                method: "POST".to_owned(),
                path,
                body: json!({"events": [message(said)]}).to_string(),
            }],
        };
        Ok(Self::Session(Box::new(Talking {
            connection: Connection::open(address).await?,
            order,
            events,
        })))
    }

    async fn model(address: SocketAddr) -> Result<Self> {
        let body = json!({
            "model": MODEL, "max_tokens": 1024, "stream": true,
            "messages": [{"role": "user", "content": "Hello."}],
        });
        let body = body.to_string();
        let request = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: {address}\r\nx-api-key: {KEY}\r\nanthropic-version: 2023-06-01\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let stream = os::connect_async(address).await?;
        Ok(Self::Model(stream, request.into_bytes()))
    }

    /// Before a conversation: a server closes a connection on which nothing was said for half a minute.
    async fn begin(&mut self) -> Result<()> {
        if let Self::Session(talking) = self {
            talking.connection = Connection::open(talking.order.address).await?;
        }
        Ok(())
    }

    /// Says something, and waits until the turn is over.
    async fn turn(&mut self) -> Result<()> {
        match self {
            Self::Session(talking) => {
                let Talking {
                    connection,
                    order,
                    events,
                } = &mut **talking;
                connection.prepare(order, &order.requests[0]);
                connection.ask(Timed::Whole).await?;
                until_idle(events).await
            }
            Self::Model(stream, request) => {
                stream.write_all(request).await?;
                let mut answer = Vec::new();
                while !answer.ends_with(b"\r\n0\r\n\r\n") {
                    let length = stream.read_buf(&mut answer).await?;
                    ensure!(length > 0, "the model has gone");
                }
                ensure!(answer.starts_with(b"HTTP/1.1 200"), "no answer");
                Ok(())
            }
        }
    }
}

async fn until_idle(events: &mut BufReader<TcpStream>) -> Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        ensure!(
            events.read_line(&mut line).await? > 0,
            "the stream has ended"
        );
        ensure!(!line.starts_with("event: session.error"), "a turn failed");
        if line.starts_with("event: session.status_idle") {
            return Ok(());
        }
    }
}
