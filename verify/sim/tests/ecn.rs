//! Explicit congestion notification over a link that marks instead of letting its queue grow.

use usertcp_base::{Rate, Span};
use usertcp_cc::Algorithm;
use usertcp_sim::link::LinkConfig;
use usertcp_sim::scenario::{Report, Scenario};
use usertcp_tcp::EcnMode;

const OCTETS: u64 = 20 << 20;
/// Beyond this the link marks: a quarter of what the path holds.
const MARK_BEYOND: u64 = 30_000;
/// Beyond this it loses.
const QUEUE: u64 = 250_000;

/// 20 Mbit/s, 50 ms.
fn bulk(algorithm: Algorithm, asks: EcnMode, answers: EcnMode, offload: bool) -> Report {
    let link = LinkConfig {
        rate: Rate::from_bits_per_second(20_000_000),
        queue_octets: QUEUE,
        mark_beyond_octets: MARK_BEYOND,
        ..LinkConfig::clean(Span::from_millis(25))
    };
    let mut scenario = Scenario::bulk(1, link, OCTETS, algorithm);
    scenario.settings[0].ecn = asks;
    scenario.settings[1].ecn = answers;
    scenario.offload = [offload; 2];
    match scenario.run() {
        Ok(report) => report,
        Err(error) => panic!("{error}"),
    }
}

// proves 3168-3, 3168-4, SHLD-8
#[test]
fn marks_keep_the_queue_short_and_nothing_is_sent_again() {
    for algorithm in [Algorithm::Reno, Algorithm::Cubic] {
        for offload in [false, true] {
            let marked = bulk(algorithm, EcnMode::Ask, EcnMode::Accept, offload);
            assert!(marked.marked > 0);
            assert_eq!((marked.retransmitted, marked.timeouts), (0, 0));
            assert!(marked.longest_queue_octets < QUEUE * 3 / 4);
            let plain = bulk(algorithm, EcnMode::Accept, EcnMode::Accept, offload);
            assert_eq!(plain.marked, 0, "not ECN-capable");
            assert!(plain.retransmitted > 0 && plain.longest_queue_octets > QUEUE * 9 / 10);
            let refused = bulk(algorithm, EcnMode::Ask, EcnMode::Off, offload);
            assert_eq!(refused.marked, 0, "the peer did not agree");
            // A short queue, and the link is busy all the same.
            let least = Span::from_micros(OCTETS * 8 / 20);
            let most = Span::from_micros(least.as_micros() * 5 / 4);
            assert!(marked.took < most, "{:?}", marked.took);
        }
    }
}
