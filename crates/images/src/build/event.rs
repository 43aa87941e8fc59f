//! How a build goes, as values for programs: one JSON object each, with names that stay.

use bailiwick_runtime::LayerDigest;
use serde::{Serialize, Serializer};

use super::{BuildError, Progress};
use crate::recipe;

/// Something that a build came to, for whoever waits for it in another program. `event` says what.
///
/// ```json
/// {"event":"begun","what":"pip","declared":"pytest==8.3.4"}
/// {"event":"line","text":"Collecting pytest==8.3.4"}
/// {"event":"done","what":"pip","key":"sha256:…","packages":4,"bytes":7340032,"files":310,"seconds":3}
/// {"event":"failed","class":"limit","limit":"disk","what":"pip","key":"sha256:…","message":"…"}
/// ```
///
/// A layer that was there already has `done` alone.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum BuildEvent<'a> {
    /// A layer is about to be built.
    Begun {
        /// By which package manager, or `base`, or `project`.
        what: &'a str,
        /// What was asked for, in one line.
        declared: String,
    },
    /// A project's repository is asked what is new.
    Fetching {
        /// Its URL.
        repository: &'a str,
    },
    /// The repository does not answer; the project is what it was when it was fetched last.
    Unreachable {
        /// Its URL.
        repository: &'a str,
        /// The commit that is taken.
        commit: &'a str,
    },
    /// Another process builds the layer; this one waits for it.
    Waiting {
        /// As above.
        what: &'a str,
    },
    /// A line of the build's output, cut where it is very long.
    Line {
        /// The line.
        text: &'a str,
    },
    /// The network failed; the build is tried again after this pause.
    Retrying {
        /// The pause in seconds.
        pause_seconds: u64,
    },
    /// The layer is there now.
    Done {
        /// As above.
        what: &'a str,
        /// Its key.
        #[serde(serialize_with = "as_text")]
        key: &'a LayerDigest,
        /// How many packages it holds.
        packages: usize,
        /// What it takes on disk.
        bytes: u64,
        /// Names in it that are not directories.
        files: u64,
        /// How long its build took.
        seconds: u64,
    },
    /// There is no image. The last event.
    Failed {
        /// Whose fault it is.
        class: FailureClass,
        /// What was used up, of class `limit`: `time`, `disk`, `files`, `free_disk`, `scratch`, `memory` or `processes`.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<&'static str>,
        /// What was built, where that is what failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        what: Option<&'a str>,
        /// The key by which its log is found.
        #[serde(
            skip_serializing_if = "Option::is_none",
            serialize_with = "as_optional_text"
        )]
        key: Option<&'a LayerDigest>,
        /// What happened, for people.
        message: String,
    },
}

/// Why a build failed, as far as it matters to who decides whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// What was asked for cannot be had: no such package, a conflict of versions, a program of it that fails. Trying again does not help.
    UserError,
    /// The network or a registry failed, again and again. Later it may work.
    Transient,
    /// The build used up what it may.
    Limit,
    /// This machine failed, or lacks something.
    Machine,
}

impl<'a> From<Progress<'a>> for BuildEvent<'a> {
    fn from(progress: Progress<'a>) -> Self {
        match progress {
            Progress::Begun(content) => Self::Begun {
                what: content.kind(),
                declared: content.declared(),
            },
            Progress::Fetching(repository) => Self::Fetching {
                repository: repository.as_str(),
            },
            Progress::Waiting(content) => Self::Waiting {
                what: content.kind(),
            },
            Progress::Line(text) => Self::Line { text },
            Progress::Retrying(pause) => Self::Retrying {
                pause_seconds: pause.as_secs(),
            },
            Progress::Done(layer) => Self::Done {
                what: layer.record.inputs.content.kind(),
                key: &layer.key,
                packages: layer.record.resolved.len(),
                bytes: layer.record.bytes,
                files: layer.record.files,
                seconds: layer.record.seconds,
            },
        }
    }
}

