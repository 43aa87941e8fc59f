//! Lists of models: what upstreams have becomes one list of what a proxy has.

use bailiwick_model::limits::LLM_LISTED_MODELS;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Provider, ProxyBody};

/// A model, as a provider lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedModel {
    /// What it is asked for by.
    pub id: String,
    /// What else is said of it.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// `{"data": […]}` of both providers.
#[derive(Deserialize)]
struct Data {
    data: Vec<ListedModel>,
}

impl ListedModel {
    /// One of which no more is known than its name.
    pub fn named(id: &str, provider: Provider) -> Self {
        let text = |text: &str| Value::String(text.to_owned());
        let rest = match provider {
            Provider::Anthropic => [
                ("type", text("model")),
                ("display_name", text(id)),
                ("created_at", text("1970-01-01T00:00:00Z")),
            ],
            Provider::OpenAi => [
                ("object", text("model")),
                ("created", 0.into()),
                ("owned_by", text("organization")),
            ],
        };
        let rest = rest.map(|(name, value)| (name.to_owned(), value));
        Self {
            id: id.to_owned(),
            rest: rest.into_iter().collect(),
        }
    }

    /// The same model by another name.
    #[must_use]
    pub fn called(&self, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            rest: self.rest.clone(),
        }
    }
}

/// The models of a list of an upstream; none if it is no list, or too long.
pub fn listed(body: &[u8]) -> Option<Vec<ListedModel>> {
    let Data { data } = serde_json::from_slice(body).ok()?;
    (data.len() <= LLM_LISTED_MODELS).then_some(data)
}

/// The list of these models, whole, as a provider answers with it.
pub fn listing(models: &[ListedModel], provider: Provider) -> Response<ProxyBody> {
    let body = match provider {
        Provider::Anthropic => serde_json::json!({
            "data": models,
            "has_more": false,
            "first_id": models.first().map(|model| &model.id),
            "last_id": models.last().map(|model| &model.id),
        }),
        Provider::OpenAi => serde_json::json!({"object": "list", "data": models}),
    };
    let mut response = Response::new(ProxyBody::own(body.to_string()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_listed_with_all_that_was_said_of_it() {
        let body = br#"{"object":"list","data":[{"id":"a","object":"model","created":5,"x":[1]}],"more":1}"#;
        let models = listed(body).unwrap();
        let again = serde_json::to_value(models[0].called("b")).unwrap();
        let expected = serde_json::json!({"id": "b", "object": "model", "created": 5, "x": [1]});
        assert_eq!(again, expected);
    }

    #[test]
    fn what_is_no_list_lists_nothing() {
        for body in ["", "{}", "[]", r#"{"data":[{"id":1}]}"#, r#"{"data":{}}"#] {
            assert_eq!(listed(body.as_bytes()), None, "{body}");
        }
        let one = r#"{"id":"a"}"#;
        let long = format!(
            r#"{{"data":[{one}{}]}}"#,
            format!(",{one}").repeat(LLM_LISTED_MODELS)
        );
        assert_eq!(listed(long.as_bytes()), None);
    }
}
