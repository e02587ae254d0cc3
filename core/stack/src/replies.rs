//! What answers a segment that belongs to no connection.
//!
//! Owns: the rules for CLOSED and LISTEN, as pure functions of the segment.
//! Must not know: packets, buckets, listeners; the shard limits the rate of what is decided here.
//! Implements: RFC 9293 §3.10.7.1 (E-1, E-2, E-3), §3.10.7.2 (E-4, E-5); AT-16, AT-21.
//!
//! A reset carries no option and no payload, so it is never larger than the segment that caused it,
//! and nothing answers a reset, so two stacks cannot keep each other busy.

use usertcp_base::Seq;

/// What of a segment matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stray {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK, when the ACK bit is set.
    pub ack: Option<Seq>,
    /// SYN bit.
    pub syn: bool,
    /// FIN bit.
    pub fin: bool,
    /// RST bit.
    pub rst: bool,
    /// Payload octets.
    pub payload_octets: u32,
}

/// A reset: `<SEQ=seq><CTL=RST>`, or `<SEQ=seq><ACK=ack><CTL=RST,ACK>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reset {
    /// Its sequence number.
    pub seq: Seq,
    /// Its acknowledgement, if it has one.
    pub ack: Option<Seq>,
}

/// What a listener makes of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Heard {
    /// A connection is asked for.
    Open,
    /// An acknowledgement: of a cookie, perhaps; if it is not, this reset is due.
    Acknowledges(Reset),
    /// Nothing answers it.
    Nothing,
}

/// RFC 9293 §3.10.7.1, MUST: the answer of a port where nobody is. `None` answers a reset.
pub fn closed(stray: &Stray) -> Option<Reset> {
    if stray.rst {
        return None;
    }
    Some(match stray.ack {
        Some(ack) => Reset { seq: ack, ack: None },
        None => {
            let length = stray
                .payload_octets
                .wrapping_add(u32::from(stray.syn))
                .wrapping_add(u32::from(stray.fin));
            Reset { seq: Seq(0), ack: Some(stray.seq + length) }
        }
    })
}

/// RFC 9293 §3.10.7.2, MUST: the answer of a port where a listener is. SYN with FIN is no request
/// but a probe for odd stacks, and opens nothing (AT-16).
pub fn listening(stray: &Stray) -> Heard {
    if stray.rst {
        return Heard::Nothing;
    }
    match stray.ack {
        Some(ack) => Heard::Acknowledges(Reset { seq: ack, ack: None }),
        None if stray.syn && !stray.fin => Heard::Open,
        None => Heard::Nothing,
    }
}

#[cfg(test)]
mod tests;
