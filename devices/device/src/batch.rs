//! Packets on their way between a device and the stack.
//! Owns: bounded queues that never grow. Must not know: what is in a packet.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;
use usertcp_frame::Packet;

/// Places that are made at once where the number does not matter.
const SOME: usize = 64;

/// A place behind the packets of a queue: it is asked for before there is a packet, which is put together there.
#[derive(Debug)]
#[must_use]
pub struct Room<'a> {
    place: &'a mut Packet,
    end: &'a mut usize,
}

impl Room<'_> {
    /// Puts the packet there.
    #[inline(always)] // for each packet
    pub fn put(self, packet: Packet) {
        debug_assert!(self.place.is_empty());
        // What was there was taken: there is nothing to be dropped.
        mem::forget(mem::replace(self.place, packet));
        *self.end += 1;
    }
}

/// Places in one piece. Those from `next` to `end` have packets, and both are 0 when there are none; the others were
/// taken, are empty, and serve again.
#[derive(Debug, Default)]
struct Lot {
    packets: Vec<Packet>,
    next: usize,
    end: usize,
}

/// A queue: a lot of `capacity` places at most.
#[derive(Debug)]
struct Places {
    /// Apart, so that two queues change theirs by a pointer.
    lot: Box<Lot>,
    capacity: usize,
}

impl Places {
    #[inline(always)] // as `push` and those below: for each packet, a few steps
    fn room_for_one(&mut self) -> Option<Room<'_>> {
        if self.lot.end >= self.lot.packets.len() && !self.make_room() {
            return None;
        }
        let Lot { packets, end, .. } = &mut *self.lot;
        Some(Room { place: packets.get_mut(*end)?, end })
    }
    /// Makes a place at the end: one that was taken, or one more.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self) -> bool {
        if self.len() >= self.capacity {
            return false;
        }
        self.close_up();
        if self.lot.end == self.lot.packets.len() {
            self.lot.packets.push(Packet::default());
        }
        true
    }
    #[inline]
    fn fill(&mut self, most: usize, fill: impl FnOnce(&mut [Packet]) -> usize) -> usize {
        let most = most.min(self.capacity.saturating_sub(self.len()));
        if self.lot.end + most > self.lot.packets.len() {
            self.make_more(most);
        }
        let filled = fill(first_of(self.lot.packets.get_mut(self.lot.end..), most));
        self.have_filled(filled);
        filled
    }
    #[inline]
    fn have_filled(&mut self, places: usize) {
        debug_assert!(self.lot.end + places <= self.lot.packets.len());
        self.lot.end += places;
    }
    #[inline(always)] // as above
    fn spare(&mut self, most: usize) -> &mut [Packet] {
        if self.lot.end >= self.lot.packets.len() {
            return self.make_spare(most);
        }
        first_of(self.lot.packets.get_mut(self.lot.end..), most)
    }
    #[cold]
    #[inline(never)]
    fn make_spare(&mut self, most: usize) -> &mut [Packet] {
        self.make_more(most.min(SOME));
        first_of(self.lot.packets.get_mut(self.lot.end..), most)
    }
    /// Makes so many places at the end, as far as there is room.
    #[cold]
    #[inline(never)]
    fn make_more(&mut self, places: usize) {
        self.close_up();
        let Lot { packets, end, .. } = &mut *self.lot;
        let wanted = (*end + places).min(self.capacity).max(packets.len());
        packets.resize_with(wanted, Packet::default);
    }
    /// Places that were taken go behind the others.
    fn close_up(&mut self) {
        let len = self.len();
        self.lot.packets.rotate_left(self.lot.next);
        (self.lot.next, self.lot.end) = (0, len);
    }
    #[inline]
    fn pop(&mut self) -> Option<Packet> {
        let packet = mem::take(self.as_mut_slice().first_mut()?);
        self.lot.next += 1;
        if self.lot.next == self.lot.end {
            self.lot.forget();
        }
        Some(packet)
    }
    #[inline]
    fn as_slice(&self) -> &[Packet] {
        self.lot.packets.get(self.lot.next..self.lot.end).unwrap_or_default()
    }
    #[inline]
    fn as_mut_slice(&mut self) -> &mut [Packet] {
        self.lot.packets.get_mut(self.lot.next..self.lot.end).unwrap_or_default()
    }
    fn retain(&mut self, keep: impl FnMut(&mut Packet) -> bool) {
        self.close_up();
        let Lot { packets, end, .. } = &mut *self.lot;
        packets.truncate(*end);
        packets.retain_mut(keep);
        *end = packets.len();
    }
    #[inline]
    fn clear(&mut self) {
        for packet in self.as_mut_slice() {
            // Most often what was in it was taken.
            mem::take(&mut packet.octets).end();
        }
        self.lot.forget();
    }
    #[inline]
    fn forget_emptied(&mut self) {
        debug_assert!(self.as_slice().iter().all(Packet::is_empty));
        self.lot.forget();
    }
    #[inline]
    fn len(&self) -> usize {
        self.lot.end - self.lot.next
    }
    #[inline]
    fn is_empty(&self) -> bool {
        self.lot.end == 0
    }
    /// The first packets behind those of another queue, as many as there is room for: how many.
    ///
    /// All of them into an empty queue are not moved at all: the two change their places.
    #[inline(always)] // nearly always that
    fn move_to(&mut self, other: &mut Places) -> usize {
        let fit = |places: &Places, capacity| places.lot.packets.len() <= capacity;
        if !other.is_empty() || !fit(self, other.capacity) || !fit(other, self.capacity) {
            return self.move_otherwise(other);
        }
        mem::swap(&mut self.lot, &mut other.lot);
        other.len()
    }
    #[cold]
    #[inline(never)]
    fn move_otherwise(&mut self, other: &mut Places) -> usize {
        if !other.is_empty() || self.lot.end > other.capacity {
            return self.move_some(other);
        }
        // Places that one queue may have, and the other may not, are given up.
        self.lot.packets.truncate(other.capacity);
        other.lot.packets.truncate(self.capacity);
        mem::swap(&mut self.lot, &mut other.lot);
        other.len()
    }
    fn move_some(&mut self, other: &mut Places) -> usize {
        let mut count = 0;
        while !self.is_empty()
            && let Some(room) = other.room_for_one()
        {
            let Some(packet) = self.pop() else { break };
            room.put(packet);
            count += 1;
        }
        count
    }
}

