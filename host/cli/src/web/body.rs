//! What an answer carries. Owns: octets in memory, and pieces of a file read as they are sent.
//! Must not know: why these octets; ranges and headers are decided elsewhere.

use super::tally::Tally;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use rustix::buffer::spare_capacity;
use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// Octets read from a file at a time. One such piece is being sent while the next is read.
pub const CHUNK_OCTETS: u64 = 256 << 10;

/// An answer's body.
pub struct Body {
    content: Content,
    /// Octets still to come.
    left: u64,
    tally: Option<Arc<Tally>>,
}

enum Content {
    Whole(Bytes),
    Pieces(Box<Pieces>),
}

/// A part of an answer's body.
pub enum Piece {
    /// These octets.
    Octets(Bytes),
    /// This part of the file.
    File {
        /// Where it starts.
        offset: u64,
        /// How long it is.
        length: u64,
    },
}

struct Pieces {
    file: Arc<File>,
    queue: VecDeque<Piece>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Body {
    /// No octets.
    pub fn empty() -> Body {
        Body::whole(Bytes::new())
    }

    /// These octets.
    pub fn whole(octets: impl Into<Bytes>) -> Body {
        let octets = octets.into();
        Body { left: octets.len() as u64, content: Content::Whole(octets), tally: None }
    }

    /// These pieces, those of a file taken from `file`.
    pub fn pieces(file: Arc<File>, pieces: impl IntoIterator<Item = Piece>) -> Body {
        let queue: VecDeque<Piece> = pieces.into_iter().collect();
        let left = queue.iter().map(Piece::length).sum();
        let pieces = Pieces { file, queue, reading: None };
        Body { left, content: Content::Pieces(Box::new(pieces)), tally: None }
    }

    /// Octets still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Counts in `tally` what leaves from here on.
    #[must_use]
    pub fn counted(mut self, tally: Arc<Tally>) -> Body {
        self.tally = Some(tally);
        self
    }
}

impl Piece {
    /// Its octets.
    pub fn length(&self) -> u64 {
        match self {
            Piece::Octets(octets) => octets.len() as u64,
            Piece::File { length, .. } => *length,
        }
    }
}

impl Pieces {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.reading.is_none() {
            match self.queue.pop_front() {
                None => return Poll::Ready(None),
                Some(Piece::Octets(octets)) => return Poll::Ready(Some(Ok(octets))),
                Some(Piece::File { offset, length }) => self.read(offset, length),
            }
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let outcome = ready!(Pin::new(reading).poll(context)).unwrap_or_else(|lost| {
            Err(io::Error::other(lost)) // The runtime is ending.
        });
        self.reading = None;
        // Read ahead by one, so that the disk and the network work at the same time.
        if let (Ok(_), Some(Piece::File { offset, length })) = (&outcome, self.queue.front()) {
            let (offset, length) = (*offset, *length);
            self.queue.pop_front();
            self.read(offset, length);
        }
        Poll::Ready(Some(outcome))
    }

    /// Starts to read up to a chunk; the rest goes back into the queue.
    fn read(&mut self, offset: u64, length: u64) {
        let now = length.min(CHUNK_OCTETS);
        if now < length {
            self.queue.push_front(Piece::File { offset: offset + now, length: length - now });
        }
        let file = self.file.clone();
        self.reading = Some(tokio::task::spawn_blocking(move || read_chunk(&file, offset, now)));
    }
}

/// Exactly `length` octets, or an error: the head of the answer has promised them.
pub fn read_chunk(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut octets = Vec::with_capacity(length);
    while octets.len() < length {
        let at = offset + octets.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut octets), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The vector may have more room than was asked for.
    octets.truncate(length);
    Ok(Bytes::from(octets))
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let octets = match &mut this.content {
            Content::Whole(octets) if octets.is_empty() => return Poll::Ready(None),
            Content::Whole(octets) => std::mem::take(octets),
            Content::Pieces(pieces) => match ready!(pieces.poll_next(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(octets)) => octets,
            },
        };
        this.left = this.left.saturating_sub(octets.len() as u64);
        if let Some(tally) = &this.tally {
            tally.sent(octets.len());
        }
        Poll::Ready(Some(Ok(Frame::data(octets))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
