//! `injection_location`: in which parts of a request a secret goes.

use std::collections::HashSet;

use bailiwick_model::limits::CREDENTIAL_HEADERS;
use bailiwick_policy::FieldName;

use super::auth::InjectionLocation;
use super::fields::{at_most, refuse};
use super::problem::CredentialProblem;
use crate::draft::{Field, Texts};
use crate::problem::Problem;
use crate::shape::{Fields, Reader};
use crate::tree::Located;

/// What was written of it.
struct Written {
    header: Option<bool>,
    body: Option<bool>,
    header_names: Field<Vec<String>>,
}

/// `absent` if it is not there, else its fields, of which those that are not there are as in `base`.
pub(super) fn injection_location(
    reader: &mut Reader<'_>,
    fields: &mut Fields,
    absent: InjectionLocation,
    base: InjectionLocation,
) -> Option<InjectionLocation> {
    let span = fields.place("injection_location");
    let read = reader.field(fields, "injection_location", |reader, _, node| {
        reader.map(node, "`injection_location`", |reader, fields| {
            let header = reader.field(fields, "header", Reader::boolean);
            let body = reader.field(fields, "body", Reader::boolean);
            let names = reader.field(fields, "header_names", |reader, name, node| {
                let span = node.span.clone();
                let texts = reader.texts(name, node)?;
                Some(header_names(reader, Located { value: texts, span }))
            });
            Written {
                header: header.set().map(|header| header.value),
                body: body.set().map(|body| body.value),
                header_names: names,
            }
        })
    });
    let written = match read {
        Field::Absent => return Some(absent),
        Field::Refused => return None,
        Field::Set(written) => written.value,
        Field::Null => return refuse(reader, CredentialProblem::NoLocation, span?),
    };
    let header = written.header.unwrap_or(base.header);
    let body = written.body.unwrap_or(base.body);
    if !header && !body {
        return refuse(reader, CredentialProblem::NoLocation, span?);
    }
    let header_names = match written.header_names {
        Field::Set(names) if !header && !names.value.is_empty() => {
            return refuse(reader, CredentialProblem::NamesWithoutHeader, names.span);
        }
        Field::Set(names) => names.value,
        Field::Refused => return None,
        Field::Absent if header => base.header_names,
        Field::Absent | Field::Null => Vec::new(),
    };
    Some(InjectionLocation {
        header,
        body,
        header_names,
    })
}

/// Each name once, in lower case.
fn header_names(reader: &mut Reader<'_>, list: Located<Texts>) -> Vec<String> {
    let (mut names, mut seen) = (Vec::new(), HashSet::new());
    for Located { value: text, span } in at_most(reader, list, "header names", CREDENTIAL_HEADERS) {
        match text.parse::<FieldName>() {
            Err(error) => {
                let cause = CredentialProblem::HeaderName(error).into();
                reader.refuse(Problem::new(cause, span));
            }
            Ok(name) if seen.insert(name.clone()) => names.push(name.as_str().to_owned()),
            Ok(_) => {}
        }
    }
    names
}
