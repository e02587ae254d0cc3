//! Packets on their way between a device and the stack.
//! Owns: bounded queues that never grow. Must not know: what is in a packet.

use alloc::vec::Vec;
use core::mem;
use usertcp_frame::Packet;

macro_rules! queue {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Debug)]
        pub struct $name {
            /// In one piece. Those before `next` were taken and are empty.
            packets: Vec<Packet>,
            next: usize,
            capacity: usize,
        }

        impl $name {
            /// For at most `capacity` packets. Memory is taken now; what was swapped with less may need more.
            pub fn new(capacity: usize) -> $name {
                $name { packets: Vec::with_capacity(capacity), next: 0, capacity }
            }
            /// The same; memory is taken as it is needed.
            pub const fn unallocated(capacity: usize) -> $name {
                $name { packets: Vec::new(), next: 0, capacity }
            }
            /// Puts a packet behind the others. `Err`: there is no room, and here it is again.
            #[inline]
            pub fn push(&mut self, packet: Packet) -> Result<(), Packet> {
                if self.packets.len() >= self.capacity {
                    if self.next == 0 {
                        return Err(packet);
                    }
                    self.close_up();
                }
                self.packets.push(packet);
                Ok(())
            }
            /// The memory of packets that were taken serves again.
            #[cold]
            fn close_up(&mut self) {
                self.packets.drain(..mem::take(&mut self.next));
            }
            /// Takes the first packet.
            #[inline]
            pub fn pop(&mut self) -> Option<Packet> {
                let packet = mem::take(self.packets.get_mut(self.next)?);
                self.next += 1;
                if self.next == self.packets.len() {
                    self.clear();
                }
                Some(packet)
            }
            /// The first packet, left where it is.
            #[inline]
            pub fn front(&self) -> Option<&Packet> {
                self.packets.get(self.next)
            }
            /// The packets from first to last.
            #[inline]
            pub fn as_slice(&self) -> &[Packet] {
                self.packets.get(self.next..).unwrap_or_default()
            }
            /// The packets from first to last, to take what is in them where they lie.
            #[inline]
            pub fn as_mut_slice(&mut self) -> &mut [Packet] {
                self.packets.get_mut(self.next..).unwrap_or_default()
            }
            /// The packets from first to last.
            pub fn iter(&self) -> impl ExactSizeIterator<Item = &Packet> {
                self.as_slice().iter()
            }
            /// The packets from first to last, to take what is in them.
            #[inline]
            pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Packet> {
                self.as_mut_slice().iter_mut()
            }
            /// Drops all packets that `keep` says false of; the others stay in order.
            pub fn retain(&mut self, keep: impl FnMut(&mut Packet) -> bool) {
                self.close_up();
                self.packets.retain_mut(keep);
            }
            /// Forgets all packets.
            #[inline]
            pub fn clear(&mut self) {
                // Most often what was in them was taken.
                while let Some(packet) = self.packets.pop() {
                    packet.octets.end();
                }
                self.next = 0;
            }
            /// Packets in it.
            #[inline]
            pub fn len(&self) -> usize {
                self.packets.len() - self.next
            }
            /// Whether there are none.
            #[inline]
            pub fn is_empty(&self) -> bool {
                self.packets.is_empty()
            }
            /// Whether no more fit.
            #[inline]
            pub fn is_full(&self) -> bool {
                self.len() >= self.capacity
            }
            /// Packets that still fit.
            #[inline]
            pub fn room(&self) -> usize {
                self.capacity.saturating_sub(self.len())
            }
            /// Packets it can hold.
            pub fn capacity(&self) -> usize {
                self.capacity
            }
        }
    };
}

queue! {
    /// Packets received, first in, first out.
    RxBatch
}
queue! {
    /// Packets to send, first in, first out.
    TxBatch
}
queue! {
    /// Packets between two queues of one thread, first in, first out.
    Line
}

impl RxBatch {
    /// Takes packets from the front of `line`, as many as there is room for, and tells how many.
    #[inline]
    pub fn take_from(&mut self, line: &mut Line) -> usize {
        move_packets(
            (&mut line.packets, &mut line.next),
            (&mut self.packets, &mut self.next),
            self.capacity,
        )
    }
}

impl TxBatch {
    /// Takes packets from the front of `line`, as many as there is room for, and tells how many.
    #[inline]
    pub fn take_from(&mut self, line: &mut Line) -> usize {
        move_packets(
            (&mut line.packets, &mut line.next),
            (&mut self.packets, &mut self.next),
            self.capacity,
        )
    }

    /// Puts its first packets behind those of `line`, as many as there is room for, and tells how many.
    #[inline]
    pub fn move_to(&mut self, line: &mut Line) -> usize {
        move_packets(
            (&mut self.packets, &mut self.next),
            (&mut line.packets, &mut line.next),
            line.capacity,
        )
    }
}

/// A queue's places, and the first that was not taken.
type Places<'a> = (&'a mut Vec<Packet>, &'a mut usize);

/// The first packets of one queue behind those of another, which has room for `capacity`: how many.
///
/// All of them into an empty queue are not moved at all: the two change their memory.
#[inline(always)] // nearly always that
fn move_packets((from, first): Places<'_>, (to, next): Places<'_>, capacity: usize) -> usize {
    let count = from.len() - *first;
    if to.is_empty() && count <= capacity {
        mem::swap(from, to);
        *next = mem::take(first);
        return count;
    }
    move_some((from, first), (to, next), capacity)
}

#[inline(never)]
fn move_some((from, first): Places<'_>, (to, next): Places<'_>, capacity: usize) -> usize {
    to.drain(..mem::take(next));
    let count = (from.len() - *first).min(capacity.saturating_sub(to.len()));
    to.extend(from.iter_mut().skip(*first).take(count).map(mem::take));
    *first += count;
    if *first == from.len() {
        from.clear();
        *first = 0;
    }
    count
}
