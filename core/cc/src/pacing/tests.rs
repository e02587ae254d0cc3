use super::*;

#[test]
fn gains_are_two_and_a_fifth_more_than_one() {
    let at = |gain| rate(100_000, 100_000, gain).octets_per_second();
    assert_eq!((at(Gain::SlowStart), at(Gain::Avoidance)), (2_000_000, 1_200_000));
    assert!(rate(100_000, 0, Gain::SlowStart).is_unlimited());
}

#[test]
fn a_quantum_is_a_millisecond_between_two_segments_and_an_offload_unit() {
    let at = |octets| quantum(Rate::from_octets_per_second(octets), 1460);
    assert_eq!(at(1), 2920);
    assert_eq!(at(10_000_000), 10_000);
    assert_eq!(at(1_250_000_000), OFFLOAD_OCTETS);
    assert_eq!(quantum(Rate::UNLIMITED, 1460), OFFLOAD_OCTETS);
    assert_eq!(quantum(Rate::UNLIMITED, 65_000), 130_000);
}

#[test]
fn the_largest_window_over_the_shortest_time_is_a_rate() {
    assert_eq!(rate(1 << 30, 1, Gain::SlowStart).octets_per_second(), 2_000_000 << 30);
    assert_eq!(rate(1, u32::MAX, Gain::Avoidance).octets_per_second(), 1);
}
