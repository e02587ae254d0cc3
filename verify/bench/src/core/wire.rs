//! A wire between two queues of one thread that copies, as a device of a system does.
//!
//! Owns: the copy into the receiver's frames. Must not know: what is in a packet.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use usertcp_device::{ChecksumState, DeviceFacts, Packet, Queue, RxBatch, TxBatch, WaitHandle};
use usertcp_frame::{Chain, Class, FramePool};

/// Packets on their way in one direction at most.
const CAPACITY: usize = 1024;

type Line = Rc<RefCell<VecDeque<Packet>>>;

/// One end of the wire.
pub struct WireEnd {
    facts: DeviceFacts,
    incoming: Line,
    outgoing: Line,
}

/// Both ends.
pub fn wire(facts: DeviceFacts) -> (WireEnd, WireEnd) {
    let (one, other) = (Line::default(), Line::default());
    let far = WireEnd { facts, incoming: one.clone(), outgoing: other.clone() };
    (WireEnd { facts, incoming: other, outgoing: one }, far)
}

impl Queue for WireEnd {
    fn facts(&self) -> DeviceFacts {
        self.facts
    }

    fn receive(&mut self, pool: &FramePool, into: &mut RxBatch) -> usize {
        let mut incoming = self.incoming.borrow_mut();
        let mut count = 0;
        while !into.is_full()
            && let Some(packet) = incoming.front()
        {
            let Some(copy) = copied(packet, pool) else { break };
            incoming.pop_front();
            count += usize::from(into.push(copy).is_ok());
        }
        count
    }

    fn transmit(&mut self, from: &mut TxBatch) -> usize {
        let mut outgoing = self.outgoing.borrow_mut();
        let mut count = 0;
        while outgoing.len() < CAPACITY
            && let Some(packet) = from.pop()
        {
            outgoing.push_back(packet);
            count += 1;
        }
        count
    }

    fn wait_handle(&self) -> Option<WaitHandle> {
        None
    }
}

/// The packet in a frame of `pool`; `None` when the pool is used up.
fn copied(packet: &Packet, pool: &FramePool) -> Option<Packet> {
    let class = match packet.len() {
        0..=192 => Class::Small,
        193..=2000 => Class::Full,
        _ => Class::Large,
    };
    let mut frame = pool.take(class, 0)?;
    for slice in packet.octets.slices() {
        frame.extend(slice);
    }
    let mut octets = Chain::default();
    octets.push_back(frame.into_slice());
    let mut offload = packet.offload;
    if matches!(offload.checksum, ChecksumState::Partial { .. }) {
        offload.checksum = ChecksumState::Verified;
    }
    Some(Packet { offload, octets })
}
