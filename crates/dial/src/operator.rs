//! Connections to destinations that the operator chose in the server's own configuration, as an upstream proxy is chosen: receivers of
//! logs. They are no policy's business, and may well be on this machine. Nothing that an API caller, an agent or a sandbox names may come
//! here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bailiwick_model::{Destination, Host};
use tokio::net::{TcpStream, UdpSocket};

use crate::dialer::{Dialer, not_found};
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
        let connecting = async {
            let proxy = self.options.proxy.as_ref();
            if let Some(proxy) = proxy.filter(|proxy| !proxy.bypasses(destination)) {
                let mut stream = self.connect_to_proxy(proxy).await?;
                tunnel::open(&mut stream, proxy.url(), destination).await?;
                return Ok(stream);
            }
            let addresses = self.chosen(destination).await?;
            Ok(connect::race(&addresses).await?.0)
        };
        tokio::time::timeout(self.options.connect_timeout, connecting)
            .await
            .map_err(|_| Unreachable::Timeout)?
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
