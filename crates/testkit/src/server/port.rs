//! Ports for servers that take no port 0.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

use super::LOOPBACK;

/// A port of 127.0.0.1 on which nobody listens, and which the kernel gives to nobody while this lives.
///
/// It is bound and not listened on: a server that sets `SO_REUSEADDR`, as servers do, can listen on it all the same (socket(7)); a connection to
/// it is refused until one does.
#[derive(Debug)]
pub struct FreePort {
    _bound: OwnedFd,
    number: u16,
}

impl FreePort {
    /// Some port.
    pub fn find() -> Self {
        let bound = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        set_socket_reuseaddr(&bound, true).expect("an option");
        bind(&bound, &SocketAddr::new(LOOPBACK, 0)).expect("a port");
        let address = getsockname(&bound).expect("it is bound");
        let address = SocketAddr::try_from(address).expect("an address of a network");
        Self {
            _bound: bound,
            number: address.port(),
        }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Where a server on it is.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(LOOPBACK, self.number)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_free_port_is_refused_then_listened_on_and_given_to_nobody_else() {
        let port = FreePort::find();
        let connect = || TcpStream::connect_timeout(&port.address(), Duration::from_secs(20));
        assert_eq!(
            connect().map_err(|error| error.kind()).err(),
            Some(ErrorKind::ConnectionRefused)
        );
        for _ in 0..200 {
            assert_ne!(FreePort::find().number(), port.number());
        }
        let listener = TcpListener::bind(port.address()).expect("beside it");
        connect().expect("a connection");
        let second = TcpListener::bind(port.address()).map_err(|error| error.kind());
        assert_eq!(second.err(), Some(ErrorKind::AddrInUse), "it is taken now");
        drop(listener);
    }
}
