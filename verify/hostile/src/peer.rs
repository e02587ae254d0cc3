//! A peer as far as it keeps books: what it said, what it saw.
//!
//! Owns: numbers relative to the live connection, from which hostile segments are made.
//! Must not know: the shard.

use crate::forge::Forged;
use core::net::IpAddr;
use usertcp_base::{Scale, Seq};
use usertcp_sim::view::View;
use usertcp_wire::tcp::{Flags, Options, Timestamps};

/// Addresses and ports of one flow: the peer's first.
pub type FlowEnds = ((IpAddr, u16), (IpAddr, u16));

/// One peer's end of one flow.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The flow.
    pub ends: FlowEnds,
    /// Our number at the SYN.
    pub isn: Seq,
    /// The next octet a well-behaved peer would send.
    pub next: Seq,
    /// What we offered on the SYN.
    pub offered: Options,
    /// What the shard sent on its SYN, if we saw one.
    pub answered: Option<Options>,
    /// The shard's number at its SYN.
    pub their_isn: Seq,
    /// The number after the highest the shard sent.
    pub their_next: Seq,
    /// The highest acknowledgement of the shard's that we saw.
    pub acked: Seq,
    /// The right edge of the shard's window.
    pub edge: Seq,
    /// The shard's last timestamp.
    pub their_stamp: u32,
    /// Our timestamp clock.
    pub stamp: u32,
}

impl Peer {
    /// A peer that has not spoken.
    pub fn new(ends: FlowEnds, isn: Seq, offered: Options) -> Peer {
        Peer {
            ends,
            isn,
            next: isn,
            offered,
            answered: None,
            their_isn: Seq(0),
            their_next: Seq(0),
            acked: isn,
            edge: isn,
            their_stamp: 0,
            stamp: 1,
        }
    }

    /// Whether both sides offered timestamps.
    pub fn has_timestamps(&self) -> bool {
        self.offered.timestamps.is_some()
            && self.answered.is_some_and(|options| options.timestamps.is_some())
    }

    /// The shard's window scale.
    pub fn their_scale(&self) -> Scale {
        match (self.offered.scale, self.answered.and_then(|options| options.scale)) {
            (Some(_), Some(shift)) => Scale::clamped(shift),
            _ => Scale::NONE,
        }
    }

    /// The shard sent something on this flow.
    pub fn on_sent(&mut self, view: &View) {
        let header = &view.header;
        if let Some(timestamps) = view.options.timestamps {
            self.their_stamp = timestamps.value;
        }
        if header.flags.contains(Flags::RST) {
            return;
        }
        if header.flags.contains(Flags::SYN) {
            self.answered = Some(view.options);
            self.their_isn = header.seq;
            self.their_next = view.end();
        }
        self.their_next = self.their_next.latest(view.end());
        if header.flags.contains(Flags::ACK) {
            self.acked = header.ack;
            let scale =
                if header.flags.contains(Flags::SYN) { Scale::NONE } else { self.their_scale() };
            self.edge = header.ack + scale.octets(header.window);
        }
    }

    /// A SYN as this peer sends it.
    pub fn synchronise(&mut self) -> Forged {
        self.next = self.isn + 1;
        self.forge(Flags::SYN).at(self.isn, Seq(0)).with(self.offered)
    }

    /// The answer to the shard's SYN.
    pub fn synchronise_back(&mut self) -> Forged {
        self.next = self.isn + 1;
        let mut options = self.offered;
        options.timestamps = options
            .timestamps
            .map(|timestamps| Timestamps { value: timestamps.value, echo: self.their_stamp });
        self.forge(Flags::SYN | Flags::ACK).at(self.isn, self.their_next).with(options)
    }

    /// A segment of this flow with nothing in it.
    pub fn forge(&self, flags: Flags) -> Forged {
        Forged::new(self.ends.0, self.ends.1, flags)
    }

    /// The timestamps a well-behaved peer would send now.
    pub fn timestamps(&self) -> Options {
        let timestamps = self
            .has_timestamps()
            .then_some(Timestamps { value: self.stamp, echo: self.their_stamp });
        Options { timestamps, ..Options::default() }
    }

    /// What a well-behaved peer would send: the next octets, everything acknowledged.
    pub fn polite(&mut self, flags: Flags, octets: usize) -> Forged {
        let forged = self
            .forge(flags | Flags::ACK)
            .at(self.next, self.their_next)
            .with(self.timestamps())
            .carrying(octets);
        self.next += octets as u32 + u32::from(flags.contains(Flags::FIN));
        forged
    }
}
