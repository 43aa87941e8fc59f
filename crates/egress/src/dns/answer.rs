//! What the sandbox's resolver answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bailiwick_dial::LookupError;
use bailiwick_model::{Decision, Destination, HostName, Reason, Verdict, limits};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::message::{Answer, ErrorCode, Question};
use crate::names::is_synthetic;
use crate::sandbox::Sandbox;

/// What is to be done about a question.
#[derive(Debug)]
pub(super) enum Plan {
    /// Answer, and that is all.
    Answer(Answer),
    /// Answer, and record the denial.
    Deny(Answer, Destination, Decision),
    /// Ask the host's resolver for records of a type that does not lead anywhere by itself.
    LookUp(HostName),
}

/// Decides on a question. Nothing leaves the machine here.
pub(super) fn plan(sandbox: &Sandbox, question: &Question) -> Plan {
    let kind = question.kind();
    if kind == RecordType::PTR
        && let Some(address) = question.reverse()
    {
        return reverse(sandbox, question, address);
    }
    let Some(name) = question.host() else {
        return Plan::Answer(Answer::Refused(
            ErrorCode::Blocked,
            "this is not a host name".to_owned(),
        ));
    };
    if name.as_str() == "localhost" || name.as_str().ends_with(".localhost") {
        return Plan::Answer(localhost(question));
    }
    let policy = sandbox.policy();
    let destination = Destination::dns(served(&name, kind));
    let ruling = policy.decide(&destination, &sandbox.host());
    if ruling.verdict() == Verdict::Deny {
        return deny(
            ErrorCode::Blocked,
            destination.clone(),
            policy.explain_ruling(&destination, ruling),
        );
    }
    if kind == RecordType::A {
        return address(sandbox, question, &name, destination);
    }
    // No AAAA: the sandbox reaches IPv6 destinations by name over the synthetic address. No HTTPS and SVCB: they would hand
    // out addresses, ports and ECH keys.
    let never = [
        RecordType::AAAA,
        RecordType::HTTPS,
        RecordType::SVCB,
        RecordType::ANY,
    ];
    if never.contains(&kind) || !policy.is_unrestricted() {
        return Plan::Answer(Answer::Records(Vec::new()));
    }
    Plan::LookUp(name)
}

/// The name that a question is about: `_http._tcp.example.com SRV` asks which servers `example.com` has (RFC 2782), so
/// that `apt`, which asks this first, meets no denial where it may go.
fn served(name: &HostName, kind: RecordType) -> HostName {
    if kind != RecordType::SRV {
        return name.clone();
    }
    let mut rest = name.as_str();
    while let Some((_, parent)) = rest
        .split_once('.')
        .filter(|(label, _)| label.starts_with('_'))
    {
        rest = parent;
    }
    HostName::from_normalised(rest).unwrap_or_else(|_| name.clone())
}

/// Asks the host's resolver.
pub(super) async fn look_up(sandbox: &Sandbox, name: &HostName, kind: RecordType) -> Answer {
    match sandbox.dialer.lookup(name, kind).await {
        Ok(found) => Answer::Records(found.answers().to_vec()),
        Err(LookupError::NoSuchName) => Answer::NoSuchName,
        Err(LookupError::NoSuchRecord) => Answer::Records(Vec::new()),
        Err(LookupError::Configuration(_) | LookupError::Failed(_)) => Answer::Failed,
    }
}

fn address(
    sandbox: &Sandbox,
    question: &Question,
    name: &HostName,
    destination: Destination,
) -> Plan {
    match sandbox.address_of(name) {
        Ok(address) => Plan::Answer(Answer::Records(vec![record(
            question,
            RData::A(A(address)),
        )])),
        Err(limit) => {
            let decision = Decision {
                hint: Some(limit.to_string()),
                ..sandbox.denial(&destination, Reason::NameLimit)
            };
            deny(ErrorCode::Other, destination, decision)
        }
    }
}

fn deny(code: ErrorCode, destination: Destination, decision: Decision) -> Plan {
    let hint = decision.hint.as_deref().unwrap_or_default();
    let answer = Answer::Refused(code, format!("{}: {hint}", decision.reason));
    Plan::Deny(answer, destination, decision)
}

/// The name behind a synthetic address. Other reverse names say nothing that a program needs, and do not leave the machine.
fn reverse(sandbox: &Sandbox, question: &Question, address: Ipv4Addr) -> Plan {
    let name = sandbox
        .name_of(IpAddr::V4(address))
        .filter(|_| is_synthetic(address.into()));
    let name = name.and_then(|name| Name::from_ascii(format!("{name}.")).ok());
    Plan::Answer(match name {
        Some(name) => Answer::Records(vec![record(question, RData::PTR(PTR(name)))]),
        None => Answer::NoSuchName,
    })
}

/// RFC 6761 section 6.3.
fn localhost(question: &Question) -> Answer {
    let kind = question.kind();
    let data = if kind == RecordType::A {
        Some(RData::A(A(Ipv4Addr::LOCALHOST)))
    } else if kind == RecordType::AAAA {
        Some(RData::AAAA(AAAA(Ipv6Addr::LOCALHOST)))
    } else {
        None
    };
    Answer::Records(
        data.map(|data| record(question, data))
            .into_iter()
            .collect(),
    )
}

fn record(question: &Question, data: RData) -> Record {
    Record::from_rdata(question.name().clone(), limits::DNS_TTL_SECONDS, data)
}
