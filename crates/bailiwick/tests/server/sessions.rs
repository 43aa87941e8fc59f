//! Sessions on the command line: made, spoken to, followed and attached to.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use bailiwick_testkit::{Bailiwick, Child, ModelScript, ModelServer, ModelStep, Pace, Terminal};
use serde_json::{Value, json};

use crate::{Ended, PATIENCE, Up, finish, machine};

const AGENT: &str = "name: talker
model: claude-sonnet-4-5
tools:
- {type: agent_toolset_20260401, default_config: {permission_policy: {type: always_ask}}}
- {type: custom, name: weather, description: The weather., input_schema: {type: object}}
";

/// A server with an agent that says what a script has.
struct Talk {
    machine: Bailiwick,
    up: Up,
    model: ModelServer,
}

impl Talk {
    fn new(steps: impl IntoIterator<Item = ModelStep>) -> Self {
        let model = ModelServer::start(ModelScript::of(steps));
        let (machine, url) = (machine(), model.url());
        let variables = [
            ("ANTHROPIC_API_KEY", "sk-test"),
            ("ANTHROPIC_BASE_URL", url.as_str()),
        ];
        let up = Up::start_with(&machine, &[], &variables);
        machine.write("talker.yaml", AGENT);
        up.does(&machine, &["agent", "create", "-f", "talker.yaml"]);
        Self { machine, up, model }
    }

    /// Makes a session and returns its id.
    fn session(&self) -> String {
        let create = [
            "session",
            "create",
            "--agent",
            "talker",
            "--environment",
            "Default",
        ];
        let made = self.up.json(&self.machine, &create);
        made["id"].as_str().unwrap().to_owned()
    }

    fn asks(&self, arguments: &[&str]) -> Ended {
        self.up.asks(&self.machine, arguments)
    }

    /// Runs `session attach` with these lines as its input.
    fn attach(&self, session: &str, lines: &str) -> Ended {
        self.machine.write("lines", lines);
        let lines = std::fs::File::open(self.machine.workspace().join("lines")).unwrap();
        let mut command = self
            .up
            .command(&self.machine, &["session", "attach", session]);
        command.stdin(Stdio::from(lines));
        finish(&mut command)
    }
}

/// The words after `[before: ` in what was printed.
fn told(printed: &str, before: &str) -> String {
    let (_, rest) = printed.split_once(&format!("[{before}: ")).expect(printed);
    rest.split_once(']').unwrap().0.to_owned()
}

#[test]
fn a_message_is_followed_to_its_answer() {
    let talk = Talk::new([ModelStep::text("Hi there."), ModelStep::text("Again.")]);
    let session = talk.session();
    let said = talk
        .asks(&["session", "send", &session, "Hello.", "--follow"])
        .exits(0)
        .stdout;
    assert!(said.contains("Hi there.\n[idle: end_turn]\n"), "{said}");
    let sent = talk
        .asks(&["session", "send", &session, "Once more."])
        .exits(0)
        .stdout;
    let sent = sent.trim();
    let after = [
        "session",
        "stream",
        &session,
        "--after",
        sent,
        "--until-idle",
        "-o",
        "json",
    ];
    let printed = talk.asks(&after).exits(0).stdout;
    let events: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let messages: Vec<_> = events
        .iter()
        .filter(|event| event["type"] == "agent.message")
        .collect();
    assert_eq!(messages.len(), 1, "{printed}");
    assert_eq!(messages[0]["content"][0]["text"], "Again.");
    assert_eq!(events.last().unwrap()["type"], "session.status_idle");
    // One that rests is not waited for.
    let whole = talk
        .asks(&["session", "stream", &session, "--history", "--until-idle"])
        .exits(0)
        .stdout;
    assert_eq!(whole.matches("you: ").count(), 2, "{whole}");
    talk.asks(&["session", "archive", &session]).exits(0);
    talk.asks(&["session", "stream", &session, "--until-idle"])
        .exits(3);
    talk.up.stop();
}

#[test]
fn a_session_is_made_with_its_agent_at_a_version_a_file_and_a_message() {
    let talk = Talk::new([ModelStep::text("Read.")]);
    talk.machine.write("data.csv", "a,b\n");
    let create = [
        "session",
        "create",
        "--agent",
        "talker@1",
        "--environment",
        "Default",
        "--title",
        "reading",
        "--file",
        "data.csv:/in/data.csv",
        "--message",
        "Read it.",
    ];
    let made = talk.up.json(&talk.machine, &create);
    assert_eq!(made["agent"]["version"], 1);
    assert_eq!(
        made["resources"][0]["mount_path"],
        "/mnt/session/uploads/in/data.csv"
    );
    // By its title, and to the end of what it was told at first.
    let printed = talk.attach("reading", "").exits(0).stdout;
    assert!(printed.contains("you: Read it.\n"), "{printed}");
    assert!(printed.contains("Read.\n[idle: end_turn]\n"), "{printed}");
    let wrong = [
        "session",
        "create",
        "--agent",
        "talker@9",
        "--environment",
        "Default",
    ];
    talk.asks(&wrong).exits(2);
    talk.up.stop();
}

