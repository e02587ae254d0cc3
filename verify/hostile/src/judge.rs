//! The judge of what a shard sends to peers that keep no rule.
//!
//! Owns: our own side's rules: checksum, sizes, the window of the peer, the right edge of ours, one
//! octet for one sequence number.
//! Must not know: why a segment was sent. What a well-behaved peer would have sent is not assumed.
//! Checks: MUST-2, MUST-16, MUST-65, SHLD-14 (right edge), E-18 (window), 7323-1, 2018-1, AT-17.

use crate::forge::content;
use crate::peer::FlowEnds;
use std::collections::HashMap;
use usertcp_base::{ConnId, Scale, Seq};
use usertcp_sim::view::View;
use usertcp_tcp::Info;
use usertcp_wire::tcp::Flags;

/// What was given to the shard on one flow.
#[derive(Clone, Debug, Default)]
struct Given {
    /// Numbers of the SYNs: a connection's data begin one later.
    synchronised: Vec<Seq>,
    /// Windows on SYNs, the largest.
    first_window: u32,
    /// Largest MSS of a SYN, the default when it names none.
    mss: u16,
    /// Acknowledgements and window fields.
    windows: Vec<(Seq, u16)>,
    /// Data were given that are not [`content`].
    foreign: bool,
    /// Numbers of the SYNs that came back.
    answered: Vec<Seq>,
}

/// One connection as it was seen to send.
#[derive(Clone, Debug)]
struct Sender {
    first: Seq,
    sent: Seq,
    fin_at: Option<Seq>,
    edge: Option<Seq>,
    acked: Option<Seq>,
    stamp: Option<u32>,
}

/// The connection that a flow belongs to now.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    /// Its handle.
    pub conn: ConnId,
    /// Its figures.
    pub figures: Info,
}

/// The judge. A fault is a panic: the fuzzer and the tests want nothing else.
#[derive(Debug)]
pub struct Judge {
    given: HashMap<FlowEnds, Given>,
    senders: HashMap<ConnId, Sender>,
    mtu: usize,
    smallest_mss: u16,
}

/// The octet an application of ours writes at position `at` of its stream.
pub const fn written(at: u32) -> u8 {
    (at.wrapping_mul(0x85EB_CA77) >> 21) as u8
}

impl Judge {
    /// A judge over an interface with this MTU.
    pub fn new(mtu: u16, smallest_mss: u16) -> Judge {
        Judge {
            given: HashMap::new(),
            senders: HashMap::new(),
            mtu: usize::from(mtu),
            smallest_mss,
        }
    }

    /// A packet goes to the shard; `payload` is its TCP payload.
    pub fn on_given(&mut self, view: &View, payload: &[u8]) {
        let given = self.given.entry((view.source, view.destination)).or_default();
        let header = &view.header;
        if view.has(Flags::SYN) {
            given.synchronised.push(header.seq);
            given.first_window = given.first_window.max(u32::from(header.window.0));
            given.mss = given.mss.max(view.options.mss.unwrap_or(default_mss(view)));
        }
        if view.has(Flags::ACK) {
            given.windows.push((header.ack, header.window.0));
            // A cookie's connection begins where the acknowledgement says.
            given.synchronised.push(header.seq - 1);
        }
        let first = header.seq + u32::from(view.has(Flags::SYN));
        let as_always = |(at, octet): (usize, &u8)| *octet == content(first + at as u32);
        given.foreign |= !payload.iter().enumerate().all(as_always);
    }

    /// Where the data of a flow may begin; `None`: anything may have been sent.
    pub fn starts(&self, ends: &FlowEnds) -> Option<Vec<Seq>> {
        let given = self.given.get(ends)?;
        (!given.foreign).then(|| given.synchronised.iter().map(|isn| *isn + 1).collect())
    }

    /// Connections that are gone are forgotten.
    pub fn retain(&mut self, holders: &HashMap<FlowEnds, Holder>) {
        self.senders.retain(|conn, _| holders.values().any(|holder| holder.conn == *conn));
    }

    /// So much time passed that timestamps cannot be compared.
    pub fn forget_stamps(&mut self) {
        self.senders.values_mut().for_each(|sender| sender.stamp = None);
    }

    /// A packet left the shard.
    pub fn on_sent(&mut self, packet: &[u8], view: &View, holder: Option<&Holder>) {
        assert!(packet.len() <= self.mtu, "larger than the MTU: {view:?}");
        self.header(view);
        let ends = (view.destination, view.source);
        let given = self.given.entry(ends).or_default();
        if view.has(Flags::SYN) {
            given.answered.push(view.header.seq);
        }
        let (Some(holder), false) = (holder, view.header.flags.intersects(Flags::SYN | Flags::RST))
        else {
            assert!(view.payload_octets == 0, "data of no connection: {view:?}");
            return;
        };
        // A probe may be the first that is seen: it is one below the first octet.
        let first = view.header.seq + u32::from(given.answered.contains(&view.header.seq));
        let mut sender = self.senders.remove(&holder.conn).unwrap_or(Sender::starting(first));
        self.data(view, holder, &mut sender, &ends);
        let payload = &packet[view.payload_at..][..view.payload_octets as usize];
        for (at, octet) in payload.iter().enumerate() {
            let position = view.header.seq.0.wrapping_sub(sender.first.0).wrapping_add(at as u32);
            assert!(*octet == written(position), "not what was written, at {position}: {view:?}");
        }
        acknowledgement(view, holder, &mut sender);
        options(view, holder, &mut sender);
        self.senders.insert(holder.conn, sender);
    }

