//! Fields of documents that are told apart by words.

use bailiwick_model::EnvironmentName;
use serde_json::{Map, Value as Json};

use crate::json::FieldProblem;

/// What was found wrong so far.
#[derive(Default)]
pub(super) struct Problems(pub(super) Vec<FieldProblem>);

impl Problems {
    /// Something is wrong with a field.
    pub(super) fn add(&mut self, field: &str, code: &'static str, message: &str, help: &str) {
        self.0.push(FieldProblem {
            field: field.to_owned(),
            code,
            message: message.to_owned(),
            help: help.to_owned(),
        });
    }

    /// There are no fields but these.
    pub(super) fn known(&mut self, map: &Map<String, Json>, known: &[&str]) {
        for field in map.keys().filter(|field| !known.contains(&field.as_str())) {
            let help = format!("there are {}", known.join(", "));
            self.add(field, "unknown_field", "is no field of it", &help);
        }
    }

    /// A text that there has to be, without spaces around it.
    pub(super) fn text(
        &mut self,
        map: &Map<String, Json>,
        field: &str,
        most: usize,
    ) -> Option<String> {
        let text = map.get(field).and_then(Json::as_str).map(str::trim);
        let text = text.filter(|text| (1..=most).contains(&text.chars().count()));
        if text.is_none() {
            let message = format!("has to be a text of 1 to {most} characters");
            self.add(field, "invalid_text", &message, "write one");
        }
        text.map(str::to_owned)
    }

    /// The name of an environment that there has to be.
    pub(super) fn environment(
        &mut self,
        map: &Map<String, Json>,
        field: &str,
    ) -> Option<EnvironmentName> {
        let name = map.get(field).and_then(Json::as_str);
        let name = name.and_then(|name| name.parse().ok());
        if name.is_none() {
            let message = "has to be the name of an environment";
            self.add(field, "invalid_name", message, "name one");
        }
        name
    }

    /// An object, if there is one.
    pub(super) fn object(
        &mut self,
        map: &Map<String, Json>,
        field: &str,
    ) -> Option<Map<String, Json>> {
        match map.get(field) {
            None | Some(Json::Null) => None,
            Some(Json::Object(object)) => Some(object.clone()),
            Some(_) => {
                let help = "write its fields below it";
                self.add(field, "invalid_object", "has to have fields", help);
                None
            }
        }
    }
}
