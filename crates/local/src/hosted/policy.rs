//! The policy of a sandbox on its way to a host, which compiles it itself.

use std::sync::Arc;

use bailiwick_policy::{Policy, Uncompiled};
use bailiwick_runtime::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A policy as JSON, read when it is compiled: one that cannot be read refuses what it came for, and nothing else.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct PolicyText(Box<RawValue>);

impl PolicyText {
    pub(super) fn of(policy: &Arc<Policy>) -> Result<Self, Error> {
        let text = serde_json::value::to_raw_value(policy.uncompiled());
        text.map(Self).map_err(|error| Error::Backend(error.into()))
    }

    pub(super) fn compile(&self) -> Result<Arc<Policy>, Error> {
        match serde_json::from_str::<Uncompiled>(self.0.get()) {
            Ok(uncompiled) => Ok(Arc::new(uncompiled.compile())),
            Err(error) => Err(Error::Refused {
                feature: "a policy that compiles".into(),
                remedy: Some(error.to_string().into()),
            }),
        }
    }
}
