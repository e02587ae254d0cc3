//! TIME-WAIT: the record that remains of a connection whose two sides both closed.
//!
//! Owns: `TimeWait` and segment arrival in that state. Must not know: tables, wheels.
//! Implements: RFC 9293 §3.6.1 and the TIME-WAIT lines of §3.10.7.4 (E-22), RFC 6191 §2,
//! RFC 1337 fix F1, AT-20.

use crate::open::{UsualSyn, timestamp_clock};
use crate::predicted::UsualOutgoing;
use crate::segment::{Reply, Segment};
use usertcp_base::{DropReason, Instant, Seq, Span, Stamp, WireWindow};
use usertcp_wire::tcp::{Flags, Timestamps};

/// What is kept for two maximum segment lifetimes.
#[derive(Clone, Debug)]
pub struct TimeWait {
    /// Our next sequence number, FIN included.
    pub snd_nxt: Seq,
    /// The peer's, FIN included.
    pub rcv_nxt: Seq,
    /// The window last announced.
    pub window: WireWindow,
    /// Timestamps, if the connection used them.
    pub timestamps: Option<TimeWaitTimestamps>,
    /// When it last answered a segment.
    pub last_reply: Option<Stamp>,
    /// Code point of its replies.
    pub dscp: u8,
    /// Hop limit of its replies.
    pub hop_limit: u8,
}

/// Timestamps as they stood at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeWaitTimestamps {
    /// Our offset.
    pub offset: u32,
    /// The peer's last value.
    pub recent: u32,
}

/// What a segment did to a TIME-WAIT record.
#[must_use]
#[derive(Debug)]
pub enum TimeWaitOutcome {
    /// Nothing; counted.
    Ignored(DropReason),
    /// Acknowledge; the record's time goes on.
    Reply(Reply),
    /// Acknowledge a repeated FIN, and begin the two lifetimes anew.
    Restart(Reply),
    /// A new SYN may take the pair over; its ISN must be above this number.
    Reopen(Seq),
}

/// Acknowledgements of one record are at least this far apart (AT-20).
const REPLY_GAP: Span = Span::from_millis(500);

impl TimeWait {
    /// A segment for this record arrived.
    pub fn handle_segment(&mut self, now: Instant, segment: &Segment) -> TimeWaitOutcome {
        let flags = segment.header.flags;
        if flags.contains(Flags::RST) {
            // RFC 1337 F1: a reset must not end TIME-WAIT.
            return TimeWaitOutcome::Ignored(DropReason::TimeWait);
        }
        if flags.contains(Flags::SYN) && !flags.contains(Flags::ACK) {
            return self.on_syn(segment);
        }
        if self.says_nothing(segment) {
            return TimeWaitOutcome::Ignored(DropReason::TimeWait);
        }
        if self.last_reply.is_some_and(|last| now.stamp().since(last) < REPLY_GAP) {
            return TimeWaitOutcome::Ignored(DropReason::ChallengeLimited);
        }
        self.last_reply = Some(now.stamp());
        let repeated_fin = flags.contains(Flags::FIN)
            && segment.header.seq + segment.sequence_octets() == self.rcv_nxt;
        let reply = self.acknowledgement(now);
        if repeated_fin { TimeWaitOutcome::Restart(reply) } else { TimeWaitOutcome::Reply(reply) }
    }

    /// An acknowledgement in its place, of nothing new. It asks for no answer: two ends in TIME-WAIT
    /// that answered each other's would never be done.
    fn says_nothing(&self, segment: &Segment) -> bool {
        segment.sequence_octets() == 0
            && segment.header.seq == self.rcv_nxt
            && segment.header.ack.at_or_before(self.snd_nxt)
    }

    /// RFC 6191 §2: whose SYN is surely new may have the pair; every other is dropped silently.
    fn on_syn(&self, segment: &Segment) -> TimeWaitOutcome {
        let value = segment.timestamp_value();
        match self.is_surely_new(segment.header.seq, value) {
            true => TimeWaitOutcome::Reopen(self.snd_nxt),
            false => TimeWaitOutcome::Ignored(DropReason::TimeWait),
        }
    }

    /// Whether a SYN of the usual shape may take the pair over: the number that its ISN must be above.
    #[must_use]
    pub fn reopens_for(&self, syn: &UsualSyn) -> Option<Seq> {
        let new = syn.ack.is_none() && self.is_surely_new(syn.seq, Some(syn.value));
        new.then_some(self.snd_nxt)
    }

    fn is_surely_new(&self, seq: Seq, value: Option<u32>) -> bool {
        let later_seq = seq.at_or_after(self.rcv_nxt);
        match (self.timestamps, value) {
            (Some(old), Some(value)) => {
                let ahead = value.wrapping_sub(old.recent) as i32;
                ahead > 0 || (ahead == 0 && later_seq)
            }
            (None, Some(_)) => true,
            (_, None) => later_seq,
        }
    }

    /// The same of the usual shape, if timestamps are used.
    #[inline(always)] // it is put together in registers
    #[must_use]
    pub fn usual_acknowledgement(&self, now: Instant) -> Option<UsualOutgoing> {
        let TimeWait { snd_nxt, rcv_nxt, window, dscp, hop_limit, .. } = *self;
        let TimeWaitTimestamps { offset, recent } = self.timestamps?;
        Some(UsualOutgoing {
            seq: snd_nxt,
            ack: rcv_nxt,
            window,
            push: false,
            fin: false,
            value: timestamp_clock(now, offset),
            echo: recent,
            dscp,
            hop_limit,
            octets: 0,
            gso_octets: None,
            last: true,
        })
    }

    fn acknowledgement(&self, now: Instant) -> Reply {
        let mut reply = Reply::new(Flags::ACK, self.snd_nxt, self.rcv_nxt, self.window);
        reply.options.timestamps = self.timestamps.map(|timestamps| Timestamps {
            value: timestamp_clock(now, timestamps.offset),
            echo: timestamps.recent,
        });
        reply.dscp = self.dscp;
        reply.hop_limit = self.hop_limit;
        reply
    }
}

#[cfg(test)]
mod tests;
