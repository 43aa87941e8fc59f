//! How things of several servers are named as those of one.
//!
//! A tool is `server__tool`. The name of a server has no `__` and does not end in `_`, so that the first `__` of a joined name is where the
//! server's name ends, whatever the tool is called: two different pairs never have one name. What would be longer than clients take (64
//! characters, the bound of model providers) is cut, and ends in a dash and 16 digits of its SHA-256. A joined name that looks like one of those
//! is treated like one, so that no other name can pass for it.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_model::limits::{MCP_GATEWAY_SERVER_CHARS, MCP_OFFERED_NAME_CHARS};

/// Between the name of a server and that of its tool.
const BETWEEN: &str = "__";
/// Digits of the hash in a name that was cut.
const DIGITS: usize = 16;

/// The name of a server in a gateway: 1 to [`MCP_GATEWAY_SERVER_CHARS`] letters, digits, `-` and `_`, the first a letter or digit, the last no
/// `_`, and no `__` in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(String);

/// Why a text is no name of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotServerName {
    /// It is empty or too long.
    #[error("the name of a server in a gateway has 1 to {MCP_GATEWAY_SERVER_CHARS} characters")]
    Length,
    /// It has another character.
    #[error(
        "the name of a server in a gateway has letters, digits, - and _, and begins with a letter or digit"
    )]
    Character,
    /// It could not be told where it ends.
    #[error(
        "the name of a server in a gateway has no __ in it and does not end in _: its tools are called name__tool"
    )]
    Between,
}

impl FromStr for ServerName {
    type Err = NotServerName;

    fn from_str(text: &str) -> Result<Self, NotServerName> {
        if text.is_empty() || text.len() > MCP_GATEWAY_SERVER_CHARS {
            return Err(NotServerName::Length);
        }
        let is_usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !text.chars().all(is_usual) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(NotServerName::Character);
        }
        if text.contains(BETWEEN) || text.ends_with('_') {
            return Err(NotServerName::Between);
        }
        Ok(Self(text.to_owned()))
    }
}

impl ServerName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a tool, or a prompt, of a server.
pub(super) fn joined(server: &ServerName, own: &str) -> String {
    let whole = format!("{server}{BETWEEN}{own}");
    if whole.chars().count() <= MCP_OFFERED_NAME_CHARS && !is_cut(&whole) {
        return whole;
    }
    let hash = digest(&SHA256, whole.as_bytes());
    let hash: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let kept = MCP_OFFERED_NAME_CHARS - DIGITS - 1;
    let kept: String = whole.chars().take(kept).collect();
    format!("{kept}-{}", &hash[..DIGITS])
}

/// What a joined name is made of. One that was cut only says whose it is; its own name has to be looked for.
pub(super) fn parts(joined: &str) -> Option<(&str, Own<'_>)> {
    let (server, own) = joined.split_once(BETWEEN)?;
    let own = if is_cut(joined) {
        Own::Cut
    } else {
        Own::Whole(own)
    };
    Some((server, own))
}

/// The name that a server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own<'a> {
    Whole(&'a str),
    Cut,
}

/// Whether a name has the form of one that was cut.
fn is_cut(joined: &str) -> bool {
    let end = joined.char_indices().rev().nth(DIGITS);
    let is_digits = |end: &str| {
        let digits = end.strip_prefix('-');
        digits.is_some_and(|digits| {
            digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    joined.chars().count() == MCP_OFFERED_NAME_CHARS
        && end.is_some_and(|(at, _)| is_digits(&joined[at..]))
}

/// The scheme of a URI that says whose it is.
const SCHEME: &str = "mcp-server:";

/// The URI of a resource, or the template of one, of a server among several of which another has the same.
pub(super) fn qualified(server: &ServerName, uri: &str) -> String {
    format!("{SCHEME}{server}:{uri}")
}

/// Whether a URI says whose it is. One of a server's own that does is qualified too.
pub(super) fn is_qualified(uri: &str) -> bool {
    uri.starts_with(SCHEME)
}

/// Whose resource a qualified URI is.
pub(super) fn of_qualified(uri: &str) -> Option<(&str, &str)> {
    uri.strip_prefix(SCHEME)?.split_once(':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn server(name: &str) -> ServerName {
        name.parse().unwrap()
    }

    #[test]
    fn a_name_whose_end_could_not_be_told_is_refused() {
        let refused = |name: &str| name.parse::<ServerName>().unwrap_err();
        assert_eq!(refused("a__b"), NotServerName::Between);
        assert_eq!(refused("a_"), NotServerName::Between);
        assert_eq!(refused("_a"), NotServerName::Character);
        assert_eq!(refused("a.b"), NotServerName::Character);
        assert_eq!(refused("ä"), NotServerName::Character);
        assert_eq!(refused(""), NotServerName::Length);
        assert_eq!(refused(&"a".repeat(33)), NotServerName::Length);
    }

    #[test]
    fn a_joined_name_says_its_parts() {
        assert_eq!(joined(&server("a_b"), "_c__d"), "a_b___c__d");
        assert_eq!(parts("a_b___c__d"), Some(("a_b", Own::Whole("_c__d"))));
        assert_eq!(parts("plain"), None);
        let long = joined(&server("a"), &"b".repeat(100));
        assert_eq!(long.chars().count(), MCP_OFFERED_NAME_CHARS);
        assert_eq!(parts(&long), Some(("a", Own::Cut)));
        // A tool that is called like another one's cut name does not get it.
        let (_, own) = long.split_once(BETWEEN).unwrap();
        assert_ne!(joined(&server("a"), own), long);
    }

    #[test]
    fn a_qualified_uri_says_its_parts() {
        let uri = qualified(&server("a"), "test://x/{id}#y");
        assert_eq!(uri, "mcp-server:a:test://x/{id}#y");
        assert_eq!(of_qualified(&uri), Some(("a", "test://x/{id}#y")));
    }

    proptest! {
        #[test]
        fn two_tools_never_have_one_name(
            a in "[a-z][a-z_]{0,4}", b in "[a-z][a-z_]{0,4}",
            x in "[a_-]{1,70}", y in "[a_-]{1,70}",
        ) {
            if let (Ok(first), Ok(second)) = (a.parse::<ServerName>(), b.parse::<ServerName>()) {
                let same = (&first, &x) == (&second, &y);
                prop_assert_eq!(joined(&first, &x) == joined(&second, &y), same);
            }
        }

        #[test]
        fn a_name_is_taken_apart_into_what_it_was_made_of(
            name in "[a-z0-9][a-z0-9_-]{0,31}", tool in "[A-Za-z0-9_./-]{1,128}",
        ) {
            if let Ok(server) = name.parse::<ServerName>() {
                let joined = joined(&server, &tool);
                prop_assert!(joined.chars().count() <= MCP_OFFERED_NAME_CHARS);
                let (found, own) = parts(&joined).unwrap();
                prop_assert_eq!(found, server.as_str());
                prop_assert!(own == Own::Cut || own == Own::Whole(&tool));
            }
        }
    }
}
