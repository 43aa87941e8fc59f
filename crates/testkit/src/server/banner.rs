//! A server that speaks first, as SSH, SMTP and FTP do.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};

use super::{LOOPBACK, TcpService};

/// Sends a banner at once, then returns what it is sent, until the client closes.
#[derive(Debug)]
pub struct BannerServer(TcpService);

impl BannerServer {
    /// On 127.0.0.1, with the banner of an SSH server.
    pub fn start() -> Self {
        Self::start_at(LOOPBACK, "SSH-2.0-bailiwick_test\r\n")
    }

    /// On any address of this machine, with any banner.
    pub fn start_at(address: IpAddr, banner: &'static str) -> Self {
        Self(TcpService::start(
            SocketAddr::new(address, 0),
            move |mut stream| {
                let mut buffer = [0; 16 * 1024];
                let mut sent = stream.write_all(banner.as_bytes()).is_ok();
                while sent {
                    sent = match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => false,
                        Ok(length) => stream.write_all(&buffer[..length]).is_ok(),
                    };
                }
            },
        ))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// How many connections have reached it.
    pub fn connections(&self) -> usize {
        self.0.connections()
    }
}
