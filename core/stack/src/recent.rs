//! The connections whose packets came last.
//!
//! Owns: for each of some hundred places, the ports of the flow noted there last, and its record.
//! Must not know: whether the record still is that flow's. Who uses what is noted looks.
//!
//! The next packet of a busy connection is nearly always of one of these, and this takes a tenth of what
//! the demultiplexer takes. The place of a flow is no secret: who aims at one makes packets cost what they
//! would cost without this.

use usertcp_base::FlowKey;

const PLACES: usize = 512;

/// What was noted.
#[derive(Debug)]
pub(crate) struct Recent {
    noted: [Noted; PLACES],
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    ports: u32,
    index: u32,
}

impl Recent {
    /// With nothing noted: no flow has two ports that are zero.
    pub(crate) const fn new() -> Recent {
        Recent { noted: [Noted { ports: 0, index: u32::MAX }; PLACES] }
    }

    /// The index of the record that probably is that of `flow`.
    #[inline]
    pub(crate) fn find(&self, flow: &FlowKey) -> Option<u32> {
        let noted = self.noted[place(flow)];
        (noted.ports == ports(flow)).then_some(noted.index)
    }

    /// The same of a flow by IPv4, by the peer's address and the ports.
    #[inline]
    pub(crate) fn find_v4(
        &self,
        [.., a, b]: [u8; 4],
        remote_port: u16,
        local_port: u16,
    ) -> Option<u32> {
        let near = u16::from_be_bytes([a, b]);
        let noted = self.noted[usize::from(near ^ remote_port ^ local_port) % PLACES];
        let ports = u32::from(remote_port) << 16 | u32::from(local_port);
        (noted.ports == ports).then_some(noted.index)
    }

    /// Notes the index of the record of `flow`.
    #[inline]
    pub(crate) fn note(&mut self, flow: &FlowKey, index: u32) {
        self.noted[place(flow)] = Noted { ports: ports(flow), index };
    }
}

#[inline]
fn ports(flow: &FlowKey) -> u32 {
    u32::from(flow.remote_port) << 16 | u32::from(flow.local_port)
}

/// Ports in a row, of either side, have places in a row.
#[inline]
fn place(flow: &FlowKey) -> usize {
    let [.., a, b] = flow.remote.0;
    usize::from(u16::from_be_bytes([a, b]) ^ flow.remote_port ^ flow.local_port) % PLACES
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
        let mut recent = Recent::new();
        for port in 0..PLACES as u16 {
            assert_eq!(recent.find(&flow(40_000 + port)), None);
            recent.note(&flow(40_000 + port), u32::from(port));
        }
        for port in 0..PLACES as u16 {
            assert_eq!(recent.find(&flow(40_000 + port)), Some(u32::from(port)));
        }
        let other = 40_000 + PLACES as u16;
        recent.note(&flow(other), 7);
        assert_eq!((recent.find(&flow(other)), recent.find(&flow(40_000))), (Some(7), None));
    }
}
