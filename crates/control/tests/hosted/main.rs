//! Self-hosted MCP servers on a runtime in memory: what starts them, what ends them, and what they run under.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_control::{
    Bootstrap, Caller, Control, ControlError, Credentials, EnvironmentChange, Holder,
    HostedCondition, HostedEntries, HostedError, HostedServer, HostedServers, HostedTransport,
    NewEnvironmentRequest, PoliciesChange, PortFuture, SealingKeys,
};
use bailiwick_mcp::Pulse;
use bailiwick_model::{Destination, EnvironmentId, Packages, Protocol, Verdict};
use bailiwick_policy::{HostFacts, InForce, parse_destination};
use bailiwick_runtime::fake::{Fake, FakeBuilder, Invocation};
use bailiwick_runtime::{Limits, Runtime, SandboxSummary, Verb};
use bailiwick_store::{DatabaseUrl, Store};
use bailiwick_testkit::Postgres;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);
const HOST: &str = "docs.example.com";
const PORT: NonZeroU16 = NonZeroU16::new(8000).unwrap();

/// How often programs were started.
type Starts = Arc<AtomicUsize>;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else {
        panic!("{value} is no object");
    };
    map
}

/// An organization with an environment that allows [`HOST`], and one server of this product.
struct World {
    control: Arc<Control>,
    caller: Caller,
    environment: EnvironmentId,
    fake: Arc<Fake<InForce>>,
    servers: HostedServers,
    starts: Starts,
    stop: CancellationToken,
    looking: JoinHandle<()>,
    _directory: TempDir,
    _database: Option<Postgres>,
}

/// Answers as an MCP server does, until its input ends or it is told to crash.
async fn serve(mut program: Invocation, starts: Starts) -> u8 {
    starts.fetch_add(1, Ordering::Relaxed);
    let _ = program.stderr.write_all(b"ready\n").await;
    let mut lines = BufReader::new(program.stdin).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let asked: Value = serde_json::from_str(&line).unwrap();
        let Some(id) = asked.get("id") else { continue };
        let result = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
        let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
        let answer = format!("{answer}\n");
        if program.stdout.write_all(answer.as_bytes()).await.is_err() {
            break;
        }
    }
    0
}

impl World {
    async fn new() -> Self {
        Self::with(|fake| fake, |servers| servers).await
    }

    async fn with(
        fake: impl FnOnce(FakeBuilder<InForce>) -> FakeBuilder<InForce>,
        with: impl FnOnce(HostedServers) -> HostedServers,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(directory.path().join("bailiwick.db"));
        Self::on((url, directory, None), fake, with).await
    }

    /// On a server of PostgreSQL, which several servers may share.
    #[cfg(feature = "system-tests")]
    async fn postgres() -> Self {
        let database = Postgres::start();
        let url = format!("postgres://postgres@{}/postgres", database.address());
        let place = (
            url.parse().unwrap(),
            tempfile::tempdir().unwrap(),
            Some(database),
        );
        Self::on(place, |fake| fake, |servers| servers).await
    }

    async fn on(
        (url, directory, database): (DatabaseUrl, TempDir, Option<Postgres>),
        fake: impl FnOnce(FakeBuilder<InForce>) -> FakeBuilder<InForce>,
        with: impl FnOnce(HostedServers) -> HostedServers,
    ) -> Self {
        let store = Store::open(&url).await.unwrap();
        let keys = "01".repeat(32).parse::<SealingKeys>().unwrap();
        let control = Arc::new(Control::new(store, keys));
        let first = control.bootstrap(Bootstrap::default()).await.unwrap();
        let credentials = Credentials {
            key: &first.unwrap().key,
            address: None,
        };
        let caller = control.authenticate(credentials).await.unwrap();
        let networking = json!({"type": "limited", "allowed_hosts": [HOST]});
        let request = NewEnvironmentRequest {
            body: object(
                json!({"name": "docs", "config": {"type": "cloud", "networking": networking}}),
            ),
            restricted: false,
            namespace: None,
        };
        let environment = control.create_environment(&caller, request).await.unwrap();
        let starts = Starts::default();
        let counted = Arc::clone(&starts);
        let builder = FakeBuilder::with_other_policies()
            .program(["mcp"], move |it| serve(it, Arc::clone(&counted)))
            .program(["broken"], |mut it: Invocation| async move {
                let _ = it.stderr.write_all(b"cannot find my files\n").await;
                3
            })
            .program(["sleep"], |_| std::future::pending());
        let fake = Arc::new(fake(builder).build());
        let runtime: Arc<dyn Runtime<Policy = InForce>> = Arc::clone(&fake) as _;
        let servers = with(HostedServers::new(Arc::clone(&control), runtime));
        let stop = CancellationToken::new();
        let looking = tokio::spawn(servers.clone().run(stop.clone()));
        Self {
            control,
            caller,
            environment: environment.environment.id,
            fake,
            servers,
            starts,
            stop,
            looking,
            _directory: directory,
            _database: database,
        }
    }

