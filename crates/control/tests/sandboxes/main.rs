//! Sandboxes of sessions on a runtime in memory: what happens while one starts, between two servers, and at the bounds.

mod files;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_control::{
    Bootstrap, Called, Caller, ContentLimits, Control, Credentials, NewEnvironmentRequest,
    PoliciesChange, SandboxRoom, Sandboxes, SealingKeys, Workplaces,
};
use bailiwick_model::limits::{
    SESSION_SANDBOX_KEEPS, SESSION_SANDBOX_LOOK, SESSION_SANDBOXES_OF_ORGANIZATION,
};
use bailiwick_model::{Destination, Protocol, SandboxId, SessionId, Verdict};
use bailiwick_policy::{HostFacts, InForce, parse_destination};
use bailiwick_runtime::fake::{Fake, FakeBuilder};
use bailiwick_runtime::{Error, Runtime, Verb};
use bailiwick_store::{DatabaseUrl, Store};
use bailiwick_tools::Context;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);
/// How long a sandbox takes to start where that matters: long enough for something to happen meanwhile.
const SLOW: Duration = Duration::from_millis(700);
const HOST: &str = "docs.example.com";
/// After which a sandbox is kept, at the next look.
const IDLE: Duration = Duration::from_millis(10);

/// An organization with an agent and an environment that allows [`HOST`].
struct Place {
    store: Store,
    control: Arc<Control>,
    caller: Caller,
    agent: String,
    environment: String,
    directory: TempDir,
}

/// One server's sandboxes.
struct Server {
    fake: Arc<Fake<InForce>>,
    sandboxes: Sandboxes,
    /// Where files of sessions are placed.
    uploads: PathBuf,
    stop: CancellationToken,
    looking: JoinHandle<()>,
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else {
        panic!("{value} is no object");
    };
    map
}

fn networking(hosts: &[&str]) -> Value {
    json!({"type": "limited", "allowed_hosts": hosts})
}

impl Place {
    async fn new() -> Self {
        Self::with(ContentLimits::default()).await
    }

    async fn with(limits: ContentLimits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        let store = Store::open(&url).await.unwrap();
        let keys = "01".repeat(32).parse::<SealingKeys>().unwrap();
        let control = Control::new(store.clone(), keys).with_content_limits(limits);
        let first = control.bootstrap(Bootstrap::default()).await.unwrap();
        let credentials = Credentials {
            key: &first.unwrap().key,
            address: None,
        };
        let caller = control.authenticate(credentials).await.unwrap();
        let agent = json!({"name": "worker", "model": "claude-sonnet-4-5", "tools": [{"type": "agent_toolset_20260401"}]});
        let agent = control.create_agent(&caller, &object(agent)).await.unwrap();
        let body =
            json!({"name": "docs", "config": {"type": "cloud", "networking": networking(&[HOST])}});
        let request = NewEnvironmentRequest {
            body: object(body),
            restricted: false,
            namespace: None,
        };
        let environment = control.create_environment(&caller, request).await.unwrap();
        Self {
            store,
            control: Arc::new(control),
            agent: agent.id.to_string(),
            environment: environment.environment.id.to_string(),
            caller,
            directory,
        }
    }

    fn server(&self, fake: FakeBuilder<InForce>) -> Server {
        self.server_with(fake, |sandboxes| sandboxes)
    }

    /// One that keeps sandboxes as soon as nobody uses them.
    fn keeping_server(&self, room: SandboxRoom) -> Server {
        self.server_with(fake(), |sandboxes| {
            sandboxes.with_idle_time(IDLE).with_room(room)
        })
    }

    fn server_with(
        &self,
        fake: FakeBuilder<InForce>,
        with: impl FnOnce(Sandboxes) -> Sandboxes,
    ) -> Server {
        let fake = Arc::new(fake.build());
        let runtime: Arc<dyn Runtime<Policy = InForce>> = Arc::clone(&fake) as _;
        let name = format!("uploads-{:p}", Arc::as_ptr(&fake));
        let uploads = self.directory.path().join(name);
        let sandboxes = with(Sandboxes::new(Arc::clone(&self.control), runtime, &uploads));
        let stop = CancellationToken::new();
        let looking = tokio::spawn(sandboxes.clone().run(stop.clone()));
        Server {
            fake,
            sandboxes,
            uploads,
            stop,
            looking,
        }
    }

