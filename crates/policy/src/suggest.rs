//! From what was seen to the smallest policy that allows it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bailiwick_model::{Destination, Flow, Host, HostName, PolicySource, Protocol, Reason};

use crate::forms::Forms;
use crate::{
    CidrRule, EffectivePolicy, EgressPolicy, HostFacts, HostPattern, OrganizationFloor, Policy,
    Ports, SessionGrants,
};

/// The policy that [`suggest`] proposes, and what it leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// `limited`, with a rule for each destination: exact names and single addresses, each with its port.
    pub policy: EgressPolicy,
    /// Names that were only asked for, so that their port is not known; port 443 is assumed.
    pub assumed_https: Vec<HostName>,
    /// What was seen and no rule can open, each once.
    pub unopened: Vec<Unopened>,
}

/// A destination that the suggested policy does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unopened {
    /// What was asked for.
    pub destination: Destination,
    /// Why it stays closed.
    pub why: Unopenable,
}

/// Why no rule is suggested for a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Unopenable {
    /// Metadata, link-local, the host itself.
    #[error("the floor: no rule opens it (a service of the host is opened with `host_ports`)")]
    Floor,
    /// The organization denies it.
    #[error("the organization denies it in every environment")]
    OrganizationFloor,
    /// The environment denies it on purpose.
    #[error("the environment denies it; remove that rule if it is to be reachable")]
    DeniedRule,
    /// A datagram.
    #[error("UDP is never relayed")]
    Udp,
    /// Not a destination.
    #[error("it is not a valid destination")]
    InvalidDestination,
    /// The connection said it was for another host.
    #[error("TLS or HTTP named another host than was connected to; allow that host if it is meant")]
    OtherHostNamed,
    /// The host is one that a credential is for.
    #[error("the rules for hosts of credentials stopped it, not a rule of the policy")]
    Credential,
    /// A limit, not a rule.
    #[error("a limit of the sandbox stopped it, not a rule")]
    Limit,
    /// An upstream proxy resolves the name.
    #[error("its address could not be checked behind the upstream proxy; see --trust-proxy-dns")]
    UnverifiedAddress,
    /// It resolved to a non-public address, and the flow does not say to which.
    #[error(
        "it resolved to a private address that the flow does not name; add the block to `allowed_cidrs`"
    )]
    UnknownAddress,
}

/// The smallest policy that would have allowed exactly the flows that a policy can allow.
///
/// What the floor holds is never opened, whatever the flows say; host services stay as they were.
pub fn suggest(flows: &[Flow]) -> Suggestion {
    let mut draft = Draft::new();
    flows.iter().for_each(|flow| draft.add(flow));
    draft.finish()
}

struct Draft {
    /// A policy without rules: it knows the floor and what is not public.
    nothing: Policy,
    connections: BTreeSet<(HostName, u16)>,
    questions: BTreeSet<HostName>,
    cidrs: BTreeSet<CidrRule>,
    host_ports: BTreeSet<u16>,
    unopened: BTreeMap<Destination, Unopenable>,
}

impl Draft {
    fn new() -> Self {
        let effective = EffectivePolicy {
            policy: EgressPolicy::limited(),
            source: PolicySource::BuiltIn,
        };
        Self {
            nothing: Policy::compile(
                effective,
                &OrganizationFloor::empty(),
                &SessionGrants::none(),
            ),
            connections: BTreeSet::new(),
            questions: BTreeSet::new(),
            cidrs: BTreeSet::new(),
            host_ports: BTreeSet::new(),
            unopened: BTreeMap::new(),
        }
    }

    fn add(&mut self, flow: &Flow) {
        let opened = match flow.reason {
            Reason::InvalidDestination => Err(Unopenable::InvalidDestination),
            Reason::Floor => Err(Unopenable::Floor),
            Reason::OrganizationFloor => Err(Unopenable::OrganizationFloor),
            Reason::DeniedRule => Err(Unopenable::DeniedRule),
            Reason::UnverifiedAddress => Err(Unopenable::UnverifiedAddress),
            Reason::CredentialRequest | Reason::UpstreamCertificate => Err(Unopenable::Credential),
            Reason::SniMismatch | Reason::HostMismatch => Err(Unopenable::OtherHostNamed),
            Reason::Udp => Err(Unopenable::Udp),
            Reason::NameLimit | Reason::ConnectionLimit => Err(Unopenable::Limit),
            Reason::HostPort => self.add_host_port(&flow.destination),
            Reason::ResolvedToPrivate if flow.address.is_none() => Err(Unopenable::UnknownAddress),
            // The pin stays on the command line; only the name needs a rule.
            Reason::Pinned => self.add_destination(&flow.destination, None),
            Reason::PrivateAddress
            | Reason::Unrestricted
            | Reason::HostRule
            | Reason::Preset
            | Reason::SessionGrant
            | Reason::CidrRule
            | Reason::NoRule
            | Reason::ResolvedToPrivate
            | Reason::NameNotFound
            | Reason::Unreachable => self.add_destination(&flow.destination, flow.address),
        };
        if let Err(why) = opened {
            self.unopened.insert(flow.destination.clone(), why);
        }
    }

