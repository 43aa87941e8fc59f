//! What a layer is made of, and the key that follows from it.
//!
//! The key is SHA-256 over an encoding in which every field has its length in front and stands in a fixed place, so that no two
//! different inputs have one encoding. It is not JSON: what a serializer prints may change with its version.

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_runtime::LayerDigest;
use serde::{Deserialize, Serialize};

/// The first bytes of every encoding; another way to encode is another number.
const TAG: &[u8] = b"bailiwick layer 1";

/// Everything that decides what a build writes. What is not in here (the environment's name, its hosts) never makes a second layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInputs {
    /// The organization; two of them never have a key in common.
    pub organization: String,
    /// What the layer lies on.
    pub below: Below,
    /// The machine's architecture as the kernel names it: `x86_64`.
    pub architecture: String,
    /// The package manager: `apt`, `pip`.
    pub manager: String,
    /// What is asked of the manager, in its own syntax. Their order does not matter to the key.
    pub specs: Vec<String>,
    /// The version of the commands that install for this manager.
    pub recipe: u32,
    /// The registry that was asked instead of the public ones: one that serves something else under the same names makes other layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
}

/// What a layer lies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Below {
    /// A base that is not in the store, by the text that identifies its contents.
    Base(String),
    /// Another layer of the store.
    Layer(#[serde(with = "digest_text")] LayerDigest),
}

impl LayerInputs {
    /// The key of the layer that these make.
    pub fn key(&self) -> LayerDigest {
        let hash = digest(&SHA256, &self.encode());
        let digits: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let text = format!("sha256:{digits}");
        text.parse().expect("SHA-256 has 32 bytes")
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = TAG.to_vec();
        field(&mut bytes, &self.organization);
        let (kind, below) = match &self.below {
            Below::Base(text) => (0, text.clone()),
            Below::Layer(key) => (1, key.to_string()),
        };
        bytes.push(kind);
        field(&mut bytes, &below);
        field(&mut bytes, &self.architecture);
        field(&mut bytes, &self.manager);
        let mut specs: Vec<_> = self.specs.iter().collect();
        specs.sort_unstable();
        length(&mut bytes, specs.len());
        for spec in specs {
            field(&mut bytes, spec);
        }
        bytes.extend(self.recipe.to_be_bytes());
        bytes.push(u8::from(self.registry.is_some()));
        field(&mut bytes, self.registry.as_deref().unwrap_or_default());
        bytes
    }
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

    use super::{Below, LayerInputs};

    fn inputs() -> LayerInputs {
        LayerInputs {
            organization: "acme".into(),
            below: Below::Base("host".into()),
            architecture: "x86_64".into(),
            manager: "pip".into(),
            specs: vec!["pytest==8.3.4".into(), "six".into()],
            recipe: 1,
            registry: None,
        }
    }

    /// Short texts of few characters: neighbours whose ends could be moved into one another come up often.
    fn text() -> impl Strategy<Value = String> {
        "[ab\u{0}\u{1}]{0,3}"
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
        ]
    }

    prop_compose! {
        fn any_inputs()(
            organization in text(),
            below in below(),
            architecture in text(),
            manager in text(),
            specs in prop::collection::vec(text(), 0..4),
            recipe in 0_u32..3,
            registry in prop::option::of(text()),
        ) -> LayerInputs {
            LayerInputs { organization, below, architecture, manager, specs, recipe, registry }
        }
    }

    fn sorted(mut inputs: LayerInputs) -> LayerInputs {
        inputs.specs.sort();
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
        fn the_order_of_specs_does_not_matter(
            one in any_inputs().prop_flat_map(|inputs| {
                let shuffled = Just(inputs.specs.clone()).prop_shuffle();
                (Just(inputs), shuffled)
            }),
        ) {
            let (inputs, specs) = one;
            let shuffled = LayerInputs { specs, ..inputs.clone() };
            prop_assert_eq!(inputs.key(), shuffled.key());
        }

        #[test]
        fn text_moved_from_one_field_to_its_neighbour_is_another_key(
            whole in "[a-z]{2,8}", one in 0_usize..8, other in 0_usize..8,
        ) {
            let (one, other) = (one % (whole.len() + 1), other % (whole.len() + 1));
            let split = |at: usize| LayerInputs {
                architecture: whole[..at].into(),
                manager: whole[at..].into(),
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
        change(|i, _| i.architecture = "aarch64".into());
        change(|i, _| i.manager = "npm".into());
        change(|i, _| i.specs.push("toml".into()));
        change(|i, _| i.specs.push("six".into()));
        change(|i, _| drop(i.specs.pop()));
        change(|i, _| i.specs = vec!["pytest==8.3.4six".into()]);
        change(|i, _| i.recipe = 2);
        change(|i, _| i.registry = Some(String::new()));
        change(|i, _| i.registry = Some("https://example.com".into()));
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
            "sha256:13576036dcffe30ef633c36ac1d4328867a8bd1a47455b788f8509b1abb369a2"
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
