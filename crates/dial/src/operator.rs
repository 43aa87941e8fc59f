//! Connections to destinations that the operator chose in the server's own configuration, as an upstream proxy is chosen: receivers of
//! logs, the server's own model upstream. They need nobody's rule, and may well be on this machine. Nothing that an API caller, an agent or a sandbox names may come
//! here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bailiwick_model::{Destination, Host, Reason};
use bailiwick_policy::Policy;
use tokio::net::{TcpStream, UdpSocket};

use crate::dialer::{Dialer, denied, not_found};
use crate::{DialError, Unreachable, connect, tunnel};

impl Dialer {
    /// Connects to a destination of the operator's choice, through the upstream proxy if there is one for it.
    ///
    /// # Errors
    ///
    /// [`DialError::NameNotFound`] and [`DialError::Unreachable`].
    pub async fn dial_for_operator(
        &self,
        destination: &Destination,
    ) -> Result<TcpStream, DialError> {
        self.dial_chosen(destination, None).await
    }

    /// The same, but for what a policy denies expressly ([`Policy::denied`]), by name or by any of its addresses.
    ///
    /// # Errors
    ///
    /// [`DialError::Denied`], [`DialError::NameNotFound`] and [`DialError::Unreachable`].
    pub async fn dial_for_operator_within(
        &self,
        policy: &Policy,
        destination: &Destination,
    ) -> Result<TcpStream, DialError> {
        self.dial_chosen(destination, Some(policy)).await
    }

    async fn dial_chosen(
        &self,
        destination: &Destination,
        within: Option<&Policy>,
    ) -> Result<TcpStream, DialError> {
        if let Some(policy) = within {
            self.is_not_denied(policy, destination, &destination.host)?;
        }
        let connecting = async {
            let proxy = self.options.proxy.as_ref();
            if let Some(proxy) = proxy.filter(|proxy| !proxy.bypasses(destination)) {
                self.would_know_its_address(within, destination)?;
                let mut stream = self.connect_to_proxy(proxy).await?;
                tunnel::open(&mut stream, proxy.url(), destination).await?;
                return Ok(stream);
            }
            let addresses = self.chosen(destination).await?;
            if let Some(policy) = within {
                for address in &addresses {
                    self.is_not_denied(policy, destination, &Host::Address(address.ip()))?;
                }
            }
            Ok(connect::race(&addresses).await?.0)
        };
        tokio::time::timeout(self.options.connect_timeout, connecting)
            .await
            .map_err(|_| Unreachable::Timeout)?
    }

    fn is_not_denied(
        &self,
        policy: &Policy,
        destination: &Destination,
        target: &Host,
    ) -> Result<(), DialError> {
        match policy.denied(target, destination.port, &self.host_facts()) {
            None => Ok(()),
            Some(ruling) => Err(DialError::Denied(
                policy.explain_ruling(destination, ruling),
            )),
        }
    }

    /// A name that the upstream proxy resolves may mean any address.
    fn would_know_its_address(
        &self,
        within: Option<&Policy>,
        destination: &Destination,
    ) -> Result<(), DialError> {
        let policy = within.filter(|policy| policy.denies_addresses());
        match (policy, &destination.host) {
            (Some(policy), Host::Name(_)) if !self.options.trust_proxy_dns => {
                Err(denied(policy, destination, Reason::UnverifiedAddress))
            }
            (Some(_), Host::Name(_) | Host::Address(_)) | (None, _) => Ok(()),
        }
    }

    /// A socket whose datagrams go to a destination of the operator's choice, to the first of its addresses.
    ///
    /// # Errors
    ///
    /// [`DialError::NameNotFound`] and [`DialError::Unreachable`].
    pub async fn datagrams_for_operator(
        &self,
        destination: &Destination,
    ) -> Result<UdpSocket, DialError> {
        let resolving = self.chosen(destination);
        let addresses = tokio::time::timeout(self.options.connect_timeout, resolving)
            .await
            .map_err(|_| Unreachable::Timeout)??;
        let address = *addresses.first().ok_or(DialError::NameNotFound)?;
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await.map_err(Unreachable::from)?;
        socket.connect(address).await.map_err(Unreachable::from)?;
        Ok(socket)
    }

    async fn chosen(&self, destination: &Destination) -> Result<Vec<SocketAddr>, DialError> {
        let port = destination.port;
        let addresses = match &destination.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let pinned: Vec<IpAddr> = self.options.pins.addresses(name, port).collect();
                if pinned.is_empty() {
                    self.resolver.addresses(name).await.map_err(not_found)?
                } else {
                    pinned
                }
            }
        };
        let socket = |address| SocketAddr::new(address, port);
        Ok(addresses.into_iter().map(socket).collect())
    }
}
