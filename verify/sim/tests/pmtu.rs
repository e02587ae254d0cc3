//! Paths that carry less than the interface and do not say so: no ICMP at all.

use usertcp_base::{Rate, Span};
use usertcp_cc::Algorithm;
use usertcp_sim::link::LinkConfig;
use usertcp_sim::scenario::{Report, Scenario};
use usertcp_tcp::MtuProbing;

const BASE: u16 = 1280;

fn silent(rtt_ms: u64, mtu: u16, octets: u64, v6: bool) -> Scenario {
    let link = LinkConfig {
        rate: Rate::from_bits_per_second(50_000_000),
        queue_octets: 2_000_000,
        mtu,
        ..LinkConfig::clean(Span::from_micros(rtt_ms * 500))
    };
    let mut scenario = Scenario::bulk(3, link, octets, Algorithm::Cubic);
    scenario.v6 = v6;
    scenario.signals = false;
    scenario
}

fn run(scenario: &Scenario) -> Report {
    scenario.run().unwrap_or_else(|error| panic!("{error}"))
}

/// Every combination of round trip, family and offload.
fn each(mut act: impl FnMut(u64, bool, bool)) {
    for rtt in [1, 20, 100] {
        for v6 in [false, true] {
            for offload in [false, true] {
                act(rtt, v6, offload);
            }
        }
    }
}

/// Three timeouts on a path of constant delay: a round trip and the least variance term each.
fn three_timeouts(rtt: u64) -> Span {
    Span::from_millis(3 * (rtt + 200))
}

// proves P-5, IC-10
#[test]
fn a_path_of_1280_from_the_start_is_used_fully_within_two_seconds() {
    each(|rtt, v6, offload| {
        let mut scenario = silent(rtt, BASE, 500_000, v6);
        scenario.offload = [offload; 2];
        let report = run(&scenario);
        let told = format!("{rtt} ms, v6 {v6}, offload {offload}: {report:?}");
        assert!(report.took < Span::from_secs(2), "{told}");
        assert_eq!(report.link.largest_octets, u64::from(BASE), "{told}");
        assert!(report.link.longest_gap < three_timeouts(rtt), "{told}");
        // The first flight, a tail loss probe, and three probes for each of five sizes.
        assert!(report.link.too_big <= 10 + 1 + 15, "{told}");
    });
}

// proves P-5, IC-10
#[test]
fn a_path_that_shrinks_to_1280_costs_less_than_three_timeouts() {
    each(|rtt, v6, offload| {
        let mut scenario = silent(rtt, 1500, 4_000_000, v6);
        scenario.offload = [offload; 2];
        scenario.change = Some((Span::from_millis(100 + 2 * rtt), BASE));
        let report = run(&scenario);
        let told = format!("{rtt} ms, v6 {v6}, offload {offload}: {report:?}");
        assert_eq!(report.link.largest_octets, u64::from(BASE), "{told}");
        assert!(report.link.longest_gap < three_timeouts(rtt), "{told}");
        assert!(report.took < Span::from_secs(4), "{told}");
    });
}

// proves P-1, P-4: the size goes up to what the path carries, and never beyond the interface (the
// oracle judges that)
#[test]
fn a_path_that_grows_again_is_used_fully() {
    for (later, mtu) in [(1500, 1500), (1420, 1420), (9000, 1500)] {
        let mut scenario = silent(20, BASE, 300_000_000, false);
        scenario.links[0].rate = Rate::from_bits_per_second(3_000_000);
        scenario.links[0].queue_octets = 60_000;
        scenario.offload = [true; 2];
        scenario.change = Some((Span::from_secs(30), later));
        let report = run(&scenario);
        assert!(report.took > Span::from_secs(700), "{report:?}");
        assert_eq!(report.link.largest_octets, mtu, "{report:?}");
        assert!(report.timeouts <= 2, "a lost probe is no congestion: {report:?}");
    }
}

// proves IC-10
#[test]
fn any_small_path_carries_any_transfer_without_icmp() {
    for mtu in (576..1500).step_by(37) {
        let report = run(&silent(20, mtu, 200_000, false));
        assert!(report.took < Span::from_secs(5), "{mtu}: {report:?}");
    }
    for mtu in (1280..1500).step_by(17) {
        let report = run(&silent(20, mtu, 200_000, true));
        assert!(report.took < Span::from_secs(2), "{mtu}: {report:?}");
    }
}

/// The random scenarios, on links that are small and silent.
fn silent_seeds(from: u64, to: u64) {
    let failed = |seed| {
        let mut scenario = Scenario::from_seed(seed);
        scenario.signals = false;
        let probing = [MtuProbing::AfterBlackHole, MtuProbing::Always];
        for (side, settings) in scenario.settings.iter_mut().enumerate() {
            settings.mtu_probing = probing[(seed as usize >> side) % 2];
        }
        for link in &mut scenario.links {
            link.mtu = link.mtu.min(1280 + (seed * 7 % 220) as u16);
        }
        scenario.run().err()
    };
    let failures: Vec<String> = (from..to).filter_map(failed).collect();
    assert!(failures.is_empty(), "{} seeds failed, the first: {}", failures.len(), failures[0]);
}

// proves IC-10
#[test]
fn random_faults_on_silent_small_links_first_half() {
    silent_seeds(0, 250);
}

// proves IC-10
#[test]
fn random_faults_on_silent_small_links_second_half() {
    silent_seeds(250, 500);
}
