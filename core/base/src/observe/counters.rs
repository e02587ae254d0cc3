//! One plain struct of counters with one writer.

use crate::DropReason;

/// What a shard counts since its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Packets received from the device.
    pub packets_in: u64,
    /// Packets given to the device (a super-segment counts once).
    pub packets_out: u64,
    /// TCP segments received, and their payload octets (retransmissions included).
    pub segments_in: u64,
    /// TCP segments sent (a super-segment counts once).
    pub segments_out: u64,
    /// TCP payload octets received.
    pub payload_octets_in: u64,
    /// TCP payload octets sent, retransmissions included.
    pub payload_octets_out: u64,
    /// Segments sent again.
    pub segments_retransmitted: u64,
    /// Retransmission timer expiries.
    pub timeouts: u64,
    /// Tail loss probes.
    pub tail_probes: u64,
    /// Retransmissions that were not needed, as the peer reported.
    pub spurious_retransmissions: u64,
    /// Resets sent.
    pub resets_out: u64,
    /// Resets accepted.
    pub resets_in: u64,
    /// Challenge acknowledgements sent.
    pub challenge_acks: u64,
    /// SYN cookies sent.
    pub cookies_out: u64,
    /// Connections opened by a valid cookie.
    pub cookies_accepted: u64,
    /// Connections opened by a peer's SYN with a valid Fast Open cookie (RFC 7413); counted as
    /// passive opens too.
    pub fast_opens_in: u64,
    /// Fast Open cookies that were not ours for that address.
    pub fast_open_cookies_invalid: u64,
    /// Connections whose SYN carried data of ours that the peer's SYN-ACK acknowledged.
    pub fast_opens_out: u64,
    /// SYNs with data of ours that the peer's SYN-ACK did not acknowledge.
    pub fast_opens_failed: u64,
    /// Connections opened by a peer.
    pub passive_opens: u64,
    /// Connections opened by us.
    pub active_opens: u64,
    /// Connections that ended, in any way.
    pub closes: u64,
    /// Octets of payload copied inside the stack (compaction, split of a frame).
    pub octets_copied: u64,
    /// ICMP echo requests answered.
    pub echo_replies: u64,
    /// ICMP errors sent.
    pub icmp_errors_out: u64,
    /// Turns that stopped at a budget with work left.
    pub turns_cut: u64,
    /// Connections that gave back their TCB.
    pub parked: u64,
    /// Connections that got it back.
    pub activated: u64,
    /// Packets that arrived here and were handed to the shard they belong to.
    pub steered_out: u64,
    /// Packets other shards handed to this one.
    pub steered_in: u64,
    /// Packets dropped, by reason.
    pub drops: [u64; DropReason::COUNT],
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            packets_in: 0,
            packets_out: 0,
            segments_in: 0,
            segments_out: 0,
            payload_octets_in: 0,
            payload_octets_out: 0,
            segments_retransmitted: 0,
            timeouts: 0,
            tail_probes: 0,
            spurious_retransmissions: 0,
            resets_out: 0,
            resets_in: 0,
            challenge_acks: 0,
            cookies_out: 0,
            cookies_accepted: 0,
            fast_opens_in: 0,
            fast_open_cookies_invalid: 0,
            fast_opens_out: 0,
            fast_opens_failed: 0,
            passive_opens: 0,
            active_opens: 0,
            closes: 0,
            octets_copied: 0,
            echo_replies: 0,
            icmp_errors_out: 0,
            turns_cut: 0,
            parked: 0,
            activated: 0,
            steered_out: 0,
            steered_in: 0,
            drops: [0; DropReason::COUNT],
        }
    }
}

impl Counters {
    /// Counts one packet dropped for `reason`.
    pub fn count_drop(&mut self, reason: DropReason) {
        let slot = &mut self.drops[reason as usize];
        *slot = slot.wrapping_add(1);
    }
    /// Packets dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }
    /// Packets dropped in all.
    pub fn dropped_total(&self) -> u64 {
        self.drops.iter().fold(0, |sum, n| sum.wrapping_add(*n))
    }
    /// Adds what another shard counted.
    pub fn add(&mut self, other: &Counters) {
        // Taken apart by name, so that no counter is forgotten.
        macro_rules! sum {
            ($($name:ident)*) => {
                let Counters { $($name,)* drops } = other;
                $(self.$name = self.$name.wrapping_add(*$name);)*
                for (sum, count) in self.drops.iter_mut().zip(drops) {
                    *sum = sum.wrapping_add(*count);
                }
            };
        }
        sum! {
            packets_in packets_out segments_in segments_out payload_octets_in payload_octets_out
            segments_retransmitted timeouts tail_probes spurious_retransmissions resets_out
            resets_in challenge_acks cookies_out cookies_accepted fast_opens_in
            fast_open_cookies_invalid fast_opens_out fast_opens_failed passive_opens active_opens
            closes octets_copied echo_replies icmp_errors_out turns_cut parked activated
            steered_out steered_in
        }
    }
}
