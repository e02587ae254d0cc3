//! An HTTP/1.1 server whose idle connections own no task: a task answers what has come, and parks its stream
//! when the next request is not there.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use usertcp::{IdleStreams, LocalIdleStreams, LocalListener, TcpListener};

/// Octets of a request's head at most.
const HEAD: usize = 16 << 10;
/// How long a request may take that has begun to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves until the stack ends.
pub async fn run(listener: TcpListener, idle: Arc<IdleStreams>) -> io::Result<()> {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            resumed = idle.next() => resumed?.stream,
        };
        let idle = Arc::clone(&idle);
        tokio::spawn(async move {
            if let Some(stream) = serve(stream).await {
                // Half-closed, it has no request to wait for.
                drop(idle.park(stream, 0));
            }
        });
    }
}

/// The same with the streams of a stack on this very thread.
pub async fn run_local(listener: LocalListener, idle: Rc<LocalIdleStreams>) -> io::Result<()> {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            resumed = idle.next() => resumed?.stream,
        };
        let idle = Rc::clone(&idle);
        tokio::task::spawn_local(async move {
            if let Some(stream) = serve(stream).await {
                drop(idle.park(stream, 0));
            }
        });
    }
}

/// What is to be done next.
enum Step {
    /// The answer to a request of so many octets; whether the stream goes on.
    Answer(Vec<u8>, usize, bool),
    More,
}

/// Answers what has come. The stream, when nothing is there and it may rest; `None`: it is over.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> Option<S> {
    let mut pending = Vec::new();
    loop {
        match step(&pending) {
            Step::Answer(answer, octets, goes_on) => {
                pending.drain(..octets.min(pending.len()));
                if stream.write_all(&answer).await.is_err() || !goes_on {
                    let _ = stream.shutdown().await;
                    return None;
                }
            }
            Step::More => match read(&mut stream, &mut pending).await {
                Ok(true) => {}
                Ok(false) => return Some(stream),
                Err(_) => return None,
            },
        }
    }
}

/// Reads what is there, and waits for the rest of what has begun. False: nothing is there.
async fn read(stream: &mut (impl AsyncRead + Unpin), pending: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    let count = match read_now(stream, &mut buffer).await {
        Some(count) => count?,
        None if pending.is_empty() => return Ok(false),
        None => tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await??,
    };
    if count == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    pending.extend_from_slice(buffer.get(..count).unwrap_or_default());
    Ok(true)
}

/// Reads, if that is possible without waiting.
async fn read_now(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut [u8],
) -> Option<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    poll_fn(|context| {
        Poll::Ready(match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
            Poll::Ready(result) => Some(result.map(|()| buffer.filled().len())),
            Poll::Pending => None,
        })
    })
    .await
}

fn step(pending: &[u8]) -> Step {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(pending) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if pending.len() < HEAD => return Step::More,
        Ok(httparse::Status::Partial) => return refuse("431 Request Header Fields Too Large"),
        Err(_) => return refuse("400 Bad Request"),
    };
    let field = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).to_ascii_lowercase())
    };
    // This server has no use for bodies.
    let body = field("content-length").unwrap_or_else(|| "0".into());
    if field("transfer-encoding").is_some() || body != "0" {
        return refuse("413 Content Too Large");
    }
    let asked = field("connection").unwrap_or_default();
    let goes_on = match request.version {
        Some(0) => asked.contains("keep-alive"),
        _ => !asked.contains("close"),
    };
    let path = request.path.unwrap_or("/");
    let body = if request.method == Some("HEAD") {
        String::new()
    } else {
        format!("you asked for {path}\n")
    };
    Step::Answer(response("200 OK", &body, goes_on), head, goes_on)
}

fn refuse(status: &str) -> Step {
    Step::Answer(response(status, "", false), usize::MAX, false)
}

fn response(status: &str, body: &str, goes_on: bool) -> Vec<u8> {
    let connection = if goes_on { "keep-alive" } else { "close" };
    let mut octets = Vec::with_capacity(128 + body.len());
    // Writing to memory does not fail.
    let _ = write!(
        octets,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: {connection}\r\n\r\n{body}",
        body.len()
    );
    octets
}
