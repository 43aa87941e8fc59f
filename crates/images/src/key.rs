//! What a layer is made of, and the key that follows from it.
//!
//! The key is SHA-256 over an encoding in which every field has its length in front and stands in a fixed place, so that no two
//! different inputs have one encoding. It is not JSON: what a serializer prints may change with its version.

use bailiwick_model::PackageManager;
use bailiwick_runtime::LayerDigest;
use serde::{Deserialize, Serialize};

use crate::sha256;

/// The first bytes of every encoding; another way to encode is another number.
const TAG: &[u8] = b"bailiwick layer 4";

/// Everything that decides what a build writes. What is not in here (the environment's name, its hosts) never makes a second layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInputs {
    /// The organization; two of them never have a key in common.
    pub organization: String,
    /// What the layer lies on.
    pub below: Below,
    /// The machine's architecture as the kernel names it: `x86_64`.
    pub architecture: String,
    /// The version of the commands that make it.
    pub recipe: u32,
    /// What it adds.
    pub content: Content,
    /// Which resolution this is: another number after each [`Builder::refresh`](crate::Builder::refresh), so that a new one is there beside the old one,
    /// which may be in use.
    #[serde(default, skip_serializing_if = "is_first")]
    pub generation: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_first(generation: &u64) -> bool {
    *generation == 0
}

/// What a layer lies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Below {
    /// A base that is not in the store, by the text that identifies its contents.
    Base(String),
    /// Another layer of the store.
    Layer(#[serde(with = "digest_text")] LayerDigest),
    /// Nothing: it is a base itself.
    Nothing,
}

/// What a layer adds to what lies below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Content {
    /// What one package manager installs.
    Packages {
        /// The package manager: `apt`, `pip`.
        manager: PackageManager,
        /// What is asked of it, in its own syntax. Their order does not matter to the key.
        specs: Vec<String>,
        /// The registries that were asked instead of the public ones, as `MANAGER=URL`, apt's too where it could bring the manager itself: one that
        /// serves something else under the same names makes other layers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        registries: Vec<String>,
        /// The lock that it was built from, by its digest; without one the newest that fits was taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lock: Option<String>,
    },
    /// A whole root file system, below `base`.
    Base {
        /// Where it came from, with what identifies its contents: `oci:sha256:…`, `tar:sha256:…`, `debian:bookworm`.
        source: String,
        /// The registry of Debian packages that was asked instead of the public one, where it is made of these.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registry: Option<String>,
    },
    /// A repository at one commit with what its set-up installed, below `workspace/NAME`.
    Project {
        /// The directory's name.
        name: String,
        /// The repository's URL.
        repository: String,
        /// The commit.
        commit: String,
        /// What is checked out as a branch, as a full ref; without one, the commit alone (a detached HEAD).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        branch: Option<String>,
        /// The commands of its set-up, in their order.
        setup: Vec<String>,
        /// The registries that its set-up asks instead of the public ones, as `MANAGER=URL`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        registries: Vec<String>,
    },
}

impl Content {
    /// One word for what makes it: a package manager's name, `base` or `project`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Packages { manager, .. } => manager.name(),
            Self::Base { .. } => "base",
            Self::Project { .. } => "project",
        }
    }

    /// What was asked for, in one line.
    pub fn declared(&self) -> String {
        match self {
            Self::Packages { specs, .. } => specs.join(" "),
            Self::Base { source, .. } => source.clone(),
            Self::Project {
                repository, commit, ..
            } => format!("{repository} at {commit}"),
        }
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Packages {
                manager,
                specs,
                registries,
                lock,
            } => {
                bytes.push(0);
                field(bytes, manager.name());
                let mut specs: Vec<_> = specs.iter().collect();
                specs.sort_unstable();
                list(bytes, specs);
                list(bytes, registries.iter().collect());
                optional(bytes, lock.as_deref());
            }
            Self::Base { source, registry } => {
                bytes.push(1);
                field(bytes, source);
                optional(bytes, registry.as_deref());
            }
            Self::Project {
                name,
                repository,
                commit,
                branch,
                setup,
                registries,
            } => {
                bytes.push(2);
                for text in [name, repository, commit] {
                    field(bytes, text);
                }
                optional(bytes, branch.as_deref());
                list(bytes, setup.iter().collect());
                list(bytes, registries.iter().collect());
            }
        }
    }
}

