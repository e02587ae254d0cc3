//! Headers of packets that go on where another one ended.
//!
//! Owns: what of both headers changes from packet to packet where a long segment is cut.
//! Must not know: payloads, how long a segment is.
//! Implements: what RFC 9293 §3.1 and RFC 7323 appendix A leave the same from packet to packet.
//!
//! Everything but the sequence number and the checksum is written once, and copied in whole registers.

use super::{BOTH_V4, BOTH_V6, IpHeader, TCP_OCTETS, TcpHeader, write_both_v4, write_both_v6};
use crate::checksum::Running;
use usertcp_base::Seq;

/// Both headers, of `OCTETS`, of packets that differ in their sequence numbers and payloads alone; those are as long as
/// each other.
#[derive(Clone, Copy, Debug)]
pub struct Series<const OCTETS: usize> {
    /// Those of a packet that begins at sequence number zero. The checksum is the sum of the pseudo-header.
    headers: [u8; OCTETS],
    /// What they sum to, the IP header aside; `None`: the device completes the checksum.
    sum: Option<u64>,
}

impl Series<BOTH_V4> {
    /// Headers like these. `complete`: the checksum is completed here.
    #[must_use]
    pub fn v4(ip: &IpHeader<[u8; 4]>, tcp: &TcpHeader, complete: bool) -> Self {
        let mut headers = [0; BOTH_V4];
        write_both_v4(&mut headers, ip, &TcpHeader { seq: Seq(0), ..*tcp }, None);
        Series::of(headers, complete)
    }
}

impl Series<BOTH_V6> {
    /// The same by IPv6.
    #[must_use]
    pub fn v6(ip: &IpHeader<[u8; 16]>, flow_label: u32, tcp: &TcpHeader, complete: bool) -> Self {
        let mut headers = [0; BOTH_V6];
        write_both_v6(&mut headers, ip, flow_label, &TcpHeader { seq: Seq(0), ..*tcp }, None);
        Series::of(headers, complete)
    }
}

impl<const OCTETS: usize> Series<OCTETS> {
    fn of(headers: [u8; OCTETS], complete: bool) -> Self {
        // With the pseudo-header, whose sum lies where the checksum will be.
        let tcp: &[u8] = headers.last_chunk::<TCP_OCTETS>().map_or(&[], |tcp| tcp);
        let halves = tcp.as_chunks::<4>().0.iter().map(|half| u64::from(u32::from_ne_bytes(*half)));
        Series { headers, sum: complete.then(|| halves.sum()) }
    }

    /// Writes both headers of the packet that begins at `seq`, whose payload sums to `payload`; nobody looks at that where a
    /// device completes the checksum.
    #[inline(always)] // for each packet
    pub fn write(&self, out: &mut [u8; OCTETS], seq: Seq, payload: Running) {
        *out = self.headers;
        let tcp = out.last_chunk_mut::<TCP_OCTETS>().map(|tcp| tcp.as_chunks_mut::<4>().0);
        let Some([_, place_of_seq, _, _, place_of_checksum, ..]) = tcp else { return };
        let seq = seq.0.to_be();
        *place_of_seq = seq.to_ne_bytes();
        if let Some(sum) = self.sum {
            let [first, second] = (!payload.plus_even(sum + u64::from(seq)).folded()).to_ne_bytes();
            *place_of_checksum = [first, second, 0, 0];
        }
    }
}
