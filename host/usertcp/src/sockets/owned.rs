//! Reading and writing without a copy.
//!
//! Owns: [`ReadBuffer`] (octets in the frame they arrived in) and [`WriteBuffer`] (a frame of the
//! stack to be filled). Must not know: how frames travel.

use crate::sockets::cell::Cell;
use crate::sockets::hub::Hub;
use crate::sockets::inbound::Piece;
use crate::sockets::outbound::Parcel;
use crate::sockets::split::{OwnedReadHalf, OwnedWriteHalf};
use crate::sockets::stream::TcpStream;
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use usertcp_frame::{Class, FramePool, Lent, LentFrame, copy};
use usertcp_tcp::HEADROOM_OCTETS;

/// Octets a peer sent, in the frame they arrived in. While it is held, that memory is missing to
/// the stack: pass it on, or copy what is to be kept for long.
pub struct ReadBuffer {
    lent: Lent,
    from: usize,
}

impl ReadBuffer {
    fn new(piece: Piece) -> ReadBuffer {
        let (lent, from) = piece.into_parts();
        ReadBuffer { lent, from }
    }
}

impl Deref for ReadBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.lent.get(self.from..).unwrap_or_default()
    }
}

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<ReadBuffer> for Bytes {
    /// Without a copy; the frame goes home with the last clone.
    fn from(buffer: ReadBuffer) -> Bytes {
        Bytes::from_owner(buffer)
    }
}

impl std::fmt::Debug for ReadBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReadBuffer({})", self.len())
    }
}

/// A frame of the stack, to be filled and sent by [`TcpStream::write_owned`].
#[derive(Debug)]
pub struct WriteBuffer {
    frame: LentFrame,
    /// Whose frame it is.
    hub: Arc<Hub>,
}

impl WriteBuffer {
    /// Octets written.
    pub fn len(&self) -> usize {
        self.frame.len()
    }
    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.frame.is_empty()
    }
    /// Octets that still fit.
    pub fn room(&self) -> usize {
        self.frame.tailroom()
    }
    /// What is written.
    pub fn bytes(&self) -> &[u8] {
        self.frame.bytes()
    }
    /// The memory behind what is written. Write there, and then [`advance`](WriteBuffer::advance).
    pub fn spare_mut(&mut self) -> &mut [u8] {
        self.frame.spare_mut()
    }
    /// Makes the next `n` octets of the spare memory part of the buffer; at most all of it.
    pub fn advance(&mut self, n: usize) {
        self.frame.advance_len(n);
    }
    /// Copies octets to the end; how many fitted.
    pub fn extend(&mut self, octets: &[u8]) -> usize {
        let spare = self.frame.spare_mut();
        let count = octets.len().min(spare.len());
        if let (Some(place), Some(octets)) = (spare.get_mut(..count), octets.get(..count)) {
            copy(place, octets);
        }
        self.frame.advance_len(count);
        count
    }
}

/// Something that can be sent as it is.
#[derive(Debug)]
pub struct Outgoing(Parcel, Option<Arc<Hub>>);

impl From<WriteBuffer> for Outgoing {
    fn from(buffer: WriteBuffer) -> Outgoing {
        Outgoing(Parcel::Frame(buffer.frame), Some(buffer.hub))
    }
}

impl From<ReadBuffer> for Outgoing {
    /// What one stream received, another of the same stack sends on: no copy on the whole way. (A
    /// stream of another stack copies it, on its worker.)
    fn from(buffer: ReadBuffer) -> Outgoing {
        Outgoing(Parcel::Slice(buffer.lent, buffer.from), None)
    }
}

/// The largest buffer [`TcpStream::reserve`] gives.
pub const LARGEST_BUFFER_OCTETS: usize = FramePool::data_octets(Class::Large) - HEADROOM_OCTETS;

async fn read_owned(cell: &Arc<Cell>) -> io::Result<Option<ReadBuffer>> {
    let piece = poll_fn(|context| cell.poll_piece(Some(context.waker()))).await?;
    Ok(piece.map(ReadBuffer::new))
}

async fn reserve(cell: &Arc<Cell>, octets: usize) -> io::Result<WriteBuffer> {
    let frame = poll_fn(|context| cell.poll_frame(octets, context.waker())).await?;
    Ok(WriteBuffer { frame, hub: Arc::clone(&cell.hub) })
}

async fn write_owned(cell: &Arc<Cell>, outgoing: Outgoing) -> io::Result<()> {
    let Outgoing(parcel, origin) = outgoing;
    if origin.is_some_and(|origin| !Arc::ptr_eq(&origin, &cell.hub)) {
        let what = "the buffer was reserved on another stack";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let mut parcel = Some(parcel);
    poll_fn(|context| cell.poll_parcel(&mut parcel, context.waker())).await
}

impl TcpStream {
    /// The next octets received, in the frame they came in: no copy. `None`: the end of the
    /// stream. May be dropped at any time: nothing is lost.
    ///
    /// # Errors
    /// As a read.
    pub async fn read_owned(&self) -> io::Result<Option<ReadBuffer>> {
        read_owned(&self.handle.cell).await
    }

    /// A frame to write into, with room for `octets` or as many as there is a frame for at the
    /// moment (at most [`LARGEST_BUFFER_OCTETS`]): look at [`WriteBuffer::room`]. Waits until the
    /// stack has a frame.
    ///
    /// # Errors
    /// As a write.
    pub async fn reserve(&self, octets: usize) -> io::Result<WriteBuffer> {
        reserve(&self.handle.cell, octets).await
    }

    /// Sends a buffer without a copy; waits until there is room for some of it. What a dropped
    /// future had not handed over is not sent.
    ///
    /// # Errors
    /// As a write; `InvalidInput` when the buffer was reserved on another stack.
    pub async fn write_owned(&self, outgoing: impl Into<Outgoing>) -> io::Result<()> {
        write_owned(&self.handle.cell, outgoing.into()).await
    }
}

impl OwnedReadHalf {
    /// As [`TcpStream::read_owned`].
    ///
    /// # Errors
    /// As a read.
    pub async fn read_owned(&mut self) -> io::Result<Option<ReadBuffer>> {
        read_owned(self.shared_cell()).await
    }
}

impl OwnedWriteHalf {
    /// As [`TcpStream::reserve`].
    ///
    /// # Errors
    /// As a write.
    pub async fn reserve(&mut self, octets: usize) -> io::Result<WriteBuffer> {
        reserve(self.shared_cell(), octets).await
    }

    /// As [`TcpStream::write_owned`].
    ///
    /// # Errors
    /// As a write.
    pub async fn write_owned(&mut self, outgoing: impl Into<Outgoing>) -> io::Result<()> {
        write_owned(self.shared_cell(), outgoing.into()).await
    }
}
