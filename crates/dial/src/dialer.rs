//! From a destination to a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_model::{Destination, Host, HostName, Reason, Verdict, limits};
use bailiwick_policy::{HostFacts, Pins, Policy, Ruling};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::proto::rr::RecordType;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::resolve::HostResolver;
use crate::{DialError, LookupError, ProxySettings, Unreachable, connect, tunnel};

/// How one process dials.
#[derive(Debug, Clone)]
pub struct DialOptions {
    /// Names whose addresses the operator gave.
    pub pins: Pins,
    /// The proxy between this machine and the network, if there is one.
    pub proxy: Option<ProxySettings>,
    /// Whether the proxy may resolve names, although the addresses then cannot be checked.
    pub trust_proxy_dns: bool,
    /// How long resolving and connecting may take together.
    pub connect_timeout: Duration,
    /// The host's own addresses and listeners, kept fresh by the caller.
    pub host: watch::Receiver<Arc<HostFacts>>,
}

impl DialOptions {
    /// No pins, no proxy, the usual timeout.
    pub fn new(host: watch::Receiver<Arc<HostFacts>>) -> Self {
        Self {
            pins: Pins::none(),
            proxy: None,
            trust_proxy_dns: false,
            connect_timeout: limits::CONNECT_TIMEOUT,
            host,
        }
    }
}

/// A connection that the policy allowed.
#[derive(Debug)]
pub struct Dialed {
    /// The connection; TCP_NODELAY is set.
    pub stream: TcpStream,
    /// The address that was checked and dialled; none where an upstream proxy resolved the name.
    pub address: Option<IpAddr>,
    /// Whether the operator pinned that address, which [`Policy::decide_resolved`] wants to know when it is asked again.
    pub pinned: bool,
    /// Why the policy allowed it.
    pub reason: Reason,
    /// The rule that allowed it, as written.
    pub rule: Option<String>,
}

/// Makes every outgoing connection of one process.
pub struct Dialer {
    pub(crate) options: DialOptions,
    pub(crate) resolver: HostResolver,
}

/// Where the addresses of a destination come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The destination is an address.
    Literal,
    /// The operator pinned them.
    Pinned,
    /// It is a port of the host itself that `host_ports` opens.
    HostService,
    /// The host's resolver gave them.
    Resolved,
}

/// A connection that is made, before the last check.
struct Way<'p> {
    stream: TcpStream,
    address: Option<IpAddr>,
    origin: Origin,
    direct: bool,
    ruling: Ruling<'p>,
}

impl Dialer {
    /// A dialer; it opens nothing until it is used.
    pub fn new(options: DialOptions) -> Self {
        Self {
            options,
            resolver: HostResolver::default(),
        }
    }

    /// What the host is at this moment.
    pub fn host_facts(&self) -> Arc<HostFacts> {
        self.options.host.borrow().clone()
    }

    /// Follows what the host is.
    pub fn watch_host_facts(&self) -> watch::Receiver<Arc<HostFacts>> {
        self.options.host.clone()
    }

    /// Decides on `destination`, resolves it, checks each address, and connects to one that was checked.
    ///
    /// # Errors
    ///
    /// [`DialError::Denied`] if the policy denies the destination or any one of its addresses.
    pub async fn dial(
        &self,
        policy: &Policy,
        destination: &Destination,
    ) -> Result<Dialed, DialError> {
        let facts = self.host_facts();
        let ruling = policy.decide(destination, &facts);
        if ruling.verdict() == Verdict::Deny {
            return Err(DialError::Denied(
                policy.explain_ruling(destination, ruling),
            ));
        }
        let way = self.connect(policy, destination, &facts, ruling);
        let Way {
            stream,
            address,
            origin,
            direct,
            ruling,
        } = tokio::time::timeout(self.options.connect_timeout, way)
            .await
            .map_err(|_| Unreachable::Timeout)??;
        let own_is_meant = matches!(origin, Origin::Pinned | Origin::HostService);
        // An address of this machine that the list of its addresses missed answers from itself.
        if direct
            && !own_is_meant
            && address.is_some_and(|address| connect::is_own_address(&stream, address))
        {
            return Err(denied(policy, destination, Reason::Floor));
        }
        let rule = ruling.rule.map(ToString::to_string);
        Ok(Dialed {
            stream,
            address,
            pinned: origin == Origin::Pinned,
            reason: ruling.reason,
            rule,
        })
    }

    /// The records that the host's resolver has for `name`, for answers that are passed on as they are.
    ///
    /// # Errors
    ///
    /// Says whether the name or the record is missing, or the resolver failed.
    pub async fn lookup(&self, name: &HostName, kind: RecordType) -> Result<Lookup, LookupError> {
        self.resolver.lookup(name, kind).await
    }

