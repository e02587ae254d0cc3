//! Packets on their way between a device and the stack.
//! Owns: bounded queues that never grow. Must not know: what is in a packet.

use alloc::collections::VecDeque;
use usertcp_frame::Packet;

macro_rules! batch {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Debug)]
        pub struct $name {
            packets: VecDeque<Packet>,
            capacity: usize,
        }

        impl $name {
            /// A batch of at most `capacity` packets. Memory is taken now, and again only when a line of packets
            /// that it gave its memory for another's was shorter.
            pub fn new(capacity: usize) -> $name {
                $name { packets: VecDeque::with_capacity(capacity), capacity }
            }
            /// Puts a packet behind the others. `Err`: the batch is full, and here it is again.
            #[inline]
            pub fn push(&mut self, packet: Packet) -> Result<(), Packet> {
                if self.is_full() {
                    return Err(packet);
                }
                self.packets.push_back(packet);
                Ok(())
            }
            /// Takes the first packet.
            #[inline]
            pub fn pop(&mut self) -> Option<Packet> {
                self.packets.pop_front()
            }
            /// Drops the first `count` packets; at most all.
            #[inline]
            pub fn drop_front(&mut self, count: usize) {
                self.packets.drain(..count.min(self.packets.len()));
            }
            /// The first packet, left where it is.
            #[inline]
            pub fn front(&self) -> Option<&Packet> {
                self.packets.front()
            }
            /// The packets from first to last, to take what is in them.
            #[inline]
            pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Packet> {
                self.packets.iter_mut()
            }
            /// Forgets all packets.
            pub fn clear(&mut self) {
                self.packets.clear();
            }
            /// Packets in it.
            #[inline]
            pub fn len(&self) -> usize {
                self.packets.len()
            }
            /// Whether there are none.
            #[inline]
            pub fn is_empty(&self) -> bool {
                self.packets.is_empty()
            }
            /// Whether no more fit.
            #[inline]
            pub fn is_full(&self) -> bool {
                self.packets.len() >= self.capacity
            }
            /// Packets that still fit.
            #[inline]
            pub fn room(&self) -> usize {
                self.capacity.saturating_sub(self.packets.len())
            }
            /// Packets it can hold.
            pub fn capacity(&self) -> usize {
                self.capacity
            }
            /// The packets from first to last.
            pub fn iter(&self) -> impl ExactSizeIterator<Item = &Packet> {
                self.packets.iter()
            }
        }
    };
}

batch! {
    /// Packets received, first in, first out.
    RxBatch
}
batch! {
    /// Packets to send, first in, first out.
    TxBatch
}

impl RxBatch {
    /// Takes packets from the front of `line`, as many as there is room for, and tells how many.
    pub fn take_from(&mut self, line: &mut VecDeque<Packet>) -> usize {
        let count = self.room().min(line.len());
        move_packets(line, &mut self.packets, count)
    }
}

impl TxBatch {
    /// Puts its first packets behind those of `line`, `most` at most, and tells how many.
    pub fn move_to(&mut self, line: &mut VecDeque<Packet>, most: usize) -> usize {
        let count = self.len().min(most);
        move_packets(&mut self.packets, line, count)
    }
}

/// The first `count` packets, which are there, from one queue to another.
///
/// All of them into an empty queue are not moved at all: the two change their memory.
#[inline]
fn move_packets(from: &mut VecDeque<Packet>, to: &mut VecDeque<Packet>, count: usize) -> usize {
    if to.is_empty() && from.len() == count {
        core::mem::swap(from, to);
        return count;
    }
    move_some(from, to, count)
}

#[inline(never)]
fn move_some(from: &mut VecDeque<Packet>, to: &mut VecDeque<Packet>, count: usize) -> usize {
    match from.len() == count {
        // As memory, not one by one.
        true => to.append(from),
        false => to.extend(from.drain(..count)),
    }
    count
}