    fn add_host_port(&mut self, destination: &Destination) -> Result<(), Unopenable> {
        // The question for the name is allowed by any port, and the connection that follows names it.
        if destination.port != 0 {
            self.host_ports.insert(destination.port);
        }
        Ok(())
    }

    fn add_destination(
        &mut self,
        destination: &Destination,
        address: Option<IpAddr>,
    ) -> Result<(), Unopenable> {
        let ports = match (destination.protocol, Ports::one(destination.port)) {
            (Protocol::Tcp, Some(ports)) => Some(ports),
            (Protocol::Dns, None) => None,
            (Protocol::Udp, _) => return Err(Unopenable::Udp),
            (Protocol::Tcp, None) | (Protocol::Dns, Some(_)) => {
                return Err(Unopenable::InvalidDestination);
            }
        };
        self.refuse_floor(destination)?;
        match (&destination.host, ports) {
            (Host::Name(name), Some(ports)) => {
                let private =
                    address.map_or(Ok(Vec::new()), |address| self.private_forms(address, ports))?;
                self.cidrs.extend(private);
                self.connections.insert((name.clone(), ports.low()));
            }
            (Host::Name(name), None) => {
                self.questions.insert(name.clone());
            }
            (Host::Address(address), Some(ports)) => {
                let private = self.private_forms(*address, ports)?;
                self.cidrs.extend(private);
                self.cidrs
                    .insert(CidrRule::new(address.to_canonical().into(), ports));
            }
            (Host::Address(_), None) => return Err(Unopenable::InvalidDestination),
        }
        Ok(())
    }

    fn refuse_floor(&self, destination: &Destination) -> Result<(), Unopenable> {
        let floor = self
            .nothing
            .decide(destination, &HostFacts::unknown())
            .reason
            == Reason::Floor;
        if floor {
            Err(Unopenable::Floor)
        } else {
            Ok(())
        }
    }

    /// The rules without which step 4 denies the address.
    fn private_forms(&self, address: IpAddr, ports: Ports) -> Result<Vec<CidrRule>, Unopenable> {
        let mut rules = Vec::new();
        for form in Forms::of(address).as_slice() {
            let destination = Destination::tcp_address(*form, ports.low());
            let reason = self
                .nothing
                .decide(&destination, &HostFacts::unknown())
                .reason;
            if reason == Reason::Floor {
                return Err(Unopenable::Floor);
            }
            if reason == Reason::PrivateAddress {
                rules.push(CidrRule::new((*form).into(), ports));
            }
        }
        Ok(rules)
    }

    fn finish(self) -> Suggestion {
        let known: BTreeSet<&HostName> = self.connections.iter().map(|(name, _)| name).collect();
        let assumed_https: Vec<HostName> = self
            .questions
            .iter()
            .filter(|name| !known.contains(name))
            .cloned()
            .collect();
        let assumed = assumed_https.iter().map(|name| (name.clone(), 443));
        let hosts: BTreeSet<(HostName, u16)> =
            self.connections.iter().cloned().chain(assumed).collect();
        let pattern = |(name, port)| Ports::one(port).map(|ports| HostPattern::exact(name, ports));
        let policy = EgressPolicy {
            allowed_hosts: hosts.into_iter().filter_map(pattern).collect(),
            allowed_cidrs: self.cidrs.into_iter().collect(),
            host_ports: self.host_ports.into_iter().collect(),
            ..EgressPolicy::limited()
        };
        let unopened = self
            .unopened
            .into_iter()
            .map(|(destination, why)| Unopened { destination, why })
            .collect();
        Suggestion {
            policy,
            assumed_https,
            unopened,
        }
    }
}
