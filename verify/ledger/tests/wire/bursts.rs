//! Rows about bursts, over a path with a round trip of 100 ms that loses what it is told to.

use crate::forge::listening;
use crate::hand::{Hand, wire};
use std::collections::{BTreeMap, VecDeque};
use usertcp_base::{ConnId, Instant, Seq, Span};
use usertcp_cc::{AckSample, CongestionController, Cubic, PathStart, Reno};
use usertcp_wire::tcp::{Flags, Options, SackBlock};

const MSS: u32 = 1460;
const ROUND_TRIP: Span = Span::from_millis(100);

/// The shard under test sends; the peer acknowledges every segment a round trip later.
struct Path {
    hand: Hand,
    conn: ConnId,
    /// What the peer awaits, and the right edge of what it holds beyond a hole.
    awaited: Seq,
    held: Option<SackBlock>,
    /// First number of a segment to lose, once.
    lose: Option<Seq>,
    /// After the highest octet that left.
    newest: Seq,
    acks: VecDeque<(Instant, Seq, Option<SackBlock>)>,
    /// Octets that left at each moment.
    left: BTreeMap<Instant, u32>,
}

impl Path {
    fn new() -> Path {
        let (mut hand, listener) = listening();
        let options =
            Options { mss: Some(1460), scale: Some(7), sack_permitted: true, ..Options::default() };
        let answer = hand.give(&wire(Flags::SYN, 5000, 0).with_options(options)).remove(0);
        hand.run_until(hand.now + ROUND_TRIP);
        let awaited = answer.header.seq + 1;
        hand.give(&wire(Flags::ACK, 5001, awaited.0));
        let conn = hand.shard.accept(listener).unwrap();
        let (acks, left) = (VecDeque::new(), BTreeMap::new());
        Path { hand, conn, awaited, held: None, lose: None, newest: awaited, acks, left }
    }

    /// What left just now reaches the peer.
    fn take(&mut self, sent: Vec<crate::hand::Wire>) {
        for segment in sent.into_iter().filter(|segment| !segment.payload.is_empty()) {
            let (seq, octets) = (segment.header.seq, segment.payload.len() as u32);
            *self.left.entry(self.hand.now).or_default() += octets;
            self.newest = self.newest.latest(seq + octets);
            if self.lose == Some(seq) {
                self.lose = None;
                continue;
            }
            if seq == self.awaited {
                self.awaited = self.held.take().map_or(seq + octets, |held| held.right);
            } else if seq.after(self.awaited) {
                let left = self.held.map_or(seq, |held| held.left);
                self.held = Some(SackBlock { left, right: seq + octets });
            }
            self.acks.push_back((self.hand.now + ROUND_TRIP, self.awaited, self.held));
        }
    }

    /// Lets the path work for `span`, the application writing up to `octets`: how many it wrote.
    fn run(&mut self, octets: usize, span: Span) -> usize {
        let end = self.hand.now + span;
        let data = vec![5; octets];
        let mut written = 0;
        loop {
            written += self.hand.shard.write(self.hand.now, self.conn, &data[written..]).unwrap();
            let sent = self.hand.sent();
            self.take(sent);
            let ack = self.acks.front().map(|ack| ack.0);
            let deadline = self.hand.shard.next_deadline().map(|at| at.max(self.hand.now));
            let Some(next) = [ack, deadline].into_iter().flatten().min().filter(|at| *at <= end)
            else {
                break;
            };
            self.hand.now = next;
            if ack == Some(next) {
                let (_, ack, held) = self.acks.pop_front().unwrap();
                let sack = held.into_iter().collect();
                let options = Options { sack, ..Options::default() };
                let segment = wire(Flags::ACK, 5001, ack.0).with_options(options);
                let sent = self.hand.give(&segment);
                self.take(sent);
            } else {
                assert!(self.hand.shard.handle_deadlines(next, 1_000_000));
            }
        }
        self.hand.now = end;
        written
    }

