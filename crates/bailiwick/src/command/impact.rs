//! What a change of policy would do, as lines for people.

use serde_json::{Value, json};

use crate::client::Column;

/// What is in a line.
pub(super) const COLUMNS: &[Column] = &[
    ("ENVIRONMENT", "/name"),
    ("CHANGE", "/change"),
    ("DESTINATION", "/destination"),
    ("BEFORE", "/before"),
    ("AFTER", "/after"),
    ("RULE", "/rule"),
];

/// A line for each change in one environment: of the mode, of what is opened, and of what is closed.
pub(super) fn lines(environment: &Value, impact: &Value) -> Vec<Value> {
    let line = |change: &str, of: &Value| {
        let mut line = of.clone();
        line["name"] = environment.clone();
        line["change"] = json!(change);
        line
    };
    let of = |field: &str| {
        let list = impact[field].as_array().map(Vec::as_slice);
        let list = list.unwrap_or_default().iter();
        list.map(|of| line(field, of)).collect::<Vec<_>>()
    };
    let mode = Some(&impact["mode"]).filter(|mode| mode.is_object());
    let mode = mode.map(|mode| line("mode", mode));
    mode.into_iter()
        .chain(of("opened"))
        .chain(of("closed"))
        .collect()
}
