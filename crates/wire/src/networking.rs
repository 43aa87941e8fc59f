//! `config.networking`: from a draft to an egress policy.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use bailiwick_model::limits::{CIDR_RULES, HOST_PORTS, HOST_RULES};
use bailiwick_policy::{CidrRule, EgressPolicy, HostPattern, Mode, Preset};

use crate::draft::{Field, NetworkingDraft, Texts};
use crate::problem::{Cause, Problem};
use crate::tree::{Located, Span};
use crate::validate::only;

/// A draft that is not limited to less than packages need: `false` only where that is sure.
pub(crate) fn packages_may_be_fetched(draft: &NetworkingDraft) -> bool {
    let limited = matches!(&draft.kind, Field::Set(kind) if kind.value == "limited");
    let managers_allowed = match &draft.allow_package_managers {
        Field::Absent | Field::Null => false,
        Field::Set(allowed) => allowed.value,
        Field::Refused => true,
    };
    !limited || managers_allowed
}

/// Checks the fields and how they go together; `None` only where the mode is not known, which is reported.
pub(crate) fn validate(
    draft: Located<NetworkingDraft>,
    problems: &mut Vec<Problem>,
) -> Option<EgressPolicy> {
    let Located { value: draft, span } = draft;
    let mode = mode(&draft.kind, span, problems);
    if mode == Some(Mode::Unrestricted) {
        refuse_what_needs_limited(&draft, problems);
    }
    bounded(
        "host rules",
        HOST_RULES,
        [&draft.allowed_hosts, &draft.denied_hosts],
        problems,
    );
    bounded(
        "CIDR rules",
        CIDR_RULES,
        [&draft.allowed_cidrs, &draft.denied_cidrs],
        problems,
    );
    bounded("host ports", HOST_PORTS, [&draft.host_ports], problems);
    let allowed_hosts = rules::<HostPattern>(draft.allowed_hosts, problems);
    let allowed_cidrs = rules::<CidrRule>(draft.allowed_cidrs, problems);
    let denied_hosts = rules::<HostPattern>(draft.denied_hosts, problems);
    let denied_cidrs = rules::<CidrRule>(draft.denied_cidrs, problems);
    for host in &allowed_hosts {
        problems.extend(
            host.value
                .warning()
                .map(|warning| Problem::new(warning.into(), host.span.clone())),
        );
    }
    warn_of_contradictions(&allowed_hosts, &denied_hosts, problems);
    warn_of_contradictions(&allowed_cidrs, &denied_cidrs, problems);
    Some(EgressPolicy {
        mode: mode?,
        allowed_hosts: values(allowed_hosts),
        allowed_cidrs: values(allowed_cidrs),
        presets: presets(draft.presets, problems),
        allow_package_managers: flag(draft.allow_package_managers, false),
        allow_mcp_servers: flag(draft.allow_mcp_servers, false),
        // The seed's default: a session's credentials may be used where they lead.
        allow_credential_hosts: flag(draft.allow_credential_hosts, true),
        denied_hosts: values(denied_hosts),
        denied_cidrs: values(denied_cidrs),
        host_ports: values(unique(
            draft
                .host_ports
                .set()
                .map_or_else(Vec::new, |ports| ports.value),
            problems,
        )),
    })
}

fn mode(kind: &Field<String>, whole: Span, problems: &mut Vec<Problem>) -> Option<Mode> {
    if kind.is_missing() {
        let cause = Cause::MissingField {
            place: "`config.networking`",
            field: "type",
            example: "type: limited",
        };
        problems.push(Problem::new(cause, whole.start..whole.start));
    }
    let Field::Set(kind) = kind else { return None };
    match kind.value.as_str() {
        "unrestricted" => Some(Mode::Unrestricted),
        "limited" => Some(Mode::Limited),
        _ => {
            only(
                kind,
                "type of networking",
                &["unrestricted", "limited"],
                problems,
            );
            None
        }
    }
}

