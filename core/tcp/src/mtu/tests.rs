use super::*;
use std::vec::Vec;
use usertcp_base::Span;

const UNA: Seq = Seq(1000);
const NXT: Seq = Seq(50_000);
const NOW: Instant = Instant::from_millis(1_000_000);

fn facts(header: u8) -> PathFacts {
    let segment_octets = 1500 - u16::from(header);
    PathFacts {
        segment_octets,
        receive_segment_octets: segment_octets,
        default_mss_octets: 536,
        header_octets: header,
        least_packet_octets: if header == 20 { 576 } else { 1280 },
        host: None,
    }
}
fn settings(mtu_probing: MtuProbing) -> Settings {
    Settings { mtu_probing, ..Settings::default() }
}
fn path() -> PathMtu {
    PathMtu::new(&facts(20), &Settings::default(), 1460)
}
fn lost(segment_octets: u16, timeouts: u8) -> LostFlight {
    LostFlight { segment_octets, repeated: false, silent_segments: 0, timeouts }
}
fn probed(mtu: &mut PathMtu, now: Instant, at: Seq) -> u16 {
    let size = mtu.probe_due(now, &Settings::default()).expect("a probe is due");
    mtu.on_probe_sent(size, at, at + u32::from(size - 32));
    assert_eq!(mtu.probe_due(now, &Settings::default()), None, "one at a time");
    size
}

// proves IC-1, IC-4, IC-5, IC-7
#[test]
fn claims_need_to_be_plausible_and_to_outlive_a_timeout() {
    let settings = settings(MtuProbing::Off);
    let mut mtu = path();
    assert!(!mtu.on_claim(1000, Seq(999), UNA, NXT), "left of the flight");
    assert!(!mtu.on_claim(1000, NXT, UNA, NXT), "right of the flight");
    assert!(!mtu.on_claim(9000, UNA, UNA, NXT), "never raises");
    assert!(mtu.on_claim(1000, UNA, UNA, NXT));
    assert_eq!(mtu.segment_octets(), 1480, "not believed yet");
    assert_eq!(mtu.on_progress(NOW, Seq(1001)), None);
    assert_eq!(mtu.on_timeout(NOW, &lost(1480, 1), &settings), None, "the quoted octet arrived");
    assert!(mtu.search.is_none(), "nothing is kept for it");
    assert!(mtu.on_claim(40, Seq(2000), UNA, NXT));
    assert_eq!(mtu.on_timeout(NOW, &lost(1480, 1), &settings), Some(Fell::Told));
    assert_eq!(mtu.segment_octets(), 556, "floor");
}

// proves IC-8: after a decrease the network asked for, nothing larger for ten minutes
#[test]
fn a_decrease_that_was_told_holds_for_ten_minutes() {
    let mut mtu = path();
    assert!(mtu.on_claim(1380, UNA, UNA, NXT));
    assert_eq!(mtu.on_timeout(NOW, &lost(1480, 1), &Settings::default()), Some(Fell::Told));
    assert_eq!(mtu.segment_octets(), 1380);
    let until = NOW + Span::from_secs(600);
    let almost = until - Span::from_micros(1);
    assert_eq!(mtu.probe_due(almost, &Settings::default()), None);
    assert_eq!(mtu.probe_due(until, &Settings::default()), Some(1480));
    assert_eq!(mtu.probe_due(until, &settings(MtuProbing::Off)), None);
}

// proves P-5: which timeouts mean a black hole, as a table
#[test]
fn what_falls_and_how_far() {
    let silent =
        |segments, timeouts| LostFlight { silent_segments: segments, ..lost(1480, timeouts) };
    let repeated = LostFlight { repeated: true, ..lost(1480, 1) };
    let table = [
        (lost(1480, 1), 1480),
        (silent(3, 1), 1480),
        (silent(4, 1), 1260),
        (repeated, 1260),
        (lost(1480, 2), 1260),
        (lost(1260, 9), 556),
        (lost(1260, 4), 1480),
        (LostFlight { silent_segments: 4, ..lost(1260, 3) }, 556),
        (lost(556, 9), 1480),
    ];
    for (flight, size) in table {
        let mut mtu = path();
        let fell = mtu.on_timeout(NOW, &flight, &Settings::default());
        assert_eq!(fell.is_some(), size != 1480, "{flight:?}");
        assert_eq!(mtu.segment_octets(), size, "{flight:?}");
        let mut off = path();
        assert_eq!(off.on_timeout(NOW, &flight, &settings(MtuProbing::Off)), None);
        assert_eq!((off.segment_octets(), off.search.is_some()), (1480, false));
    }
    let mut v6 = PathMtu::new(&facts(40), &Settings::default(), 1440);
    assert_eq!(v6.on_timeout(NOW, &silent(9, 1), &Settings::default()), Some(Fell::BlackHole));
    assert_eq!(v6.segment_octets(), 1240, "a packet of 1280 octets");
    assert_eq!(v6.on_timeout(NOW, &lost(1240, 9), &Settings::default()), None);
    assert_eq!(v6.segment_octets(), 1240, "every IPv6 link carries it");
}

