//! Whether anything that a credential is for can be reached at all.

use bailiwick_model::{Destination, Host, HostName, Protocol};

use super::Policy;
use crate::rule::Matcher;
use crate::{CredentialHost, HostFacts, HostPattern, Ports};

impl Policy {
    /// Whether there is a name or an address that the credential's host stands for and that may be reached, on a host about which nothing is
    /// known. Of names below another one, those that a rule names are tried, and one that none does.
    pub fn may_reach(&self, host: &CredentialHost) -> bool {
        match host {
            CredentialHost::Address(address) => {
                self.allows(&Host::Address((*address).into()), Ports::ANY)
            }
            CredentialHost::Name(pattern) => {
                let mut names = self.names_of(pattern).into_iter().map(Host::Name);
                names.any(|name| self.allows(&name, pattern.ports()))
            }
        }
    }

    /// On one of these ports: the first is tried, and those at which the answer can change.
    fn allows(&self, target: &Host, wanted: Ports) -> bool {
        let mut ports = vec![wanted.low()];
        self.each_rule(target, |rule| {
            ports.push(rule.ports().low());
            ports.extend(rule.ports().high().checked_add(1));
        });
        ports.extend(self.each().flat_map(Self::host_ports));
        let host = HostFacts::unknown();
        let mut wanted = ports.into_iter().filter(|port| wanted.contains(*port));
        wanted.any(|port| {
            let destination = Destination {
                host: target.clone(),
                port,
                protocol: Protocol::Tcp,
            };
            self.decide(&destination, &host).is_allowed()
        })
    }

    fn names_of(&self, pattern: &HostPattern) -> Vec<HostName> {
        if !pattern.is_wildcard() {
            return vec![pattern.host().clone()];
        }
        let below = |base: &HostName| HostName::from_normalised(&format!("bailiwick.{base}")).ok();
        let mut names: Vec<_> = below(pattern.host()).into_iter().collect();
        for rule in self.rules() {
            let Matcher::Host(named) = &rule.matcher else {
                continue;
            };
            let name = if named.is_wildcard() {
                below(named.host())
            } else {
                Some(named.host().clone())
            };
            names.extend(name.filter(|name| pattern.matches(name)));
        }
        names
    }
}
