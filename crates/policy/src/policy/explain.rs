//! Decisions in words: the rule as written, and what would change the answer.

use std::net::IpAddr;

use bailiwick_model::{Decision, Destination, Host, HostName, Protocol, Reason};

use super::Policy;
use crate::rule::{Matcher, Origin, Rule, Ruling};
use crate::{CidrRule, HostFacts, HostPattern, Ports, Preset, session_registries};

impl Policy {
    /// [`Self::decide`] in words.
    pub fn explain(&self, destination: &Destination, host: &HostFacts) -> Decision {
        self.explain_ruling(destination, self.decide(destination, host))
    }

    /// A ruling in words. For one of [`Self::decide_resolved`], [`Self::explain_resolved`] knows the address too.
    pub fn explain_ruling(&self, destination: &Destination, ruling: Ruling<'_>) -> Decision {
        self.in_words(ruling, hint(destination, ruling, None))
    }

    /// A ruling of [`Self::decide_resolved`] in words.
    pub fn explain_resolved(
        &self,
        destination: &Destination,
        address: IpAddr,
        ruling: Ruling<'_>,
    ) -> Decision {
        self.in_words(ruling, hint(destination, ruling, Some(address)))
    }

    fn in_words(&self, ruling: Ruling<'_>, hint: Option<String>) -> Decision {
        Decision {
            verdict: ruling.verdict(),
            reason: ruling.reason,
            rule: ruling.rule.map(ToString::to_string),
            source: self.source().clone(),
            hint,
        }
    }
}

/// What would allow the destination, or why nothing can; nothing for what is allowed.
fn hint(destination: &Destination, ruling: Ruling<'_>, resolved: Option<IpAddr>) -> Option<String> {
    let port = destination.port;
    Some(match ruling.reason {
        Reason::HostPort
        | Reason::Pinned
        | Reason::Unrestricted
        | Reason::HostRule
        | Reason::Preset
        | Reason::SessionGrant
        | Reason::CidrRule => return None,
        Reason::InvalidDestination => "a connection needs a port from 1 to 65535".to_owned(),
        Reason::Floor => floor_hint(ruling.rule, port),
        Reason::OrganizationFloor => "the organization denies this in every environment; no environment can open it".to_owned(),
        Reason::DeniedRule => denied_hint(ruling.rule),
        Reason::PrivateAddress | Reason::ResolvedToPrivate => private_hint(destination, resolved),
        Reason::NoRule => no_rule_hint(destination),
        Reason::UnverifiedAddress => {
            "the upstream proxy resolves this name, so its address cannot be checked; --trust-proxy-dns accepts that".to_owned()
        }
        Reason::SniMismatch => "the TLS server name must be the name that was connected to".to_owned(),
        Reason::HostMismatch => "the Host of each HTTP request must be the name that was connected to".to_owned(),
        Reason::CredentialRequest => "TLS to a host that a credential is for has to carry HTTP requests, and neither CONNECT nor TRACE".to_owned(),
        Reason::UpstreamCertificate => "the policy allows this, but the server's certificate is not trusted; --ca names another authority".to_owned(),
        Reason::Udp => "UDP is never relayed; use TCP (HTTP/3 clients fall back by themselves)".to_owned(),
        Reason::NameLimit => "the sandbox asked for too many names; no rule lifts this limit".to_owned(),
        Reason::ConnectionLimit => "the sandbox has too many connections open; close some".to_owned(),
        Reason::NameNotFound => "the policy allows this, but the name does not exist".to_owned(),
        Reason::Unreachable => "the policy allows this, but nothing answered".to_owned(),
    })
}

fn floor_hint(rule: Option<&Rule>, port: u16) -> String {
    let service = |port: u16| match port {
        0 => "open a service of the host by its port in `host_ports` and connect to host.internal"
            .to_owned(),
        port => format!(
            "open the service with {port} in `host_ports` (or --host-port {port}) and connect to host.internal:{port}"
        ),
    };
    match rule.map(|rule| (rule.origin, &rule.matcher)) {
        Some((_, Matcher::Listeners)) => "no rule opens Bailiwick's own listeners".to_owned(),
        Some((_, Matcher::HostService | Matcher::HostAddresses)) => service(port),
        Some((Origin::Floor(what), _))
            if what.contains("loopback") || what.starts_with("the host") =>
        {
            service(port)
        }
        Some((Origin::Floor(what), _)) => format!("no rule opens this: {what}"),
        Some(_) | None => "no rule opens this".to_owned(),
    }
}

fn denied_hint(rule: Option<&Rule>) -> String {
    match rule.map(|rule| &rule.matcher) {
        Some(Matcher::Host(pattern)) => format!("remove `{pattern}` from `denied_hosts`"),
        Some(Matcher::Cidr(cidr)) => format!("remove `{cidr}` from `denied_cidrs`"),
        Some(Matcher::HostAddresses | Matcher::Listeners | Matcher::HostService) | None => {
            "remove the rule that denies this".to_owned()
        }
    }
}

/// The rule for exactly this address and port.
fn cidr_for(address: IpAddr, port: u16) -> CidrRule {
    CidrRule::new(
        address.to_canonical().into(),
        Ports::one(port).unwrap_or(Ports::ANY),
    )
}

fn private_hint(destination: &Destination, resolved: Option<IpAddr>) -> String {
    let rule = |address| cidr_for(address, destination.port);
    match (&destination.host, resolved) {
        (Host::Address(address), _) => format!("add `{}` to `allowed_cidrs`", rule(*address)),
        (Host::Name(name), Some(address)) => format!(
            "{name} resolved to {address}; add `{}` to `allowed_cidrs`",
            rule(address)
        ),
        (Host::Name(name), None) => format!(
            "{name} resolved to an address that is not public; add its block to `allowed_cidrs`"
        ),
    }
}

fn no_rule_hint(destination: &Destination) -> String {
    let name = match &destination.host {
        Host::Address(address) => {
            return format!(
                "add `{}` to `allowed_cidrs`",
                cidr_for(*address, destination.port)
            );
        }
        Host::Name(name) => name,
    };
    let ports = match destination.protocol {
        Protocol::Tcp | Protocol::Udp => Ports::one(destination.port).unwrap_or(Ports::ANY),
        Protocol::Dns => Ports::ANY,
    };
    let rule = HostPattern::exact(name.clone(), ports);
    let shortcut = list_with(name, destination.port)
        .map(|list| format!(", or {list}"))
        .unwrap_or_default();
    format!("add `{rule}` to `allowed_hosts`{shortcut}")
}

/// The switch or preset that would allow the name, where there is one.
fn list_with(name: &HostName, port: u16) -> Option<String> {
    let matches = |pattern: &HostPattern| {
        pattern.matches(name) && (port == 0 || pattern.ports().contains(port))
    };
    if session_registries()
        .iter()
        .any(|entry| matches(&entry.pattern))
    {
        return Some("set `allow_package_managers: true`".to_owned());
    }
    let preset = Preset::ALL
        .iter()
        .find(|preset| preset.entries().iter().any(|entry| matches(&entry.pattern)))?;
    Some(format!("add `{preset}` to `presets`"))
}
