//! Connections to a server inside, and `--publish`, which offers it on the host's loopback.
//!
//! The socket is made by the sandbox's init, and stays in its network namespace wherever it is passed: loopback is the sandbox's own, and of
//! the host's nothing can be reached over it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as StdTcpStream};
use std::os::fd::OwnedFd;

use bailiwick_runtime::{ByteStream, Error};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::keeper::Handle;

/// Connections to one published port that may be open at once.
const CONNECTIONS: usize = 256;

/// Ports that are offered; no more once it is dropped.
#[derive(Debug)]
pub struct Published(Vec<JoinHandle<()>>);

impl Published {
    /// Offers each port on 127.0.0.1.
    ///
    /// # Errors
    ///
    /// The port is taken, or may not be had; nothing is offered then.
    pub async fn offer(ports: &[u16], handle: &Handle) -> Result<Self, (u16, io::Error)> {
        let mut listeners = Vec::new();
        for port in ports {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, *port))
                .await
                .map_err(|error| (*port, error))?;
            listeners.push((*port, listener));
        }
        let serve = |(port, listener)| tokio::spawn(serve(listener, port, handle.clone()));
        Ok(Self(listeners.into_iter().map(serve).collect()))
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

async fn serve(listener: TcpListener, port: u16, handle: Handle) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((outside, _)) => {
                let handle = handle.clone();
                connections.spawn(async move { relay(outside, port, &handle).await });
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn relay(mut outside: TcpStream, port: u16, handle: &Handle) -> io::Result<()> {
    let mut inside = connect_inside(port, handle).await?;
    outside.set_nodelay(true)?;
    inside.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut outside, &mut inside)
        .await
        .map(drop)
}

/// A connection that came as a descriptor.
pub(crate) fn as_stream(connection: OwnedFd) -> Result<ByteStream, Error> {
    let made = || {
        let connection = StdTcpStream::from(connection);
        connection.set_nonblocking(true)?;
        connection.set_nodelay(true)?;
        TcpStream::from_std(connection)
    };
    let stream = made().map_err(|error: io::Error| Error::Backend(error.into()))?;
    Ok(Box::pin(stream))
}

/// Servers listen on either family.
pub(crate) async fn connect_inside(port: u16, handle: &Handle) -> io::Result<TcpStream> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match socket(handle, false).await?.connect(v4).await {
        Ok(stream) => Ok(stream),
        Err(_) => {
            socket(handle, true)
                .await?
                .connect(SocketAddr::from((Ipv6Addr::LOCALHOST, port)))
                .await
        }
    }
}

async fn socket(handle: &Handle, ipv6: bool) -> io::Result<TcpSocket> {
    Ok(TcpSocket::from_std_stream(StdTcpStream::from(
        handle.socket(ipv6).await?,
    )))
}
