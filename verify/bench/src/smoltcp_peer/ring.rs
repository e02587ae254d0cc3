//! Two smoltcp devices joined by rings of buffers that are made once: a packet is written where the
//! other side reads it. Owns: the rings. Must not know: what is in a packet.

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

struct Ring {
    slots: Vec<RefCell<(usize, Box<[u8]>)>>,
    head: Cell<usize>,
    tail: Cell<usize>,
}

impl Ring {
    fn new(mtu: usize, slots: usize) -> Rc<Ring> {
        let slot = || RefCell::new((0, vec![0; mtu].into_boxed_slice()));
        let slots = std::iter::repeat_with(slot).take(slots).collect();
        Rc::new(Ring { slots, head: Cell::new(0), tail: Cell::new(0) })
    }

    fn waiting(&self) -> usize {
        self.tail.get() - self.head.get()
    }
}

/// One end.
pub struct RingEnd {
    incoming: Rc<Ring>,
    outgoing: Rc<Ring>,
    mtu: usize,
}

/// Both ends, `slots` packets of room in each direction.
pub fn ring(mtu: usize, slots: usize) -> (RingEnd, RingEnd) {
    let (one, other) = (Ring::new(mtu, slots), Ring::new(mtu, slots));
    let far = RingEnd { incoming: one.clone(), outgoing: other.clone(), mtu };
    (RingEnd { incoming: other, outgoing: one, mtu }, far)
}

impl RingEnd {
    /// Packets this end sent.
    pub fn sent(&self) -> usize {
        self.outgoing.tail.get()
    }
}

/// A packet that waits.
pub struct Incoming(Rc<Ring>);
/// Room for one.
pub struct Outgoing(Rc<Ring>);

impl Device for RingEnd {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing;

    fn capabilities(&self) -> DeviceCapabilities {
        // Checksums are made and verified by default.
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = self.mtu;
        capabilities.medium = Medium::Ip;
        capabilities
    }

    fn receive(&mut self, _now: Instant) -> Option<(Incoming, Outgoing)> {
        (self.incoming.waiting() > 0)
            .then(|| (Incoming(self.incoming.clone()), Outgoing(self.outgoing.clone())))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Outgoing> {
        // Answers to what was received take no notice of what is left: some slots are for them.
        let full = self.outgoing.waiting() + 8 >= self.outgoing.slots.len();
        (!full).then(|| Outgoing(self.outgoing.clone()))
    }
}

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        let at = self.0.head.get();
        let slot = self.0.slots[at % self.0.slots.len()].borrow();
        self.0.head.set(at + 1);
        read(&slot.1[..slot.0])
    }
}

impl TxToken for Outgoing {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let at = self.0.tail.get();
        let mut slot = self.0.slots[at % self.0.slots.len()].borrow_mut();
        slot.0 = len;
        let result = write(&mut slot.1[..len]);
        self.0.tail.set(at + 1);
        result
    }
}
