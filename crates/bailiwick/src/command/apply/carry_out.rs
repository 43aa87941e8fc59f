//! Doing what a plan says, one thing after the other, until something fails.

use std::collections::HashMap;

use anyhow::Context;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::plan::{Item, Kind, MARK, Placement, Plan, Step};
use super::present::Present;
use super::show;
use crate::client::{Client, MEMBERS, TEAMS, name_key};

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
    /// And those of agents and LLM proxies.
    agents: HashMap<String, String>,
    llm_proxies: HashMap<String, String>,
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
    let agents = present.agents.iter();
    let agents = agents.map(|agent| (name_key(&agent.name), agent.id.to_string()));
    let proxies = present.llm_proxies.iter();
    let proxies = proxies.map(|proxy| (name_key(&proxy.name), proxy.id.clone()));
    let mut worker = Worker {
        client,
        environments: ids.collect(),
        agents: agents.collect(),
        llm_proxies: proxies.collect(),
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
        match &item.step {
            Step::Unchanged { id } => Ok(id.clone()),
            Step::Create {
                body, environment, ..
            } => self.make(item, body, environment.as_deref()),
            Step::Update {
                id,
                version,
                body,
                placement,
                ..
            } => {
                self.change((item.kind, id, *version), body, placement.as_ref())?;
                Ok(id.clone())
            }
            Step::Prune { id, version } => {
                match item.kind {
                    Kind::Environment | Kind::Agent => self.archive(item.kind, id, *version)?,
                    Kind::LlmProxy => self.delete("llm-proxies", id, *version)?,
                    Kind::Limit => self.delete("limits", id, *version)?,
                    Kind::KnowledgeConnector => {
                        self.delete("knowledge-connectors", id, *version)?;
                    }
                }
                Ok(id.clone())
            }
        }
    }

    fn make(
        &mut self,
        item: &Item,
        body: &Map<String, Value>,
        environment: Option<&str>,
    ) -> anyhow::Result<String> {
        let name = name_key(&item.name);
        match item.kind {
            Kind::Environment => {
                let id = self.create(&["api", "environments"], body)?;
                self.environments.insert(name, id.clone());
                Ok(id)
            }
            Kind::Agent => {
                let id = self.create(&["v1", "agents"], body)?;
                self.agents.insert(name, id.clone());
                if let Some(environment) = environment {
                    let told = || format!("{id} was made, and not placed in {environment:?}");
                    self.place(&id, Some(environment), None)
                        .with_context(told)?;
                }
                Ok(id)
            }
            Kind::LlmProxy => {
                let id = self.create(&["api", "llm-proxies"], &self.named(body)?)?;
                self.llm_proxies.insert(name, id.clone());
                Ok(id)
            }
            Kind::Limit => self.create(&["api", "limits"], &self.named(body)?),
            Kind::KnowledgeConnector => {
                self.create(&["api", "knowledge-connectors"], &self.named(body)?)
            }
        }
    }

    fn change(
        &self,
        (kind, id, version): (Kind, &str, i64),
        body: &Map<String, Value>,
        placement: Option<&Placement>,
    ) -> anyhow::Result<()> {
        let (method, collection, body) = match kind {
            Kind::Agent => return self.update_agent(id, version, body, placement),
            Kind::Environment => (Method::PATCH, "environments", body.clone()),
            Kind::LlmProxy => (Method::PATCH, "llm-proxies", self.named(body)?),
            Kind::Limit => (Method::PUT, "limits", self.named(body)?),
            Kind::KnowledgeConnector => (Method::PATCH, "knowledge-connectors", self.named(body)?),
        };
        let (path, body) = (["api", collection, id], Value::Object(body));
        self.client
            .send(method, &path, Some(&body), Some(version))?;
        Ok(())
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

    /// What a plan has by names, as the administration takes it.
    fn named(&self, body: &Map<String, Value>) -> anyhow::Result<Map<String, Value>> {
        let mut named = Map::new();
        for (field, value) in body {
            let (field, value) = match field.as_str() {
                "environment" | "in" => ("environment_id", self.id_in("environment", value)?),
                "for" => ("entity", self.entity(value)?),
                other => (other, value.clone()),
            };
            named.insert(field.to_owned(), value);
        }
        Ok(named)
    }

    fn entity(&self, subject: &Value) -> anyhow::Result<Value> {
        let one = subject.as_object().and_then(|one| one.iter().next());
        match one {
            Some((kind, name)) => Ok(json!({"type": kind, "id": self.id_in(kind, name)?})),
            None => Ok(json!({ "type": subject })),
        }
    }

    fn id_in(&self, kind: &str, name: &Value) -> anyhow::Result<Value> {
        let Some(name) = name.as_str() else {
            return Ok(Value::Null);
        };
        let known = match kind {
            "environment" => &self.environments,
            "agent" => &self.agents,
            "llm_proxy" => &self.llm_proxies,
            "team" => return Ok(self.client.id_of(&TEAMS, name)?.into()),
            _ => return Ok(self.client.id_of(&MEMBERS, name)?.into()),
        };
        let id = known.get(&name_key(name));
        let id = id.with_context(|| format!("there is no {kind} {name:?}"))?;
        Ok(id.clone().into())
    }

    /// Deleting names no version, so it is looked at just before.
    fn delete(&self, collection: &str, id: &str, version: i64) -> anyhow::Result<()> {
        let path = ["api", collection, id];
        let now = self.client.get(&path, &[])?;
        if now["version"].as_i64() != Some(version) || now["apply_set"].is_null() {
            return Err(ChangedMeanwhile.into());
        }
        self.client.send(Method::DELETE, &path, None, None)?;
        Ok(())
    }

    /// Archiving names no version, so it is looked at just before.
    fn archive(&self, kind: Kind, id: &str, version: i64) -> anyhow::Result<()> {
        let (shown, archive) = match kind {
            Kind::Environment => (
                ["api", "environments", id],
                ["api", "environments", id, "archive"],
            ),
            Kind::Agent | Kind::LlmProxy | Kind::Limit | Kind::KnowledgeConnector => {
                (["api", "agents", id], ["v1", "agents", id, "archive"])
            }
        };
        let now = self.client.get(&shown, &[])?;
        if now["version"].as_i64() != Some(version) || now["metadata"][MARK].is_null() {
            return Err(ChangedMeanwhile.into());
        }
        self.client.send(Method::POST, &archive, None, None)?;
        Ok(())
    }
}
