//! SYN cookies: a half-open connection kept in the peer's memory instead of ours.
//!
//! Owns: what is coded into our initial sequence number and timestamp, the key, and whether cookies
//! are honoured at present.
//! Must not know: packets, listeners; the shard decides when a cookie is issued.
//! Implements: RFC 4987 §3.6 and appendix A; 4987-2, 4987-3, AT-1, AT-34.
//!
//! The sequence number is a 28-bit keyed hash, one bit of the time step, and a three-bit index of
//! the MSS. When the SYN brought timestamps, the low six bits of ours carry its window scale,
//! SACK-permitted and classic ECN: the peer echoes them. These six bits are not protected: a peer
//! that changes them deceives only itself.
//!
//! That accurate ECN was agreed needs no bit: it is one more input of the hash, which is computed
//! for both cases where it may have been. The mark of the SYN is told at once and not kept; the
//! acknowledgement itself says what the peer counts (RFC 9768 §5.1).

use usertcp_base::{FlowKey, Instant, Purpose, Scale, Secrets, Seq, Span};

/// A cookie is good in its own step and the next: at most two minutes.
const STEP: Span = Span::from_secs(60);
/// 4987-3: how long after the last cookie issued any is honoured.
const HONOURED: Span = Span::from_secs(120);
/// Values an MSS is rounded down to: what paths have, jumbo frames, tunnels, and the two defaults.
const MSS_TABLE: [u16; 8] = [216, 536, 1220, 1340, 1400, 1440, 1460, 8940];
/// The code for "no window scale offered".
const NO_SCALE: u32 = 15;
/// Low timestamp bits that carry options.
const OPTION_BITS: u32 = 6;

/// Issues and checks cookies.
#[derive(Debug)]
pub struct Cookies {
    secrets: Secrets,
    last_issued: Option<Instant>,
}

/// What a SYN offered, as far as a cookie can keep it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// MSS offered, or the default for the address family.
    pub mss_octets: u16,
    /// Accurate ECN was asked for, and answered.
    pub accurate_ecn: bool,
    /// The rest, which only timestamps can carry.
    pub with_timestamps: Option<WithTimestamps>,
}

/// Options that survive only beside timestamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WithTimestamps {
    /// Window scale.
    pub scale: Option<Scale>,
    /// SACK permitted.
    pub sack_permitted: bool,
    /// Classic ECN asked for (RFC 3168 §6.1.1).
    pub ecn: bool,
}

/// What the SYN-ACK of a cookie carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Issued {
    /// Our initial sequence number.
    pub seq: Seq,
    /// Our timestamp value, when the SYN had one.
    pub timestamp: Option<u32>,
}

/// The acknowledgement that may complete a cookie's handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Presented {
    /// SEG.SEQ: one beyond the peer's initial sequence number.
    pub seq: Seq,
    /// SEG.ACK: one beyond ours.
    pub ack: Seq,
    /// The timestamp it echoes, when it has the option.
    pub echo: Option<u32>,
}

impl Cookies {
    /// No cookie was issued yet, so none is honoured.
    pub fn new(secrets: Secrets) -> Cookies {
        Cookies { secrets, last_issued: None }
    }

    /// A cookie for the SYN of `flow` with sequence number `peer_isn`. `clock` is the value our
    /// timestamp would have; the coded one is up to 63 earlier, so that the connection's own
    /// timestamps never go back behind it.
    pub fn issue(
        &mut self,
        now: Instant,
        flow: &FlowKey,
        peer_isn: Seq,
        offer: &Offer,
        clock: u32,
    ) -> Issued {
        self.last_issued = Some(now);
        let index = MSS_TABLE.iter().rposition(|mss| *mss <= offer.mss_octets).unwrap_or(0);
        let seq = self.sequence(step(now), flow, peer_isn, index as u32, offer.accurate_ecn);
        Issued { seq, timestamp: offer.with_timestamps.map(|with| with.code(clock)) }
    }

    /// What the SYN offered, if `presented` answers a cookie of ours for this flow that is not too
    /// old. `accurate_ecn`: such a cookie may have been issued with it.
    pub fn redeem(
        &self,
        now: Instant,
        flow: &FlowKey,
        presented: &Presented,
        accurate_ecn: bool,
    ) -> Option<Offer> {
        if !self.active(now) {
            return None;
        }
        let cookie = presented.ack - 1;
        let current = step(now);
        let issued = if cookie.0 >> 3 & 1 == current as u32 & 1 {
            current
        } else {
            current.checked_sub(1)?
        };
        let index = cookie.0 & 7;
        let issued_with = |accurate: bool| {
            self.sequence(issued, flow, presented.seq - 1, index, accurate) == cookie
        };
        let accurate_ecn = accurate_ecn && issued_with(true);
        if !accurate_ecn && !issued_with(false) {
            return None;
        }
        let mss_octets = *MSS_TABLE.get(index as usize)?;
        let with_timestamps = presented.echo.map(WithTimestamps::decode);
        Some(Offer { mss_octets, accurate_ecn, with_timestamps })
    }

    /// Whether a cookie was issued lately: otherwise nothing that claims to answer one is looked
    /// at (4987-3), and a guess has no chance at all.
    pub fn active(&self, now: Instant) -> bool {
        self.last_issued.is_some_and(|issued| now.since(issued) <= HONOURED)
    }

    fn sequence(
        &self,
        step: u64,
        flow: &FlowKey,
        peer_isn: Seq,
        index: u32,
        accurate_ecn: bool,
    ) -> Seq {
        let mut message = [0; 35];
        message[..22].copy_from_slice(&flow.octets());
        message[22..26].copy_from_slice(&peer_isn.0.to_be_bytes());
        message[26..34].copy_from_slice(&step.to_be_bytes());
        message[34] = index as u8 | u8::from(accurate_ecn) << 3;
        let hash = self.secrets.hash(Purpose::Cookie, &message) as u32;
        Seq(hash << 4 | (step as u32 & 1) << 3 | index & 7)
    }
}

impl WithTimestamps {
    fn code(self, clock: u32) -> u32 {
        let scale = self.scale.map_or(NO_SCALE, |scale| u32::from(scale.shift()));
        let bits = u32::from(self.ecn) << 5 | u32::from(self.sack_permitted) << 4 | scale;
        let coded = clock >> OPTION_BITS << OPTION_BITS | bits;
        // The bits may have made it later than the clock, which must not go back afterwards.
        if coded > clock { coded.wrapping_sub(1 << OPTION_BITS) } else { coded }
    }

    fn decode(timestamp: u32) -> WithTimestamps {
        let scale = timestamp & 15;
        WithTimestamps {
            scale: (scale != NO_SCALE).then(|| Scale::clamped(scale as u8)),
            sack_permitted: timestamp >> 4 & 1 == 1,
            ecn: timestamp >> 5 & 1 == 1,
        }
    }
}

fn step(now: Instant) -> u64 {
    now.as_micros() / STEP.as_micros()
}

#[cfg(test)]
mod tests;
