//! Sessions at work, with a scripted model that answers at once: how soon the first call of a tool has its result, beside what a person would
//! script with crun and git; and many sessions at a time.

mod concurrent;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bailiwick_testkit::{ModelScript, ModelServer, ModelStep, ModelWhen};
use serde_json::{Value, json};

use super::turns::{line_up, take};
use super::wire::{ask, await_event, made, watch};
use crate::peers::Stage;
use crate::peers::control_plane::{Place, Server};
use crate::peers::launchers::{self, Launcher};
use crate::peers::repository::{self, Repository};
use crate::protocol::Spawn;
use crate::report::{BAILIWICK, Better, Report, Row};

/// The model that every agent here names.
const MODEL: &str = "claude-sonnet-4-5";
/// What makes the model call a tool, and what it runs then.
const CALL: (&str, &str) = ("Run something.", "cat /proc/self/status");
const LOOK: (&str, &str) = ("Look into the repository.", "wc -l repository/file-0");

/// Who has the first result.
#[derive(Debug)]
enum First {
    /// A script, which makes this directory anew.
    Script(Launcher, Option<PathBuf>),
    /// A session of a server, made with this body.
    Session(SocketAddr, Value),
}

pub(super) fn measure(stage: &Stage, report: &mut Report) -> Result<()> {
    first_results(stage, report)?;
    concurrent::measure(stage, report)
}

/// Calls a tool where it is asked to, and else says something.
fn model() -> ModelServer {
    let call = |(said, command): (&str, &str)| {
        let when = ModelWhen::All(vec![
            ModelWhen::Contains(said.to_owned()),
            ModelWhen::Round(0),
        ]);
        let step = ModelStep::tool("bash", json!({"command": command}));
        step.when(when).always()
    };
    let text = ModelStep::text("There it is.").always();
    ModelServer::start(ModelScript::of([call(CALL), call(LOOK), text]))
}

fn first_results(stage: &Stage, report: &mut Report) -> Result<()> {
    let model = model();
    let repository = Repository::serve();
    let options = match &repository {
        Ok(repository) => repository.options(),
        Err(_) => Vec::new(),
    };
    let place = Place::sqlite(stage, "sessions")?;
    let server = Server::at_work(stage, &place, &model.url(), &options)?;
    let session = new_session(server.address, true)?;
    let plain = stage.path("session-plain");
    std::fs::create_dir(&plain)?;
    let script = launchers::crun_in(stage, ("session", &plain), CALL.1, None);
    let name = "session made until its first result (crun run: a bundle and the same command)";
    let all = vec![
        ("crun run", script.map(|script| First::Script(script, None))),
        (
            BAILIWICK,
            Ok(First::Session(
                server.address,
                says(&session, CALL.0, &json!([])),
            )),
        ),
    ];
    compare(stage, name, all, report);
    match &repository {
        Ok(repository) => {
            let all = with_repository(stage, &server, repository, &session)?;
            let name = "the same with a repository of 500 files (git clone and crun run)";
            compare(stage, name, all, report);
        }
        Err(why) => report.absent("sessions with a repository", "everybody", why),
    }
    server.end()
}

fn with_repository(
    stage: &Stage,
    server: &Server,
    repository: &Repository,
    session: &Value,
) -> Result<Vec<(&'static str, Result<First>)>> {
    let work = stage.path("session-work");
    std::fs::create_dir(&work)?;
    let clone = work.join("repository");
    let before = repository.clone_into(&clone);
    let bundle = ("session-repository", work.as_path());
    let script = launchers::crun_in(stage, bundle, LOOK.1, Some(&before));
    let resource = json!([{
        "type": "github_repository",
        "url": repository.url(),
        "authorization_token": repository::TOKEN,
        "mount_path": "/workspace/repository",
    }]);
    let body = says(session, LOOK.0, &resource);
    Ok(vec![
        (
            "git clone, crun run",
            script.map(|script| First::Script(script, Some(clone))),
        ),
        (BAILIWICK, Ok(First::Session(server.address, body))),
    ])
}

fn compare(
    stage: &Stage,
    name: &str,
    all: Vec<(&'static str, Result<First>)>,
    report: &mut Report,
) {
    let mut all = line_up(name, all, report);
    let row = Row::new("sessions", name, "ms", Better::Lower);
    take(row, &mut all, stage.pick(30, 3), report, |one| {
        one.result().map(|took| vec![took])
    });
}

impl First {
    /// Milliseconds.
    fn result(&mut self) -> Result<f64> {
        match self {
            Self::Script(launcher, work) => {
                if let Some(work) = work.as_ref().filter(|work| work.exists()) {
                    std::fs::remove_dir_all(work)?;
                }
                let order = Spawn {
                    command: launcher.command.clone(),
                    count: 1,
                };
                let took = launcher.spawner.measure(&order)?;
                took.first().copied().context("nothing was measured")
            }
            Self::Session(address, body) => {
                let begun = Instant::now();
                let session = made(*address, "/v1/sessions", body)?;
                let mut events = watch(*address, &session)?;
                let result = await_event(&mut events, "agent.tool_result")?;
                let took = begun.elapsed();
                ensure!(result["is_error"] != true, "{result}");
                await_event(&mut events, "session.status_idle")?;
                let path = format!("/v1/sessions/{session}");
                ask(*address, "DELETE", &path, "")?;
                Ok(took.as_secs_f64() * 1e3)
            }
        }
    }
}

/// The body of a new session: an agent, with tools or without, in an environment.
fn new_session(address: SocketAddr, has_tools: bool) -> Result<Value> {
    let allow = json!({"permission_policy": {"type": "always_allow"}});
    let tools = json!([{"type": "agent_toolset_20260401", "default_config": allow}]);
    let tools = if has_tools { tools } else { json!([]) };
    let name = if has_tools { "tools" } else { "talk" };
    let agent = json!({"name": name, "model": MODEL, "tools": tools});
    let config = json!({"type": "cloud", "networking": {"type": "limited"}});
    let environment = json!({"name": name, "config": config});
    Ok(json!({
        "agent": made(address, "/v1/agents", &agent)?,
        "environment_id": made(address, "/v1/environments", &environment)?,
    }))
}

/// The same session, in which something is said at once.
fn says(session: &Value, said: &str, resources: &Value) -> Value {
    let mut session = session.clone();
    session["initial_events"] = json!([message(said)]);
    session["resources"] = resources.clone();
    session
}

fn message(said: &str) -> Value {
    json!({"type": "user.message", "content": [{"type": "text", "text": said}]})
}