#[test]
fn calls_are_denied_and_answered_on_the_command_line() {
    let talk = Talk::new([
        ModelStep::tool("bash", json!({"command": "true"})),
        ModelStep::text("So I leave it."),
        ModelStep::tool("weather", json!({"city": "Oslo"})),
        ModelStep::text("It is mild."),
    ]);
    let session = talk.session();
    let printed = talk
        .asks(&["session", "send", &session, "Go.", "--follow"])
        .exits(1)
        .stdout;
    let call = told(&printed, "asks for permission");
    assert!(printed.contains("> bash: true\n"), "{printed}");
    talk.asks(&["session", "send", &session, "--confirm", &call, "perhaps"])
        .exits(2);
    let deny = [
        "session",
        "send",
        &session,
        "--confirm",
        &call,
        "deny",
        "--message",
        "Not today.",
        "--follow",
    ];
    let printed = talk.asks(&deny).exits(0).stdout;
    assert!(printed.contains("So I leave it.\n"), "{printed}");
    let asked = talk.model.asked();
    assert!(
        asked[1].to_string().contains("Not today."),
        "{:#}",
        asked[1]
    );
    let printed = talk
        .asks(&["session", "send", &session, "And the weather?", "--follow"])
        .exits(1)
        .stdout;
    let call = told(&printed, "waits for a result");
    let printed = talk
        .asks(&[
            "session",
            "send",
            &session,
            "--result",
            &call,
            "21 degrees",
            "--follow",
        ])
        .exits(0)
        .stdout;
    assert!(printed.contains("It is mild.\n"), "{printed}");
    assert!(talk.model.asked()[3].to_string().contains("21 degrees"));
    talk.up.stop();
}

/// Each line waits until it is its turn.
#[test]
fn a_script_attaches_speaks_and_answers() {
    let talk = Talk::new([
        ModelStep::tool("bash", json!({"command": "true"})),
        ModelStep::text("Then not."),
        ModelStep::text("Bye."),
    ]);
    let session = talk.session();
    let printed = talk
        .attach(&session, "Go.\nmaybe\nn not now\nThat is all.\n")
        .exits(0)
        .stdout;
    assert!(
        printed.contains("[answer y or n]\n[not allowed: not now]\n"),
        "{printed}"
    );
    assert!(printed.ends_with("Bye.\n[idle: end_turn]\n"), "{printed}");
    talk.up.stop();
}

#[test]
fn on_a_terminal_ctrl_c_interrupts_and_then_leaves() {
    let slow = Pace {
        event_ms: 200,
        delta_chars: 4,
        ..Pace::default()
    };
    let talk = Talk::new([
        ModelStep::text("Hi there."),
        ModelStep::text("A long story without an end. ".repeat(100)).at(slow),
    ]);
    let session = talk.session();
    let command = talk
        .up
        .command(&talk.machine, &["session", "attach", &session]);
    let mut terminal = Terminal::start(&talk.machine, &command);
    terminal.shows("> ");
    terminal.types("Hello.\n");
    terminal.shows("Hi there.");
    terminal.shows("[idle: end_turn]");
    terminal.types("Tell me a story.\n");
    // As it comes.
    terminal.shows("A long");
    terminal.types("\x03");
    terminal.shows("[interrupting; again, to leave]");
    terminal.shows("[interrupted]");
    bailiwick_testkit::eventually("the session to rest", PATIENCE, || {
        (terminal.screen().matches("[idle: end_turn]").count() == 2).then_some(())
    });
    terminal.types("\x03");
    assert_eq!(terminal.exit_code(), 0);
    talk.up.stop();
}

#[test]
fn what_is_not_there_and_what_a_session_does_not_take_is_told() {
    let talk = Talk::new([]);
    let session = talk.session();
    let refused = talk.asks(&[
        "session",
        "send",
        &session,
        "--confirm",
        "sevt_1ChGqExyZXj8gBdypLbMAf",
        "allow",
    ]);
    refused.exits(2);
    talk.asks(&["session", "send", "nothing", "Hello."])
        .exits(2);
    talk.asks(&["session", "send", &session]).exits(2);
    talk.asks(&["session", "interrupt", &session]).exits(0);
    talk.asks(&["session", "archive", &session]).exits(0);
    talk.asks(&["session", "send", &session, "Hello."]).exits(2);
    talk.up.stop();
}

/// What stands between a client and its server, and cuts connections.
struct Cutter {
    url: String,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cutter {
    #[expect(clippy::disallowed_methods, reason = "the test is the network")]
    fn before(url: &str) -> Self {
        let server = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let opened = Arc::clone(&open);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(&server).unwrap();
                let mut all = opened.lock().unwrap();
                all.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || carry(from, to));
                std::thread::spawn(move || carry(server, client));
            }
        });
        Self { url, open }
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_broken_stream_goes_on_where_it_broke() {
    let talk = Talk::new([
        ModelStep::text("One."),
        ModelStep::text("Two."),
        ModelStep::text("Three."),
    ]);
    let session = talk.session();
    let cutter = Cutter::before(&talk.up.url);
    let mut stream = talk
        .up
        .command(&talk.machine, &["session", "stream", &session, "--history"]);
    stream.env("BAILIWICK_SERVER", &cutter.url);
    let mut stream = Child::start(&mut stream);
    for (word, answer) in [("a", "One."), ("b", "Two."), ("c", "Three.")] {
        talk.asks(&["session", "send", &session, word, "--follow"])
            .exits(0);
        stream.wait_for(answer, |line| line.starts_with(answer).then_some(()));
        cutter.cut();
    }
    talk.asks(&["session", "archive", &session]).exits(0);
    assert_eq!(stream.wait(PATIENCE), 0);
    let printed = stream.printed();
    for answer in [
        "you: a",
        "One.",
        "you: b",
        "Two.",
        "you: c",
        "Three.",
        "[terminated]",
    ] {
        assert_eq!(printed.matches(answer).count(), 1, "{answer}\n{printed}");
    }
    talk.up.stop();
}