    fn server(&self, program: &str) -> HostedServer {
        HostedServer {
            organization: self.caller.organization().clone(),
            environment: self.environment.clone(),
            entry: "entry".to_owned(),
            holder: Holder::Everybody,
            command: vec![program.to_owned()],
            packages: Packages::default(),
            variables: BTreeMap::new(),
            secrets: Vec::new(),
            transport: HostedTransport::Stdio,
            limits: Limits::default(),
        }
    }

    async fn running(&self) -> Vec<SandboxSummary> {
        self.fake.list().await.unwrap()
    }

    fn starts(&self) -> usize {
        self.starts.load(Ordering::Relaxed)
    }

    fn condition(&self) -> HostedCondition {
        self.servers.states(self.caller.organization())[0].condition
    }

    async fn until(&self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let waiting = async {
            while !is_so(self).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("waited in vain: {what}"));
    }

    /// Whether the policy in force of the only sandbox allows a host.
    async fn allows(&self, host: &str) -> bool {
        let id = self.running().await[0].id.clone();
        let policies = self.fake.policies(&id).unwrap();
        let policy = &policies.last().unwrap().policy;
        let destination = Destination {
            host: parse_destination(host).unwrap().host,
            port: 443,
            protocol: Protocol::Tcp,
        };
        policy.decide(&destination, &HostFacts::unknown()).verdict() == Verdict::Allow
    }

    async fn allow(&self, hosts: &[&str]) {
        let before = self
            .control
            .environment(&self.caller, &self.environment)
            .await;
        let networking = json!({"type": "limited", "allowed_hosts": hosts});
        let change = EnvironmentChange {
            body: object(json!({"config": {"type": "cloud", "networking": networking}})),
            version: Some(before.unwrap().environment.version),
            ..Default::default()
        };
        let changed = self
            .control
            .update_environment(&self.caller, &self.environment, change);
        changed.await.unwrap();
    }

