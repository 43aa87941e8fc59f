//! The tools at their door, in sandboxes of the fake: what is refused, what is limited, what fails with the sandbox.

use std::path::Path;
use std::time::Duration;

use bailiwick_model::limits;
use bailiwick_runtime::fake::{Fake, FakeBuilder};
use bailiwick_runtime::{Error, Running, Runtime, SandboxSpec};
use bailiwick_tools::{Block, Context, Failure, Options, ToolResult, Toolset};
use serde_json::{Value, json};

async fn started(fake: &Fake) -> (Running<String>, Toolset) {
    let spec = SandboxSpec::new("one".parse().expect("an id"), "policy".to_owned());
    let running = fake.start(spec).await.expect("it starts");
    let tools = Toolset::new(running.sandbox.clone(), Options::new("/workspace"));
    (running, tools)
}

async fn call(tools: &Toolset, name: &str, input: Value) -> ToolResult {
    let result = tools.call(name, input, &Context::default()).await;
    result.expect("a result")
}

async fn stop(running: Running<String>) {
    running
        .sandbox
        .stop(Duration::ZERO)
        .await
        .expect("it stops");
}

#[tokio::test]
async fn a_wrong_input_is_answered_with_what_is_expected() {
    let fake = Fake::new();
    let (running, tools) = started(&fake).await;
    let mut told = String::new();
    for (name, input) in [
        ("bash", json!({})),
        ("bash", json!({"cmd": "ls"})),
        ("bash", json!({"command": ["ls"]})),
        ("read", json!({"file_path": ""})),
        ("read", json!({"file_path": "a\0b"})),
        ("read", json!({"file_path": "a", "view_range": [0, 1]})),
        ("read", json!({"file_path": "a", "view_range": [5, 4]})),
        ("write", json!({"file_path": "a"})),
        (
            "edit",
            json!({"file_path": "a", "old_string": "", "new_string": "x"}),
        ),
        (
            "edit",
            json!({"file_path": "a", "old_string": "x", "new_string": "x"}),
        ),
        ("glob", json!({"pattern": "x".repeat(5000)})),
        ("grep", json!("pattern")),
        ("Bash", json!({"command": "ls"})),
    ] {
        let result = call(&tools, name, input).await;
        assert!(result.is_error);
        told.push_str(&result.as_text());
        told.push('\n');
    }
    insta::assert_snapshot!(told);
    stop(running).await;
}

#[tokio::test]
async fn a_file_of_exactly_the_limit_is_shown_and_a_longer_one_is_not() {
    let fake = Fake::new();
    let (running, tools) = started(&fake).await;
    for (name, bytes, head, limit) in [
        ("text", limits::TOOL_TEXT_BYTES, &b"x"[..], "view_range"),
        ("image", limits::TOOL_IMAGE_BYTES, b"GIF89a", "smaller"),
        ("paper", limits::TOOL_DOCUMENT_BYTES, b"%PDF-", "smaller"),
    ] {
        for (more, is_error) in [(0, false), (1, true)] {
            let mut contents = head.to_vec();
            contents.resize(bytes + more, b'x');
            let path = format!("/workspace/{name}");
            let written = running
                .sandbox
                .write_file(Path::new(&path), contents, 0o644);
            written.await.expect("it is written");
            let result = call(&tools, "read", json!({"file_path": name})).await;
            assert_eq!(result.is_error, is_error, "{name} {more}");
            assert_eq!(result.is_error, result.as_text().contains(limit), "{name}");
        }
    }
    let empty = call(
        &tools,
        "write",
        json!({"file_path": "empty", "content": ""}),
    )
    .await;
    assert_eq!(empty.as_text(), "wrote 0 bytes to /workspace/empty");
    let read = call(&tools, "read", json!({"file_path": "empty"})).await;
    let text = "(no output)".to_owned();
    assert_eq!(read.content, [Block::Text { text }]);
    stop(running).await;
}

#[tokio::test]
async fn an_executable_file_stays_one() {
    let fake = Fake::new();
    let (running, tools) = started(&fake).await;
    let path = Path::new("/workspace/run");
    let written = running.sandbox.write_file(path, b"one".to_vec(), 0o755);
    written.await.expect("it is written");
    let edit = json!({"file_path": "run", "old_string": "one", "new_string": "two"});
    assert!(!call(&tools, "edit", edit).await.is_error);
    let entry = running.sandbox.look_at(path).await.expect("it is there");
    assert_eq!((entry.mode, entry.bytes), (0o755, 3));
    stop(running).await;
}

#[tokio::test]
async fn a_sandbox_that_is_gone_is_no_mistake_of_the_model() {
    let fake = Fake::new();
    let (running, tools) = started(&fake).await;
    stop(running).await;
    for (name, input) in [
        ("bash", json!({"command": "ls"})),
        ("read", json!({"file_path": "a"})),
        ("write", json!({"file_path": "a", "content": ""})),
        ("glob", json!({"pattern": "*"})),
        ("grep", json!({"pattern": "x"})),
    ] {
        let result = tools.call(name, input, &Context::default()).await;
        let gone = matches!(result, Err(Failure::Sandbox(Error::Gone(_))));
        assert!(gone, "{name}: {result:?}");
    }
}

#[tokio::test]
async fn an_image_without_bash_is_told() {
    let fake = Fake::new();
    let (running, tools) = started(&fake).await;
    let result = call(&tools, "bash", json!({"command": "ls"})).await;
    assert!(result.is_error && result.as_text().contains("no /bin/bash"));
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_shell_that_says_nothing_is_given_up() {
    let shell = ["/bin/bash", "--noprofile", "--norc", "--noediting", "-i"];
    let fake = FakeBuilder::default()
        .program(shell, |_| std::future::pending())
        .build();
    let (running, tools) = started(&fake).await;
    let result = call(&tools, "bash", json!({"command": "ls"})).await;
    assert!(result.is_error && result.as_text().contains("did not answer"));
    stop(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_ends_at_once() {
    let fake = FakeBuilder::default()
        .slow(Duration::from_secs(3600))
        .build();
    let starting = started(&fake);
    let (running, tools) = starting.await;
    let context = Context::default();
    let cancel = context.cancel.clone();
    let cancelling = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cancel.cancel();
    };
    let begun = tokio::time::Instant::now();
    let (result, ()) = tokio::join!(
        tools.call("read", json!({"file_path": "a"}), &context),
        cancelling
    );
    assert!(result.expect("a result").is_error);
    assert!(begun.elapsed() < Duration::from_secs(2));
    stop(running).await;
}
