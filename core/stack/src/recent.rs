//! The connections whose packets came last.
//!
//! Owns: for each of some places, what tells the flow noted there last from others, and its record.
//! Must not know: whether the record still is that flow's. Who uses what is noted looks.
//!
//! The next packet of a busy connection is nearly always of one of these, and this takes a tenth of what
//! the demultiplexer takes. The place of a flow is no secret: who aims at one makes packets cost what they
//! would cost without this.

use usertcp_base::FlowKey;

/// With fewer than many thousand connections few of these are looked at; with more, what is asked is answered within
/// about so many packets.
const PLACES: usize = 2048;

/// What was noted.
#[derive(Debug)]
pub(crate) struct Recent {
    noted: [Noted; PLACES],
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    tag: u32,
    index: u32,
}

impl Recent {
    /// With nothing noted: no record has this index.
    pub(crate) const fn new() -> Recent {
        Recent { noted: [Noted { tag: 0, index: u32::MAX }; PLACES] }
    }

    /// The index of the record that probably is that of `flow`.
    #[inline]
    pub(crate) fn find(&self, flow: &FlowKey) -> Option<u32> {
        self.find_near(near(flow), flow.ports())
    }

    /// The same by the end of the peer's address, which is all of one by IPv4, and the [ports](FlowKey::ports).
    #[inline]
    pub(crate) fn find_near(&self, near: [u8; 4], ports: u32) -> Option<u32> {
        let noted = self.noted[place(near, ports)];
        (noted.tag == tag(near, ports)).then_some(noted.index)
    }

    /// Notes the index of the record of `flow`.
    #[inline]
    pub(crate) fn note(&mut self, flow: &FlowKey, index: u32) {
        self.note_near(near(flow), flow.ports(), index);
    }

    /// The same by what [`Recent::find_near`] finds it.
    #[inline]
    pub(crate) fn note_near(&mut self, near: [u8; 4], ports: u32, index: u32) {
        self.noted[place(near, ports)] = Noted { tag: tag(near, ports), index };
    }
}

/// The end of the peer's address.
#[inline]
fn near(flow: &FlowKey) -> [u8; 4] {
    let [.., a, b, c, d] = flow.remote.0;
    [a, b, c, d]
}

/// Both ports and the end of the address: many peers may have the same ports, and many connections the same
/// address.
#[inline]
fn tag(near: [u8; 4], ports: u32) -> u32 {
    ports.wrapping_add(u32::from_ne_bytes(near).wrapping_mul(0x9E37_79B1))
}

/// Ports in a row, of either side, have places in a row.
#[inline]
fn place(near: [u8; 4], ports: u32) -> usize {
    (u32::from_be_bytes(near) ^ ports ^ ports >> 16) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;
    use usertcp_base::RemoteAddr;

    #[test]
    fn neighbours_do_not_push_each_other_out() {
        let flow = |port| FlowKey {
            remote: RemoteAddr([7; 16]),
            remote_port: 443,
            local_port: port,
            ..FlowKey::default()
        };
        let place_of = |flow: &FlowKey| place(near(flow), flow.ports());
        let mut recent = Recent::new();
        for port in 0..PLACES as u16 {
            assert_eq!(recent.find(&flow(40_000 + port)), None);
            recent.note(&flow(40_000 + port), u32::from(port));
        }
        for port in 0..PLACES as u16 {
            assert_eq!(recent.find(&flow(40_000 + port)), Some(u32::from(port)));
        }
        // Of two flows at one place, ports apart or the address alone tells which was noted.
        let mut far = flow(40_000);
        far.remote.0[13] ^= 1;
        assert_eq!((place_of(&far), recent.find(&far)), (place_of(&flow(40_000)), None));
        let other = 40_000 + PLACES as u16;
        recent.note(&flow(other), 7);
        assert_eq!((recent.find(&flow(other)), recent.find(&flow(40_000))), (Some(7), None));
    }
}
