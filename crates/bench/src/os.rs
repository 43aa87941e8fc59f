//! The one place of this crate that starts programs, connects and reads the process environment.
//!
//! The product's rules name other places for these; what is measured here is partly not the product.

use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

/// A command to start.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    #[expect(clippy::disallowed_methods, reason = "peers are programs")]
    Command::new(program)
}

/// A connection without Nagle's delay.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the load generator is what the product is measured with"
    )]
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The same for the bare relay.
pub(crate) async fn connect_async(address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the bare relay is a peer of the product"
    )]
    let stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Where `PATH`, or a system directory that ordinary users' `PATH` lacks, has the program.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "peers are looked up as a shell would"
    )]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
