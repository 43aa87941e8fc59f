//! `bailiwick session create`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};

use super::{COLUMNS, attach};
use crate::client::{
    AGENTS, AnswerForm, Client, ENVIRONMENTS, FILES, ServerArguments, Upload, VAULTS, print_one,
};
use crate::exit::Exit;
use crate::host_environment::HostEnvironment;

/// Make a session on a server: an agent at work in an environment.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick session create --agent reviewer --environment payments-dev
  bailiwick session create --agent reviewer@3 --environment payments-dev --vault deploy --message 'Review the last commit.' --attach
  bailiwick session create --agent reviewer --environment payments-dev --file data.csv:/in/data.csv -o json")]
pub(crate) struct Arguments {
    /// The agent, by name or id, and with @VERSION at that version [default: its latest].
    #[arg(long, value_name = "AGENT[@VERSION]")]
    agent: String,
    /// The environment, by name or id.
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: String,
    /// A vault whose credentials it gets, by name or id; may be given many times. Of two credentials for one thing the first vault's counts.
    #[arg(long = "vault", value_name = "VAULT")]
    vaults: Vec<String>,
    /// What it is called.
    #[arg(long, value_name = "TITLE")]
    title: Option<String>,
    /// A file to upload for it, and where it is to be below /mnt/session/uploads [default: its name]; may be given many times.
    #[arg(long = "file", value_name = "PATH[:/MOUNT]", value_parser = mounted)]
    files: Vec<MountedFile>,
    /// What to say to it at once.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Attach to it, as `bailiwick session attach` does.
    #[arg(long, conflicts_with = "output")]
    attach: bool,
    #[command(flatten)]
    server: ServerArguments,
    /// In which form to answer.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = AnswerForm::Table)]
    output: AnswerForm,
}

/// A file, and where it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MountedFile {
    path: PathBuf,
    mount: String,
}

/// Why a file cannot be mounted.
#[derive(Debug, thiserror::Error)]
#[error("write PATH or PATH:/MOUNT, with a name at its end")]
struct NotMounted;

fn mounted(text: &str) -> Result<MountedFile, NotMounted> {
    let (path, mount) = match text.rsplit_once(":/") {
        Some((path, mount)) => (PathBuf::from(path), Some(format!("/{mount}"))),
        None => (PathBuf::from(text), None),
    };
    let name = path.file_name().and_then(|name| name.to_str());
    let own = format!("/{}", name.ok_or(NotMounted)?);
    let mount = mount.unwrap_or(own);
    Ok(MountedFile { path, mount })
}

pub(super) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.server, host)?;
    let body = arguments.body(&client)?;
    let made = client.send(Method::POST, &["v1", "sessions"], Some(&body), None)?;
    if !arguments.attach {
        print_one(arguments.output, &made, COLUMNS)?;
        return Ok(Exit::Done.into());
    }
    let id = made["id"].as_str();
    let id = id.context("the server's answer has no id")?;
    Ok(attach::to(&client, id, host)?.into())
}

impl Arguments {
    /// What is asked for; files are uploaded once everything else was found.
    fn body(&self, client: &Client) -> anyhow::Result<Value> {
        let mut body = json!({
            "agent": agent(client, &self.agent)?,
            "environment_id": client.id_of(&ENVIRONMENTS, &self.environment)?,
        });
        if let Some(title) = &self.title {
            body["title"] = title.as_str().into();
        }
        if !self.vaults.is_empty() {
            let ids = self.vaults.iter().map(|vault| client.id_of(&VAULTS, vault));
            body["vault_ids"] = ids.collect::<anyhow::Result<Vec<_>>>()?.into();
        }
        if let Some(message) = &self.message {
            let content = json!([{"type": "text", "text": message}]);
            body["initial_events"] = json!([{"type": "user.message", "content": content}]);
        }
        if !self.files.is_empty() {
            let files = self.files.iter().map(|file| resource(client, file));
            body["resources"] = files.collect::<anyhow::Result<Vec<_>>>()?.into();
        }
        Ok(body)
    }
}

/// The agent, pinned to a version if one was named.
fn agent(client: &Client, text: &str) -> anyhow::Result<Value> {
    let versioned = text.rsplit_once('@').and_then(|(agent, version)| {
        let version: u32 = version.parse().ok()?;
        Some((agent, version))
    });
    Ok(match versioned {
        Some((agent, version)) => {
            json!({"type": "agent", "id": client.id_of(&AGENTS, agent)?, "version": version})
        }
        None => client.id_of(&AGENTS, text)?.into(),
    })
}

fn resource(client: &Client, file: &MountedFile) -> anyhow::Result<Value> {
    let upload = Upload {
        path: &file.path,
        name: None,
    };
    let made = client.upload(FILES.path, &upload, None)?;
    let id = made["id"].as_str();
    let id = id.context("the server's answer has no id")?;
    Ok(json!({"type": "file", "file_id": id, "mount_path": file.mount}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_mounted_by_its_name_or_elsewhere() {
        for (text, path, mount) in [
            ("data.csv", "data.csv", "/data.csv"),
            ("in/data.csv", "in/data.csv", "/data.csv"),
            ("data.csv:/in/d.csv", "data.csv", "/in/d.csv"),
            ("a:b.csv", "a:b.csv", "/a:b.csv"),
            ("a:/b:/c", "a:/b", "/c"),
        ] {
            let file = mounted(text).unwrap();
            assert_eq!(file.path, PathBuf::from(path), "{text}");
            assert_eq!(file.mount, mount, "{text}");
        }
        assert!(mounted("..").is_err());
        assert!(mounted("").is_err());
    }
}
