//! What can be done with something that was just made: the operations whose paths lead to it.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::{id, path_parameters};
use crate::face::Face;
use crate::operation::{Content, Description};

/// The links of what an operation answers.
pub(super) fn of(face: Face, made: &Description, all: &[Description]) -> Map<String, Value> {
    let mut links = Map::new();
    if made.method != Method::POST || !matches!(made.answer, Content::Json(_)) {
        return links;
    }
    let (below, outer) = (
        format!("{}/{{", made.path),
        path_parameters(made.path).len(),
    );
    // What is below what was made was not made with it.
    let of_it = all
        .iter()
        .filter(|one| one.path.starts_with(&below) && path_parameters(one.path).len() == outer + 1);
    for operation in of_it {
        let names = path_parameters(operation.path).into_iter().enumerate();
        let parameters: Map<_, _> = names
            .map(|(index, (name, _))| {
                let from = if index < outer {
                    format!("$request.path.{name}")
                } else {
                    "$response.body#/id".to_owned()
                };
                (name.to_owned(), json!(from))
            })
            .collect();
        let id = id(face, operation);
        let link = json!({"operationId": id, "parameters": parameters});
        links.insert(id, link);
    }
    links
}
