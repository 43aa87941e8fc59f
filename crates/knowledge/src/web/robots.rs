//! What a site asks of those who read it without a person (RFC 9309).

use std::time::Duration;

use bailiwick_model::limits::{
    KNOWLEDGE_CRAWL_DELAY_MOST, KNOWLEDGE_ROBOTS_PATTERN_BYTES, KNOWLEDGE_ROBOTS_RULES,
    KNOWLEDGE_SITEMAPS,
};
use memchr::memmem::find;
use url::{Position, Url};

/// What this product is called in a `robots.txt`.
const TOKEN: &str = "bailiwick";

/// What a site asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Robots {
    rules: Vec<Rule>,
    /// How long to wait from one request to the next, within bounds. No standard has it; many sites do.
    pub(crate) delay: Option<Duration>,
    /// Lists of the site's pages, as written.
    pub(crate) sitemaps: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    pattern: Vec<u8>,
    asks: Asks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Allow,
    Disallow,
}

/// Rules for those who are named before them.
#[derive(Default)]
struct Group {
    names: Vec<String>,
    rules: Vec<Rule>,
    delay: Option<Duration>,
    has_begun: bool,
}

impl Robots {
    /// Of a file's text. What is not understood counts for nothing.
    pub(crate) fn parse(text: &str) -> Self {
        let mut groups = vec![Group::default()];
        let mut sitemaps = Vec::new();
        let mut rules = 0;
        for line in text.split(['\n', '\r']) {
            let line = line.split('#').next().unwrap_or_default();
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            if name == "sitemap" {
                if sitemaps.len() < KNOWLEDGE_SITEMAPS {
                    sitemaps.push(value.to_owned());
                }
                continue;
            }
            if name == "user-agent" && groups.last().is_some_and(|group| group.has_begun) {
                groups.push(Group::default());
            }
            rules += 1;
            if rules > KNOWLEDGE_ROBOTS_RULES {
                break;
            }
            if let Some(group) = groups.last_mut() {
                group.take(&name, value);
            }
        }
        Self {
            sitemaps,
            ..Self::of(groups)
        }
    }

    /// The groups that name this product, or else those for everybody.
    fn of(groups: Vec<Group>) -> Self {
        let names = |group: &Group, name: &str| group.names.iter().any(|other| other == name);
        let is_named = groups.iter().any(|group| names(group, TOKEN));
        let name = if is_named { TOKEN } else { "*" };
        let mut robots = Self::default();
        for group in groups.into_iter().filter(|group| names(group, name)) {
            robots.rules.extend(group.rules);
            robots.delay = robots.delay.max(group.delay);
        }
        robots
    }

    /// Whether an address may be read: by the longest rule that matches it; of two that are equally long, the one that allows.
    pub(crate) fn allow(&self, url: &Url) -> bool {
        let path = normalised(&url[Position::BeforePath..Position::AfterQuery]);
        if path == b"/robots.txt" {
            return true;
        }
        let matching = self
            .rules
            .iter()
            .filter(|rule| matches(&rule.pattern, &path));
        let strongest = matching.max_by_key(|rule| (rule.pattern.len(), rule.asks == Asks::Allow));
        strongest.is_none_or(|rule| rule.asks == Asks::Allow)
    }
}

impl Group {
    fn take(&mut self, name: &str, value: &str) {
        let asks = match name {
            "user-agent" => {
                let is_part = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '-' | '*');
                let end = value.find(|c| !is_part(c)).unwrap_or(value.len());
                self.names.push(value[..end].to_ascii_lowercase());
                return;
            }
            "crawl-delay" => {
                self.has_begun = true;
                self.delay = delay(value);
                return;
            }
            "allow" => Asks::Allow,
            "disallow" => Asks::Disallow,
            _ => return,
        };
        self.has_begun = true;
        if !value.is_empty() {
            let end = value.floor_char_boundary(KNOWLEDGE_ROBOTS_PATTERN_BYTES);
            let pattern = normalised(&value[..end]);
            self.rules.push(Rule { pattern, asks });
        }
    }
}

fn delay(value: &str) -> Option<Duration> {
    let seconds: f64 = value.parse().ok()?;
    let most = KNOWLEDGE_CRAWL_DELAY_MOST.as_secs_f64();
    if seconds.is_nan() || seconds <= 0.0 {
        return None;
    }
    Duration::try_from_secs_f64(seconds.min(most)).ok()
}

