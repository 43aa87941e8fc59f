//! The one decision of the product.

use std::net::{IpAddr, SocketAddr};

use bailiwick_model::{Destination, Host, HostName, Protocol, Reason};

use super::Policy;
use crate::forms::Forms;
use crate::rule::{Matcher, Rule, Ruling};
use crate::table::Hits;
use crate::{HostFacts, Mode};

/// The name under which a sandbox reaches services of its host.
pub const HOST_SERVICE: &str = "host.internal";

impl Policy {
    /// Whether a destination may be reached, and which step says so. Allocates nothing.
    ///
    /// A question without a port ([`Protocol::Dns`], port 0) is allowed if any port is, and the ruling is that of such a
    /// port. It may be about an address too: is anything on it reachable?
    pub fn decide(&self, destination: &Destination, host: &HostFacts) -> Ruling<'_> {
        match (destination.protocol, destination.port) {
            // 1. Malformed: a connection has a port and a question has none. Names and addresses are well-formed by type.
            (Protocol::Tcp | Protocol::Udp, 0) | (Protocol::Dns, 1..) => {
                Ruling::without_rule(Reason::InvalidDestination)
            }
            (Protocol::Dns, 0) => self.decide_any_port(&destination.host, host),
            (protocol @ (Protocol::Tcp | Protocol::Udp), port) => {
                self.judge_by_all(&destination.host, port, protocol, host)
            }
        }
    }

    /// The denial of the first policy that denies; if none does, what this one says.
    fn judge_by_all(
        &self,
        target: &Host,
        port: u16,
        protocol: Protocol,
        host: &HostFacts,
    ) -> Ruling<'_> {
        first_denial(
            self.each()
                .map(|policy| policy.judge(policy.hits(target, port, host), protocol)),
        )
    }

    /// The order of precedence: the first kind of rule that matched decides.
    fn judge<'p>(&self, hits: Hits<'p>, protocol: Protocol) -> Ruling<'p> {
        match hits {
            // 2. What no rule opens.
            Hits {
                floor: Some(rule), ..
            } => Ruling::by(Reason::Floor, rule),
            // 3. What is denied, by the organization and then by the environment.
            Hits {
                organization: Some(rule),
                ..
            } => Ruling::by(Reason::OrganizationFloor, rule),
            Hits {
                denied: Some(rule), ..
            } => Ruling::by(Reason::DeniedRule, rule),
            // UDP is never relayed. From here on rules could open something, and their hints would not help.
            _ if protocol == Protocol::Udp => Ruling::without_rule(Reason::Udp),
            // A service of the host that `host_ports` opens. Here and not in step 2, so that it can be denied too.
            Hits {
                host_service: Some(rule),
                ..
            } => Ruling::by(Reason::HostPort, rule),
            // 4. Addresses that are not public. What `allowed_cidrs` opens is not among the hits.
            Hits {
                non_public: Some(rule),
                ..
            } => Ruling::by(Reason::PrivateAddress, rule),
            // 5. to 9. What allows.
            _ if self.own_mode() == Mode::Unrestricted => {
                Ruling::without_rule(Reason::Unrestricted)
            }
            Hits {
                host_rule: Some(rule),
                ..
            } => Ruling::by(Reason::HostRule, rule),
            Hits {
                preset: Some(rule), ..
            } => Ruling::by(Reason::Preset, rule),
            Hits {
                grant: Some(rule), ..
            } => Ruling::by(Reason::SessionGrant, rule),
            Hits {
                cidr_rule: Some(rule),
                ..
            } => Ruling::by(Reason::CidrRule, rule),
            // 10. Nothing did.
            _ => Ruling::without_rule(Reason::NoRule),
        }
    }

    /// Steps 2 to 4 for an address that a name, which [`Self::decide`] allowed for this destination, resolved to.
    ///
    /// `pinned` says that the operator gave the name this address for this port ([`crate::Pins`]): then it may be private or
    /// on the host's loopback, but still not metadata, link-local, an interface of the host, a listener of Bailiwick, or
    /// denied. `host.internal` is always on loopback. Anything that is allowed has the reason of the name, or `pinned`.
    pub fn decide_resolved(
        &self,
        destination: &Destination,
        address: IpAddr,
        pinned: bool,
        host: &HostFacts,
    ) -> Ruling<'_> {
        first_denial(
            self.each()
                .map(|policy| policy.judge_resolved(destination, address, pinned, host)),
        )
    }

    /// Step 3 alone: what the organization or an environment denies by name or by address, whatever else is said. For servers that the operator
    /// chose, which need no rule and may be anywhere.
    pub fn denied(&self, target: &Host, port: u16, host: &HostFacts) -> Option<Ruling<'_>> {
        self.each().find_map(|policy| {
            let hits = policy.hits(target, port, host);
            match (hits.organization, hits.denied) {
                (Some(rule), _) => Some(Ruling::by(Reason::OrganizationFloor, rule)),
                (None, Some(rule)) => Some(Ruling::by(Reason::DeniedRule, rule)),
                (None, None) => None,
            }
        })
    }

    /// Whether the organization or an environment denies addresses, so that a name alone does not say whether it is denied.
    pub fn denies_addresses(&self) -> bool {
        let mut written = self.rules().iter();
        written.any(|rule| !rule.allows() && matches!(rule.matcher, Matcher::Cidr(_)))
    }

    fn judge_resolved(
        &self,
        destination: &Destination,
        address: IpAddr,
        pinned: bool,
        host: &HostFacts,
    ) -> Ruling<'_> {
        let named = self.decide(destination, host);
        if !named.is_allowed() {
            return named;
        }
        if destination.protocol != Protocol::Tcp {
            return Ruling::without_rule(Reason::InvalidDestination);
        }
        let service = named.reason == Reason::HostPort;
        let loopback = address.to_canonical().is_loopback();
        let mut hits = self.address_hits(address, destination.port, host);
        if loopback && (pinned || service) {
            hits.floor = listener(address, destination.port, host);
            // `::1` lies in a range that is not public.
            hits.non_public = None;
        } else if service {
            hits.floor = Some(Rule::CLOSED_HOST_SERVICE);
        }
        match hits {
            Hits {
                floor: Some(rule), ..
            } => Ruling::by(Reason::Floor, rule),
            Hits {
                organization: Some(rule),
                ..
            } => Ruling::by(Reason::OrganizationFloor, rule),
            Hits {
                denied: Some(rule), ..
            } => Ruling::by(Reason::DeniedRule, rule),
            Hits {
                non_public: Some(rule),
                ..
            } if !pinned => Ruling::by(Reason::ResolvedToPrivate, rule),
            _ if pinned => Ruling {
                reason: Reason::Pinned,
                rule: named.rule,
            },
            _ => named,
        }
    }

    /// Asks about every port at which the answer can change from denied to allowed: where a rule that allows begins, the
    /// first port of all, and after the end of a rule that denies. The first one words the denial. Where several policies
    /// have to allow it, it is one of their ports too at which all of them begin to.
    fn decide_any_port(&self, target: &Host, host: &HostFacts) -> Ruling<'_> {
        let mut answer: Option<Ruling<'_>> = None;
        let mut ask = |port| {
            if answer.is_none_or(|ruling| !ruling.is_allowed()) {
                let ruling = self.judge_by_all(target, port, Protocol::Tcp, host);
                if ruling.is_allowed() || answer.is_none() {
                    answer = Some(ruling);
                }
            }
        };
        self.each_rule(target, |rule| {
            if rule.allows() {
                ask(rule.ports().low());
            }
        });
        if is_host_service(target) {
            let ports = self.each().flat_map(Self::host_ports);
            ports.copied().for_each(&mut ask);
        }
        ask(1);
        self.each_rule(target, |rule| {
            if let (false, Some(next)) = (rule.allows(), rule.ports().high().checked_add(1)) {
                ask(next);
            }
        });
        answer.unwrap_or(Ruling::without_rule(Reason::NoRule))
    }

    /// Calls `visit` with every rule about the target, whatever its ports.
    pub(crate) fn each_rule<'p>(&'p self, target: &Host, mut visit: impl FnMut(&'p Rule)) {
        for policy in self.each() {
            match target {
                Host::Name(name) => policy.hosts.each_rule(name.as_str(), &mut visit),
                Host::Address(address) => {
                    for form in Forms::of(*address).as_slice() {
                        policy.addresses.each_rule(*form, &mut visit);
                    }
                }
            }
        }
    }

    fn hits(&self, target: &Host, port: u16, host: &HostFacts) -> Hits<'_> {
        match target {
            Host::Name(name) => self.name_hits(name, port, host),
            Host::Address(address) => self.address_hits(*address, port, host),
        }
    }

    fn name_hits(&self, name: &HostName, port: u16, host: &HostFacts) -> Hits<'_> {
        let mut hits = self.hosts.look_up(name.as_str(), port);
        if name.as_str() == HOST_SERVICE {
            let own = host
                .listeners
                .iter()
                .any(|listener| listener.port() == port);
            match (own, self.host_ports().contains(&port)) {
                (true, _) => hits.floor = Some(Rule::LISTENERS),
                (false, true) => hits.host_service = Some(Rule::HOST_SERVICE),
                (false, false) => hits.floor = Some(Rule::CLOSED_HOST_SERVICE),
            }
        }
        hits
    }

    /// What matches the address or one that lies in it. Only what allows the address itself allows; what denies any of
    /// them denies; and each that is not public needs an `allowed_cidrs` of its own.
    fn address_hits(&self, address: IpAddr, port: u16, host: &HostFacts) -> Hits<'_> {
        let forms = Forms::of(address);
        let mut all = Hits::default();
        for (index, form) in forms.as_slice().iter().enumerate() {
            let hits = self.addresses.look_up(*form, port);
            let own = listener(*form, port, host).or_else(|| own_address(*form, host));
            all.floor = all.floor.or(own).or(hits.floor);
            all.organization = all.organization.or(hits.organization);
            all.denied = all.denied.or(hits.denied);
            all.non_public = all.non_public.or(if hits.cidr_rule.is_none() {
                hits.non_public
            } else {
                None
            });
            if index == 0 {
                all.cidr_rule = hits.cidr_rule;
            }
        }
        all
    }
}

