//! Headers and options of what leaves, and what they leave room for.
//! Owns: which options go with a segment and how long they are; PSH, URG; resets.
//! Must not know: which segment is next, and when.
//! Implements: RFC 9293 §3.5.2, §3.9.1.2 (MUST-61, MUST-62), RFC 7323 §3.2, RFC 2018 §3, RFC 9768 §3.2.3.3.

use crate::env::Env;
use crate::segment::{Outgoing, Reply};
use crate::settings::{Manner, TIMESTAMP_OCTETS};
use crate::tcb::Tcb;
use usertcp_base::{Instant, Observer, Seq, WireWindow};
use usertcp_cc::CongestionController;
use usertcp_wire::tcp::{
    AccurateEcn, Flags, OPTION_OCTETS, Options, SackBlock, SackBlocks, Timestamps,
};

/// One SACK block.
const SACK_BLOCK_OCTETS: usize = 8;

/// The user-timeout option.
const USER_TIMEOUT_OCTETS: u32 = 4;

impl<C: CongestionController> Tcb<C> {
    /// Payload of a full segment that leaves now: less than the MSS while SACK blocks or an accurate
    /// ECN option go along.
    pub(super) fn segment_payload_octets(&self) -> u32 {
        let ecn = self.ecn_option(true);
        let reports = !self.receiver.held().is_empty();
        let blocks = if reports { self.sack_room(ecn.as_ref()) } else { 0 };
        self.send_mss().saturating_sub(self.extra_octets(ecn.as_ref(), blocks)).max(1)
    }

    /// The accurate ECN option of the next segment, one with `data` or not: as long as leaves two
    /// SACK blocks their room when there is something to report (RFC 9768 §3.2.3.3).
    pub(super) fn ecn_option(&self, data: bool) -> Option<AccurateEcn> {
        let reports = self.recovery.sack() && !self.receiver.held().is_empty();
        let least = if reports { 2 } else { 0 };
        self.ecn.option(data, |count| {
            let option = AccurateEcn { count, ..AccurateEcn::default() };
            self.options_octets(Some(&option), least) <= OPTION_OCTETS
        })
    }

    /// Octets of timestamps, accurate ECN and SACK blocks together, as `wire` lays them out.
    fn options_octets(&self, ecn: Option<&AccurateEcn>, blocks: usize) -> usize {
        let timestamps = usize::from(if self.timestamps.is_on() { TIMESTAMP_OCTETS } else { 0 });
        let end = timestamps + ecn.map_or(0, |option| 2 + 3 * usize::from(option.count));
        if blocks == 0 {
            return end.next_multiple_of(4);
        }
        // Kind and length end a word, so that the edges begin one.
        (end + 2).next_multiple_of(4) + SACK_BLOCK_OCTETS * blocks
    }

    /// The same beyond what the MSS takes into account already.
    pub(super) fn extra_octets(&self, ecn: Option<&AccurateEcn>, blocks: usize) -> u32 {
        (self.options_octets(ecn, blocks) - self.options_octets(None, 0)) as u32
    }

    /// SACK blocks that fit beside the others.
    fn sack_room(&self, ecn: Option<&AccurateEcn>) -> usize {
        let fits = |blocks: &usize| self.options_octets(ecn, *blocks) <= OPTION_OCTETS;
        if self.recovery.sack() { (1..=SackBlocks::MOST).rev().find(fits).unwrap_or(0) } else { 0 }
    }

