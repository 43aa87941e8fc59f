//! What runs the tools of sessions in these tests: it does what the command says, and remembers every call.

use std::sync::Mutex;
use std::time::Duration;

use bailiwick_control::{Called, NoWorkplace, PortFuture, Workplaces};
use bailiwick_model::OrganizationId;
use bailiwick_store::Session;
use bailiwick_tools::{Block, Context, ToolResult};
use serde_json::Value;

/// The tools of all sessions. `{"command": "sleep"}` ends when it is interrupted, everything else at once.
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
            if command == "no sandbox" {
                return Err(NoWorkplace::NoSandboxes).into();
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