    fn header(&self, view: &View) {
        let flags = view.header.flags;
        assert!(view.checksum_good, "checksum: {view:?}");
        assert!(view.hop_limit > 0, "hop limit: {view:?}");
        assert!(flags.contains(Flags::ACK) || view.header.ack == Seq(0), "ACK: {view:?}");
        assert!(flags.contains(Flags::URG) || view.header.urgent == 0, "URG: {view:?}");
        assert!(
            flags.intersects(Flags::ACK | Flags::SYN | Flags::RST),
            "no ACK after the handshake: {view:?}"
        );
        let options = &view.options;
        if flags.contains(Flags::SYN) {
            assert!(options.mss.is_some(), "SYN without MSS: {view:?}");
            assert!(!flags.intersects(Flags::FIN | Flags::RST), "odd SYN: {view:?}");
        } else {
            let named = options.mss.is_some() || options.scale.is_some() || options.sack_permitted;
            assert!(!named, "an option of SYNs elsewhere: {view:?}");
        }
    }

    fn data(&self, view: &View, holder: &Holder, sender: &mut Sender, ends: &FlowEnds) {
        let Some(given) = self.given.get(ends) else { return };
        let (seq, end) = (view.header.seq, view.end());
        let behind = seq + view.payload_octets;
        if view.sequence_octets() == 0 {
            // A bare acknowledgement is at SND.NXT, a probe one below what was acknowledged.
            assert!(seq.at_or_before(sender.sent), "beyond what was sent: {view:?} {sender:?}");
            return;
        }
        assert!(seq.at_or_before(sender.sent), "a gap: {view:?} {sender:?}");
        assert!(seq.at_or_after(sender.first), "before the first octet: {view:?} {sender:?}");
        if let Some(fin) = sender.fin_at {
            assert!(behind.at_or_before(fin) && end.at_or_before(fin + 1), "after FIN: {view:?}");
        }
        if view.has(Flags::FIN) {
            assert!(sender.fin_at.is_none_or(|fin| fin == behind), "another FIN: {view:?}");
            sender.fin_at = Some(behind);
        }
        sender.sent = sender.sent.latest(end);
        if view.payload_octets > 0 {
            let edge = given.edge(sender, Scale::clamped(holder.figures.scales.0));
            assert!(
                behind.at_or_before(edge),
                "beyond the window {edge:?}: {view:?}\n{sender:?}\n{given:?}\n{:?}",
                holder.figures
            );
        }
        let mss = given.mss.max(self.smallest_mss);
        assert!(
            view.payload_octets + option_octets(view) <= u32::from(mss),
            "larger than MSS {mss}: {view:?}"
        );
    }
}

impl Sender {
    fn starting(first: Seq) -> Sender {
        Sender { first, sent: first, fin_at: None, edge: None, acked: None, stamp: None }
    }
}

impl Given {
    /// The rightmost edge the peer ever offered to this sender.
    fn edge(&self, sender: &Sender, scale: Scale) -> Seq {
        let mut edge = sender.first + self.first_window;
        for (ack, field) in &self.windows {
            // What acknowledges nothing of this connection offers nothing; a handshake's
            // acknowledgement may.
            if ack.at_or_after(sender.first) && ack.at_or_before(sender.sent) {
                edge = edge.latest(*ack + scale.octets(usertcp_base::WireWindow(*field)));
            }
        }
        edge
    }
}

fn acknowledgement(view: &View, holder: &Holder, sender: &mut Sender) {
    let ack = view.header.ack;
    let back = sender.acked.is_some_and(|before| ack.before(before));
    assert!(!back, "acknowledgement goes back: {view:?} {sender:?}");
    sender.acked = Some(ack);
    let edge = ack + Scale::clamped(holder.figures.scales.1).octets(view.header.window);
    let left = sender.edge.is_some_and(|before| edge.before(before));
    assert!(!left, "the right edge moved left to {edge:?}: {view:?} {sender:?}");
    sender.edge = Some(edge);
}

fn options(view: &View, holder: &Holder, sender: &mut Sender) {
    let stamp = view.options.timestamps;
    assert!(stamp.is_some() == holder.figures.timestamps, "timestamps as agreed: {view:?}");
    if let Some(stamp) = stamp {
        let back = sender.stamp.is_some_and(|last| Seq(stamp.value).before(Seq(last)));
        assert!(!back, "timestamp goes back: {view:?}");
        sender.stamp = Some(stamp.value);
    }
    assert!(view.options.sack.is_empty() || holder.figures.sack, "SACK not agreed: {view:?}");
    for (index, block) in view.options.sack.iter().enumerate() {
        assert!(block.left.before(block.right), "a SACK block of nothing: {view:?}");
        let inside = sender.edge.is_none_or(|edge| block.right.at_or_before(edge));
        assert!(inside, "a SACK block beyond the window: {view:?} {sender:?}");
        let ahead = block.left.after(view.header.ack);
        assert!(index == 0 || ahead, "a later SACK block below the ACK: {view:?}");
    }
}

/// MUST-15.
fn default_mss(view: &View) -> u16 {
    if view.source.0.is_ipv4() { 536 } else { 1220 }
}

fn option_octets(view: &View) -> u32 {
    let timestamps = if view.options.timestamps.is_some() { 12 } else { 0 };
    let blocks = view.options.sack.len() as u32;
    timestamps + if blocks > 0 { 4 + 8 * blocks } else { 0 }
}
