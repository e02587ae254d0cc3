//! Which segments the receive window takes, and what is cut off at its edges.
//!
//! Owns: the four acceptability cases and the trimming of straddling segments.
//! Must not know: payload, flags other than SYN and FIN, what happens to a refused segment.
//! Implements: RFC 9293 §3.4, §3.10.7.4 first check (E-9, E-11, E-12); RFC 7323 §2.4 (7323-5).

use usertcp_base::Seq;

/// What a segment occupies of the sequence space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// SEG.SEQ.
    pub seq: Seq,
    /// Payload octets.
    pub octets: u32,
    /// SYN takes the number before the payload.
    pub syn: bool,
    /// FIN takes the number after the payload.
    pub fin: bool,
}

impl Extent {
    /// SEG.LEN: payload, SYN and FIN counted.
    pub const fn len(&self) -> u32 {
        self.octets.saturating_add(self.syn as u32).saturating_add(self.fin as u32)
    }
    /// Whether it occupies nothing, as a plain acknowledgement does.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The sequence number after the segment.
    pub fn end(&self) -> Seq {
        self.seq + self.len()
    }
    /// The sequence number of the first payload octet.
    pub fn data(&self) -> Seq {
        self.seq + self.syn as u32
    }
}

/// The receive window: `[nxt, edge)`.
///
/// `edge` is the largest right edge ever offered, not RCV.NXT plus the window of the last
/// acknowledgement: rounding by the scale may have made that one smaller (RFC 7323 §2.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// RCV.NXT.
    pub nxt: Seq,
    /// The largest right edge ever offered.
    pub edge: Seq,
}

impl Window {
    /// RCV.WND: octets between the two edges.
    pub const fn octets(&self) -> u32 {
        self.edge.since(self.nxt)
    }
    /// Whether `seq` lies in the window.
    pub const fn contains(&self, seq: Seq) -> bool {
        seq.0.wrapping_sub(self.nxt.0) < self.octets()
    }
}

/// Where an unacceptable segment lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Wholly before RCV.NXT: an old duplicate, a keep-alive, a probe from below.
    Before,
    /// At or past the right edge.
    Beyond,
}

/// The verdict of the first check.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acceptability {
    /// Process it; trim it before its data is used.
    Accept,
    /// The window is closed and the segment stands exactly at RCV.NXT: ACK, URG and RST are
    /// taken, the rest is not, and an acknowledgement is owed (E-11, MUST-66).
    ControlOnly,
    /// Drop it; unless it is a reset an acknowledgement is owed (E-10).
    Outside(Side),
}

/// The four cases of RFC 9293 §3.10.7.4.
pub fn check(segment: &Extent, window: &Window) -> Acceptability {
    let outside = || {
        let side = if segment.seq.before(window.nxt) { Side::Before } else { Side::Beyond };
        Acceptability::Outside(side)
    };
    let (length, octets) = (segment.len(), window.octets());
    if octets == 0 {
        return match (segment.seq == window.nxt, length) {
            (true, 0) => Acceptability::Accept,
            (true, _) => Acceptability::ControlOnly,
            (false, _) => outside(),
        };
    }
    if window.contains(segment.seq) || (length > 0 && window.contains(segment.end() - 1)) {
        return Acceptability::Accept;
    }
    // A segment longer than the window that starts before it and ends past it has neither end
    // inside, yet brings the very octet that is waited for. The RFC's test forgets it; super-
    // segments make it possible.
    if length > octets && segment.seq.before(window.nxt) && segment.end().after(window.edge) {
        return Acceptability::Accept;
    }
    outside()
}

/// What is left of a segment once both edges are respected.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trim {
    /// Sequence number of the first payload octet kept (of the FIN when none is).
    pub seq: Seq,
    /// Payload octets to cut from the front: had before.
    pub front: u32,
    /// Payload octets to cut from the back: beyond the window.
    pub back: u32,
    /// Payload octets kept.
    pub octets: u32,
    /// Whether the SYN lies in the window.
    pub syn: bool,
    /// Whether the FIN lies in the window.
    pub fin: bool,
}

/// Cuts `segment` to `window`. Total for any input; one that lies outside keeps nothing.
pub fn trim(segment: &Extent, window: &Window) -> Trim {
    let data = segment.data();
    let front = window.nxt.since(data).min(segment.octets);
    let remaining = segment.octets - front;
    let seq = data + front;
    let octets = if seq.before(window.nxt) { 0 } else { remaining.min(window.edge.since(seq)) };
    let back = remaining - octets;
    // A FIN whose data was cut is outside too: it follows them.
    let fin = segment.fin && window.contains(data + segment.octets);
    Trim { seq, front, back, octets, syn: segment.syn && window.contains(segment.seq), fin }
}
