//! Versions of Semantic Versioning 2.0.0, whole and in part, as cargo and npm have them.

/// `1`, `1.2`, `1.2.3`, `1.2.3-rc.1+build`, each of the three numbers also a wildcard; what follows a wildcard is one too.
pub(super) fn is_partial(text: &str) -> bool {
    let (core, tail) = split_tail(text);
    let numbers: Vec<&str> = core.split('.').collect();
    let wildcards = numbers.iter().skip_while(|part| is_number(part));
    numbers.len() <= 3
        && numbers
            .iter()
            .all(|part| is_number(part) || is_wildcard(part))
        && wildcards.clone().all(|part| is_wildcard(part))
        && (tail.is_empty() || numbers.len() == 3 && wildcards.count() == 0 && is_tail(tail))
}

/// `1.2.3`, with or without `-PRE` and `+BUILD`.
pub(super) fn is_full(text: &str) -> bool {
    is_partial(text)
        && split_tail(text).0.split('.').count() == 3
        && !split_tail(text).0.split('.').any(is_wildcard)
}

fn split_tail(text: &str) -> (&str, &str) {
    text.split_at(text.find(['-', '+']).unwrap_or(text.len()))
}

/// Item 2: no leading zeros.
fn is_number(text: &str) -> bool {
    is_digits(text) && (text == "0" || !text.starts_with('0'))
}

fn is_wildcard(text: &str) -> bool {
    matches!(text, "*" | "x" | "X")
}

/// Items 9 and 10: `-PRE`, `+BUILD` or both.
fn is_tail(text: &str) -> bool {
    let (pre, build) = match text.split_once('+') {
        Some((pre, build)) => (pre, Some(build)),
        None => (text, None),
    };
    let is_identifier = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let is_of_pre = |part: &str| is_identifier(part) && (!is_digits(part) || is_number(part));
    let is_pre = pre.is_empty()
        || pre
            .strip_prefix('-')
            .is_some_and(|pre| pre.split('.').all(is_of_pre));
    is_pre && build.is_none_or(|build| build.split('.').all(is_identifier))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