impl LayerInputs {
    /// The key of the layer that these make.
    pub fn key(&self) -> LayerDigest {
        let text = format!("sha256:{}", sha256::of(&self.encode()));
        text.parse().expect("SHA-256 has 32 bytes")
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = TAG.to_vec();
        field(&mut bytes, &self.organization);
        let (kind, below) = match &self.below {
            Below::Base(text) => (0, text.clone()),
            Below::Layer(key) => (1, key.to_string()),
            Below::Nothing => (2, String::new()),
        };
        bytes.push(kind);
        field(&mut bytes, &below);
        field(&mut bytes, &self.architecture);
        bytes.extend(self.recipe.to_be_bytes());
        self.content.encode(&mut bytes);
        bytes.extend(self.generation.to_be_bytes());
        bytes
    }
}

fn list(bytes: &mut Vec<u8>, texts: Vec<&String>) {
    length(bytes, texts.len());
    for text in texts {
        field(bytes, text);
    }
}

fn optional(bytes: &mut Vec<u8>, text: Option<&str>) {
    bytes.push(u8::from(text.is_some()));
    field(bytes, text.unwrap_or_default());
}

fn field(bytes: &mut Vec<u8>, text: &str) {
    length(bytes, text.len());
    bytes.extend(text.as_bytes());
}

fn length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend((length as u64).to_be_bytes());
}

/// A digest as its text; one that is none does not parse.
mod digest_text {
    use bailiwick_runtime::LayerDigest;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        key: &LayerDigest,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<LayerDigest, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use bailiwick_model::PackageManager;

    use super::{Below, Content, LayerInputs};

    fn inputs() -> LayerInputs {
        LayerInputs {
            organization: "acme".into(),
            below: Below::Base("host".into()),
            architecture: "x86_64".into(),
            recipe: 1,
            content: Content::Packages {
                manager: PackageManager::Pip,
                specs: vec!["pytest==8.3.4".into(), "six".into()],
                registries: Vec::new(),
                lock: None,
            },
            generation: 0,
        }
    }

    /// Short texts of few characters: neighbours whose ends could be moved into one another come up often.
    fn text() -> impl Strategy<Value = String> {
        "[ab\u{0}\u{1}]{0,3}"
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(text(), 0..4)
    }

    fn below() -> impl Strategy<Value = Below> {
        let digest = |fill: bool| {
            let digits = if fill { "a" } else { "b" }.repeat(64);
            format!("sha256:{digits}")
        };
        prop_oneof![
            text().prop_map(Below::Base),
            any::<bool>().prop_map(move |fill| Below::Base(digest(fill))),
            any::<bool>().prop_map(move |fill| Below::Layer(digest(fill).parse().unwrap())),
            Just(Below::Nothing),
        ]
    }

    fn content() -> impl Strategy<Value = Content> {
        let manager = prop::sample::select(PackageManager::ALL);
        let lock = || prop::option::of(text());
        prop_oneof![
            (manager, texts(), texts(), lock()).prop_map(|(manager, specs, registries, lock)| {
                Content::Packages {
                    manager,
                    specs,
                    registries,
                    lock,
                }
            }),
            (text(), lock()).prop_map(|(source, registry)| Content::Base { source, registry }),
            (text(), text(), text(), lock(), texts(), texts()).prop_map(
                |(name, repository, commit, branch, setup, registries)| Content::Project {
                    name,
                    repository,
                    commit,
                    branch,
                    setup,
                    registries,
                }
            ),
        ]
    }

    prop_compose! {
        fn any_inputs()(
            organization in text(),
            below in below(),
            architecture in text(),
            recipe in 0_u32..3,
            content in content(),
            generation in 0_u64..3,
        ) -> LayerInputs {
            LayerInputs { organization, below, architecture, recipe, content, generation }
        }
    }

    fn sorted(mut inputs: LayerInputs) -> LayerInputs {
        if let Content::Packages { specs, .. } = &mut inputs.content {
            specs.sort();
        }
        inputs
    }

