//! The outside judge: every segment a stack sends must be legal for what was observed before.
//!
//! Owns: `Oracle`, which sees wire packets of both directions and nothing else.
//! Must not know: the stacks.
//! Checks: MUST-2, MUST-14, MUST-16, MUST-65, MUST-69, SHLD-14 (right edge), E-18 (never beyond the
//! window), 7413-1, 7413-5, 7413-7 (data and cookies on SYNs), 7323-1, 7323-6, 2018-1, 2018-2, RC-3,
//! SEQ/ACK monotony, nothing new after FIN or RST; ECN in `oracle::ecn`.

mod ecn;

use crate::view::View;
use std::collections::HashMap;
use std::net::IpAddr;
use usertcp_base::{Ecn, Instant, Scale, Seq};
use usertcp_wire::tcp::{Cookie, Flags};

/// One end of one connection as observed.
#[derive(Clone, Debug, Default)]
struct End {
    isn: Option<Seq>,
    /// Sequence number after the highest sent.
    sent: Seq,
    fin_at: Option<Seq>,
    reset: bool,
    mss: Option<u16>,
    scale: Option<u8>,
    sack_permitted: bool,
    timestamps: bool,
    ecn: ecn::Said,
    /// What it acknowledged highest, and the right edge it offered.
    acked: Option<Seq>,
    /// Its SYN had a Fast Open option.
    fast_open: bool,
    edge: Option<Seq>,
    last_value: Option<(u32, Instant)>,
}

type Key = ((IpAddr, u16), (IpAddr, u16));

/// Judges all connections between two hosts.
#[derive(Debug, Default)]
pub struct Oracle {
    ends: HashMap<Key, End>,
    /// Path MTU each direction may use, by source address.
    pub mtu: HashMap<IpAddr, u16>,
    /// Print every segment (the `one_seed` test does).
    pub trace: bool,
    segments: u64,
    violations: Vec<String>,
    /// Fast Open cookies, by who gave them and to whom.
    cookies: HashMap<(IpAddr, IpAddr), Vec<Cookie>>,
}

impl Oracle {
    /// What was not legal; empty when all is well.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }
    /// Segments judged.
    pub fn segments(&self) -> u64 {
        self.segments
    }

    fn fault(&mut self, now: Instant, view: &View, what: &str) {
        if self.violations.len() < 20 {
            self.violations.push(format!("{}: {what}", line(now, view)));
        }
    }

    /// A packet left a host for the wire.
    pub fn observe(&mut self, now: Instant, packet: &[u8]) {
        let view = match View::parse(packet) {
            None => return,
            Some(Ok(view)) => view,
            Some(Err(reason)) => {
                self.violations
                    .push(format!("{} us: a malformed packet: {reason:?}", now.as_micros()));
                return;
            }
        };
        self.segments += 1;
        if self.trace {
            println!("{}", line(now, &view));
        }
        if !view.checksum_good {
            self.fault(now, &view, "checksum");
        }
        let limit = self.mtu.get(&view.source.0).copied().unwrap_or(u16::MAX);
        if packet.len() > usize::from(limit) {
            self.fault(now, &view, "larger than the interface's MTU");
        }
        self.judge_header(now, &view);
        let key = (view.source, view.destination);
        let peer_key = (view.destination, view.source);
        if view.has(Flags::RST) {
            self.ends.entry(key).or_default().reset = true;
            return;
        }
        if view.ecn != Ecn::NotCapable && (view.payload_octets == 0 || view.has(Flags::SYN)) {
            self.fault(now, &view, "ECN-capable and no data");
        }
        if view.has(Flags::SYN) {
            return self.on_synchronise(now, &view, key);
        }
        let (mine, peer) = (self.ends.get(&key).cloned(), self.ends.get(&peer_key).cloned());
        let Some(mut mine) = mine else {
            // Answers to strays: an acknowledgement of a record we never saw opened.
            if view.sequence_octets() > 0 {
                self.fault(now, &view, "data before any SYN");
            }
            return;
        };
        let peer = peer.unwrap_or_default();
        self.judge_ecn(now, &view, &mut mine, &peer);
        self.judge_data(now, &view, &mut mine, &peer);
        self.judge_ack(now, &view, &mut mine, &peer);
        self.judge_options(now, &view, &mut mine, &peer);
        self.ends.insert(key, mine);
    }

