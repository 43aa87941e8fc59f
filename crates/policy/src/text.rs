//! Rules as texts for serde: written in their canonical form, read by the one parser that reads a person's.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{CidrRule, HostPattern, Preset};

macro_rules! as_text {
    ($($rule:ty),*) => {
        $(
            impl Serialize for $rule {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(self)
                }
            }

            impl<'de> Deserialize<'de> for $rule {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(de::Error::custom)
                }
            }
        )*
    };
}

as_text!(HostPattern, CidrRule, Preset);