/// In one form, however it was written: what needs no percent has none, what is not ASCII has one, and digits are capital.
fn normalised(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut normal = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = if byte == b'%' {
            bytes.get(at + 1..at + 3)
        } else {
            None
        };
        let value = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value {
            Some(value) if value.is_ascii_alphanumeric() || b"-._~".contains(&value) => {
                normal.push(value);
            }
            Some(value) => normal.extend(format!("%{value:02X}").bytes()),
            None if byte.is_ascii() => normal.push(byte),
            None => normal.extend(format!("%{byte:02X}").bytes()),
        }
        at += if value.is_some() { 3 } else { 1 };
    }
    normal
}

/// Whether a path begins as a pattern says: `*` is anything, `$` at its end is the path's end.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (pattern, is_whole) = match pattern.strip_suffix(b"$") {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return !is_whole || rest.is_empty();
    };
    for part in middle {
        match find(rest, part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    if is_whole {
        rest.ends_with(last)
    } else {
        find(rest, last).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(robots: &str, path: &str, expected: bool) {
        let url: Url = format!("https://a.test{path}").parse().unwrap();
        assert_eq!(
            Robots::parse(robots).allow(&url),
            expected,
            "{robots:?} {path}"
        );
    }

    #[test]
    fn the_longest_rule_that_matches_decides() {
        let robots = "User-agent: *\nDisallow: /a\nAllow: /a/b\nDisallow: /a/b/c$\nDisallow: /*.gif$\nDisallow: /q?x=*&y\nAllow: /t\nDisallow: /t";
        for (path, expected) in [
            ("/", true),
            ("/a", false),
            ("/ab", false),
            ("/a/b", true),
            ("/a/b/c", false),
            ("/a/b/c/d", true),
            ("/x/y.gif", false),
            ("/x/y.gif?z", true),
            ("/q?x=1&y=2", false),
            ("/q?x=1", true),
            ("/t", true),
            ("/robots.txt", true),
        ] {
            check(robots, path, expected);
        }
        check("User-agent: *\nDisallow: /\n", "/robots.txt", true);
        check("User-agent: *\nDisallow:\n", "/x", true);
    }

    #[test]
    fn rules_are_for_those_whom_they_name() {
        let robots = "user-agent: other\nuser-agent: BAILIWICK/1.0 # us\ndisallow: /us\n\nUser-Agent: *\nDisallow: /\nUser-agent: bailiwick\nDisallow: /more";
        check(robots, "/x", true);
        check(robots, "/us", false);
        check(robots, "/more", false);
        check("User-agent: bailiwickbot\nDisallow: /", "/x", true);
        check("Disallow: /", "/x", true);
    }

    #[test]
    fn however_a_path_is_written_it_is_the_same() {
        for pattern in ["/%7Ea/%c3%a4%2f", "/~a/ä%2F"] {
            let robots = format!("User-agent: *\r\nDisallow: {pattern}");
            check(&robots, "/~a/%C3%A4%2fx", false);
            check(&robots, "/~a/%C3%A4/x", true);
        }
        check("User-agent: *\nDisallow: /%", "/%zz", false);
    }

    #[test]
    fn a_delay_is_bounded_and_lists_are_found() {
        let parse = |text: &str| Robots::parse(text).delay;
        assert_eq!(
            parse("User-agent: *\nCrawl-delay: 1.5"),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(
            parse("User-agent: *\nCrawl-delay: 86400"),
            Some(KNOWLEDGE_CRAWL_DELAY_MOST)
        );
        for bad in ["-1", "nan", "soon", "0"] {
            assert_eq!(parse(&format!("User-agent: *\nCrawl-delay: {bad}")), None);
        }
        let robots = Robots::parse(
            "Sitemap: https://a.test/s.xml\nUser-agent: x\nDisallow: /\nsitemap: /t.xml",
        );
        assert_eq!(robots.sitemaps, ["https://a.test/s.xml", "/t.xml"]);
    }

    #[test]
    fn stars_cost_no_more_than_they_are() {
        let robots = format!("User-agent: *\nDisallow: /{}b$", "a*".repeat(1000));
        check(&robots, &format!("/{}", "a".repeat(2000)), true);
        let rule = format!("Disallow: *{}b\n", "a".repeat(1000));
        let robots = format!("User-agent: *\n{}", rule.repeat(500));
        let began = std::time::Instant::now();
        check(&robots, &format!("/{}", "a".repeat(100_000)), true);
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
