//! Version specifiers (PEP 440, "Version specifiers" and appendix B).

/// Longer ones first.
const OPERATORS: &[Operator] = &[
    Operator::new("===", Takes::Anything),
    Operator::new("==", Takes::LocalOrPrefix),
    Operator::new("!=", Takes::LocalOrPrefix),
    Operator::new("~=", Takes::TwoNumbers),
    Operator::new("<=", Takes::Public),
    Operator::new(">=", Takes::Public),
    Operator::new("<", Takes::Public),
    Operator::new(">", Takes::Public),
];

struct Operator {
    text: &'static str,
    takes: Takes,
}

impl Operator {
    const fn new(text: &'static str, takes: Takes) -> Self {
        Self { text, takes }
    }
}

/// What stands behind an operator.
#[derive(Clone, Copy)]
enum Takes {
    /// A version without `+LOCAL`.
    Public,
    /// The same, whose release has two numbers at least.
    TwoNumbers,
    /// A version, or the beginning of its release with `.*`.
    LocalOrPrefix,
    /// What is compared as a text.
    Anything,
}

/// One operator and its version: `>=2.0`, `==8.*`.
pub(super) fn is_specifier(text: &str) -> bool {
    let found = OPERATORS.iter().find_map(|operator| {
        let version = text.strip_prefix(operator.text)?;
        Some((operator.takes, version))
    });
    match found {
        None => false,
        Some((Takes::Anything, version)) => is_arbitrary(version),
        Some((Takes::Public, version)) => {
            Version::of(version).is_some_and(|version| !version.is_local)
        }
        Some((Takes::TwoNumbers, version)) => {
            Version::of(version).is_some_and(|version| !version.is_local && version.numbers >= 2)
        }
        Some((Takes::LocalOrPrefix, version)) => match version.strip_suffix(".*") {
            Some(prefix) => Version::of(prefix).is_some_and(|prefix| prefix.is_release),
            None => Version::of(version).is_some(),
        },
    }
}

/// For legacy versions; PEP 440 would take anything.
fn is_arbitrary(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+' | b'!'))
}

/// What an operator asks about a version.
struct Version {
    /// Numbers of the release.
    numbers: usize,
    /// Nothing but epoch and release.
    is_release: bool,
    /// With `+LOCAL`.
    is_local: bool,
}

impl Version {
    /// `[v][N!]N(.N)*[{a|b|rc}N][.postN][.devN][+LOCAL]`, in the spellings that PEP 440 normalises.
    fn of(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let mut rest = Rest(&lower);
        rest.take("v");
        if !rest.digits() || rest.take("!") && !rest.digits() {
            return None;
        }
        let mut numbers = 1;
        while rest.number_behind(&["."]) {
            numbers += 1;
        }
        let is_release = rest.0.is_empty();
        rest.suffix(&["alpha", "beta", "preview", "pre", "a", "b", "c", "rc"]);
        // `1.0-1` is a post-release.
        if !rest.number_behind(&["-"]) {
            rest.suffix(&["post", "rev", "r"]);
        }
        rest.suffix(&["dev"]);
        let is_local = rest.take("+");
        let is_whole = if is_local {
            is_local_label(rest.0)
        } else {
            rest.0.is_empty()
        };
        is_whole.then_some(Self {
            numbers,
            is_release,
            is_local,
        })
    }
}

fn is_local_label(text: &str) -> bool {
    text.split(['-', '_', '.'])
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// What of a version has not been read yet, in lower case.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn take(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// One digit or more.
    fn digits(&mut self) -> bool {
        let rest = self.0.trim_start_matches(|c: char| c.is_ascii_digit());
        let found = rest.len() < self.0.len();
        self.0 = rest;
        found
    }

    /// A separator with a number behind it, or nothing.
    fn number_behind(&mut self, separators: &[&str]) -> bool {
        let before = self.0;
        let found = separators.iter().any(|separator| self.take(separator)) && self.digits();
        if !found {
            self.0 = before;
        }
        found
    }

    /// `rc1`, `.post2`, `-dev`, `_a-3`: a word with what may stand before and behind it, or nothing.
    fn suffix(&mut self, words: &[&str]) {
        let before = self.0;
        let _separator = ["-", "_", "."].iter().any(|separator| self.take(separator));
        if !words.iter().any(|word| self.take(word)) {
            self.0 = before;
            return;
        }
        if !self.digits() {
            self.number_behind(&["-", "_", "."]);
        }
    }
}