#[test]
fn a_base_of_ones_own() {
    let own =
        Settings { base_mss_octets: 1024, mtu_probing: MtuProbing::Always, ..Settings::default() };
    let mtu = PathMtu::new(&facts(20), &own, 1460);
    assert_eq!(mtu.segment_octets(), 1044);
    assert_eq!(mtu.probe_due(NOW, &own), Some(1480));
    let mtu = PathMtu::new(&facts(20), &own, 600);
    assert_eq!((mtu.segment_octets(), mtu.probe_due(NOW, &own)), (620, None));
    let plain = settings(MtuProbing::Always);
    assert_eq!(PathMtu::new(&facts(40), &plain, 1440).segment_octets(), 1240);
}

/// Runs a search over a path that carries `carries`: the sizes of all probes.
fn search(mtu: &mut PathMtu, now: Instant, carries: u16) -> Vec<u16> {
    let mut sizes = Vec::new();
    let mut at = NXT;
    while mtu.probe_due(now, &Settings::default()).is_some() {
        let size = probed(mtu, now, at);
        sizes.push(size);
        if size <= carries {
            assert_eq!(mtu.on_progress(now, at + u32::from(size)), Some(size));
        } else {
            let _ = mtu.on_probe_lost(now, at + 20_000, false);
            assert_eq!(mtu.probe_due(now, &Settings::default()), None, "settles first");
            assert_eq!(mtu.on_progress(now, at + 19_999), None);
            assert_eq!(mtu.probe_due(now, &Settings::default()), None);
            assert_eq!(mtu.on_progress(now, at + 20_000), None);
        }
        at += 40_000;
        assert!(sizes.len() < 30, "{sizes:?}");
    }
    sizes
}

// proves P-1, P-3, P-4
#[test]
fn the_search_tries_three_times_and_rests_for_ten_minutes() {
    let mut mtu = path();
    let silent = LostFlight { silent_segments: 10, ..lost(1480, 1) };
    assert!(mtu.on_timeout(NOW, &silent, &Settings::default()).is_some());
    let sizes = search(&mut mtu, NOW, 1260);
    assert_eq!(
        sizes,
        [1480, 1480, 1480, 1420, 1420, 1420, 1380, 1380, 1380, 1340, 1340, 1340, 1320, 1320, 1320]
    );
    assert_eq!(mtu.segment_octets(), 1260);
    let later = NOW + Span::from_secs(600);
    assert_eq!(mtu.probe_due(later - Span::from_micros(1), &Settings::default()), None);
    // The path carries more by then, but not all.
    let sizes = search(&mut mtu, later, 1400);
    assert_eq!(mtu.segment_octets(), 1400);
    assert_eq!(sizes.iter().filter(|size| **size == 1480).count(), 3);
    // And all of it.
    assert_eq!(search(&mut mtu, later + Span::from_secs(600), 1480), [1480]);
    assert_eq!(mtu.segment_octets(), 1480);
    assert!(mtu.search.is_none(), "nothing is kept any more");
}

#[test]
fn every_size_is_found_to_within_a_step() {
    for carries in 1260..=1480 {
        let mut mtu = path();
        let silent = LostFlight { silent_segments: 10, ..lost(1480, 1) };
        assert!(mtu.on_timeout(NOW, &silent, &Settings::default()).is_some());
        let sizes = search(&mut mtu, NOW, carries);
        assert!(mtu.segment_octets() <= carries);
        assert!(carries - mtu.segment_octets() < 60, "{carries}: {sizes:?}");
        assert!(sizes.iter().all(|size| *size <= 1480), "never beyond the interface");
        assert!(sizes.len() <= 16, "{carries}: {sizes:?}");
    }
}

// proves P-9: a message about a probe bounds the search, inside what is possible
#[test]
fn a_message_about_a_probe_is_a_hint() {
    let mut mtu = path();
    let silent = LostFlight { silent_segments: 10, ..lost(1480, 1) };
    assert!(mtu.on_timeout(NOW, &silent, &Settings::default()).is_some());
    assert_eq!(probed(&mut mtu, NOW, Seq(10_000)), 1480);
    assert!(!mtu.on_claim(1400, Seq(9999), UNA, NXT), "not about the probe");
    assert!(!mtu.on_claim(1480, Seq(10_000), UNA, NXT), "no smaller");
    assert!(mtu.on_claim(1400, Seq(10_000), UNA, NXT));
    assert_eq!(mtu.segment_octets(), 1260, "not before it is tried");
    assert!(!mtu.on_probe_lost(NOW, NXT, false));
    assert_eq!(mtu.on_progress(NOW, NXT), None);
    assert_eq!(probed(&mut mtu, NOW, NXT), 1400);
    assert_eq!(mtu.on_progress(NOW, NXT + 1400), Some(1400));
}