/// The first ruling that denies; if none does, the first of all.
fn first_denial<'p>(rulings: impl Iterator<Item = Ruling<'p>>) -> Ruling<'p> {
    let mut first = None;
    for ruling in rulings {
        if !ruling.is_allowed() {
            return ruling;
        }
        first.get_or_insert(ruling);
    }
    first.unwrap_or(Ruling::without_rule(Reason::NoRule))
}

fn is_host_service(target: &Host) -> bool {
    matches!(target, Host::Name(name) if name.as_str() == HOST_SERVICE)
}

fn own_address(address: IpAddr, host: &HostFacts) -> Option<&'static Rule> {
    let own = host
        .addresses
        .iter()
        .any(|own| own.to_canonical() == address);
    own.then_some(Rule::HOST_ADDRESSES)
}

/// Whether a listener of Bailiwick answers there. One on an unspecified address answers on every address of the host, of
/// either family.
fn listener(address: IpAddr, port: u16, host: &HostFacts) -> Option<&'static Rule> {
    let address = address.to_canonical();
    let of_host = || {
        address.is_loopback()
            || host
                .addresses
                .iter()
                .any(|own| own.to_canonical() == address)
    };
    let answers = |listener: &SocketAddr| {
        let bound = listener.ip().to_canonical();
        listener.port() == port && (bound == address || bound.is_unspecified() && of_host())
    };
    host.listeners
        .iter()
        .any(answers)
        .then_some(Rule::LISTENERS)
}