    fn window(&self) -> u32 {
        let info = self.hand.shard.info(self.hand.now, self.conn).unwrap();
        info.figures.unwrap().congestion_window_octets
    }

    /// The largest burst since `from`, in octets: what left within any one millisecond.
    fn burst(&self, from: Instant) -> u32 {
        let within = |at: Instant| self.left.range(at..at + Span::from_millis(1));
        let of = |at: &Instant| within(*at).map(|(_, octets)| octets).sum();
        self.left.range(from..).map(|(at, _)| of(at)).max().unwrap_or(0)
    }
}

// proves 9937-6, 9937-2, 6675-4
#[test]
fn recovery_ends_without_a_burst() {
    let mut path = Path::new();
    path.run(600_000, Span::from_millis(450));
    let before = path.window();
    assert!(before > 60 * MSS, "{before}");
    let from = path.hand.now;
    path.lose = Some(path.newest + 20 * MSS);
    assert_eq!(path.run(400_000, Span::from_secs(3)), 400_000);
    assert_eq!(path.lose, None, "it was lost");
    let info = path.hand.shard.info(path.hand.now, path.conn).unwrap().figures.unwrap();
    // The lost one alone: the last one left after recovery began, so nothing is to be rescued.
    assert_eq!((info.retransmissions, info.timeouts), (1, 0));
    assert!(path.window() < before * 2, "slow start has ended");
    assert_eq!(info.in_flight_octets, 0, "all arrived");
    assert!(path.burst(from) <= 10 * MSS, "{} octets", path.burst(from));
}

// proves 7661-5, 7661-2
#[test]
fn a_window_that_was_hardly_used_is_not_sent_in_one_burst() {
    let mut path = Path::new();
    assert_eq!(path.run(300_000, Span::from_millis(600)), 300_000);
    // A segment a round trip: the window is kept, and not validated.
    for _ in 0..20 {
        path.run(100, ROUND_TRIP);
    }
    let window = path.window();
    assert!(window > 60 * MSS, "{window}");
    let from = path.hand.now;
    assert_eq!(path.run(window as usize, Span::from_secs(2)), window as usize);
    assert!(path.burst(from) <= 10 * MSS, "{} octets of {window}", path.burst(from));
    let moments = path.left.range(from..).count();
    assert!(moments >= 8, "{moments}");
}

/// The window after one acknowledgement of `segments` segments in slow start.
fn grown<C: CongestionController>(segments: u32) -> u32 {
    let now = Instant::from_millis(1000);
    let path = PathStart {
        now,
        mss_octets: MSS,
        rtt: Some(ROUND_TRIP),
        handshake_lost: false,
        threshold_octets: None,
    };
    let mut controller = C::start(&path);
    let octets = segments * MSS;
    let sample = AckSample {
        now,
        acked_octets: octets,
        delivered_octets: octets,
        lost_octets: 0,
        in_flight_before: octets,
        in_flight_after: 0,
        delivered_total: u64::from(octets),
        rate: None,
        rtt: Some(ROUND_TRIP),
        srtt: ROUND_TRIP,
        min_rtt: ROUND_TRIP,
        marked_octets: 0,
        window_limited: true,
        round_ended: true,
        in_recovery: false,
    };
    let before = controller.budget().window_octets;
    controller.on_ack(&sample, &mut usertcp_base::Prng::from_seed(1));
    controller.budget().window_octets - before
}

// proves 9406-4
#[test]
fn slow_start_is_paced_and_counts_every_octet() {
    for segments in [1, 2, 8, 10] {
        assert_eq!(grown::<Reno>(segments), segments * MSS);
        assert_eq!(grown::<Cubic>(segments), segments * MSS);
    }
    // That is sound because it is paced: after the first flight no burst is large.
    let mut path = Path::new();
    let from = path.hand.now + ROUND_TRIP;
    path.run(400_000, Span::from_secs(2));
    assert!(path.burst(from + Span::from_millis(1)) <= 6 * MSS, "{}", path.burst(from));
}
