//! Whatever happens in whatever order: no panic, a window in range, the same run again.

extern crate std;

use crate::window::MAX_WINDOW;
use crate::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;
use usertcp_base::{Instant, Prng, Rate, Span};

#[derive(Clone, Debug)]
enum Happening {
    Pass(u64),
    Sent(u32, bool),
    Ack(Ack),
    Congestion(u8, u32),
    Undo,
    Mss(u32),
    Idle(u64, u64),
    RecoveryEnded,
    Switch(bool),
    EarlyMarks(bool),
    Park(u64),
}

#[derive(Clone, Debug)]
struct Ack {
    octets: u32,
    in_flight: u32,
    rtt_micros: Option<u64>,
    srtt_micros: u64,
    flags: u8,
}

/// Small, ordinary and absurd amounts alike.
fn amount() -> impl Strategy<Value = u32> {
    prop_oneof![0..3000u32, 1000..10_000_000u32, any::<u32>(), Just(u32::MAX)]
}

fn micros() -> impl Strategy<Value = u64> {
    prop_oneof![0..1000u64, 1000..1_000_000u64, 0..1u64 << 40, any::<u64>()]
}

fn ack() -> impl Strategy<Value = Ack> {
    (amount(), amount(), proptest::option::of(micros()), micros(), any::<u8>()).prop_map(
        |(octets, in_flight, rtt_micros, srtt_micros, flags)| Ack {
            octets,
            in_flight,
            rtt_micros,
            srtt_micros,
            flags,
        },
    )
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => micros().prop_map(Happening::Pass),
        12 => ack().prop_map(Happening::Ack),
        2 => (amount(), any::<bool>()).prop_map(|(o, i)| Happening::Sent(o, i)),
        3 => (0..4u8, amount()).prop_map(|(k, f)| Happening::Congestion(k, f)),
        1 => Just(Happening::Undo),
        1 => amount().prop_map(Happening::Mss),
        1 => (micros(), micros()).prop_map(|(i, r)| Happening::Idle(i, r)),
        1 => Just(Happening::RecoveryEnded),
        1 => any::<bool>().prop_map(Happening::Switch),
        1 => any::<bool>().prop_map(Happening::EarlyMarks),
        1 => micros().prop_map(Happening::Park),
    ]
}

fn path_start() -> impl Strategy<Value = PathStart> {
    (
        micros(),
        amount(),
        proptest::option::of(micros()),
        any::<bool>(),
        proptest::option::of(amount()),
    )
        .prop_map(|(now, mss_octets, rtt, handshake_lost, threshold_octets)| PathStart {
            now: Instant::from_micros(now),
            mss_octets,
            rtt: rtt.map(Span::from_micros),
            handshake_lost,
            threshold_octets,
        })
}

fn sample(ack: &Ack, now: Instant) -> AckSample {
    AckSample {
        now,
        acked_octets: ack.octets,
        delivered_octets: ack.octets,
        lost_octets: 0,
        in_flight_before: ack.in_flight,
        in_flight_after: ack.in_flight.saturating_sub(ack.octets),
        delivered_total: u64::from(ack.octets),
        rate: None,
        rtt: ack.rtt_micros.map(Span::from_micros),
        srtt: Span::from_micros(ack.srtt_micros),
        min_rtt: Span::from_micros(ack.rtt_micros.unwrap_or(ack.srtt_micros)),
        marked_octets: 0,
        marked_packets: 0,
        window_limited: ack.flags & 1 != 0,
        round_ended: ack.flags & 2 != 0,
        in_recovery: ack.flags & 4 != 0,
    }
}

struct Run {
    any: AnyController,
    path: PathStart,
    now: Instant,
    mss: u32,
    prng: Prng,
}

impl Run {
    fn step(&mut self, happening: &Happening) {
        let now = self.now;
        match *happening {
            Happening::Pass(micros) => self.now = now + Span::from_micros(micros),
            Happening::Sent(octets, first_after_idle) => self.any.on_sent(&Sent {
                now,
                octets,
                in_flight_octets: octets,
                retransmission: false,
                first_after_idle,
            }),
            Happening::Ack(ref ack) => self.any.on_ack(&sample(ack, now), &mut self.prng),
            Happening::Congestion(kind, flight) => self.congestion(kind, flight),
            Happening::Undo => self.any.on_undo(now),
            Happening::Mss(mss) => {
                self.mss = mss.clamp(1, 1 << 16);
                self.any.on_path(now, &PathChange::Mss(mss));
            }
            Happening::Idle(idle, rto) => {
                let (idle, rto) = (Span::from_micros(idle), Span::from_micros(rto));
                self.any.on_path(now, &PathChange::Idle { idle, rto });
            }
            Happening::RecoveryEnded => self.any.on_path(now, &PathChange::RecoveryEnded),
            Happening::Switch(reno) => {
                self.any.switch(if reno { Algorithm::Reno } else { Algorithm::Cubic }, now);
            }
            Happening::EarlyMarks(early) => self.any.set_early_marks(early),
            Happening::Park(idle) => {
                let path = PathStart { now, mss_octets: self.mss, ..self.path };
                let idle = Span::from_micros(idle);
                self.any = AnyController::resume(self.any.park(), &path, idle);
            }
        }
    }

