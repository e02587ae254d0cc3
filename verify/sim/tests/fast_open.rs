//! Fast Open (RFC 7413) under loss, reordering, duplication and corruption of SYNs and SYN-ACKs: the
//! judge stays silent, every octet arrives once.

use usertcp_sim::middlebox::Middlebox;
use usertcp_sim::scenario::{FastOpen, Scenario};

/// Runs seeds that have no faults but these on their links, and all of them open with a cookie.
fn run(from: u64, to: u64, change: impl Fn(&mut Scenario)) -> (u64, u64) {
    let (mut good, mut failed) = (0, 0);
    for seed in from..to {
        let mut scenario = Scenario::from_seed(seed);
        scenario.fast_open = FastOpen::Knows;
        change(&mut scenario);
        match scenario.run() {
            Ok(report) => {
                good += report.fast_opens.0;
                failed += report.fast_opens.1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    (good, failed)
}

// proves 7413-5, 7413-7
#[test]
fn one_packet_in_five_is_lost() {
    let (good, failed) = run(20_000, 20_150, |scenario| {
        for link in &mut scenario.links {
            link.loss = 200_000;
        }
        for plan in scenario.plans.iter_mut().flatten() {
            plan.octets = plan.octets.min(5000);
        }
    });
    assert!(good > 20 && failed > 20, "{good} {failed}");
}

// proves 7413-2: a SYN that comes twice
#[test]
fn every_packet_comes_twice() {
    let (good, _) = run(21_000, 21_100, |scenario| {
        for link in &mut scenario.links {
            link.duplicate = 1_000_000;
        }
    });
    assert!(good > 50, "{good}");
}

// proves 7413-7
#[test]
fn clean_links_always_take_the_data() {
    let (good, failed) = run(22_000, 22_100, |scenario| {
        for link in &mut scenario.links {
            (link.loss, link.corrupt, link.reorder, link.mtu) = (0, 0, 0, 1500);
            link.middlebox = Middlebox::Transparent;
        }
        for plans in &mut scenario.plans {
            plans[0].octets = plans[0].octets.max(1);
        }
    });
    assert_eq!(failed, 0);
    assert!(good >= 100, "{good}");
}
