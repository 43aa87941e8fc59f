//! The bare relay: accepts, connects, splices. No policy, no inspection, no limits, no record: what is left is the cost
//! of relaying, the least that any relay on tokio can have.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};

use crate::os;
use crate::protocol::{ServiceArgs, Services};
use crate::worker;

/// What a pipe holds. Measured with 64 KiB, 256 KiB and 1 MiB, with one thread and with two: the best for 64 streams, and
/// close to the best for one (1 MiB is faster for one and half as fast for 64).
const PIPE_BYTES: usize = 256 * 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    services: ServiceArgs,
}

/// Relays until standard input ends; the first line on standard output says from where.
pub(crate) fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .build()?;
    let services = args.services.into();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || runtime.block_on(serve(services, send)));
    worker::say(&receive.recv()?)?;
    worker::wait_for_end()
}

async fn serve(upstreams: Services, ready: std::sync::mpsc::Sender<Services>) -> Result<()> {
    let (echo, to_echo) = listen(upstreams.echo).await?;
    let (source, to_source) = listen(upstreams.source).await?;
    let (https, to_https) = listen(upstreams.https).await?;
    ready.send(Services {
        echo,
        source,
        https,
    })?;
    tokio::try_join!(
        tokio::spawn(to_echo),
        tokio::spawn(to_source),
        tokio::spawn(to_https)
    )?;
    Ok(())
}

async fn listen(upstream: SocketAddr) -> Result<(SocketAddr, impl Future<Output = ()>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let accept = async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(relay(client, upstream));
        }
    };
    Ok((address, accept))
}

async fn relay(mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = os::connect_async(upstream).await?;
    tokio::try_join!(pump(&client, &server), pump(&server, &client))?;
    client.shutdown().await?;
    server.shutdown().await
}

async fn pump(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // Refused when the user's pipes together hold too much; the default size will do then.
    let _ = fcntl_setpipe_size(&into, PIPE_BYTES);
    let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
    loop {
        let fill = || Ok(splice(from, None, &into, None, PIPE_BYTES, flags)?);
        let mut held = from.async_io(Interest::READABLE, fill).await?;
        if held == 0 {
            return Ok(rustix::net::shutdown(to, rustix::net::Shutdown::Write)?);
        }
        while held > 0 {
            let drain = || Ok(splice(&out, None, to, None, held, flags)?);
            held -= to.async_io(Interest::WRITABLE, drain).await?;
        }
    }
}