impl Lot {
    #[inline]
    fn forget(&mut self) {
        (self.next, self.end) = (0, 0);
    }
}

/// The first of `places`, `most` at most.
#[inline(always)] // as above
fn first_of(places: Option<&mut [Packet]>, most: usize) -> &mut [Packet] {
    let places = places.unwrap_or_default();
    let most = most.min(places.len());
    places.get_mut(..most).unwrap_or_default()
}

macro_rules! queue {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Debug)]
        pub struct $name(Places);

        impl $name {
            /// For at most `capacity` packets. Memory is taken now; what was swapped with less may need more.
            pub fn new(capacity: usize) -> $name {
                let lot = Lot { packets: Vec::with_capacity(capacity), ..Lot::default() };
                $name(Places { lot: Box::new(lot), capacity })
            }
            /// The same; memory is taken as it is needed.
            pub fn unallocated(capacity: usize) -> $name {
                $name(Places { lot: Box::default(), capacity })
            }
            /// Puts a packet behind the others. `Err`: there is no room, and here it is again.
            #[inline]
            pub fn push(&mut self, packet: Packet) -> Result<(), Packet> {
                match self.room_for_one() {
                    Some(room) => room.put(packet),
                    None => return Err(packet),
                }
                Ok(())
            }
            /// Room for one more packet; `None`: there is none.
            #[inline(always)] // for each packet
            pub fn room_for_one(&mut self) -> Option<Room<'_>> {
                self.0.room_for_one()
            }
            /// Gives `fill` empty places behind the packets, `most` of them or as many as there is room for. It puts packets
            /// into the first ones, and tells how many.
            #[inline]
            pub fn fill(
                &mut self,
                most: usize,
                fill: impl FnOnce(&mut [Packet]) -> usize,
            ) -> usize {
                self.0.fill(most, fill)
            }
            /// Empty places behind the packets, `most` of them or fewer; one at least if there is room. Whoever puts packets
            /// into the first ones tells [how many](Self::have_filled).
            #[inline(always)] // for each run of packets
            pub fn spare(&mut self, most: usize) -> &mut [Packet] {
                self.0.spare(most)
            }
            /// So many of the spare places have packets now.
            #[inline]
            pub fn have_filled(&mut self, places: usize) {
                self.0.have_filled(places);
            }
            /// Takes the first packet.
            #[inline]
            pub fn pop(&mut self) -> Option<Packet> {
                self.0.pop()
            }
            /// The first packet, left where it is.
            #[inline]
            pub fn front(&self) -> Option<&Packet> {
                self.as_slice().first()
            }
            /// The packets from first to last.
            #[inline]
            pub fn as_slice(&self) -> &[Packet] {
                self.0.as_slice()
            }
            /// The packets from first to last, to take what is in them where they lie.
            #[inline]
            pub fn as_mut_slice(&mut self) -> &mut [Packet] {
                self.0.as_mut_slice()
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
                self.0.retain(keep);
            }
            /// Forgets all packets.
            #[inline]
            pub fn clear(&mut self) {
                self.0.clear();
            }
            /// The same where all of them were emptied where they lay. What another has in it is lost.
            #[inline]
            pub fn forget_emptied(&mut self) {
                self.0.forget_emptied();
            }
            /// Packets in it.
            #[inline]
            pub fn len(&self) -> usize {
                self.0.len()
            }
            /// Whether there are none.
            #[inline]
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
            /// Whether no more fit.
            #[inline]
            pub fn is_full(&self) -> bool {
                self.len() >= self.capacity()
            }
            /// Packets that still fit.
            #[inline]
            pub fn room(&self) -> usize {
                self.capacity().saturating_sub(self.len())
            }
            /// Packets it can hold.
            pub fn capacity(&self) -> usize {
                self.0.capacity
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
        line.0.move_to(&mut self.0)
    }
}

impl TxBatch {
    /// Takes packets from the front of `line`, as many as there is room for, and tells how many.
    #[inline]
    pub fn take_from(&mut self, line: &mut Line) -> usize {
        line.0.move_to(&mut self.0)
    }

    /// Puts its first packets behind those of `line`, as many as there is room for, and tells how many.
    #[inline]
    pub fn move_to(&mut self, line: &mut Line) -> usize {
        self.0.move_to(&mut line.0)
    }
}