    async fn connect<'p>(
        &self,
        policy: &'p Policy,
        destination: &Destination,
        facts: &HostFacts,
        named: Ruling<'p>,
    ) -> Result<Way<'p>, DialError> {
        let (origin, known) = self.known_addresses(destination, named.reason);
        if let Some(proxy) = self.proxy_for(destination, origin) {
            // Boxed, like the look-up below: a caller holds one such future for each connection it relays.
            return Box::pin(self.connect_through(proxy, policy, destination, named)).await;
        }
        let addresses = match (known, &destination.host) {
            (Some(addresses), _) => addresses,
            (None, Host::Address(address)) => vec![*address],
            (None, Host::Name(name)) => Box::pin(self.resolver.addresses(name))
                .await
                .map_err(not_found)?,
        };
        let ruling = check(policy, destination, facts, origin, &addresses)?.unwrap_or(named);
        let checked: Vec<_> = addresses
            .iter()
            .map(|ip| SocketAddr::new(*ip, destination.port))
            .collect();
        let (stream, address) = connect::race(&checked).await?;
        Ok(Way {
            stream,
            address: Some(address),
            origin,
            direct: true,
            ruling,
        })
    }

    /// Where the addresses come from, and those that need no question to a resolver.
    fn known_addresses(
        &self,
        destination: &Destination,
        reason: Reason,
    ) -> (Origin, Option<Vec<IpAddr>>) {
        let name = match &destination.host {
            Host::Address(_) => return (Origin::Literal, None),
            Host::Name(name) => name,
        };
        if reason == Reason::HostPort {
            return (
                Origin::HostService,
                Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
            );
        }
        let pinned: Vec<IpAddr> = self
            .options
            .pins
            .addresses(name, destination.port)
            .collect();
        if pinned.is_empty() {
            (Origin::Resolved, None)
        } else {
            (Origin::Pinned, Some(pinned))
        }
    }

    fn proxy_for(&self, destination: &Destination, origin: Origin) -> Option<&ProxySettings> {
        match origin {
            Origin::Pinned | Origin::HostService => None,
            Origin::Literal | Origin::Resolved => self
                .options
                .proxy
                .as_ref()
                .filter(|proxy| !proxy.bypasses(destination)),
        }
    }

    async fn connect_through<'p>(
        &self,
        proxy: &ProxySettings,
        policy: &'p Policy,
        destination: &Destination,
        ruling: Ruling<'p>,
    ) -> Result<Way<'p>, DialError> {
        let (address, origin) = match &destination.host {
            Host::Name(_) if !self.options.trust_proxy_dns => {
                return Err(denied(policy, destination, Reason::UnverifiedAddress));
            }
            Host::Name(_) => (None, Origin::Resolved),
            Host::Address(address) => (Some(*address), Origin::Literal),
        };
        let mut stream = self.connect_to_proxy(proxy).await?;
        tunnel::open(&mut stream, proxy.url(), destination).await?;
        Ok(Way {
            stream,
            address,
            origin,
            direct: false,
            ruling,
        })
    }

    /// The proxy is the operator's choice, so its address is not the policy's business.
    pub(crate) async fn connect_to_proxy(
        &self,
        proxy: &ProxySettings,
    ) -> Result<TcpStream, DialError> {
        let addresses = match proxy.url().host() {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.resolver.addresses(name).await.map_err(not_found)?,
        };
        let addresses: Vec<_> = addresses
            .into_iter()
            .map(|ip| SocketAddr::new(ip, proxy.url().port()))
            .collect();
        Ok(connect::race(&addresses).await?.0)
    }
}

/// Every address has to pass; one that does not fails the dial, since which of them is used is up to the network.
/// The answer is the ruling of the last one; nothing for a literal, which `decide` judged.
fn check<'p>(
    policy: &'p Policy,
    destination: &Destination,
    facts: &HostFacts,
    origin: Origin,
    addresses: &[IpAddr],
) -> Result<Option<Ruling<'p>>, DialError> {
    let pinned = match origin {
        Origin::Literal => return Ok(None),
        Origin::Pinned => true,
        Origin::HostService | Origin::Resolved => false,
    };
    let mut last = None;
    for address in addresses {
        let ruling = policy.decide_resolved(destination, *address, pinned, facts);
        if ruling.verdict() == Verdict::Deny {
            return Err(DialError::Denied(policy.explain_resolved(
                destination,
                *address,
                ruling,
            )));
        }
        last = Some(ruling);
    }
    Ok(last)
}

pub(crate) fn not_found(error: LookupError) -> DialError {
    match error {
        LookupError::NoSuchName | LookupError::NoSuchRecord => DialError::NameNotFound,
        LookupError::Configuration(_) | LookupError::Failed(_) => {
            Unreachable::Resolver(error).into()
        }
    }
}

pub(crate) fn denied(policy: &Policy, destination: &Destination, reason: Reason) -> DialError {
    DialError::Denied(policy.explain_ruling(destination, Ruling { reason, rule: None }))
}
