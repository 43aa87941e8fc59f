//! Host names: from what people type to the one form in which names are compared.

use std::net::{IpAddr, Ipv4Addr};

use bailiwick_model::{HostName, InvalidHostName};
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// Why a text is not a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing there.
    #[error("a host name cannot be empty")]
    Empty,
    /// A control character, NUL included.
    #[error("{0:?} is a control character; a host name has none")]
    Control(char),
    /// A blank of any script.
    #[error("a host name has no white space")]
    WhiteSpace,
    /// `%41`: a host name is not percent-decoded.
    #[error("percent-encoding is not read in a host name; write the characters themselves")]
    PercentEncoding,
    /// `[` or `]`.
    #[error("brackets belong around IPv6 addresses, not in a host name")]
    Brackets,
    /// `https://...`
    #[error("a host name has no scheme; write only what follows `{0}://`")]
    Scheme(String),
    /// `/`, `\`, `?` or `#`.
    #[error("a host name has no path, query or fragment; write only what precedes {0:?}")]
    Path(char),
    /// `user@host`.
    #[error("a host name has no user part; write only what follows `@`")]
    UserPart,
    /// `name:443`.
    #[error("a host name has no port")]
    Port,
    /// `*` where one name is wanted.
    #[error("`*` is not part of a host name")]
    Wildcard,
    /// An address, in its usual form or one of those that only `inet_aton` reads (`127.1`, `0x7f.1`, `2130706433`).
    #[error("this is the address {0}, not a name")]
    Address(IpAddr),
    /// UTS-46 has no ASCII form for it.
    #[error("this has no ASCII form (UTS-46): a character, a label or its punycode is not valid")]
    Idna,
    /// In ASCII, but not a DNS name.
    #[error(transparent)]
    Invalid(#[from] InvalidHostName),
}

/// Brings a host name into the form in which names are compared: UTS-46 to ASCII, lower case, one trailing dot dropped.
///
/// Accepts neither wildcards nor addresses, whatever their spelling: what one program takes for a name and another for an
/// address must not reach the matcher.
///
/// # Errors
///
/// Names the first thing that is wrong with `text`.
pub fn normalise_host(text: &str) -> Result<HostName, HostError> {
    refuse_what_is_not_a_name(text)?;
    let ascii = Uts46::new()
        .to_ascii(
            text.as_bytes(),
            AsciiDenyList::URL,
            Hyphens::Allow,
            DnsLength::Ignore,
        )
        .map_err(|_| HostError::Idna)?;
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    // After the mapping: `１２７.０.０.１` is an address too.
    if let Some(address) = loose_address(name) {
        return Err(HostError::Address(address));
    }
    Ok(HostName::from_normalised(name)?)
}

fn refuse_what_is_not_a_name(text: &str) -> Result<(), HostError> {
    if text.is_empty() {
        return Err(HostError::Empty);
    }
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        return Err(HostError::Control(c));
    }
    if text.chars().any(char::is_whitespace) {
        return Err(HostError::WhiteSpace);
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(HostError::Scheme(scheme.to_owned()));
    }
    if let Ok(address) = text
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
    {
        return Err(HostError::Address(address));
    }
    match text.chars().find(|c| {
        matches!(
            c,
            '%' | '[' | ']' | '/' | '\\' | '?' | '#' | '@' | ':' | '*'
        )
    }) {
        None => Ok(()),
        Some('%') => Err(HostError::PercentEncoding),
        Some('[' | ']') => Err(HostError::Brackets),
        Some('@') => Err(HostError::UserPart),
        Some(':') => Err(HostError::Port),
        Some('*') => Err(HostError::Wildcard),
        Some(c) => Err(HostError::Path(c)),
    }
}

/// The IPv4 address that `inet_aton` (and the WHATWG URL parser) would read: one to four parts, each decimal, octal with
/// a leading `0`, or hexadecimal with `0x`; the last part fills what is left.
pub(crate) fn loose_address(text: &str) -> Option<IpAddr> {
    let mut parts = [0_u64; 4];
    let mut count = 0;
    for part in text.split('.') {
        *parts.get_mut(count)? = loose_number(part)?;
        count += 1;
    }
    let (last, leading) = parts[..count].split_last()?;
    let free_bits = 8 * (4 - leading.len());
    if leading.iter().any(|part| *part > 255) || *last >= 1 << free_bits {
        return None;
    }
    let head = leading
        .iter()
        .enumerate()
        .fold(0, |sum, (index, part)| sum | part << (24 - 8 * index));
    u32::try_from(head | last)
        .ok()
        .map(|bits| Ipv4Addr::from_bits(bits).into())
}

fn loose_number(part: &str) -> Option<u64> {
    let (digits, radix) = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        Some("") => return Some(0),
        Some(digits) => (digits, 16),
        None if part.len() > 1 && part.starts_with('0') => (&part[1..], 8),
        None => (part, 10),
    };
    let all_digits = digits
        .bytes()
        .all(|digit| char::from(digit).is_digit(radix));
    if all_digits {
        u64::from_str_radix(digits, radix).ok()
    } else {
        None
    }
}
