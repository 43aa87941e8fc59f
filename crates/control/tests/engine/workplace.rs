//! What runs the tools of sessions in these tests: it does what the command says, and remembers every call.

use std::sync::Mutex;
use std::time::Duration;

use bailiwick_control::{Called, NoWorkplace, PortFuture, Workplaces};
use bailiwick_model::OrganizationId;
use bailiwick_store::Session;
use bailiwick_tools::{Block, Context, ToolResult};
use bailiwick_wire::{RetryStatus, SessionError, SessionErrorKind};
use serde_json::Value;

/// The tools of all sessions. `{"command": "sleep"}` ends when it is interrupted, `nap` after a moment,
/// `panic` by a mistake, everything else at once.
#[derive(Default)]
pub(crate) struct Workplace {
    calls: Mutex<Vec<(String, Value)>>,
    interrupted: Mutex<usize>,
}

impl Workplace {
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn interrupted(&self) -> usize {
        *self.interrupted.lock().unwrap()
    }
}

impl Workplaces for Workplace {
    fn call<'a>(
        &'a self,
        _organization: &'a OrganizationId,
        _session: &'a Session,
        tool: &'a str,
        input: Value,
        context: &'a Context,
    ) -> PortFuture<'a, Called> {
        Box::pin(async move {
            self.calls
                .lock()
                .unwrap()
                .push((tool.to_owned(), input.clone()));
            let command = input["command"].as_str().unwrap_or_default().to_owned();
            assert_ne!(command, "panic", "as a mistake of the server would");
            if command == "no sandbox" {
                return Err(NoWorkplace::NoSandboxes).into();
            }
            if command == "nap" {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            if command == "told" {
                let error = SessionError {
                    kind: SessionErrorKind::RepositoryClone {
                        repository_url: Some("https://github.com/owner/name".to_owned()),
                    },
                    message: "it is not there".to_owned(),
                    retry_status: RetryStatus::Retrying,
                };
                return Called {
                    outcome: Err(NoWorkplace::Failed("words".to_owned())),
                    failures: vec![error],
                };
            }
            if command == "sleep" {
                let long = tokio::time::sleep(Duration::from_secs(600));
                tokio::select! {
                    () = context.cancel.cancelled() => *self.interrupted.lock().unwrap() += 1,
                    () = long => {}
                }
            }
            let text = format!("{tool}: {command}");
            Ok(ToolResult {
                content: vec![Block::Text { text }],
                is_error: false,
            })
            .into()
        })
    }

    fn rest<'a>(
        &'a self,
        _organization: &'a OrganizationId,
        _session: &'a Session,
    ) -> PortFuture<'a, ()> {
        Box::pin(async {})
    }
}
