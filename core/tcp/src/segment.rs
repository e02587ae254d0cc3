//! Segments as values. Owns: `Segment` (arrived), `Outgoing` (to be sent), `Reply` (no payload).
//! Must not know: ports and addresses of either end; the layer around fills them in.

use usertcp_base::{Ecn, Seq, WireWindow};
use usertcp_frame::Chain;
use usertcp_wire::tcp::{Flags, Header, Options};

/// A segment that arrived: checked, parsed, its payload still in the frame it came in.
#[derive(Debug)]
pub struct Segment {
    /// The fixed header.
    pub header: Header,
    /// The options.
    pub options: Options,
    /// The payload.
    pub payload: Chain,
    /// The mark of the IP header.
    pub ecn: Ecn,
    /// Wire segments this one was merged from by the device, at least 1.
    pub wire_segments: u16,
}

impl Segment {
    /// TSval, if it has the timestamps option (RFC 7323 §3.2).
    #[inline]
    pub fn timestamp_value(&self) -> Option<u32> {
        self.options.timestamps.map(|timestamps| timestamps.value)
    }

    /// Octets of sequence space it takes: payload, and one each for SYN and FIN.
    pub fn sequence_octets(&self) -> u32 {
        let flags = self.header.flags;
        let control = u32::from(flags.contains(Flags::SYN)) + u32::from(flags.contains(Flags::FIN));
        u32::try_from(self.payload.len()).unwrap_or(u32::MAX).saturating_add(control)
    }
    /// Whether `flag` is set.
    pub fn has(&self, flag: Flags) -> bool {
        self.header.flags.contains(flag)
    }
}

/// A segment to be sent. Ports are zero: whoever knows them fills them in.
#[derive(Debug)]
pub struct Outgoing {
    /// Fixed header and options.
    pub reply: Reply,
    /// Payload, shared with the retransmission queue.
    pub payload: Chain,
    /// When the payload is more than one segment: octets of payload per wire segment.
    pub gso_octets: Option<u16>,
    /// No other segment follows: there is no need to poll again.
    pub last: bool,
}

/// A segment without payload, as a value that can be kept.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The fixed header, ports zero.
    pub header: Header,
    /// The options.
    pub options: Options,
    /// The mark for the IP header.
    pub ecn: Ecn,
    /// Differentiated services code point.
    pub dscp: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
}

impl Reply {
    /// A reply with these header fields and nothing else.
    pub fn new(flags: Flags, seq: Seq, ack: Seq, window: WireWindow) -> Reply {
        Reply {
            header: Header {
                source_port: 0,
                destination_port: 0,
                seq,
                ack,
                flags,
                window,
                urgent: 0,
            },
            options: Options::default(),
            ecn: Ecn::NotCapable,
            dscp: 0,
            hop_limit: 64,
        }
    }

    /// A reset that answers an acknowledgement: its sequence number is what was acknowledged.
    pub fn reset_for_ack(ack: Seq) -> Reply {
        Reply::new(Flags::RST, ack, Seq(0), WireWindow(0))
    }

    /// With no payload.
    pub fn without_payload(self) -> Outgoing {
        Outgoing { reply: self, payload: Chain::default(), gso_octets: None, last: false }
    }
}
