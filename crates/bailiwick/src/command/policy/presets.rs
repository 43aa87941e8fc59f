//! `bailiwick policy presets`.

use std::process::ExitCode;

use bailiwick_model::PackageManager;
use bailiwick_policy::{ListEntry, Preset, registries, session_registries};
use serde::Serialize;

use crate::exit::Exit;
use crate::host_environment::HostEnvironment;
use crate::output::{self, Colour, Format, Tone};

/// Show the presets, or the hosts of one.
///
/// A preset is a named, versioned list of hosts that an environment allows with `presets: [NAME]`. The list behind
/// `allow_package_managers`, and the part of it that each manager's installs need, can be shown in the same way.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick policy presets
  bailiwick policy presets common_dependencies
  bailiwick policy presets npm")]
pub(crate) struct Arguments {
    /// The preset, or a package manager.
    #[arg(value_parser = list)]
    name: Option<List>,
    /// In which form to answer.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// A list of hosts that has a name.
#[derive(Debug, Clone, Copy)]
enum List {
    Preset(Preset),
    Registries(PackageManager),
    /// What `allow_package_managers` allows a session: the registries of every manager and more.
    Session,
}

/// One list, as JSON has it.
#[derive(Serialize)]
struct Shown {
    name: &'static str,
    /// The field of the environment file that allows it.
    field: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    hosts: Vec<ShownHost>,
}

#[derive(Serialize)]
struct ShownHost {
    host: String,
    comment: &'static str,
}

/// There is no list of this name.
#[derive(Debug, thiserror::Error)]
#[error("there are {}", names())]
struct UnknownList;

pub(crate) fn execute(arguments: &Arguments, host: &HostEnvironment) -> anyhow::Result<ExitCode> {
    let colour = Colour::of_stdout(host);
    match (arguments.name, arguments.format) {
        (Some(list), Format::Text) => output::print(&hosts(&list.shown(), colour))?,
        (Some(list), Format::Json) => output::print_json(&list.shown())?,
        (None, Format::Text) => output::print(&overview(colour))?,
        (None, Format::Json) => output::print_json(&lists().map(List::shown).collect::<Vec<_>>())?,
    }
    Ok(Exit::Done.into())
}

fn lists() -> impl Iterator<Item = List> {
    let presets = Preset::ALL.iter().copied().map(List::Preset);
    let registries = PackageManager::ALL.iter().copied().map(List::Registries);
    presets.chain([List::Session]).chain(registries)
}

fn list(name: &str) -> Result<List, UnknownList> {
    lists().find(|list| list.name() == name).ok_or(UnknownList)
}

fn names() -> String {
    lists().map(List::name).collect::<Vec<_>>().join(", ")
}

impl List {
    fn name(self) -> &'static str {
        match self {
            Self::Preset(preset) => preset.name(),
            Self::Registries(manager) => manager.name(),
            Self::Session => "allow_package_managers",
        }
    }

    fn entries(self) -> &'static [ListEntry] {
        match self {
            Self::Preset(preset) => preset.entries(),
            Self::Registries(manager) => registries(manager),
            Self::Session => session_registries(),
        }
    }

    fn shown(self) -> Shown {
        let host = |entry: &ListEntry| ShownHost {
            host: entry.pattern.to_string(),
            comment: entry.comment,
        };
        let (field, version) = match self {
            Self::Preset(preset) => ("presets", Some(preset.version())),
            Self::Registries(_) | Self::Session => ("allow_package_managers", None),
        };
        Shown {
            name: self.name(),
            field,
            version,
            hosts: self.entries().iter().map(host).collect(),
        }
    }
}

fn overview(colour: Colour) -> String {
    let width = lists().map(|list| list.name().len()).max().unwrap_or(0);
    let mut text = String::new();
    for list in lists() {
        let Shown {
            name,
            field,
            version,
            hosts,
        } = list.shown();
        let version = version
            .map(|version| format!(", version {version}"))
            .unwrap_or_default();
        let name = colour.paint(Tone::Strong, &format!("{name:<width$}"));
        text += &format!("{name}  {:>3} hosts  {field}{version}\n", hosts.len());
    }
    text
}

fn hosts(list: &Shown, colour: Colour) -> String {
    let width = list
        .hosts
        .iter()
        .map(|host| host.host.len())
        .max()
        .unwrap_or(0);
    let line = |host: &ShownHost| {
        let comment = colour.paint(Tone::Quiet, host.comment);
        format!(
            "{}\n",
            format!("{:<width$}  {comment}", host.host).trim_end()
        )
    };
    list.hosts.iter().map(line).collect()
}