impl<'a> From<&'a BuildError> for BuildEvent<'a> {
    fn from(error: &'a BuildError) -> Self {
        let (what, limit, key) = match error {
            BuildError::Failed { what, key, .. } | BuildError::Network { what, key, .. } => {
                (Some(what), None, Some(key))
            }
            BuildError::NotAsLocked { what, key, .. } => (Some(what), None, Some(key)),
            BuildError::Limit { what, limit, key } => (Some(what), Some(limit.code()), Some(key)),
            BuildError::NoManager(what) => (Some(what), None, None),
            BuildError::Unresolved { .. }
            | BuildError::Fetch { .. }
            | BuildError::Unreachable { .. }
            | BuildError::Lock(_)
            | BuildError::Store(_)
            | BuildError::Runtime(_)
            | BuildError::Log(_) => (None, None, None),
        };
        Self::Failed {
            class: error.class(),
            limit,
            what: what.map(String::as_str),
            key,
            message: error.to_string(),
        }
    }
}

impl BuildError {
    /// Whose fault it is.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Failed { .. } | Self::NoManager(_) | Self::NotAsLocked { .. } | Self::Lock(_) => {
                FailureClass::UserError
            }
            Self::Network { .. } | Self::Unreachable { .. } => FailureClass::Transient,
            Self::Unresolved { reason, .. } if recipe::is_transient(reason) => {
                FailureClass::Transient
            }
            Self::Unresolved { .. } | Self::Fetch { .. } => FailureClass::UserError,
            Self::Limit { .. } => FailureClass::Limit,
            Self::Store(_) | Self::Runtime(_) | Self::Log(_) => FailureClass::Machine,
        }
    }
}

fn as_text<S: Serializer>(key: &LayerDigest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}

fn as_optional_text<S: Serializer>(
    key: &Option<&LayerDigest>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match key {
        Some(key) => serializer.collect_str(key),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bailiwick_model::PackageManager;

    use super::*;
    use crate::build::BuildLimit;
    use crate::key::Content;

    fn json<'a>(event: impl Into<BuildEvent<'a>>) -> String {
        serde_json::to_string(&event.into()).unwrap()
    }

    #[test]
    fn the_names_of_events_and_their_fields_stay() {
        let content = Content::Packages {
            manager: PackageManager::Pip,
            specs: vec!["six".into(), "attrs<24".into()],
            registries: Vec::new(),
            lock: None,
        };
        assert_eq!(
            json(Progress::Begun(&content)),
            r#"{"event":"begun","what":"pip","declared":"six attrs<24"}"#
        );
        assert_eq!(
            json(Progress::Waiting(&content)),
            r#"{"event":"waiting","what":"pip"}"#
        );
        assert_eq!(
            json(BuildEvent::Unreachable {
                repository: "https://git.example.com/app",
                commit: "0a",
            }),
            r#"{"event":"unreachable","repository":"https://git.example.com/app","commit":"0a"}"#
        );
        assert_eq!(
            json(Progress::Line("a \"b\" \u{1b}[0m\n{\"event\":\"done\"}")),
            r#"{"event":"line","text":"a \"b\" \u001b[0m\n{\"event\":\"done\"}"}"#
        );
        assert_eq!(
            json(Progress::Retrying(Duration::from_secs(2))),
            r#"{"event":"retrying","pause_seconds":2}"#
        );
    }

    #[test]
    fn a_failure_says_whose_fault_it_is() {
        let key: LayerDigest = format!("sha256:{}", "0a".repeat(32)).parse().unwrap();
        let (what, reason) = ("pip".to_owned(), "no such package".to_owned());
        let limit = BuildError::Limit {
            what: what.clone(),
            limit: BuildLimit::Disk(1 << 20),
            key: key.clone(),
        };
        let text = json(&limit);
        let start = format!(
            r#"{{"event":"failed","class":"limit","limit":"disk","what":"pip","key":"{key}","message":"pip ran into"#
        );
        assert!(text.starts_with(&start), "{text}");
        let classes = [
            (
                BuildError::Failed {
                    what: what.clone(),
                    reason: reason.clone(),
                    key: key.clone(),
                },
                FailureClass::UserError,
            ),
            (BuildError::NoManager(what.clone()), FailureClass::UserError),
            (
                BuildError::Network { what, reason, key },
                FailureClass::Transient,
            ),
            (
                BuildError::Log(std::io::ErrorKind::StorageFull.into()),
                FailureClass::Machine,
            ),
        ];
        for (error, class) in classes {
            assert_eq!(error.class(), class, "{error}");
        }
    }
}
