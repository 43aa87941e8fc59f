//! A server that answers each request with bytes that the test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// It ends with the test's runtime.
pub(crate) struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heard: mpsc::UnboundedReceiver<Heard>,
}

/// What a server hears.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A request, up to and with the byte `o` that the bodies of these tests end with.
    Request(String),
    /// The other side ended the connection.
    End,
}

impl Server {
    /// Answers every request with `answer`.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (tell, heard) = mpsc::unbounded_channel();
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&answer), tell.clone()));
            }
        });
        Self {
            address,
            connections,
            heard,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What it hears next.
    pub(crate) async fn hears(&mut self) -> Heard {
        let heard = tokio::time::timeout(std::time::Duration::from_secs(20), self.heard.recv());
        heard.await.expect("something is heard").unwrap()
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<[u8]>, tell: mpsc::UnboundedSender<Heard>) {
    let mut request = Vec::new();
    loop {
        let read = stream.read_buf(&mut request).await.unwrap_or(0);
        if read == 0 {
            let _ = tell.send(Heard::End);
            return;
        }
        if request.ends_with(b"hello") || request.ends_with(b"hello\r\n0\r\n\r\n") {
            let text = String::from_utf8(std::mem::take(&mut request)).unwrap();
            let _ = tell.send(Heard::Request(text));
            let _ = stream.write_all(&answer).await;
        }
    }
}
