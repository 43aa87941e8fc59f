//! Pages of lists on the wire: `limit` and an opaque `page`.

use std::fmt::Display;
use std::str::FromStr;

use bailiwick_store::PageRequest;

use crate::failure::Failure;

/// What a cursor begins with.
const PREFIX: &str = "page_";

/// Reads `limit` and `page`.
pub(crate) fn page_request<I: FromStr>(
    limit: Option<u32>,
    most: u32,
    page: Option<&str>,
) -> Result<PageRequest<I>, Failure> {
    let limit = limit.unwrap_or(20);
    if !(1..=most).contains(&limit) {
        return Err(Failure::Parameter {
            field: "limit",
            message: format!("is a number from 1 to {most}"),
        });
    }
    let before = page.map(|page| {
        let bound = page.strip_prefix(PREFIX).and_then(|text| text.parse().ok());
        bound.ok_or_else(|| Failure::Parameter {
            field: "page",
            message: "is not a cursor of this list".to_owned(),
        })
    });
    Ok(PageRequest {
        before: before.transpose()?,
        limit,
    })
}

/// Where the next page begins.
pub(crate) fn cursor<I: Display>(next: Option<&I>) -> Option<String> {
    next.map(|bound| format!("{PREFIX}{bound}"))
}
