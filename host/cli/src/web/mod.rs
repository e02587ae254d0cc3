//! The web server. Owns: accepting streams and speaking HTTP/1.1 or HTTP/2 on each.
//! Must not know: what is served (`site`), or which stack the streams belong to.

mod answer;
mod body;
mod cache;
mod kinds;
mod listing;
mod live;
mod path;
mod ranges;
mod refusal;
mod root;
mod site;
mod tally;
mod upload;

pub use site::{About, Site};
pub use tally::{Tally, Totals};

use crate::facts::LiveFacts;
use crate::network::Acceptor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Time that answers under way have to finish once the server is asked to stop.
const FAREWELL: Duration = Duration::from_secs(2);
/// Time a peer has to send a whole request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// An answer's next piece is fetched only when less than this is waiting to be written, so a
/// peer that does not read costs little memory.
const WRITE_BUFFER_OCTETS: usize = 128 << 10;
/// Receive windows of HTTP/2: enough for uploads at gigabits over a local device.
const STREAM_WINDOW_OCTETS: u32 = 1 << 20;
/// As above, for a whole HTTP/2 connection.
const CONNECTION_WINDOW_OCTETS: u32 = 4 << 20;

/// Serves `site` on the streams of `acceptor` until `stop` is ready or the listener fails.
pub async fn serve<A: Acceptor, F: LiveFacts>(
    mut acceptor: A,
    site: Arc<Site<F>>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let protocol = protocol();
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = acceptor.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => match after_failed_accept(&error) {
                Some(pause) => {
                    tokio::time::sleep(pause).await;
                    continue;
                }
                None => return Err(error),
            },
        };
        let site = site.clone();
        let open = site.tally().connection();
        let service = service_fn(move |request| {
            let site = site.clone();
            async move { Ok::<_, Infallible>(site.answer(request).await) }
        });
        let connection = protocol.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A connection that ends badly is the peer's affair; the stack counts it.
            let _ = connection.await;
            drop(open);
        });
    }
    drop(acceptor);
    // Whoever is not done by then is cut off when the runtime ends.
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
    Ok(())
}

fn protocol() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(WRITE_BUFFER_OCTETS)
        .half_close(true)
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_send_buf_size(WRITE_BUFFER_OCTETS)
        .initial_stream_window_size(STREAM_WINDOW_OCTETS)
        .initial_connection_window_size(CONNECTION_WINDOW_OCTETS)
        .max_concurrent_streams(256);
    builder
}

/// How long to wait before accepting again, or `None` when the listener is of no more use.
fn after_failed_accept(error: &io::Error) -> Option<Duration> {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    match error.kind() {
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::Interrupted => Some(Duration::ZERO),
        io::ErrorKind::OutOfMemory => Some(Duration::from_millis(50)),
        _ if matches!(error.raw_os_error(), Some(ENFILE | EMFILE)) => {
            Some(Duration::from_millis(50))
        }
        _ => None,
    }
}
