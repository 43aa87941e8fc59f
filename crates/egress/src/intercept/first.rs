//! Who speaks first on a connection, and whether it is a client of TLS.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::inspect::first_bytes::{FirstBytes, classify};

/// There is no event for "more bytes than before".
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Waits until one side speaks. True if it is the client, and it begins TLS; its bytes stay in the socket.
pub(crate) async fn begins_with_tls(client: &TcpStream, server: &TcpStream) -> bool {
    tokio::select! {
        biased;
        tls = client_begins(client) => tls,
        _ = server.readable() => false,
    }
}

async fn client_begins(client: &TcpStream) -> bool {
    let mut first = [0; 2];
    loop {
        let Ok(length) = client.peek(&mut first).await else {
            return false;
        };
        match classify(&first[..length]) {
            FirstBytes::Tls => return true,
            FirstBytes::Undecided { harmless: 0 } if length == 1 => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            FirstBytes::Undecided { .. }
            | FirstBytes::Http
            | FirstBytes::SimpleHttp
            | FirstBytes::Opaque => return false,
        }
    }
}