/// The wire has none of these under `unrestricted`; a rule that changes nothing would be taken for a restriction.
fn refuse_what_needs_limited(draft: &NetworkingDraft, problems: &mut Vec<Problem>) {
    fn span<T>(field: &Field<T>) -> Option<Span> {
        match field {
            Field::Set(value) => Some(value.span.clone()),
            Field::Absent | Field::Null | Field::Refused => None,
        }
    }
    let fields = [
        ("allowed_hosts", span(&draft.allowed_hosts)),
        ("presets", span(&draft.presets)),
        (
            "allow_package_managers",
            span(&draft.allow_package_managers),
        ),
        ("allow_mcp_servers", span(&draft.allow_mcp_servers)),
        (
            "allow_credential_hosts",
            span(&draft.allow_credential_hosts),
        ),
    ];
    for (name, span) in fields {
        problems.extend(span.map(|span| Problem::new(Cause::NeedsLimited(name), span)));
    }
}

/// Counts lists that share one bound; the label stands at the last that is there.
fn bounded<T, const N: usize>(
    what: &'static str,
    limit: usize,
    fields: [&Field<Vec<T>>; N],
    problems: &mut Vec<Problem>,
) {
    let lists = || {
        fields.iter().filter_map(|field| {
            if let Field::Set(list) = field {
                Some(list)
            } else {
                None
            }
        })
    };
    let count = lists().map(|list| list.value.len()).sum();
    if let Some(last) = lists().next_back().filter(|_| count > limit) {
        problems.push(Problem::new(
            Cause::TooMany { what, count, limit },
            last.span.clone(),
        ));
    }
}

/// Parses each entry; the ones that are refused and the repeated ones become problems.
fn rules<T>(field: Field<Texts>, problems: &mut Vec<Problem>) -> Vec<Located<T>>
where
    T: FromStr + Clone + Eq + Hash + fmt::Display,
    Cause: From<T::Err>,
{
    let Some(list) = field.set() else {
        return Vec::new();
    };
    let parse = |text: Located<String>| match text.value.parse() {
        Ok(value) => Some(Located {
            value,
            span: text.span,
        }),
        Err(error) => {
            problems.push(Problem::new(Cause::from(error), text.span));
            None
        }
    };
    let parsed = list.value.into_iter().filter_map(parse).collect();
    unique(parsed, problems)
}

fn presets(field: Field<Texts>, problems: &mut Vec<Problem>) -> Vec<Preset> {
    let known: Vec<&'static str> = Preset::ALL.iter().map(|preset| preset.name()).collect();
    let Some(list) = field.set() else {
        return Vec::new();
    };
    let named = list.value.into_iter().filter_map(|text| {
        only(&text, "preset", &known, problems);
        let preset = Preset::ALL
            .iter()
            .copied()
            .find(|preset| preset.name() == text.value)?;
        Some(Located {
            value: preset,
            span: text.span,
        })
    });
    let named = named.collect();
    values(unique(named, problems))
}

/// Keeps the first of equal values.
fn unique<T: Clone + Eq + Hash + fmt::Display>(
    list: Vec<Located<T>>,
    problems: &mut Vec<Problem>,
) -> Vec<Located<T>> {
    let mut seen = HashMap::new();
    let is_new = |item: &Located<T>| match seen.get(&item.value) {
        Some(first) => {
            let problem = Problem::new(
                Cause::DuplicateRule(item.value.to_string()),
                item.span.clone(),
            );
            problems.push(problem.with_first(Span::clone(first)));
            false
        }
        None => seen.insert(item.value.clone(), item.span.clone()).is_none(),
    };
    let mut list = list;
    list.retain(is_new);
    list
}

/// A rule that is allowed and denied to the letter; that a denial covers only a part of an allowed rule is its purpose.
fn warn_of_contradictions<T: Eq + Hash + fmt::Display>(
    allowed: &[Located<T>],
    denied: &[Located<T>],
    problems: &mut Vec<Problem>,
) {
    let denials: HashMap<_, _> = denied
        .iter()
        .map(|rule| (&rule.value, &rule.span))
        .collect();
    for rule in allowed {
        if let Some(span) = denials.get(&rule.value) {
            let problem = Problem::new(
                Cause::AllowedAndDenied(rule.value.to_string()),
                Span::clone(span),
            );
            problems.push(problem.with_first(rule.span.clone()));
        }
    }
}

fn flag(field: Field<bool>, default: bool) -> bool {
    field.set().map_or(default, |value| value.value)
}

fn values<T>(list: Vec<Located<T>>) -> Vec<T> {
    list.into_iter().map(|item| item.value).collect()
}
