//! Both headers by IPv4 of a connection's messages, made ready.
//!
//! Owns: what is the same in all of them, as it is written, and the sums of that.
//! Must not know: any other shape; a test holds it against [`write_both_v4`].
//! Implements: what the module above does.

use super::{
    BOTH_V4, IPV4_OCTETS, IpHeader, OFFSET_ACK, PSH, TCP_OCTETS, TcpHeader, write_both_v4,
};
use crate::checksum::{self, Running};
use crate::plain::STAMPS;
use crate::tcp::PROTOCOL;
use usertcp_base::{Ecn, Seq, WireWindow};

/// Octets in front of the sequence number.
const FRONT: usize = IPV4_OCTETS + 4;
/// Where an IP header has the length of the packet.
const LENGTH: usize = 2;
/// Where it has its checksum.
const CHECKSUM: usize = 10;
/// Where it has both addresses.
const ADDRESSES: usize = 12;
/// Data offset, ACK and PSH, in front of the window, as they lie in memory.
const FLAGS: u32 = (((OFFSET_ACK | PSH) as u32) << 16).to_be();
/// From the checksum of TCP, which is another in each, to the stamps.
const OPTIONS: [u8; 8] = (STAMPS as u64).to_be_bytes();

/// What all messages have in common that a connection by IPv4 sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PreparedV4 {
    /// The IP header, its length and its checksum being zero, and both ports.
    front: [u8; FRONT],
    /// The sum of the IP header.
    ip_sum: u16,
    /// The sum that, with the length of the packet, the payload, and what is another in each message, is that of what
    /// the checksum of TCP is of.
    tcp_sum: u16,
}

/// What headers of the usual shape say of a message, which has PSH.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageHeader {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK.
    pub ack: Seq,
    /// The window field.
    pub window: WireWindow,
    /// TSval.
    pub value: u32,
    /// TSecr.
    pub echo: u32,
}

impl PreparedV4 {
    /// Nothing is ready.
    pub const NONE: PreparedV4 = PreparedV4 { front: [0; FRONT], ip_sum: 0, tcp_sum: 0 };

    /// Makes ready what is from `source` to `destination`, each with its port.
    pub fn new(
        (dscp, hop_limit): (u8, u8),
        (source, destination): ([u8; 4], [u8; 4]),
        (source_port, destination_port): (u16, u16),
    ) -> PreparedV4 {
        let ecn = Ecn::NotCapable;
        let ip = IpHeader { payload_octets: 0, ecn, dscp, hop_limit, source, destination };
        let tcp = TcpHeader { source_port, destination_port, push: true, ..TcpHeader::default() };
        let mut both = [0; BOTH_V4];
        // To whoever completes the checksum is given the sum of the pseudo-header.
        write_both_v4(&mut both, &ip, &tcp, None);
        for at in [LENGTH, LENGTH + 1, CHECKSUM, CHECKSUM + 1] {
            both[at] = 0;
        }
        let (network, transport) = both.split_at(IPV4_OCTETS);
        let front = both.first_chunk().copied().unwrap_or([0; FRONT]);
        let folded = |octets| checksum::folded(Running::of_short(octets).words());
        // The length in the pseudo-header is that of the packet without the IP header.
        let less = !(IPV4_OCTETS as u16).to_be();
        let tcp_sum = checksum::folded(u64::from(folded(transport)) + u64::from(less));
        PreparedV4 { front, ip_sum: folded(network), tcp_sum }
    }

    /// Whether nothing is ready.
    #[inline(always)] // for each packet
    pub fn is_none(&self) -> bool {
        self.front[0] == 0
    }

    /// Writes both headers of a message of so many octets, as [`write_both_v4`].
    #[inline(always)] // as above
    pub fn write(
        &self,
        out: &mut [u8; BOTH_V4],
        octets: u16,
        header: &MessageHeader,
        payload: Option<Running>,
    ) {
        let MessageHeader { seq, ack, window, value, echo } = *header;
        let total = octets.wrapping_add(BOTH_V4 as u16).to_be();
        let numbers = (u64::from(seq.0) << 32 | u64::from(ack.0)).to_be();
        let window = u32::from(window.0).to_be();
        let stamps = (u64::from(value) << 32 | u64::from(echo)).to_be();
        let field = match payload {
            Some(payload) => {
                let few = u64::from(self.tcp_sum) + u64::from(total) + u64::from(window);
                !checksum::folded(checksum::sum_of_words(few, [payload.words(), numbers, stamps]))
            }
            None => self.pseudo_sum(octets.wrapping_add(TCP_OCTETS as u16).to_be()),
        };
        let ip_sum = u32::from(self.ip_sum) + u32::from(total);
        let ip_field = !(ip_sum + (ip_sum >> 16)) as u16;
        put(out, 0, self.front);
        put(out, LENGTH, total.to_ne_bytes());
        put(out, CHECKSUM, ip_field.to_ne_bytes());
        put(out, FRONT, numbers.to_ne_bytes());
        put(out, FRONT + 8, (FLAGS | window).to_ne_bytes());
        put(out, FRONT + 12, OPTIONS);
        put(out, FRONT + 12, field.to_ne_bytes());
        put(out, FRONT + 20, stamps.to_ne_bytes());
    }

    /// The sum of the pseudo-header of a segment of so many octets, in the order of the network.
    #[inline(always)] // as above
    fn pseudo_sum(&self, length: u16) -> u16 {
        let addresses = self.front.get(ADDRESSES..IPV4_OCTETS).unwrap_or_default();
        let mut sum = Running::of_short(addresses);
        sum.add_words([u64::from(u16::from(PROTOCOL).to_be()) + u64::from(length)]);
        checksum::folded(sum.words())
    }
}

/// Puts octets where there is room for them.
#[inline(always)] // a store or two
fn put<const N: usize>(out: &mut [u8; BOTH_V4], at: usize, octets: [u8; N]) {
    if let Some(place) = out.get_mut(at..).and_then(|out| out.first_chunk_mut()) {
        *place = octets;
    }
}
