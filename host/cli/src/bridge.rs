//! Two networks joined, stream by stream. Owns: moving octets and ends of stream between them.
//! Must not know: which networks; it serves where no device lets the kernel reach the stack.

use crate::network::{Acceptor, Stream};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Octets moved at a time, each way.
const BUFFER_OCTETS: usize = 64 << 10;

/// For each stream that `from` accepts, opens one with `dial`, and joins the two until both ends
/// of both are closed. Ends when the listener fails.
pub async fn publish<A, S, D, F>(mut from: A, dial: D) -> io::Result<()>
where
    A: Acceptor,
    S: Stream,
    D: Fn(SocketAddr) -> F + Send + Sync + 'static,
    F: Future<Output = io::Result<S>> + Send,
{
    let dial = Arc::new(dial);
    loop {
        let (outside, peer) = from.accept().await?;
        let dial = dial.clone();
        tokio::spawn(async move {
            // Whoever fails, both streams close: that is all a peer of a bridge can see.
            if let Ok(inside) = dial(peer).await {
                let _ = join(outside, inside).await;
            }
        });
    }
}

/// Joins two streams; the end of one becomes the end of the other. Tells the octets each way.
pub async fn join(mut a: impl Stream, mut b: impl Stream) -> io::Result<(u64, u64)> {
    tokio::io::copy_bidirectional_with_sizes(&mut a, &mut b, BUFFER_OCTETS, BUFFER_OCTETS).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn octets_and_ends_pass_both_ways() {
        let (mut client, outside) = tokio::io::duplex(1000);
        let (inside, mut server) = tokio::io::duplex(1000);
        let joined = tokio::spawn(join(outside, inside));
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        server.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "question");
        // Our half is closed; the other still works.
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "answer");
        assert_eq!(joined.await.unwrap().unwrap(), (8, 6));
    }
}
