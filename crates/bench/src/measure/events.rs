//! Events of sessions: how many are stored in a second, how soon whoever watches has one, and what a stream holds in which nothing happens.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};

use super::wire::{PATIENCE, ask, made, watch};
use crate::memory::pss_kib;
use crate::peers::Stage;
use crate::peers::control_plane::{KEY, Place, Server};
use crate::protocol::{HttpLoad, HttpRequest, Timed};
use crate::report::{BAILIWICK, Better, Report, Row};
use crate::worker::Worker;

/// At once.
const SENDERS: [usize; 3] = [1, 10, 50];
/// Of each of as many as there are senders.
const SESSIONS: usize = 50;
const STREAMS: usize = 500;
/// What an idle session takes up when it comes, so that sessions stay as they are.
const EVENT: &str = r#"{"events":[{"type":"user.interrupt"}]}"#;

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    on(stage, "SQLite", &Place::sqlite(stage, "events")?, report)?;
    match Place::postgres() {
        Ok(place) => on(stage, "PostgreSQL", &place, report)?,
        Err(why) => report.absent("events, PostgreSQL", "everybody", &why),
    }
    Ok(())
}

fn on(stage: &Stage, database: &str, place: &Place, report: &mut Report) -> Result<()> {
    let server = Server::start(stage, place)?;
    let sessions = sessions(server.address)?;
    received(stage, database, &server, &sessions[0], report)?;
    appended(stage, database, &server, &sessions, report)?;
    idle(database, &server, &sessions, report)
}

fn sessions(address: SocketAddr) -> Result<Vec<String>> {
    let id = |path, body: Value| made(address, path, &body);
    let agent = id("/v1/agents", json!({"name": "bench", "model": "m"}))?;
    let environment = id("/v1/environments", json!({"name": "bench"}))?;
    let body = json!({"agent": agent, "environment_id": environment});
    (0..SESSIONS)
        .map(|_| id("/v1/sessions", body.clone()))
        .collect()
}

/// When each event came.
fn arrivals(mut stream: BufReader<TcpStream>) -> Receiver<Instant> {
    let (came, arrivals) = channel();
    thread::spawn(move || {
        let mut line = String::new();
        while stream.read_line(&mut line).is_ok_and(|length| length > 0) {
            if line.starts_with("event: user.interrupt") && came.send(Instant::now()).is_err() {
                return;
            }
            line.clear();
        }
    });
    arrivals
}

/// Milliseconds from before an event is sent until whoever watches has it.
fn received(
    stage: &Stage,
    database: &str,
    server: &Server,
    session: &str,
    report: &mut Report,
) -> Result<()> {
    let arrivals = arrivals(watch(server.address, session)?);
    let path = format!("/v1/sessions/{session}/events");
    let mut took = Vec::new();
    for round in 0..stage.pick(1000, 50) {
        let begun = Instant::now();
        ask(server.address, "POST", &path, EVENT)?;
        let came = arrivals.recv_timeout(PATIENCE)?;
        // The first ones open connections and fill caches.
        if round >= 10 {
            took.push(came.duration_since(begun).as_secs_f64() * 1e3);
        }
    }
    took.sort_by(f64::total_cmp);
    for (what, hundredths) in [("median", 50), ("99 of 100", 99)] {
        let name = format!("sent to received, {database}, {what}");
        let mut row = Row::new("events", name, "ms", Better::Lower);
        row.aim = (hundredths == 99).then_some("under 20 ms");
        row.add(BAILIWICK, &[took[(took.len() - 1) * hundredths / 100]]);
        report.rows.push(row);
    }
    Ok(())
}

/// How many are stored and answered, each in a request of its own, while somebody watches each session.
fn appended(
    stage: &Stage,
    database: &str,
    server: &Server,
    sessions: &[String],
    report: &mut Report,
) -> Result<()> {
    let mut client = Worker::start("the client", stage.role("http-load"))?;
    let watched = sessions
        .iter()
        .map(|session| watch(server.address, session));
    let _arrivals: Vec<_> = watched
        .map(|stream| stream.map(arrivals))
        .collect::<Result<_>>()?;
    let send = |session: &String| HttpRequest {
        method: "POST".to_owned(),
        path: format!("/v1/sessions/{session}/events"),
        body: EVENT.to_owned(),
    };
    let requests: Vec<_> = sessions.iter().map(send).collect();
    for senders in SENDERS {
        let order = HttpLoad {
            address: server.address,
            key: KEY.to_owned(),
            headers: Vec::new(),
            timed: Timed::Whole,
            connections: senders,
            millis: stage.pick(2000, 200),
            requests: requests.clone(),
        };
        let rounds: Vec<Vec<f64>> = (0..stage.pick(5, 2))
            .map(|_| client.measure(&order))
            .collect::<Result<_>>()?;
        let rates: Vec<_> = rounds
            .iter()
            .filter_map(|numbers| numbers.first().copied())
            .collect();
        let name = format!("stored and streamed, {database}, {senders} senders");
        let mut row = Row::new("events", name, "1/s", Better::Higher);
        row.add(BAILIWICK, &rates);
        report.rows.push(row);
    }
    Ok(())
}

fn idle(database: &str, server: &Server, sessions: &[String], report: &mut Report) -> Result<()> {
    let before = pss_kib(server.pid())?;
    let open = (0..STREAMS).map(|number| watch(server.address, &sessions[number % SESSIONS]));
    let open: Vec<_> = open.collect::<Result<_>>()?;
    let each = (pss_kib(server.pid())? - before).max(0.0) / open.len() as f64;
    let name = format!("each of {STREAMS} idle streams, {database}");
    let mut row = Row::new("events", name, "KiB", Better::Lower);
    row.add(BAILIWICK, &[each]);
    report.rows.push(row);
    Ok(())
}