    proptest! {
        #[test]
        fn inputs_share_an_encoding_only_if_they_differ_in_the_order_of_specs_alone(
            one in any_inputs(), other in any_inputs(),
        ) {
            let (one, other) = (sorted(one), sorted(other));
            prop_assert_eq!(one.encode() == other.encode(), one == other);
        }

        #[test]
        fn no_encoding_begins_another(one in any_inputs(), other in any_inputs()) {
            let (a, b) = (one.encode(), other.encode());
            prop_assert!(a == b || !a.starts_with(&b));
        }

        #[test]
        fn the_order_of_specs_does_not_matter_and_that_of_a_set_up_does(
            (texts, shuffled) in texts().prop_flat_map(|texts| {
                let shuffled = Just(texts.clone()).prop_shuffle();
                (Just(texts), shuffled)
            }),
        ) {
            let packages = |specs: &[String]| {
                let content = Content::Packages {
                    manager: PackageManager::Pip,
                    specs: specs.to_vec(),
                    registries: Vec::new(),
                    lock: None,
                };
                LayerInputs { content, ..inputs() }.key()
            };
            prop_assert_eq!(packages(&texts), packages(&shuffled));
            let project = |setup: &[String]| {
                let content = Content::Project {
                    name: "a".into(),
                    repository: "b".into(),
                    commit: "c".into(),
                    branch: None,
                    setup: setup.to_vec(),
                    registries: Vec::new(),
                };
                LayerInputs { content, ..inputs() }.key()
            };
            prop_assert_eq!(project(&texts) == project(&shuffled), texts == shuffled);
        }

        #[test]
        fn text_moved_from_one_field_to_its_neighbour_is_another_key(
            whole in "[a-z]{2,8}", one in 0_usize..8, other in 0_usize..8,
        ) {
            let (one, other) = (one % (whole.len() + 1), other % (whole.len() + 1));
            let split = |at: usize| LayerInputs {
                content: Content::Project {
                    name: whole[..at].into(),
                    repository: whole[at..].into(),
                    commit: String::new(),
                    branch: None,
                    setup: Vec::new(),
                    registries: Vec::new(),
                },
                ..inputs()
            };
            prop_assert_eq!(split(one).key() == split(other).key(), one == other);
        }

        #[test]
        fn what_is_written_is_read_back(one in any_inputs()) {
            let text = serde_json::to_string(&one).unwrap();
            prop_assert_eq!(serde_json::from_str::<LayerInputs>(&text).unwrap(), one);
        }
    }

    fn packages(inputs: &mut LayerInputs) -> (&mut PackageManager, &mut Vec<String>) {
        match &mut inputs.content {
            Content::Packages { manager, specs, .. } => (manager, specs),
            Content::Base { .. } | Content::Project { .. } => unreachable!("these are packages"),
        }
    }

    #[test]
    fn every_field_is_in_the_key() {
        let digest = "sha256:".to_owned() + &"0".repeat(64);
        let mut keys = vec![inputs().key()];
        let mut change = |change: fn(&mut LayerInputs, String)| {
            let mut changed = inputs();
            change(&mut changed, digest.clone());
            keys.push(changed.key());
        };
        change(|i, _| i.organization = "acme2".into());
        change(|i, _| i.below = Below::Base("host2".into()));
        change(|i, digest| i.below = Below::Base(digest));
        change(|i, digest| i.below = Below::Layer(digest.parse().unwrap()));
        change(|i, _| i.below = Below::Nothing);
        change(|i, _| i.architecture = "aarch64".into());
        change(|i, _| *packages(i).0 = PackageManager::Npm);
        change(|i, _| packages(i).1.push("toml".into()));
        change(|i, _| packages(i).1.push("six".into()));
        change(|i, _| drop(packages(i).1.pop()));
        change(|i, _| *packages(i).1 = vec!["pytest==8.3.4six".into()]);
        change(|i, _| i.recipe = 2);
        change(|i, _| i.generation = 1);
        let mut of = |content: Content| {
            let inputs = LayerInputs {
                content,
                ..inputs()
            };
            keys.push(inputs.key());
        };
        let (apt, pip) = ("apt=https://example.com/", "pip=https://example.com/");
        for (registries, lock) in [
            (&[""][..], None),
            (&[], Some("")),
            (&[pip], None),
            (&[apt], None),
            (&[apt, pip], None),
        ] {
            of(Content::Packages {
                manager: PackageManager::Pip,
                specs: vec!["pytest==8.3.4".into(), "six".into()],
                registries: registries.iter().map(|text| (*text).into()).collect(),
                lock: lock.map(Into::into),
            });
        }
        for registry in [None, Some(""), Some("https://example.com/")] {
            of(Content::Base {
                source: "debian:bookworm".into(),
                registry: registry.map(Into::into),
            });
        }
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    /// A change of the encoding throws away every layer that there is: it must be meant.
    #[test]
    fn the_encoding_is_stable() {
        assert_eq!(
            inputs().key().to_string(),
            "sha256:f669b30f036caf3d2ade8dd7bcd6c9fdd5a5299492898ed377514e9520a30370"
        );
    }

    #[test]
    fn a_digest_that_is_none_is_not_read() {
        for bad in ["sha256:../../etc", "", "0000"] {
            let text = format!(r#"{{"layer": "{bad}"}}"#);
            assert!(serde_json::from_str::<Below>(&text).is_err(), "{bad}");
        }
        let good = format!(r#"{{"layer": "sha256:{}"}}"#, "0".repeat(64));
        assert!(serde_json::from_str::<Below>(&good).is_ok());
    }
}
