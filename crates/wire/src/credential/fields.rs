//! The fields of vaults and credentials, each with its rules.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bailiwick_model::SecretText;
use bailiwick_model::limits::{CREDENTIAL_HOSTS, CREDENTIAL_URL_CHARS, SECRET_NAME_CHARS};
use bailiwick_policy::{HostPattern, HostPatternError};
use jiff::Timestamp;
use url::{Host, Url};

use super::auth::CredentialNetworking;
use super::problem::{CredentialProblem, UrlProblem};
use crate::draft::{Field, Texts};
use crate::problem::{Cause, Problem};
use crate::shape::Reader;
use crate::tree::{Located, Node, Span};

/// What reads one field.
type Name = &'static str;

/// A field that must be there: `at` is the place of the map that lacks it.
pub(crate) fn required<T>(
    reader: &mut Reader<'_>,
    field: Field<T>,
    place: &'static str,
    name: Name,
    at: usize,
) -> Option<Located<T>> {
    if field.is_missing() {
        let cause = Cause::MissingField {
            place,
            field: name,
            example: name,
        };
        reader.refuse(Problem::new(cause, at..at));
    }
    field.set()
}

/// A text of so many characters.
pub(crate) fn bounded(
    least: usize,
    most: usize,
) -> impl FnOnce(&mut Reader<'_>, Name, Node) -> Option<String> {
    move |reader, field, node| {
        let span = node.span.clone();
        let text = reader.text(field, node)?;
        let count = text.chars().count();
        if (least..=most).contains(&count) {
            return Some(text);
        }
        let problem = CredentialProblem::Length {
            field,
            least,
            most,
            count,
        };
        refuse(reader, problem, span)
    }
}

/// A text of OAuth: visible ASCII characters and spaces (RFC 6749, appendix A), so that a header can carry it.
pub(super) fn visible(
    least: usize,
    most: usize,
) -> impl FnOnce(&mut Reader<'_>, Name, Node) -> Option<String> {
    move |reader, field, node| {
        let span = node.span.clone();
        let text = bounded(least, most)(reader, field, node)?;
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Some(text);
        }
        refuse(reader, CredentialProblem::Characters { field }, span)
    }
}

/// A secret that a header carries.
pub(super) fn token(most: usize) -> impl FnOnce(&mut Reader<'_>, Name, Node) -> Option<SecretText> {
    move |reader, field, node| visible(1, most)(reader, field, node).map(SecretText::new)
}

/// A secret of whatever characters.
pub(super) fn secret(
    most: usize,
) -> impl FnOnce(&mut Reader<'_>, Name, Node) -> Option<SecretText> {
    move |reader, field, node| bounded(1, most)(reader, field, node).map(SecretText::new)
}

/// A moment after `now`.
pub(super) fn moment(
    now: Timestamp,
) -> impl FnOnce(&mut Reader<'_>, Name, Node) -> Option<Timestamp> {
    move |reader, field, node| {
        let span = node.span.clone();
        let text = reader.text(field, node)?;
        match text.parse::<Timestamp>() {
            Ok(moment) if moment > now => Some(moment),
            Ok(_) => refuse(reader, CredentialProblem::Past, span),
            Err(_) => refuse(reader, CredentialProblem::Moment, span),
        }
    }
}

/// The URL of an MCP server.
pub(super) fn server_url(reader: &mut Reader<'_>, field: Name, node: Node) -> Option<String> {
    url(reader, field, node, |_| Ok(()))
}

/// The URL of a token endpoint: secrets are sent there.
pub(super) fn token_endpoint(reader: &mut Reader<'_>, field: Name, node: Node) -> Option<String> {
    url(reader, field, node, |url| {
        let is_this_machine = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if url.scheme() == "https" || is_this_machine {
            Ok(())
        } else {
            Err(UrlProblem::Plain)
        }
    })
}

fn url(
    reader: &mut Reader<'_>,
    field: Name,
    node: Node,
    further: impl FnOnce(&Url) -> Result<(), UrlProblem>,
) -> Option<String> {
    let span = node.span.clone();
    let text = bounded(1, CREDENTIAL_URL_CHARS)(reader, field, node)?;
    match usable(&text).and_then(|url| further(&url)) {
        Ok(()) => Some(text),
        Err(problem) => refuse(reader, CredentialProblem::Url { field, problem }, span),
    }
}

