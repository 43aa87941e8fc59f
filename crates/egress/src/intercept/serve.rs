//! The life of an intercepted connection: TLS on both sides, then HTTP on both sides, until one of them ends.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bailiwick_model::{Decision, Destination, limits};
use hyper::client::conn::{http1 as client1, http2 as client2};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, client, server};

use super::authority::Authority;
use super::credentials::Credentials;
use super::exchange::{Exchange, State, Upstream};
use super::request::{self, Refusal};
use super::stream::CountedStream;
use super::tasks::{Owner, Tasks};
use super::tls::{self, Application, Wanted};
use crate::relay::{answer_tls, reset};
use crate::sandbox::Sandbox;

/// How an intercepted connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Both sides closed.
    Closed,
    /// One side broke off, or no TLS came about in time.
    Broken,
    /// Something was refused, and whoever asked was told.
    Refused(Refusal),
}

type Server = client::TlsStream<CountedStream>;

/// TLS with both sides.
struct Secured {
    client: server::TlsStream<CountedStream>,
    server: Server,
    application: Application,
}

/// Serves a connection whose client begins TLS.
pub(crate) async fn serve(
    sandbox: &Arc<Sandbox>,
    authority: &Authority,
    destination: &Destination,
    client: CountedStream,
    server: CountedStream,
) -> End {
    let secured = secure(sandbox, authority, destination, client, server);
    match timeout(limits::TLS_HANDSHAKE_TIMEOUT, secured).await {
        Ok(Ok(secured)) => relay(sandbox, destination, secured).await,
        Ok(Err(end)) => end,
        Err(_) => End::Broken,
    }
}

async fn secure(
    sandbox: &Sandbox,
    authority: &Authority,
    destination: &Destination,
    client: CountedStream,
    server: CountedStream,
) -> Result<Secured, End> {
    let hello = match LazyConfigAcceptor::new(rustls::server::Acceptor::default(), client).await {
        Ok(hello) => hello,
        Err(error) if error.get_ref().is_some() => {
            return Err(End::Refused(Refusal::Hello(error.to_string())));
        }
        Err(_) => return Err(End::Broken),
    };
    let wanted = agree(&hello.client_hello(), destination);
    let met = match wanted {
        Ok(wanted) => meet(sandbox, destination, wanted, server).await,
        Err(refusal) => Err(refusal),
    };
    let refuse = |refusal: Refusal, client: CountedStream| async {
        tell(sandbox, destination, &refusal, client).await;
        End::Refused(refusal)
    };
    let (server, application) = match met {
        Ok(met) => met,
        Err(refusal) => return Err(refuse(refusal, hello.io).await),
    };
    let config = match authority.server_config(&destination.host, application) {
        Ok(config) => config,
        Err(error) => {
            return Err(refuse(Refusal::Handshake(error.to_string()), hello.io).await);
        }
    };
    // The client does not trust this sandbox's authority, or went away.
    let client = hello.into_stream(config).await.map_err(|_| End::Broken)?;
    Ok(Secured {
        client,
        server,
        application,
    })
}

/// What the client's hello asks for, if it is for the destination.
fn agree(
    hello: &rustls::server::ClientHello<'_>,
    destination: &Destination,
) -> Result<Wanted, Refusal> {
    match hello.server_name() {
        Some(name) if !request::serves(name, &destination.host) => {
            Err(Refusal::ServerName(name.to_owned()))
        }
        Some(_) | None => Wanted::of(hello.alpn()).ok_or(Refusal::NotHttp),
    }
}

/// TLS with the server, whose certificate is verified before anything is sent.
async fn meet(
    sandbox: &Sandbox,
    destination: &Destination,
    wanted: Wanted,
    server: CountedStream,
) -> Result<(Server, Application), Refusal> {
    let failed = |error: &dyn std::fmt::Display| Refusal::Handshake(error.to_string());
    let name = tls::server_name(&destination.host).ok_or_else(|| failed(&"no name for TLS"))?;
    let config = sandbox
        .upstream_tls
        .config(wanted)
        .map_err(|error| failed(&error))?;
    let server = TlsConnector::from(config)
        .connect(name, server)
        .await
        .map_err(|error| {
            let of_tls = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match of_tls {
                Some(rustls::Error::InvalidCertificate(problem)) => {
                    Refusal::Certificate(problem.to_string())
                }
                Some(_) | None => failed(&error),
            }
        })?;
    let chosen = server.get_ref().1.alpn_protocol();
    match wanted.settled(chosen) {
        Some(application) => Ok((server, application)),
        None => Err(Refusal::NotHttp),
    }
}

