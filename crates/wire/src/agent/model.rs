//! The model of an agent: `"ID"`, or an object.

use bailiwick_model::limits::MODEL_ID_CHARS;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::request::{Place, Reader};

/// Which model, and how it is used; everything that was left out is resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelConfig {
    /// Any id: a server says what it stands for.
    pub id: String,
    /// How hard it thinks.
    pub effort: Effort,
    /// How fast it answers.
    pub speed: Speed,
    /// Where it runs, if that matters.
    pub inference_geo: Option<InferenceGeo>,
}

/// How hard a model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[expect(missing_docs, reason = "the wire's words")]
pub enum Effort {
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

/// How fast a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Speed {
    /// As usual.
    Standard,
    /// Faster, and dearer.
    Fast,
}

/// Where a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the wire's words")]
pub enum InferenceGeo {
    Us,
    Global,
}

pub(crate) const EFFORTS: &[(&str, Effort)] = &[
    ("low", Effort::Low),
    ("medium", Effort::Medium),
    ("high", Effort::High),
    ("xhigh", Effort::Xhigh),
    ("max", Effort::Max),
];
pub(crate) const SPEEDS: &[(&str, Speed)] = &[("standard", Speed::Standard), ("fast", Speed::Fast)];
pub(crate) const GEOS: &[(&str, InferenceGeo)] =
    &[("us", InferenceGeo::Us), ("global", InferenceGeo::Global)];
/// What a model does that is told nothing.
const DEFAULT_EFFORT: Effort = Effort::High;

impl ModelConfig {
    pub(crate) fn read(reader: &mut Reader, place: &Place<'_>) -> Option<Self> {
        if place.value.is_string() {
            return Some(Self {
                id: reader.name(place, 1..=MODEL_ID_CHARS)?.to_owned(),
                effort: DEFAULT_EFFORT,
                speed: Speed::Standard,
                inference_geo: None,
            });
        }
        reader.object(place, |reader, fields| {
            let id = fields.required(reader, "id");
            let (effort, speed) = (fields.take("effort"), fields.take("speed"));
            let geo = fields.take("inference_geo");
            Some(Self {
                id: reader.name(&id?, 1..=MODEL_ID_CHARS)?.to_owned(),
                effort: match effort {
                    Some(place) => effort_of(reader, &place)?,
                    None => DEFAULT_EFFORT,
                },
                speed: match speed {
                    Some(place) => reader.word(&place, SPEEDS)?,
                    None => Speed::Standard,
                },
                inference_geo: match geo {
                    Some(place) => Some(reader.word(&place, GEOS)?),
                    None => None,
                },
            })
        })
    }
}

/// `"high"` or `{"type": "high"}`.
fn effort_of(reader: &mut Reader, place: &Place<'_>) -> Option<Effort> {
    if place.value.is_string() {
        return reader.word(place, EFFORTS);
    }
    reader.object(place, |reader, fields| {
        let kind = fields.required(reader, "type")?;
        reader.word(&kind, EFFORTS)
    })
}

/// A change of the model replaces it, but for the effort: that stays where it is not named and the id is the same.
pub(crate) fn merged(stored: Option<&Value>, patch: Value) -> Value {
    let mut patch = match patch {
        Value::String(id) => Map::from_iter([("id".to_owned(), Value::String(id))]),
        Value::Object(map) => map,
        // Refused when it is read.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return patch,
    };
    if let Some(stored) = stored
        && !patch.contains_key("effort")
        && patch.get("id") == stored.get("id")
        && let Some(effort) = stored.get("effort")
    {
        patch.insert("effort".to_owned(), effort.clone());
    }
    Value::Object(patch)
}