    async fn end(self) {
        self.stop.cancel();
        self.looking.await.unwrap();
        assert!(self.fake.list().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn one_start_serves_however_many_ask() {
    let world = World::with(|fake| fake.slow(Duration::from_millis(200)), |it| it).await;
    let server = world.server("mcp");
    let mut asking = JoinSet::new();
    for _ in 0..20 {
        let (servers, server) = (world.servers.clone(), server.clone());
        asking.spawn(async move { servers.access(&server).await.map(drop) });
    }
    for access in asking.join_all().await {
        access.unwrap();
    }
    assert_eq!((world.starts(), world.running().await.len()), (1, 1));
    assert_eq!(world.condition(), HostedCondition::Running);
    world.end().await;
}

#[tokio::test]
async fn whoever_stops_waiting_does_not_stop_a_start() {
    let world = World::with(|fake| fake.slow(Duration::from_millis(200)), |it| it).await;
    let server = world.server("mcp");
    let access = world.servers.access(&server);
    let waited = tokio::time::timeout(Duration::from_millis(50), access).await;
    assert!(waited.is_err());
    world
        .until("it runs", async |it| {
            it.condition() == HostedCondition::Running
        })
        .await;
    world.end().await;
}

#[tokio::test]
async fn a_start_that_fails_says_why_with_the_end_of_the_log_and_is_not_tried_at_once() {
    let world = World::new().await;
    let server = world.server("broken");
    let failed = world.servers.access(&server).await.unwrap_err().to_string();
    assert!(failed.contains("cannot find my files"), "{failed}");
    assert!(failed.contains("exit code 3"), "{failed}");
    let pausing = world.servers.access(&server).await.unwrap_err();
    assert!(
        matches!(pausing, HostedError::Pausing { failures: 1, .. }),
        "{pausing:?}"
    );
    assert!(world.running().await.is_empty());
    assert_eq!(world.condition(), HostedCondition::Failed);
    let missing = world.server("missing");
    let failed = world
        .servers
        .access(&missing)
        .await
        .unwrap_err()
        .to_string();
    assert!(failed.contains("failed 1 times"), "{failed}");
    world.end().await;
}

#[tokio::test]
async fn a_server_that_is_lost_is_started_again() {
    checks_that_a_server_that_is_lost_is_started_again(World::new().await).await;
}

#[cfg(feature = "system-tests")]
#[tokio::test]
async fn on_postgres_a_server_that_is_lost_is_started_again() {
    checks_that_a_server_that_is_lost_is_started_again(World::postgres().await).await;
}

async fn checks_that_a_server_that_is_lost_is_started_again(world: World) {
    let server = world.server("mcp");
    world.servers.access(&server).await.unwrap();
    let id = world.running().await[0].id.clone();
    world.fake.lose(&id).await.unwrap();
    world
        .until("it is started again", async |it| it.starts() == 2)
        .await;
    world
        .until("it runs", async |it| {
            it.condition() == HostedCondition::Running
        })
        .await;
    let state = &world.servers.states(world.caller.organization())[0];
    assert_eq!(state.failures, 1);
    assert!(
        state.log.iter().any(|line| line.contains("has ended")),
        "{:?}",
        state.log
    );
    world.end().await;
}

#[tokio::test]
async fn a_server_that_nobody_uses_is_stopped_and_comes_back() {
    let world = World::with(|fake| fake, |it| it.with_idle_time(Duration::ZERO)).await;
    let server = world.server("mcp");
    world.servers.access(&server).await.unwrap();
    world
        .until("it is stopped", async |it| it.running().await.is_empty())
        .await;
    assert_eq!(world.condition(), HostedCondition::Stopped);
    world.servers.access(&server).await.unwrap();
    assert_eq!(world.starts(), 2);
    world.end().await;
}

#[tokio::test]
async fn another_policy_and_another_floor_are_put_in_force_while_it_runs() {
    checks_that_another_policy_and_another_floor_are_put_in_force_while_it_runs(World::new().await)
        .await;
}

#[cfg(feature = "system-tests")]
#[tokio::test]
async fn on_postgres_another_policy_and_another_floor_are_put_in_force_while_it_runs() {
    checks_that_another_policy_and_another_floor_are_put_in_force_while_it_runs(
        World::postgres().await,
    )
    .await;
}

async fn checks_that_another_policy_and_another_floor_are_put_in_force_while_it_runs(world: World) {
    world.servers.access(&world.server("mcp")).await.unwrap();
    assert!(world.allows(HOST).await && !world.allows("new.example.com").await);
    world.allow(&["new.example.com"]).await;
    let is_new = async |it: &World| it.allows("new.example.com").await && !it.allows(HOST).await;
    world.until("the policy is another one", is_new).await;
    let floor = PoliciesChange {
        denied_hosts: Some(vec!["new.example.com".to_owned()]),
        ..PoliciesChange::default()
    };
    world
        .control
        .change_policies(&world.caller, floor)
        .await
        .unwrap();
    let is_denied = async |it: &World| !it.allows("new.example.com").await;
    world.until("the floor holds", is_denied).await;
    assert_eq!(world.starts(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_given_its_policy_is_ended() {
    let world = World::with(|fake| fake.without(Verb::ApplyPolicy), |it| it).await;
    world.servers.access(&world.server("mcp")).await.unwrap();
    world.allow(&[]).await;
    world
        .until("it is ended", async |it| it.running().await.is_empty())
        .await;
    world.end().await;
}

#[tokio::test]
async fn a_server_ends_with_its_environment() {
    checks_that_a_server_ends_with_its_environment(World::new().await).await;
}

#[cfg(feature = "system-tests")]
#[tokio::test]
async fn on_postgres_a_server_ends_with_its_environment() {
    checks_that_a_server_ends_with_its_environment(World::postgres().await).await;
}

async fn checks_that_a_server_ends_with_its_environment(world: World) {
    let server = world.server("mcp");
    world.servers.access(&server).await.unwrap();
    let archived = world
        .control
        .archive_environment(&world.caller, &world.environment);
    archived.await.unwrap();
    world
        .until("it is ended", async |it| it.running().await.is_empty())
        .await;
    let gone = world.servers.access(&server).await.unwrap_err();
    assert!(matches!(gone, HostedError::EnvironmentGone), "{gone:?}");
    world.end().await;
}

/// A catalog that says what a test says.
#[derive(Default)]
struct Catalog(Mutex<Option<HostedServer>>);

impl HostedEntries for Catalog {
    fn now<'a>(
        &'a self,
        _server: &'a HostedServer,
    ) -> PortFuture<'a, Result<Option<HostedServer>, ControlError>> {
        Box::pin(async { Ok(self.0.lock().unwrap().clone()) })
    }
}

#[tokio::test]
async fn a_server_ends_with_its_entry_and_is_another_one_when_that_changes() {
    let catalog = Arc::new(Catalog::default());
    let entries = Arc::clone(&catalog);
    let world = World::with(|fake| fake, |it| it.with_entries(entries)).await;
    let mut server = world.server("mcp");
    *catalog.0.lock().unwrap() = Some(server.clone());
    world.servers.access(&server).await.unwrap();
    server.variables.insert("MODE".to_owned(), "2".to_owned());
    *catalog.0.lock().unwrap() = Some(server.clone());
    world
        .until("the first is stopped", async |it| {
            it.running().await.is_empty()
        })
        .await;
    world.servers.access(&server).await.unwrap();
    assert_eq!(world.starts(), 2);
    *catalog.0.lock().unwrap() = None;
    world
        .until("it is ended", async |it| it.running().await.is_empty())
        .await;
    assert!(world.servers.states(world.caller.organization()).is_empty());
    world.end().await;
}

/// Without its entry, one that was started again after each failure would have its secrets again.
#[tokio::test]
async fn a_server_that_failed_is_not_started_again_without_its_entry() {
    let catalog = Arc::new(Catalog::default());
    let entries = Arc::clone(&catalog);
    let world = World::with(|fake| fake, |it| it.with_entries(entries)).await;
    let lose = async || {
        let id = world.running().await[0].id.clone();
        world.fake.lose(&id).await.unwrap();
    };
    let server = world.server("mcp");
    *catalog.0.lock().unwrap() = Some(server.clone());
    world.servers.access(&server).await.unwrap();
    lose().await;
    world
        .until("it is started again, as it has an entry", async |it| {
            it.starts() == 2 && it.condition() == HostedCondition::Running
        })
        .await;
    *catalog.0.lock().unwrap() = Some(HostedServer {
        variables: BTreeMap::from([("MODE".to_owned(), "2".to_owned())]),
        ..server.clone()
    });
    lose().await;
    world
        .until("it waits for its next use", async |it| {
            it.condition() == HostedCondition::Stopped
        })
        .await;
    *catalog.0.lock().unwrap() = Some(server.clone());
    while let Err(error) = world.servers.access(&server).await {
        assert!(matches!(error, HostedError::Pausing { .. }), "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.starts(), 3);
    *catalog.0.lock().unwrap() = None;
    lose().await;
    world
        .until("nothing is left of it", async |it| {
            let organization = it.caller.organization();
            it.servers.states(organization).is_empty()
        })
        .await;
    assert_eq!(world.starts(), 3);
    world.end().await;
}

#[tokio::test]
async fn what_is_another_callers_is_another_server_and_ends_alone() {
    let world = World::new().await;
    let of = |name: &str| HostedServer {
        holder: Holder::One(name.to_owned()),
        ..world.server("mcp")
    };
    world.servers.access(&of("ann")).await.unwrap();
    world.servers.access(&of("ben")).await.unwrap();
    assert_eq!(world.running().await.len(), 2);
    let ann = Holder::One("ann".to_owned());
    world
        .servers
        .release(world.caller.organization(), &ann)
        .await;
    assert_eq!(world.running().await.len(), 1);
    world
        .servers
        .withdraw(world.caller.organization(), "entry")
        .await;
    assert!(world.running().await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn a_server_over_http_is_reached_on_the_loopback_of_its_sandbox() {
    let listen = |fake: FakeBuilder<InForce>| {
        fake.listener(PORT, |connection| {
            tokio::spawn(async move {
                let (read, mut write) = tokio::io::split(connection);
                let mut lines = BufReader::new(read).lines();
                // The body ends with the last brace, without an end of the line.
                while let Ok(Some(line)) = lines.next_line().await {
                    if line.is_empty() {
                        break;
                    }
                }
                let result = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
                for id in 1..=3 {
                    let body = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
                    let event = format!("event: message\ndata: {body}\n\n");
                    let head = if id == 1 {
                        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
                    } else {
                        ""
                    };
                    let _ = write.write_all(format!("{head}{event}").as_bytes()).await;
                }
            });
        })
    };
    let world = World::with(listen, |it| it).await;
    let server = HostedServer {
        transport: HostedTransport::Http {
            port: PORT,
            path: "/mcp".to_owned(),
        },
        ..world.server("sleep")
    };
    let access = world.servers.access(&server).await.unwrap();
    let pulse = Pulse::new(server.url().unwrap()).unwrap();
    pulse.beat(&access, PATIENCE).await.unwrap();
    world.end().await;
}