/// Tells a client whose hello was read and not answered.
async fn tell(
    sandbox: &Sandbox,
    destination: &Destination,
    refusal: &Refusal,
    client: CountedStream,
) {
    let Some(client) = client.into_stream() else {
        return;
    };
    let decision = Decision {
        hint: Some(refusal.to_string()),
        ..sandbox.denial(destination, refusal.reason())
    };
    match refusal {
        Refusal::Handshake(_) => reset(client),
        Refusal::ServerName(_)
        | Refusal::Hello(_)
        | Refusal::OtherHost(_)
        | Refusal::HostCount(_)
        | Refusal::Method(_)
        | Refusal::Framing
        | Refusal::NotHttp
        | Refusal::Certificate(_) => answer_tls(client, &decision).await,
    }
}

async fn relay(sandbox: &Arc<Sandbox>, destination: &Destination, secured: Secured) -> End {
    let Secured {
        client,
        server,
        application,
    } = secured;
    let owner = Owner::default();
    let state = Arc::new(State::default());
    let upstream = match application {
        Application::Http1 { .. } => connect1(server, &owner, &state).await,
        Application::Http2 => connect2(server, &owner, &state).await,
    };
    let Ok(upstream) = upstream else {
        return End::Broken;
    };
    let exchange = Arc::new(Exchange {
        sandbox: Arc::clone(sandbox),
        destination: destination.clone(),
        credentials: Arc::new(Credentials::new(
            sandbox.network.in_force.clone(),
            destination.clone(),
        )),
        upstream,
        tasks: owner.tasks(),
        state: Arc::clone(&state),
    });
    let service = service_fn(move |request| Arc::clone(&exchange).forward(request));
    let client = TokioIo::new(client);
    let ended = match application {
        Application::Http1 { .. } => {
            let connection = server1().serve_connection(client, service).with_upgrades();
            drive(
                connection,
                http1::UpgradeableConnection::graceful_shutdown,
                &state,
            )
            .await
        }
        Application::Http2 => {
            let connection = server2(&owner).serve_connection(client, service);
            drive(connection, http2::Connection::graceful_shutdown, &state).await
        }
    };
    if let Some(tunnel) = state.tunnel() {
        // It says nothing more if it was ended.
        let _ = tunnel.await;
    }
    let misspoken = ended.is_err_and(|error| error.is_parse() || error.is_parse_too_large());
    let refusal = state.refusal().or(misspoken.then_some(Refusal::NotHttp));
    refusal.map_or(End::Closed, End::Refused)
}

/// Polls a connection until it is over; `end` asks it to take no further request.
async fn drive<C>(connection: C, end: impl FnOnce(Pin<&mut C>), state: &State) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        ended = &mut connection => return ended,
        () = state.ending.notified() => end(connection.as_mut()),
    }
    connection.await
}

fn server1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits::INTERCEPTED_HEAD_TIMEOUT)
        .max_buf_size(limits::INTERCEPTED_BUFFER_BYTES)
        .preserve_header_case(true)
        .auto_date_header(false);
    builder
}

fn server2(owner: &Owner) -> http2::Builder<Tasks> {
    let mut builder = http2::Builder::new(owner.tasks());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::INTERCEPTED_STREAMS)
        .max_header_list_size(limits::HTTP2_HEAD_BYTES)
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
        .auto_date_header(false);
    builder
}

async fn connect1(server: Server, owner: &Owner, state: &Arc<State>) -> hyper::Result<Upstream> {
    let (sender, connection) = client1::Builder::new()
        .max_buf_size(limits::INTERCEPTED_BUFFER_BYTES)
        .preserve_header_case(true)
        .handshake(TokioIo::new(server))
        .await?;
    attend(connection.with_upgrades(), owner, state);
    Ok(Upstream::Http1(tokio::sync::Mutex::new(sender)))
}

async fn connect2(server: Server, owner: &Owner, state: &Arc<State>) -> hyper::Result<Upstream> {
    let (sender, connection) = client2::Builder::new(owner.tasks())
        .timer(TokioTimer::new())
        .max_header_list_size(limits::HTTP2_HEAD_BYTES)
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
        .handshake(TokioIo::new(server))
        .await?;
    attend(connection, owner, state);
    Ok(Upstream::Http2(sender))
}

/// Polls the connection to the server, and tells when it is over.
fn attend(
    connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
    owner: &Owner,
    state: &Arc<State>,
) {
    let state = Arc::clone(state);
    owner.tasks().spawn(async move {
        let ended = connection.await;
        // A server that speaks unasked speaks another protocol.
        if ended.is_err() && state.requests.load(Ordering::Relaxed) == 0 {
            state.refuse(Refusal::NotHttp);
        }
        state.ending.notify_one();
    });
}