    fn judge_header(&mut self, now: Instant, view: &View) {
        let flags = view.header.flags;
        if !flags.contains(Flags::ACK) && view.header.ack != Seq(0) {
            self.fault(now, view, "acknowledgement number without ACK");
        }
        if !flags.contains(Flags::URG) && view.header.urgent != 0 {
            self.fault(now, view, "urgent pointer without URG");
        }
        if !flags.contains(Flags::SYN)
            && (view.options.mss.is_some()
                || view.options.scale.is_some()
                || view.options.sack_permitted)
        {
            self.fault(now, view, "SYN-only option on another segment");
        }
        if view.hop_limit == 0 {
            self.fault(now, view, "hop limit zero");
        }
    }

    fn on_synchronise(&mut self, now: Instant, view: &View, key: Key) {
        if view.options.mss.is_none() {
            self.fault(now, view, "SYN without MSS");
        }
        let again =
            self.ends.get(&key).is_some_and(|end| end.isn == Some(view.header.seq) && !end.reset);
        let before = if again { self.ends[&key].ecn } else { ecn::Said::default() };
        let said = self.judge_setup(now, view, key, before);
        self.judge_fast_open(now, view, key, again);
        if again {
            if let Some(end) = self.ends.get_mut(&key) {
                end.ecn = said;
            }
            return;
        }
        let window_end = view.header.ack + u32::from(view.header.window.0);
        self.ends.insert(
            key,
            End {
                isn: Some(view.header.seq),
                sent: view.end(),
                mss: view.options.mss,
                scale: view.options.scale,
                sack_permitted: view.options.sack_permitted,
                timestamps: view.options.timestamps.is_some(),
                ecn: said,
                acked: view.has(Flags::ACK).then_some(view.header.ack),
                fast_open: view.options.fast_open.is_some(),
                edge: view.has(Flags::ACK).then_some(window_end),
                last_value: view.options.timestamps.map(|timestamps| (timestamps.value, now)),
                ..End::default()
            },
        );
    }

    /// RFC 7413 §4.2: data goes with a cookie the peer gave to this address, once; a SYN-ACK has a
    /// cookie only for those who asked, and acknowledges no more than was there.
    fn judge_fast_open(&mut self, now: Instant, view: &View, key: Key, again: bool) {
        let option = view.options.fast_open;
        let cookie = option.filter(|cookie| !cookie.octets().is_empty());
        let (mine, peers) = ((view.source.0, view.destination.0), key.1.0);
        if again && (option.is_some() || view.payload_octets > 0) {
            self.fault(now, view, "a SYN goes out again with Fast Open");
        }
        if !view.has(Flags::ACK) {
            let given = self.cookies.get(&(peers, mine.0));
            let good = cookie.is_some_and(|one| given.is_some_and(|all| all.contains(&one)));
            if !good && (cookie.is_some() || view.payload_octets > 0) {
                self.fault(now, view, "data or a cookie on a SYN, and the peer gave none");
            }
            return;
        }
        let Some(peer) = self.ends.get(&(key.1, key.0)).cloned() else { return };
        if option.is_some() && (cookie.is_none() || !peer.fast_open) {
            self.fault(now, view, "Fast Open on a SYN-ACK, not asked for");
        }
        if let Some(isn) = peer.isn
            && !view.header.ack.within(isn + 1, peer.sent + 1)
        {
            self.fault(now, view, "a SYN-ACK for something else");
        }
        if let Some(cookie) = cookie {
            self.cookies.entry(mine).or_default().push(cookie);
        }
    }

