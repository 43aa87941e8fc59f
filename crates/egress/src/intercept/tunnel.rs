//! Bytes after a switch of protocols.

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, split};

use super::credentials::Redacting;

/// A read of the server's bytes.
const PIECE_BYTES: usize = 16 * 1024;

/// Carries bytes both ways until both sides have ended, or one broke off. What comes back is searched for secrets: a server may tell what the
/// request was in its first message. Frames of a WebSocket keep their length.
pub(super) async fn carry<S>(client: S, server: S, mut redacting: Redacting)
where
    S: AsyncRead + AsyncWrite,
{
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    let out = async {
        copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let back = async {
        let mut rewriter = redacting.rewriter();
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(PIECE_BYTES);
            if from_server.read_buf(&mut buffer).await? == 0 {
                to_client.write_all(&rewriter.finish()).await?;
                return to_client.shutdown().await;
            }
            redacting.renew(&mut rewriter);
            let settled = rewriter.push(buffer.split().freeze());
            to_client.write_all(&settled).await?;
            to_client.flush().await?;
        }
    };
    // A side that breaks off ends the other too.
    let _: std::io::Result<((), ())> = tokio::try_join!(out, back);
}