    /// A segment of `length` sequence numbers from `seq` on, to be cut into segments of `mss` payload
    /// octets; its FIN, if it reaches that far.
    pub(super) fn build<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        seq: Seq,
        length: u32,
        mss: u32,
    ) -> Outgoing {
        let fin_seq = self.fin_seq();
        let end = seq + length;
        let fin = end.after(fin_seq);
        let octets = length - u32::from(fin);
        let mut flags = Flags::ACK;
        if fin {
            flags = flags | Flags::FIN;
        }
        // The last segment of what was written carries PSH (MUST-61).
        let last = end - u32::from(fin);
        let record = self.rare.record_after(last - 1) == Some(last);
        let burst = self.settings.manner == Manner::Linux && octets > mss;
        if octets > 0 && (last == fin_seq || record || burst) {
            flags = flags | Flags::PSH;
        }
        let payload = self.queue.slice(seq.since(self.snd.una) as usize, octets as usize);
        let mut reply = self.header(env, flags, seq, octets);
        self.mark_urgent(&mut reply, seq);
        let gso_octets = (octets > mss).then_some(mss.min(u32::from(u16::MAX)) as u16);
        Outgoing { reply, payload, gso_octets, last: false }
    }

    /// Urgent mode: the pointer is the number after the last urgent octet (MUST-62).
    fn mark_urgent(&self, reply: &mut Reply, seq: Seq) {
        let Some(up) = self.snd_up else { return };
        let distance = up.since(seq);
        if distance > 0 {
            reply.header.flags = reply.header.flags | Flags::URG;
            reply.header.urgent = distance.min(u32::from(u16::MAX)) as u16;
        }
    }

    /// Header and options of any segment of a synchronised connection. Whatever leaves carries
    /// the acknowledgement that was owed.
    pub(crate) fn header<O: Observer>(
        &mut self,
        env: &mut Env<'_, O>,
        flags: Flags,
        seq: Seq,
        octets: u32,
    ) -> Reply {
        let window = self.announce_window();
        let options = self.options(env.now, octets);
        let pure = octets == 0 && !flags.contains(Flags::FIN) && options.sack.is_empty();
        let flags = flags | self.ecn.flags(pure);
        self.ecn.on_sent(seq, octets, options.accurate_ecn.as_ref());
        let mut reply = Reply::new(flags, seq, self.receiver.nxt(), window);
        reply.options = options;
        reply.dscp = self.settings.dscp;
        reply.hop_limit = self.settings.hop_limit;
        self.timestamps.on_ack_sent(self.receiver.nxt());
        if octets > 0 {
            self.acks.end_silence(env.now, self.last_heard);
        }
        self.acks.on_ack_sent(env.now, octets > 0);
        reply
    }

    /// Whether a segment that leaves now has no option but timestamps, if they are on, and no ECN flag.
    #[inline]
    pub(crate) fn has_no_option_but_timestamps(&self) -> bool {
        !self.ecn.is_agreed() && self.receiver.has_no_report() && !self.user_timeout.is_owed()
    }

    /// Timestamps always, accurate ECN when due, SACK blocks as far as the payload of one wire
    /// segment leaves room.
    fn options(&mut self, now: Instant, octets: u32) -> Options {
        let mut options = Options::default();
        if let Some(echo) = self.timestamps.echo() {
            options.timestamps = Some(Timestamps { value: self.timestamp_value(now), echo });
        }
        if self.has_no_option_but_timestamps() {
            return options;
        }
        let most = self.segment_payload_octets();
        let left = self.send_mss().saturating_sub(octets.min(most));
        let ecn = self.ecn_option(octets > 0);
        options.accurate_ecn = ecn.filter(|option| self.extra_octets(Some(option), 0) <= left);
        let ecn = options.accurate_ecn.as_ref();
        let fits = |blocks: &usize| self.extra_octets(ecn, *blocks) <= left;
        let room = (1..=self.sack_room(ecn)).rev().find(fits).unwrap_or(0);
        if room > 0 && !self.ecn.owes_handshake() {
            for (left, right) in self.receiver.take_sack_blocks(room) {
                options.sack.push(SackBlock { left, right });
            }
        }
        let ecn = options.accurate_ecn.as_ref();
        let needed = self.extra_octets(ecn, 0) + USER_TIMEOUT_OCTETS;
        let spare = options.sack.is_empty() && left >= needed;
        options.user_timeout = self.user_timeout.take_option(&self.settings, spare);
        options
    }

    #[inline]
    pub(crate) fn announce_window(&mut self) -> WireWindow {
        let holding = self.holding();
        let mss = self.receive_mss();
        self.advertise.announce(self.receiver.nxt(), &holding, mss)
    }

    /// The reset that ends this connection from our side (E-28).
    pub(crate) fn reset<O: Observer>(&mut self, env: &mut Env<'_, O>) -> Reply {
        env.counters.resets_out = env.counters.resets_out.wrapping_add(1);
        let flags = Flags::RST | Flags::ACK | self.ecn.flags(false);
        let mut reply = Reply::new(flags, self.snd.nxt, self.receiver.nxt(), WireWindow(0));
        // RFC 7323 §3.2, SHOULD: on a reset too, once agreed on.
        if let Some(echo) = self.timestamps.echo() {
            let value = self.timestamp_value(env.now);
            reply.options.timestamps = Some(Timestamps { value, echo });
        }
        reply.dscp = self.settings.dscp;
        reply.hop_limit = self.settings.hop_limit;
        reply
    }

    /// The reset that answers a segment: its number is the one that the segment acknowledges, which
    /// is what its sender waits for, whatever of ours was lost (RFC 9293 §3.5.2, group 3).
    pub(crate) fn reset_for<O: Observer>(&mut self, env: &mut Env<'_, O>, ack: Seq) -> Reply {
        let mut reply = self.reset(env);
        reply.header = Reply::reset_for_ack(ack).header;
        reply
    }
}
