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
            /// Octets that still fit, until it is empty again.
            room_octets: usize,
            capacity_octets: usize,
        }

        impl $name {
            /// A batch of at most `capacity` packets. Memory is taken now, and never again.
            pub fn new(capacity: usize) -> $name {
                $name::bounded(capacity, usize::MAX)
            }
            /// The same, and full with `octets` put in since it was last empty, too: whoever fills it asks
            /// before each packet, and the last may go beyond.
            pub fn bounded(capacity: usize, octets: usize) -> $name {
                let packets = VecDeque::with_capacity(capacity);
                $name { packets, capacity, room_octets: octets, capacity_octets: octets }
            }
            /// Puts a packet behind the others. `Err`: there are as many as may be, and here it is again.
            #[inline]
            pub fn push(&mut self, packet: Packet) -> Result<(), Packet> {
                if self.packets.len() >= self.capacity {
                    return Err(packet);
                }
                if self.packets.is_empty() {
                    self.room_octets = self.capacity_octets;
                }
                self.room_octets = self.room_octets.saturating_sub(packet.len());
                self.packets.push_back(packet);
                Ok(())
            }
            /// Takes the first packet.
            #[inline]
            pub fn pop(&mut self) -> Option<Packet> {
                self.packets.pop_front()
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
                self.packets.len() >= self.capacity || (self.room_octets == 0 && !self.is_empty())
            }
            /// Packets that still fit; fewer, if they are large.
            #[inline]
            pub fn room(&self) -> usize {
                if self.is_full() { 0 } else { self.capacity - self.packets.len() }
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