#[test]
fn a_fall_by_mistake_is_taken_back() {
    let mut mtu = path();
    for timeouts in 1..=5 {
        let front = mtu.segment_octets();
        let flight = LostFlight { silent_segments: 10, ..lost(front, timeouts) };
        let _ = mtu.on_timeout(NOW, &flight, &Settings::default());
    }
    assert_eq!(mtu.segment_octets(), 556);
    assert!(mtu.on_spurious());
    assert_eq!((mtu.segment_octets(), mtu.search.is_none()), (1480, true));
    assert!(!mtu.on_spurious());
    // Once data sent after the fall has arrived, the search decides.
    let flight = LostFlight { silent_segments: 10, ..lost(1480, 1) };
    assert!(mtu.on_timeout(NOW, &flight, &Settings::default()).is_some());
    assert_eq!(mtu.on_progress(NOW, UNA + 1), None);
    assert!(!mtu.on_spurious());
    assert_eq!(mtu.segment_octets(), 1260);
}

// proves P-8 (the connection's part): a size found earlier is where the next connection begins
#[test]
fn a_learned_size_is_the_first_one() {
    let until = NOW + Span::from_secs(60);
    let learned = |segment_octets| {
        let path = Some(crate::LearnedPath { segment_octets, until });
        let host = crate::HostFacts { path, rtt: None, threshold_octets: None, reorders: false };
        PathMtu::new(&PathFacts { host: Some(host), ..facts(20) }, &Settings::default(), 1460)
    };
    let mtu = learned(1260);
    assert_eq!(mtu.segment_octets(), 1260);
    assert_eq!(mtu.learned(), Some(LearnedPath { segment_octets: 1260, until }));
    assert_eq!(mtu.probe_due(NOW, &Settings::default()), None);
    assert_eq!(mtu.probe_due(until, &Settings::default()), Some(1480));
    assert_eq!(learned(10).segment_octets(), 556);
    assert_eq!(learned(9000).segment_octets(), 1480);
    assert_eq!(learned(9000).learned(), None);
}

#[test]
fn the_first_lost_probe_proves_the_fall_unless_something_else_was_lost() {
    for (alone, congestion, timeouts) in
        [(true, false, 1), (false, false, 1), (true, true, 1), (true, false, 2)]
    {
        let mut mtu = path();
        let flight = LostFlight { silent_segments: 10, ..lost(1480, timeouts) };
        assert!(mtu.on_timeout(NOW, &flight, &Settings::default()).is_some());
        if congestion {
            mtu.on_congestion();
        }
        let _ = probed(&mut mtu, NOW, UNA);
        let proof = mtu.on_probe_lost(NOW, NXT, alone);
        assert_eq!(proof, (alone, congestion, timeouts) == (true, false, 1));
        assert_eq!(mtu.on_progress(NOW, NXT), None);
        let _ = probed(&mut mtu, NOW, UNA);
        let again = mtu.on_probe_lost(NOW, NXT, true);
        assert_eq!(again, !proof && !congestion && timeouts == 1, "once");
    }
}

// proves AT-44 (the connection's part)
#[test]
fn a_size_that_was_only_told_is_not_passed_on() {
    let mut mtu = path();
    assert!(mtu.on_claim(1380, UNA, UNA, NXT));
    assert_eq!(mtu.on_timeout(NOW, &lost(1480, 1), &Settings::default()), Some(Fell::Told));
    assert_eq!(mtu.on_progress(NOW, UNA + 1), None);
    assert_eq!(mtu.learned(), None);
    let later = NOW + Span::from_secs(600);
    assert_eq!(search(&mut mtu, later, 1380).len(), 12);
    let until = later + Span::from_secs(600);
    assert_eq!(mtu.learned(), Some(LearnedPath { segment_octets: 1380, until }), "confirmed");
}

#[test]
fn after_a_fall_the_new_size_gets_two_timeouts() {
    let mut mtu = path();
    assert!(mtu.on_claim(1380, UNA, UNA, NXT));
    let fell = |mtu: &mut PathMtu, timeouts| {
        mtu.on_timeout(NOW, &lost(mtu.segment_octets(), timeouts), &Settings::default())
    };
    assert_eq!(fell(&mut mtu, 1), Some(Fell::Told));
    assert_eq!(fell(&mut mtu, 2), None);
    assert_eq!(fell(&mut mtu, 3), Some(Fell::BlackHole));
    assert_eq!(mtu.segment_octets(), 1260);
    assert_eq!(fell(&mut mtu, 4), None);
    assert_eq!(fell(&mut mtu, 5), Some(Fell::BlackHole));
    assert_eq!(mtu.segment_octets(), 556);
}