fn usable(text: &str) -> Result<Url, UrlProblem> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(UrlProblem::WhiteSpace);
    }
    let url = Url::parse(text).map_err(|_| UrlProblem::NotAUrl)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlProblem::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlProblem::UserPart);
    }
    if url.fragment().is_some() {
        return Err(UrlProblem::Fragment);
    }
    Ok(url)
}

/// The name of an environment variable (POSIX.1-2017, section 8.1, and lower case, which programs use too).
pub(super) fn variable(reader: &mut Reader<'_>, field: Name, node: Node) -> Option<String> {
    let span = node.span.clone();
    let text = bounded(1, SECRET_NAME_CHARS)(reader, field, node)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.chars().all(is_name) && !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(text);
    }
    refuse(reader, CredentialProblem::SecretName, span)
}

/// `networking` of a credential.
pub(super) fn networking(
    reader: &mut Reader<'_>,
    _: Name,
    node: Node,
) -> Option<CredentialNetworking> {
    const PLACE: &str = "`networking` of a credential";
    let at = node.span.start;
    let read = reader.map(node, PLACE, |reader, fields| {
        let kind = reader.field(fields, "type", Reader::text);
        let kind = required(reader, kind, PLACE, "type", at);
        match kind.as_ref().map(|kind| kind.value.as_str()) {
            Some("unrestricted") => Some(CredentialNetworking::Unrestricted),
            Some("limited") => {
                let hosts = reader.field(fields, "allowed_hosts", Reader::texts);
                let hosts = required(reader, hosts, PLACE, "allowed_hosts", at)?;
                let allowed_hosts = hosts_of(reader, hosts);
                Some(CredentialNetworking::Limited { allowed_hosts })
            }
            Some(_) | None => {
                fields.ignore_rest();
                if let Some(kind) = &kind {
                    reader.one_of(kind, "type of networking", &["unrestricted", "limited"]);
                }
                None
            }
        }
    });
    read.flatten()
}

/// Each host once, in the form in which hosts are compared.
fn hosts_of(reader: &mut Reader<'_>, list: Located<Texts>) -> Vec<String> {
    let (mut hosts, mut seen) = (Vec::new(), HashMap::new());
    for Located { value: text, span } in at_most(reader, list, "hosts", CREDENTIAL_HOSTS) {
        match host(&text) {
            Err(cause) => reader.refuse(Problem::new(cause, span)),
            Ok(host) => match seen.get(&host) {
                Some(first) => {
                    let problem = Problem::new(Cause::DuplicateRule(host), span);
                    reader.refuse(problem.with_first(Span::clone(first)));
                }
                None => {
                    seen.insert(host.clone(), span);
                    hosts.push(host);
                }
            },
        }
    }
    hosts
}

/// The list, or nothing of one that is too long.
pub(super) fn at_most(
    reader: &mut Reader<'_>,
    list: Located<Texts>,
    what: &'static str,
    limit: usize,
) -> Texts {
    let count = list.value.len();
    if count <= limit {
        return list.value;
    }
    reader.refuse(Problem::new(
        Cause::TooMany { what, count, limit },
        list.span,
    ));
    Texts::default()
}

fn host(text: &str) -> Result<String, Cause> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(address.to_string());
    }
    let pattern = text.parse::<HostPattern>().map_err(|error| {
        let is_address = matches!(
            error,
            HostPatternError::Address { .. } | HostPatternError::Block { .. }
        );
        if is_address {
            CredentialProblem::HostAddress.into()
        } else {
            Cause::Host(error)
        }
    })?;
    if pattern.ports().is_any() && !text.contains(':') {
        Ok(pattern.to_string())
    } else {
        Err(CredentialProblem::HostPort.into())
    }
}

/// Reports what is wrong with a field, which then has no value.
pub(super) fn refuse<T>(
    reader: &mut Reader<'_>,
    problem: CredentialProblem,
    span: Span,
) -> Option<T> {
    reader.refuse(Problem::new(problem.into(), span));
    None
}
