//! Requests that are made from the document, right ones and wrong ones: no answer is a failure of the server, and none is one that the document does not have.

use std::fs;
use std::process::Output;

use bailiwick_testkit::Sdk;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Server;

/// Which version makes them.
const VERSION: &str = "4.32.5";
/// What holds of every answer. That everything right is taken does not: what several fields have to do with each other no schema says.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
response_headers_conformance,negative_data_rejection,unsupported_method,allow_header_conformance";
/// How long a campaign takes, about.
const SECONDS: &str = "75";
/// What revokes a key.
const REVOKES: &str = "api_keys_delete";
/// What answers for as long as something happens; and what asks an MCP server, here in vain, which is answered with 502.
const NOT_HERE: &str = "^(v1_session_(events|threads)_stream|api_mcp_catalog_tools)$";
/// What one operation alone can be put through.
const ALONE: &str = "examples,coverage,fuzzing";
/// So that a campaign that failed fails again.
const SEED: &str = "20261122";

/// The document, in which no object of an answer has fields that it does not name.
fn closed() -> Value {
    fn close(value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            Value::Array(items) => items.iter_mut().for_each(close),
            Value::Object(map) => {
                map.values_mut().for_each(close);
                if map.get("properties").is_some_and(Value::is_object)
                    && map.contains_key("type")
                    && !map.contains_key("additionalProperties")
                {
                    map.insert("additionalProperties".to_owned(), json!(false));
                }
            }
        }
    }
    let mut document = bailiwick_server::openapi();
    close(&mut document["components"]["schemas"]);
    close(&mut document["paths"]);
    document
}

fn campaign(server: &Server, document: &Value, seconds: &str, more: &[&str]) -> Output {
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("openapi.json");
    fs::write(&file, document.to_string()).expect("a document");
    let tool = Sdk::schemathesis(VERSION);
    let mut command = tool.command("from schemathesis.cli import schemathesis; schemathesis()");
    command.arg("run").arg(&file);
    command.args(["--url", &server.url, "--checks", CHECKS, "--seed", SEED]);
    command.args(["--header", &format!("x-api-key: {}", server.key)]);
    command.args(["--max-time", seconds, "--max-examples", "10"]);
    command.args([
        "--generation-database",
        "none",
        "--no-color",
        "--warnings",
        "off",
    ]);
    command.args(more).current_dir(directory.path());
    command.output().expect("it starts")
}

fn finds_nothing(server: &Server) {
    // It would find its own key in the list, and whoever has none is refused everything.
    let all_but = [
        "--continue-on-failure",
        "--exclude-operation-id",
        REVOKES,
        "--exclude-operation-id-regex",
        NOT_HERE,
    ];
    passed(&campaign(server, &closed(), SECONDS, &all_but));
    let url = format!("{}/api/whoami", server.url);
    let asking = reqwest::Client::new()
        .get(url)
        .header("x-api-key", &server.key);
    let asked = server.runtime.block_on(asking.send()).expect("an answer");
    assert!(asked.status().is_success(), "the key was lost: {asked:?}");
    let alone = ["--include-operation-id", REVOKES, "--phases", ALONE];
    passed(&campaign(server, &closed(), "5", &alone));
}

fn passed(output: &Output) {
    let printed = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{complained}");
    assert!(printed.contains("No issues found"), "{printed}");
}

#[test]
fn requests_made_from_the_document_find_nothing_on_sqlite() {
    finds_nothing(&Server::start());
}

#[test]
fn requests_made_from_the_document_find_nothing_on_postgres() {
    finds_nothing(&Server::on_postgres());
}

/// The control: what the document does not have is found.
#[test]
fn an_answer_that_the_document_lacks_is_found() {
    let (server, mut document) = (Server::start(), closed());
    let one = [
        "--include-operation-id",
        "v1_vaults_retrieve",
        "--phases",
        ALONE,
    ];
    let sound = campaign(&server, &document, "10", &one);
    assert!(sound.status.success(), "{sound:?}");
    let answers = document.pointer_mut("/paths/~1v1~1vaults~1{id}/get/responses");
    answers
        .and_then(Value::as_object_mut)
        .expect("answers")
        .remove("404");
    let unsound = campaign(&server, &document, "10", &one);
    let printed = String::from_utf8_lossy(&unsound.stdout);
    assert!(
        !unsound.status.success() && printed.contains("404"),
        "{printed}"
    );
}
