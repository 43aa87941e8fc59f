//! Doing what a plan says, one thing after the other, until something fails.

use std::collections::HashMap;

use anyhow::Context;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::plan::{Item, Kind, MARK, Placement, Plan, Step};
use super::present::Present;
use super::show;
use crate::client::{Client, name_key};

/// What came of it.
pub(super) struct Outcome {
    /// The ids of what was done, of the items in their order.
    pub(super) done: Vec<String>,
    /// What failed; nothing after it was tried.
    pub(super) failed: Option<Failed>,
}

/// The item that failed.
pub(super) struct Failed {
    /// Its place in the plan.
    pub(super) index: usize,
    /// Why, and what of it was done all the same.
    pub(super) error: anyhow::Error,
}

/// Somebody changed what was to be archived.
#[derive(Debug, thiserror::Error)]
#[error("it was changed by somebody else since the plan was made [stale]")]
pub(crate) struct ChangedMeanwhile;

struct Worker<'a> {
    client: &'a Client,
    /// The ids of environments by their names.
    environments: HashMap<String, String>,
}

/// Does it. `told` is called with a line for each thing that was done.
///
/// # Errors
///
/// What `told` answers. What the server answers is in the outcome.
pub(super) fn carry_out(
    client: &Client,
    plan: &Plan,
    present: &Present,
    told: impl Fn(&str) -> std::io::Result<()>,
) -> anyhow::Result<Outcome> {
    let ids = present.environments.iter();
    let ids = ids.map(|environment| (name_key(&environment.name), environment.id.clone()));
    let mut worker = Worker {
        client,
        environments: ids.collect(),
    };
    let mut outcome = Outcome {
        done: Vec::new(),
        failed: None,
    };
    for (index, item) in plan.items.iter().enumerate() {
        match worker.does(item) {
            Ok(id) => {
                told(&show::done(item, &id))?;
                outcome.done.push(id);
            }
            Err(error) => {
                let what = format!("{} {:?}", item.kind, item.name);
                let error = error.context(what);
                outcome.failed = Some(Failed { index, error });
                break;
            }
        }
    }
    Ok(outcome)
}

impl Worker<'_> {
    /// The id of what it was done with.
    fn does(&mut self, item: &Item) -> anyhow::Result<String> {
        match (&item.step, item.kind) {
            (Step::Unchanged { id }, _) => Ok(id.clone()),
            (Step::Create { body, .. }, Kind::Environment) => {
                let id = self.create(&["api", "environments"], body)?;
                self.environments.insert(name_key(&item.name), id.clone());
                Ok(id)
            }
            (
                Step::Create {
                    body, environment, ..
                },
                Kind::Agent,
            ) => {
                let id = self.create(&["v1", "agents"], body)?;
                if let Some(environment) = environment {
                    let told = || format!("{id} was made, and not placed in {environment:?}");
                    self.place(&id, Some(environment), None)
                        .with_context(told)?;
                }
                Ok(id)
            }
            (
                Step::Update {
                    id, version, body, ..
                },
                Kind::Environment,
            ) => {
                let body = Value::Object(body.clone());
                let path = ["api", "environments", id];
                self.client
                    .send(Method::PATCH, &path, Some(&body), Some(*version))?;
                Ok(id.clone())
            }
            (
                Step::Update {
                    id,
                    version,
                    body,
                    placement,
                    ..
                },
                Kind::Agent,
            ) => {
                self.update_agent(id, *version, body, placement.as_ref())?;
                Ok(id.clone())
            }
            (Step::Prune { id, version }, kind) => {
                self.archive(kind, id, *version)?;
                Ok(id.clone())
            }
        }
    }

    fn create(&self, path: &[&str], body: &Map<String, Value>) -> anyhow::Result<String> {
        let body = Value::Object(body.clone());
        let made = self.client.send(Method::POST, path, Some(&body), None)?;
        let id = made["id"]
            .as_str()
            .ok_or_else(|| self.client.not_understood())?;
        Ok(id.to_owned())
    }

    fn place(
        &self,
        id: &str,
        environment: Option<&str>,
        revision: Option<i64>,
    ) -> anyhow::Result<()> {
        let environment = environment.map(|name| &self.environments[&name_key(name)]);
        let body = json!({"environment_id": environment});
        let path = ["api", "agents", id];
        self.client
            .send(Method::PATCH, &path, Some(&body), revision)?;
        Ok(())
    }

    /// The place first: it counts in the revision, and what an agent is counts in both.
    fn update_agent(
        &self,
        id: &str,
        version: i64,
        body: &Map<String, Value>,
        placement: Option<&Placement>,
    ) -> anyhow::Result<()> {
        if let Some(Placement {
            environment,
            revision,
        }) = placement
        {
            self.place(id, environment.as_deref(), Some(*revision))?;
        }
        if body.is_empty() {
            return Ok(());
        }
        let mut body = body.clone();
        body.insert("version".to_owned(), json!(version));
        let body = Value::Object(body);
        let changed = self
            .client
            .send(Method::POST, &["v1", "agents", id], Some(&body), None);
        if placement.is_some() {
            changed.context("it was placed, and otherwise not changed")?;
        } else {
            changed?;
        }
        Ok(())
    }

    /// Archiving names no version, so it is looked at just before.
    fn archive(&self, kind: Kind, id: &str, version: i64) -> anyhow::Result<()> {
        let (shown, archive) = match kind {
            Kind::Environment => (
                ["api", "environments", id],
                ["api", "environments", id, "archive"],
            ),
            Kind::Agent => (["api", "agents", id], ["v1", "agents", id, "archive"]),
        };
        let now = self.client.get(&shown, &[])?;
        if now["version"].as_i64() != Some(version) || now["metadata"][MARK].is_null() {
            return Err(ChangedMeanwhile.into());
        }
        self.client.send(Method::POST, &archive, None, None)?;
        Ok(())
    }
}