    fn judge_data(&mut self, now: Instant, view: &View, mine: &mut End, peer: &End) {
        if view.sequence_octets() == 0 {
            return;
        }
        let end = view.end();
        if mine.reset {
            self.fault(now, view, "data after RST");
        }
        if view.header.seq.after(mine.sent) {
            self.fault(now, view, "a gap in what was sent");
        }
        if let Some(fin) = mine.fin_at
            && (end.after(fin + 1)
                || (view.payload_octets > 0 && (view.header.seq + view.payload_octets).after(fin)))
        {
            self.fault(now, view, "data after FIN");
        }
        if view.has(Flags::FIN) {
            mine.fin_at = Some(view.header.seq + view.payload_octets);
        }
        if let Some(edge) = peer.edge
            && (view.header.seq + view.payload_octets).after(edge)
        {
            self.fault(now, view, "beyond the window");
        }
        let mss = u32::from(peer.mss.unwrap_or(536).max(216));
        let options = header_option_octets(view);
        if view.payload_octets + options > mss {
            self.fault(now, view, "larger than the peer's MSS");
        }
        mine.sent = mine.sent.latest(end);
    }

    fn judge_ack(&mut self, now: Instant, view: &View, mine: &mut End, peer: &End) {
        if !view.has(Flags::ACK) {
            self.fault(now, view, "no ACK after the handshake");
            return;
        }
        let ack = view.header.ack;
        if peer.isn.is_some() && ack.after(peer.sent) {
            self.fault(now, view, "acknowledges what was never sent");
        }
        if mine.acked.is_some_and(|before| ack.before(before)) {
            self.fault(now, view, "acknowledgement goes back");
        }
        mine.acked = Some(ack);
        let scale = match (mine.scale, peer.scale) {
            (Some(shift), Some(_)) => Scale::clamped(shift),
            _ => Scale::NONE,
        };
        let edge = ack + scale.octets(view.header.window);
        if mine.edge.is_some_and(|before| edge.before(before)) {
            self.fault(now, view, "the right edge moved left");
        }
        mine.edge = Some(edge);
    }

    fn judge_options(&mut self, now: Instant, view: &View, mine: &mut End, peer: &End) {
        let agreed = mine.timestamps && peer.timestamps;
        if agreed != view.options.timestamps.is_some() {
            self.fault(now, view, "timestamps: agreed and missing, or there and not agreed");
        }
        if let Some(timestamps) = view.options.timestamps {
            // After half a circle of milliseconds it says nothing.
            let back = mine.last_value.is_some_and(|(last, at)| {
                Seq(timestamps.value).before(Seq(last)) && now.since(at).as_millis() < 1 << 31
            });
            if back {
                self.fault(now, view, "timestamp goes back");
            }
            mine.last_value = Some((timestamps.value, now));
        }
        let sack = mine.sack_permitted && peer.sack_permitted;
        if !view.options.sack.is_empty() && !sack {
            self.fault(now, view, "SACK not agreed");
        }
        for block in view.options.sack.iter() {
            if !block.left.before(block.right) || block.right.after(peer.sent) {
                self.fault(now, view, "a SACK block of nothing, or of what was never sent");
            }
        }
    }
}

/// Octets of the options of a data segment as they count against the MSS (MUST-16).
fn header_option_octets(view: &View) -> u32 {
    let timestamps = if view.options.timestamps.is_some() { 12 } else { 0 };
    let blocks = view.options.sack.len() as u32;
    let end = timestamps + view.options.accurate_ecn.map_or(0, |ecn| 2 + 3 * u32::from(ecn.count));
    if blocks > 0 { (end + 2).next_multiple_of(4) + 8 * blocks } else { end.next_multiple_of(4) }
}

/// One segment in one line.
fn line(now: Instant, view: &View) -> String {
    let header = &view.header;
    let sack: Vec<(u32, u32)> =
        view.options.sack.iter().map(|block| (block.left.0, block.right.0)).collect();
    format!(
        "{} us {}:{} > {}:{} {:?} seq {} ack {} len {} win {} {} {sack:?}",
        now.as_micros(),
        view.source.0,
        view.source.1,
        view.destination.0,
        view.destination.1,
        header.flags,
        header.seq.0,
        header.ack.0,
        view.payload_octets,
        header.window.0,
        view.options.timestamps.map_or(String::new(), |t| format!("ts {} {}", t.value, t.echo)),
    )
}
