//! Fragments are bounded: in octets, per source, in time.

use super::*;
use usertcp_base::Span;

fn first_part(source: &'static str, id: u32) -> Vec<u8> {
    let fragment = Some((id, 0, true));
    Given { source, fragment, ..v4(6) }.octets(&tcp_segment(5, 1004))
}

#[test]
fn one_source_has_its_share_only() {
    let limits = Limits { fragment_octets_per_source: 20_000, ..Limits::default() };
    let (mut layer, pool) = (layer_with(limits), pool());
    let mut kept = 0;
    for id in 0..100 {
        match arrive(&mut layer, &first_part(PEER, id), &pool) {
            Input::Consumed => kept += 1,
            input => assert_eq!(drop_reason(input), DropReason::FragmentLimit),
        }
    }
    assert!((5..=19).contains(&kept), "{kept}");
    assert!(layer.stats().fragment_octets <= 20_000);
    assert!(matches!(arrive(&mut layer, &first_part("192.0.2.77", 1), &pool), Input::Consumed));
    assert!(layer.poll_drop().is_none());
}

#[test]
fn the_oldest_make_room_for_the_newest() {
    let limits = Limits { fragment_octets: 30_000, ..Limits::default() };
    let (mut layer, pool) = (layer_with(limits), pool());
    for id in 0..100 {
        assert!(matches!(arrive(&mut layer, &first_part(PEER, id), &pool), Input::Consumed));
        assert!(layer.stats().fragment_octets <= 30_000);
    }
    let kept = layer.stats().incomplete as u32;
    assert_eq!(layer.poll_drop(), Some((DropReason::FragmentLimit, 100 - kept)));
    assert_eq!(layer.poll_drop(), None);
    // The newest is still there to be finished.
    let fragment = Some((99, 1024, false));
    let last = Given { fragment, ..v4(6) }.octets(&[1; 10]);
    assert!(matches!(arrive(&mut layer, &last, &pool), Input::Tcp(_)));
}

#[test]
fn a_datagram_lives_as_long_as_it_may_from_its_first_part() {
    let (mut layer, pool) = (layer(), pool());
    assert!(matches!(arrive(&mut layer, &first_part(PEER, 1), &pool), Input::Consumed));
    let end = NOW + Span::from_secs(60);
    assert_eq!(layer.next_deadline(), Some(end));
    let middle = NOW + Span::from_secs(30);
    let fragment = Some((1, 2048, true));
    let more = Given { fragment, ..v4(6) }.octets(&[1; 8]);
    let input = layer.input(middle, packet(&more, &pool), &pool);
    assert!(matches!(input, Input::Consumed));
    assert_eq!(layer.next_deadline(), Some(end), "later parts give it no more time");
    layer.expire(end - Span::from_micros(1));
    assert_eq!(layer.stats().incomplete, 1);
    layer.expire(end);
    assert_eq!((layer.stats().incomplete, layer.stats().fragment_octets), (0, 0));
    assert_eq!(pool.stats().used_octets, 0);
    assert_eq!(layer.poll_drop(), Some((DropReason::FragmentTimeout, 1)));
    assert_eq!(layer.next_deadline(), None);
}

#[test]
fn short_fragments_do_not_keep_large_frames() {
    let (mut layer, pool) = (layer(), pool());
    let mut octets = first_part(PEER, 1);
    let (small, padding) = (octets.len(), 60_000);
    // The link pads, so that the frame is a large one.
    octets.resize(small + padding, 0);
    assert!(matches!(arrive(&mut layer, &octets, &pool), Input::Consumed));
    assert_eq!((pool.stats().large_out, pool.stats().full_out), (0, 1));
    assert!(layer.stats().fragment_octets < 4096);
}

#[test]
fn parts_of_the_dead_evict_nobody() {
    let limits = Limits { fragment_octets: 10_000, ..Limits::default() };
    let (mut layer, pool) = (layer_with(limits), pool());
    let other = "192.0.2.77";
    assert!(matches!(arrive(&mut layer, &first_part(other, 1), &pool), Input::Consumed));
    let overlap = Given { fragment: Some((5, 8 * 100, true)), ..v4(6) }.octets(&[0; 64]);
    assert!(matches!(arrive(&mut layer, &first_part(PEER, 5), &pool), Input::Consumed));
    for _ in 0..100 {
        let found = drop_reason(arrive(&mut layer, &overlap, &pool));
        assert_eq!(found, DropReason::FragmentOverlap);
    }
    assert_eq!(layer.stats().incomplete, 2);
    assert!(layer.poll_drop().is_none());
}