    fn congestion(&mut self, kind: u8, flight_octets: u32) {
        let before = self.any.budget().window_octets;
        let kind = match kind {
            0 => CongestionKind::Loss,
            1 => CongestionKind::Marked,
            _ => CongestionKind::Timeout { first: kind == 2 },
        };
        let event = Congestion { now: self.now, kind, flight_octets, lost_octets: 1 };
        self.any.on_congestion(&event);
        assert!(self.any.budget().window_octets <= before, "an event made the window grow");
    }
}

fn run(algorithm: Option<Algorithm>, path: PathStart, script: &[Happening]) -> AnyController {
    let any = match algorithm {
        Some(algorithm) => AnyController::start_with(algorithm, &path),
        None => AnyController::fixed(path.mss_octets, Rate::UNLIMITED, &path),
    };
    let mss = path.mss_octets.clamp(1, 1 << 16);
    let mut run = Run { any, path, now: path.now, mss, prng: Prng::from_seed(7) };
    for happening in script {
        run.step(happening);
        let Budget { window_octets, quantum_octets, rate } = run.any.budget();
        let unpaced = rate.is_unlimited().then_some(window_octets);
        assert_eq!(run.any.unpaced_window(), unpaced);
        assert!(window_octets >= run.mss && window_octets <= MAX_WINDOW);
        assert!(quantum_octets >= run.mss && run.any.threshold() >= run.mss);
    }
    run.any
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn anything_may_happen(
        path in path_start(),
        which in 0..3usize,
        script in proptest::collection::vec(happening(), 0..200),
    ) {
        let algorithm = [Some(Algorithm::Cubic), Some(Algorithm::Reno), None][which];
        let script: Vec<Happening> = script;
        prop_assert_eq!(run(algorithm, path, &script), run(algorithm, path, &script));
    }
}

proptest! {
    // An answer is an acknowledgement like any other, told in fewer words.
    #[test]
    fn answers_are_acknowledgements(
        happenings in proptest::collection::vec(happening(), 0..40),
        which in 0..3usize,
        octets in amount(),
        times in (0..10_000_000u32, 0..10_000_000u32, 0..10_000_000u32),
        pause in 0..400_000u32,
        told_before in any::<bool>(),
    ) {
        let path = PathStart {
            now: Instant::ZERO,
            mss_octets: 1448,
            rtt: None,
            handshake_lost: false,
            threshold_octets: None,
        };
        let any = match which {
            0 => AnyController::start_with(Algorithm::Cubic, &path),
            1 => AnyController::start_with(Algorithm::Reno, &path),
            _ => AnyController::fixed(100_000, Rate::UNLIMITED, &path),
        };
        let (now, prng) = (Instant::ZERO, Prng::from_seed(1));
        let mut run = Run { any, path, now, mss: 1448, prng };
        happenings.iter().for_each(|happening| run.step(happening));
        let (rtt_micros, srtt_micros, min_rtt_micros) = times;
        let (now, acked_octets) = (run.now, octets);
        let answer = Answer { now, acked_octets, rtt_micros, srtt_micros, min_rtt_micros };
        // A first one may be like any other, or be told as others are: then the next is expected, unless growth is slowed.
        if told_before {
            run.any.on_ack(&crate::api::sample_of(&answer), &mut run.prng);
        }
        let (mut told, mut asked) = (run.any.clone(), run.any);
        let before = told.window_octets();
        let now = now + Span::from_millis(u64::from(pause));
        let answer = Answer { now, acked_octets: octets % (before / 2).max(1), ..answer };
        if told.expects_answers() {
            let after = told.on_answer(&answer);
            prop_assert_eq!(after == WindowAfter::Reduced, told.window_octets() < before);
            asked.on_ack(&crate::api::sample_of(&answer), &mut run.prng);
            prop_assert_eq!(told, asked);
        }
    }
}
