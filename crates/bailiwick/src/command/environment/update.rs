//! `bailiwick environment update`.

use std::path::PathBuf;
use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::{COLUMNS, body_of, version_of};
use crate::client::{AnswerForm, Client, ENVIRONMENTS, ServerArguments, print_one};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Change an environment on a server: what is not named stays.
///
/// The change is refused if somebody else changed the environment meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick environment update payments-dev -f environment.yaml
  bailiwick environment update payments-dev --name payments --restricted true
  bailiwick environment update payments-dev --inherit-policy --if-version 7")]
pub(crate) struct Arguments {
    /// Its name or its id.
    #[arg(value_name = "ENVIRONMENT")]
    environment: String,
    #[command(flatten)]
    change: ChangeArguments,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

/// What is to be different.
#[derive(Debug, clap::Args)]
pub(super) struct ChangeArguments {
    /// The environment file.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Its new name, instead of the file's.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it is for, instead of what the file says.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whether only who may deploy to restricted environments assigns resources to it.
    #[arg(long, value_name = "true|false")]
    restricted: Option<bool>,
    /// Its Kubernetes namespace; none if it is empty.
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Give up its own policy, for the organization's.
    #[arg(long, conflicts_with = "file")]
    inherit_policy: bool,
    /// The version that must still be there [default: the one that is there now].
    #[arg(long, value_name = "NUMBER")]
    pub(super) if_version: Option<i64>,
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let body = arguments.change.body(host)?;
    let client = Client::new(&arguments.server, host)?;
    let id = client.id_of(&ENVIRONMENTS, &arguments.environment)?;
    let path = ["api", "environments", &id];
    let version = match arguments.change.if_version {
        Some(version) => version,
        None => version_of(&client.get(&path, &[])?)?,
    };
    let changed = client.send(Method::PATCH, &path, Some(&body), Some(version))?;
    print_one(arguments.output, &changed, COLUMNS)?;
    Ok(Exit::Done.into())
}

impl ChangeArguments {
    /// The body of a request.
    pub(super) fn body(&self, host: &HostEnvironment) -> anyhow::Result<Value> {
        let mut body = body_of(self.file.as_deref(), host)?;
        let namespace = self.namespace.as_ref();
        let namespace = namespace.map(|text| Some(text).filter(|text| !text.is_empty()));
        let named = [
            ("name", self.name.as_ref().map(|name| json!(name))),
            (
                "description",
                self.description.as_ref().map(|text| json!(text)),
            ),
            ("restricted", self.restricted.map(Value::Bool)),
            ("namespace", namespace.map(|name| json!(name))),
            (
                "inherits_policy",
                self.inherit_policy.then_some(Value::Bool(true)),
            ),
        ];
        let named = named
            .into_iter()
            .filter_map(|(field, value)| Some((field.to_owned(), value?)));
        body.extend(named);
        Ok(Value::Object(body))
    }
}
