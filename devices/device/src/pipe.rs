//! Two queues joined: what one sends the other receives, within one thread.
//! Owns: the two bounded lines between them. Must not know: time; nothing takes any here.

use crate::api::{DeviceFacts, Queue, WaitHandle};
use crate::batch::{self, RxBatch, TxBatch};
use alloc::rc::Rc;
use core::cell::RefCell;
use usertcp_frame::{ChecksumState, FramePool};

type Line = Rc<RefCell<batch::Line>>;

/// One end of a [`pipe`]. Packets pass without a copy: the frames stay those of the sender's pool.
#[derive(Debug)]
pub struct PipeEnd {
    facts: DeviceFacts,
    incoming: Line,
    outgoing: Line,
}

/// Two ends, `capacity` packets of room in each direction, both stating `facts`.
///
/// Partial checksums arrive as [`ChecksumState::Verified`], as on a device of a system: they never
/// crossed a wire. Super-packets arrive whole.
pub fn pipe(facts: DeviceFacts, capacity: usize) -> (PipeEnd, PipeEnd) {
    let line = || Rc::new(RefCell::new(batch::Line::new(capacity)));
    let (one, other): (Line, Line) = (line(), line());
    let far = PipeEnd { facts, incoming: one.clone(), outgoing: other.clone() };
    (PipeEnd { facts, incoming: other, outgoing: one }, far)
}

impl PipeEnd {
    /// Packets that wait to be received at this end.
    pub fn waiting(&self) -> usize {
        self.incoming.borrow().len()
    }
}

/// Completes the checksums of the last `count` packets: they were never on a wire, and nothing can have happened to them.
#[inline(never)]
fn vouch_for(packets: &mut RxBatch, count: usize) {
    let before = packets.len() - count;
    for packet in packets.iter_mut().skip(before) {
        if matches!(packet.offload.checksum, ChecksumState::Partial { .. }) {
            packet.offload.checksum = ChecksumState::Verified;
        }
    }
}

impl Queue for PipeEnd {
    fn facts(&self) -> DeviceFacts {
        self.facts
    }

    #[inline(always)] // once a turn, and short
    fn receive(&mut self, _pool: &FramePool, into: &mut RxBatch) -> usize {
        let count = into.take_from(&mut self.incoming.borrow_mut());
        if self.facts.checksum_offload {
            vouch_for(into, count);
        }
        count
    }

    #[inline(always)] // as above
    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        from.move_to(&mut self.outgoing.borrow_mut())
    }

    fn wait_handle(&self) -> Option<WaitHandle> {
        None
    }
}
