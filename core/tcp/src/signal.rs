//! What the network may say about a segment of ours. Owns: `Signal`.
//! Must not know: ICMP; the layer below translates.
//! Implements: the TCP side of RFC 5927 and RFC 9293 §3.9.2.2.

use usertcp_base::Seq;

/// A path signal, already matched to this connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signal {
    /// The quoted sequence number.
    pub seq: Seq,
    /// What is said.
    pub kind: SignalKind,
}

/// Kinds of path signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignalKind {
    /// The path carries no more than this: TCP header and payload, octets.
    TooBig {
        /// Largest segment.
        segment_octets: u16,
    },
    /// Ends an open that is under way; in synchronised states as good as soft.
    Hard,
    /// Told to the application, no more.
    Soft,
}