    async fn session(&self) -> SessionId {
        let body = json!({"agent": self.agent, "environment_id": self.environment});
        let body = object(body);
        let made = self.control.create_session(&self.caller, &body);
        made.await.unwrap().session.id
    }

    /// A file is written in the sandbox of a session: what the model is told, or why there is no sandbox.
    async fn writes(&self, server: &Server, session: &SessionId) -> Result<String, String> {
        self.writes_to(server, session, ("a", "one")).await
    }

    async fn writes_to(
        &self,
        server: &Server,
        session: &SessionId,
        file: (&str, &str),
    ) -> Result<String, String> {
        match self.called(server, session, file).await.outcome {
            Ok(result) => Ok(result.as_text()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn called(
        &self,
        server: &Server,
        session: &SessionId,
        (path, content): (&str, &str),
    ) -> Called {
        let scope = self.store.scope(self.caller.organization());
        let session = scope.session(session).await.unwrap().unwrap();
        let context = Context {
            cancel: CancellationToken::new(),
            live: None,
        };
        let input = json!({"file_path": path, "content": content});
        let organization = self.caller.organization();
        let called = server
            .sandboxes
            .call(organization, &session, "write", input, &context);
        called.await
    }

    /// A session that has written three bytes, which are kept.
    async fn kept_session(&self, server: &Server) -> SessionId {
        let session = self.session().await;
        self.writes(server, &session).await.unwrap();
        server.rests().await;
        session
    }

    /// The environment allows nothing any more, and the session is told so.
    async fn tighten(&self, session: &SessionId) {
        let id = self.environment.parse().unwrap();
        let before = self.control.environment(&self.caller, &id).await.unwrap();
        let change = bailiwick_control::EnvironmentChange {
            body: object(json!({"config": {"type": "cloud", "networking": networking(&[])}})),
            version: Some(before.environment.version),
            ..Default::default()
        };
        let changed = self.control.update_environment(&self.caller, &id, change);
        changed.await.unwrap();
        let tightened = self.control.tighten_session(&self.caller, session, None);
        tightened.await.unwrap();
    }
}

impl Server {
    async fn running(&self) -> Vec<SandboxId> {
        let all = self.fake.list().await.unwrap();
        all.into_iter().map(|sandbox| sandbox.id).collect()
    }

    /// Nothing runs any more.
    async fn rests(&self) {
        until("what is idle to be kept", async || {
            self.running().await.is_empty()
        })
        .await;
    }

    /// What the sandboxes' policies say of [`HOST`], of each one the last.
    async fn verdicts(&self) -> Vec<Verdict> {
        let running = self.running().await.into_iter();
        let last = running.filter_map(|id| self.fake.policies(&id).ok()?.pop());
        last.map(|in_force| verdict(&in_force)).collect()
    }

    async fn ends(self) {
        self.stop.cancel();
        let Self { fake, looking, .. } = self;
        looking.await.unwrap();
        assert!(fake.list().await.unwrap().is_empty());
    }
}

fn verdict(in_force: &InForce) -> Verdict {
    let destination = Destination {
        host: parse_destination(HOST).unwrap().host,
        port: 443,
        protocol: Protocol::Tcp,
    };
    let facts = HostFacts::unknown();
    in_force.policy.decide(&destination, &facts).verdict()
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

fn fake() -> FakeBuilder<InForce> {
    FakeBuilder::with_other_policies()
}

#[tokio::test]
async fn a_session_that_is_tightened_while_its_sandbox_starts_has_the_narrower_policy() {
    let place = Place::new().await;
    let server = place.server(fake().slow(SLOW));
    let session = place.session().await;
    let tightening = async {
        // It has read what holds, and is being started.
        tokio::time::sleep(SLOW / 3).await;
        place.tighten(&session).await;
    };
    let (wrote, ()) = tokio::join!(place.writes(&server, &session), tightening);
    wrote.unwrap();
    until("the narrower policy", async || {
        server.verdicts().await == [Verdict::Deny]
    })
    .await;
    let id = server.running().await.pop().unwrap();
    let policies = server.fake.policies(&id).unwrap();
    assert_eq!(verdict(&policies[0]), Verdict::Allow, "the control");
    server.ends().await;
}

#[tokio::test]
async fn a_sandbox_that_cannot_have_the_rules_of_now_is_ended() {
    let place = Place::new().await;
    let server = place.server(fake().without(Verb::ApplyPolicy));
    let session = place.session().await;
    place.writes(&server, &session).await.unwrap();
    assert_eq!(server.verdicts().await, [Verdict::Allow]);
    place.tighten(&session).await;
    until("its end", async || server.running().await.is_empty()).await;
    // The next one is made under them, and its model is told that it is another one.
    let told = place.writes(&server, &session).await.unwrap();
    assert!(told.contains("started anew"), "{told}");
    assert_eq!(server.verdicts().await, [Verdict::Deny]);
    server.ends().await;
}

#[tokio::test]
async fn a_floor_that_is_raised_while_a_sandbox_starts_reaches_it() {
    let place = Place::new().await;
    let server = place.server(fake().slow(SLOW));
    let session = place.session().await;
    let raising = async {
        tokio::time::sleep(SLOW / 3).await;
        let floor = PoliciesChange {
            allow_body_injection: None,
            default_networking: None,
            denied_hosts: Some(vec![HOST.to_owned()]),
            denied_cidrs: None,
            version: None,
        };
        let changed = place.control.change_policies(&place.caller, floor).await;
        changed.unwrap();
    };
    let (wrote, ()) = tokio::join!(place.writes(&server, &session), raising);
    wrote.unwrap();
    until("the floor", async || {
        server.verdicts().await == [Verdict::Deny]
    })
    .await;
    server.ends().await;
}

#[tokio::test]
async fn a_session_that_ends_while_its_sandbox_starts_has_none() {
    let place = Place::new().await;
    let server = place.server(fake().slow(SLOW));
    for deletes in [true, false] {
        let session = place.session().await;
        let ending = async {
            tokio::time::sleep(SLOW / 3).await;
            if deletes {
                let deleted = place.control.delete_session(&place.caller, &session);
                deleted.await.unwrap();
            } else {
                let archived = place.control.archive_session(&place.caller, &session);
                archived.await.unwrap();
            }
        };
        let (wrote, ()) = tokio::join!(place.writes(&server, &session), ending);
        if deletes {
            wrote.unwrap_err();
        }
        until("its end", async || server.running().await.is_empty()).await;
    }
    // The positive control: another one has a sandbox.
    let other = place.session().await;
    place.writes(&server, &other).await.unwrap();
    server.ends().await;
}

#[tokio::test]
async fn a_sandbox_of_a_session_that_another_server_took_over_is_ended() {
    let place = Place::new().await;
    let (first, second) = (place.server(fake()), place.server(fake()));
    let session = place.session().await;
    place.writes(&first, &session).await.unwrap();
    // The first server's lease was lost; whoever has it now starts a sandbox of its own.
    let told = place.writes(&second, &session).await.unwrap();
    assert!(told.contains("started anew"), "{told}");
    until("the end of the first", async || {
        first.running().await.is_empty()
    })
    .await;
    assert_eq!(second.running().await.len(), 1);
    // It comes back: there is one again, and it is the first server's.
    let told = place.writes(&first, &session).await.unwrap();
    assert!(told.contains("started anew"), "{told}");
    until("the end of the second", async || {
        second.running().await.is_empty()
    })
    .await;
    assert_eq!(first.running().await.len(), 1);
    first.ends().await;
    second.ends().await;
}

#[tokio::test]
async fn an_organization_has_no_more_sandboxes_than_its_share() {
    let place = Place::new().await;
    let server = place.server(fake());
    let mut sessions = Vec::new();
    for _ in 0..SESSION_SANDBOXES_OF_ORGANIZATION {
        let session = place.session().await;
        place.writes(&server, &session).await.unwrap();
        sessions.push(session);
    }
    let one_more = place.session().await;
    let refused = place.writes(&server, &one_more).await.unwrap_err();
    assert!(
        refused.contains("which is the most it may have"),
        "{refused}"
    );
    assert_eq!(
        server.running().await.len(),
        SESSION_SANDBOXES_OF_ORGANIZATION
    );
    // Those that there are go on, and an end makes room.
    place.writes(&server, &sessions[0]).await.unwrap();
    let done = sessions.pop().unwrap();
    let archived = place.control.archive_session(&place.caller, &done);
    archived.await.unwrap();
    tokio::time::sleep(SESSION_SANDBOX_LOOK).await;
    until("room", async || {
        place.writes(&server, &one_more).await.is_ok()
    })
    .await;
    server.ends().await;
}

#[tokio::test]
async fn of_what_an_organization_keeps_the_oldest_is_given_up_for_newer_ones_and_told() {
    let place = Place::new().await;
    // Each session keeps three bytes.
    let server = place.keeping_server(SandboxRoom {
        kept_bytes_of_organization: 7,
        ..SandboxRoom::default()
    });
    let first = place.kept_session(&server).await;
    let second = place.kept_session(&server).await;
    assert_eq!(server.fake.checkpoints(), 2, "control: so much may be kept");
    let third = place.kept_session(&server).await;
    until("the oldest to go", async || server.fake.checkpoints() == 2).await;

    for newer in [&second, &third] {
        let told = place.writes(&server, newer).await.unwrap();
        assert!(!told.contains("started anew"), "{told}");
    }
    let called = place.called(&server, &first, ("a", "one")).await;
    let told = called.outcome.unwrap().as_text();
    assert!(told.contains("started anew"), "{told}");
    let failures: Vec<_> = called.failures.iter().map(|told| &told.message).collect();
    assert!(
        failures.iter().any(|told| told.contains("was given up")),
        "{failures:?}"
    );
    server.ends().await;
}

#[tokio::test]
async fn what_is_kept_gives_its_place_to_a_session_that_needs_one() {
    let place = Place::new().await;
    let server = place.keeping_server(SandboxRoom {
        sessions_of_organization: 2,
        ..SandboxRoom::default()
    });
    let first = place.kept_session(&server).await;
    let second = place.kept_session(&server).await;
    // Neither has ended, and both have a place.
    let third = place.session().await;
    place.writes(&server, &third).await.unwrap();
    let told = place.writes(&server, &second).await.unwrap();
    assert!(!told.contains("started anew"), "control: {told}");
    server.rests().await;
    let told = place.writes(&server, &first).await.unwrap();
    assert!(told.contains("started anew"), "{told}");
    server.ends().await;
}

#[tokio::test]
async fn a_sandbox_that_cannot_be_kept_again_and_again_is_ended_and_told() {
    let place = Place::new().await;
    let server = place.keeping_server(SandboxRoom::default());
    let unreadable = || Error::Backend("a tree that is too deep".into());
    let session = place.session().await;
    // A disk that is full is not its fault.
    for _ in 0..SESSION_SANDBOX_KEEPS {
        server.fake.fail_next_checkpoint(Error::Full);
    }
    for _ in 1..SESSION_SANDBOX_KEEPS {
        server.fake.fail_next_checkpoint(unreadable());
    }
    place.writes(&server, &session).await.unwrap();
    server.rests().await;
    assert_eq!(server.fake.checkpoint_failures_left(), 0);
    let told = place.writes(&server, &session).await.unwrap();
    assert!(!told.contains("started anew"), "control: {told}");
    server.rests().await;

    for _ in 0..SESSION_SANDBOX_KEEPS {
        server.fake.fail_next_checkpoint(unreadable());
    }
    let lost = place.session().await;
    place.writes(&server, &lost).await.unwrap();
    server.rests().await;
    let called = place.called(&server, &lost, ("a", "one")).await;
    let told = called.outcome.unwrap().as_text();
    assert!(told.contains("started anew"), "{told}");
    let failures: Vec<_> = called.failures.iter().map(|told| &told.message).collect();
    assert!(
        failures.iter().any(|told| told.contains("cannot be kept")),
        "{failures:?}"
    );
    server.ends().await;
}
