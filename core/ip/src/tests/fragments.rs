//! Fragments: what comes together, and what dies.

use super::*;
use proptest::prelude::*;

/// A fragment of a datagram: offset, payload, more.
type Piece = (usize, Vec<u8>, bool);

fn send(layer: &mut Ip, given: &Given, id: u32, piece: &Piece, pool: &FramePool) -> Input {
    let (offset, payload, more) = piece;
    let fragment = Some((id, *offset, *more));
    arrive(layer, &Given { fragment, ..given.clone() }.octets(payload), pool)
}

fn cut(whole: &[u8], cuts: &[usize]) -> Vec<Piece> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut * 8).collect();
    cuts.retain(|cut| *cut > 0 && *cut < whole.len());
    cuts.sort_unstable();
    cuts.dedup();
    cuts.insert(0, 0);
    cuts.push(whole.len());
    cuts.windows(2)
        .map(|ends| (ends[0], whole[ends[0]..ends[1]].to_vec(), ends[1] < whole.len()))
        .collect()
}

fn whole(input: Input) -> Vec<u8> {
    match input {
        Input::Tcp(segment) => {
            assert!(segment.octets.front().unwrap().len() >= 20);
            assert!(!segment.checksum_verified);
            segment.octets.to_vec()
        }
        other => panic!("no segment: {other:?}"),
    }
}

#[test]
fn a_datagram_in_two_parts_either_order() {
    let segment = tcp_segment(5, 556);
    let pieces = cut(&segment, &[40]);
    for given in [v4(6), v6(6)] {
        for order in [[0, 1], [1, 0]] {
            let (mut layer, pool) = (layer(), pool());
            let first = send(&mut layer, &given, 1, &pieces[order[0]], &pool);
            assert!(matches!(first, Input::Consumed));
            assert_eq!(layer.stats().incomplete, 1);
            let second = send(&mut layer, &given, 1, &pieces[order[1]], &pool);
            assert_eq!(whole(second), segment);
            assert_eq!((layer.stats().incomplete, layer.stats().reassembled), (0, 1));
            assert_eq!((layer.stats().fragment_octets, layer.next_deadline()), (0, None));
        }
    }
}

#[test]
fn datagrams_are_told_apart() {
    let segment = tcp_segment(5, 556);
    let pieces = cut(&segment, &[40]);
    let (mut layer, pool) = (layer(), pool());
    let others = [
        (v4(6), 1),
        (v4(6), 2),
        (Given { source: "192.0.2.10", ..v4(6) }, 1),
        (Given { destination: "10.0.0.2", ..v4(6) }, 1),
        (v4(17), 1),
        (v6(6), 1),
        (v6(6), 0x10001),
    ];
    for (given, id) in &others {
        assert!(matches!(send(&mut layer, given, *id, &pieces[0], &pool), Input::Consumed));
    }
    assert_eq!(layer.stats().incomplete, others.len());
    for (given, id) in others.iter().filter(|(given, _)| given.protocol == 6) {
        assert_eq!(whole(send(&mut layer, given, *id, &pieces[1], &pool)), segment);
    }
}

#[test]
fn any_overlap_kills_the_datagram_and_its_later_parts() {
    let part = |offset: usize, len: usize, more| (offset, vec![0x50; len], more);
    let table = [
        // Teardrop and its kin.
        [part(0, 64, true), part(56, 64, true)],
        [part(0, 64, true), part(24, 8, false)],
        [part(64, 64, true), part(0, 72, true)],
        [part(64, 64, true), part(56, 80, true)],
        [part(64, 64, true), part(64, 72, true)],
        // The end is contradicted.
        [part(64, 64, false), part(128, 8, true)],
        [part(64, 64, false), part(128, 8, false)],
        [part(128, 64, true), part(64, 8, false)],
        [part(64, 64, false), part(64, 64, true)],
        [part(64, 64, true), part(64, 64, false)],
    ];
    for (index, [first, second]) in table.iter().enumerate() {
        for given in [v4(6), v6(6)] {
            let (mut layer, pool) = (layer(), pool());
            assert!(matches!(send(&mut layer, &given, 1, first, &pool), Input::Consumed));
            for again in [second, first, second] {
                let input = send(&mut layer, &given, 1, again, &pool);
                assert_eq!(drop_reason(input), DropReason::FragmentOverlap, "{index}");
            }
            assert_eq!(pool.stats().used_octets, 0, "a killed datagram holds no frames");
            assert!(layer.stats().fragment_octets <= 256);
        }
    }
}

#[test]
fn a_copy_is_dropped_alone() {
    let segment = tcp_segment(5, 500);
    let pieces = cut(&segment, &[10, 20]);
    let (mut layer, pool) = (layer(), pool());
    for index in [0, 0, 2, 2, 0] {
        assert!(matches!(send(&mut layer, &v4(6), 1, &pieces[index], &pool), Input::Consumed));
    }
    assert_eq!(whole(send(&mut layer, &v4(6), 1, &pieces[1], &pool)), segment);
}

#[test]
fn tiny_first_fragments_die() {
    let segment = tcp_segment(8, 100);
    let extension = [6, 0, 1, 4, 0, 0, 0, 0];
    let with_extension: Vec<u8> = [&extension[..], &segment].concat();
    let table: [(Given, usize, &[u8], DropReason); 9] = [
        (v4(6), 0, &segment[..8], DropReason::FragmentTiny),
        (v4(6), 0, &segment[..16], DropReason::FragmentTiny),
        (v4(6), 0, &segment[..24], DropReason::FragmentTiny),
        (v4(6), 8, &segment[..32], DropReason::FragmentTiny),
        (v6(6), 0, &segment[..24], DropReason::FragmentTiny),
        (v6(60), 0, &with_extension[..8], DropReason::FragmentTiny),
        (v6(60), 0, &with_extension[..32], DropReason::FragmentTiny),
        (v6(44), 0, &[44, 0, 0, 1, 0, 0, 0, 0], DropReason::IpExtension),
        (v6(43), 0, &[6, 0, 0, 0, 0, 0, 0, 0], DropReason::IpSourceRoute),
    ];
    for (given, offset, payload, reason) in table {
        let (mut layer, pool) = (layer(), pool());
        let input = send(&mut layer, &given, 1, &(offset, payload.to_vec(), true), &pool);
        assert_eq!(drop_reason(input), reason, "{} {}", given.protocol, payload.len());
        assert_eq!(layer.stats().incomplete, 0);
    }
    // The whole header and not an octet more is enough.
    let (mut layer, pool) = (layer(), pool());
    let first = (0, segment[..32].to_vec(), true);
    assert!(matches!(send(&mut layer, &v4(6), 1, &first, &pool), Input::Consumed));
}

#[test]
fn lengths_that_cannot_be() {
    let table = [
        (0, vec![0x50; 33], true),
        (8, vec![], true),
        (8, vec![], false),
        (65_528, vec![0; 8], false),
        (65_520, vec![0; 16], true),
    ];
    for (given, piece) in [v4(17), v6(17)].iter().flat_map(|g| table.iter().map(move |p| (g, p))) {
        let (mut layer, pool) = (layer(), pool());
        let input = send(&mut layer, given, 1, piece, &pool);
        assert_eq!(drop_reason(input), DropReason::IpMalformed, "{piece:?}");
    }
}

#[test]
fn ecn_marks_of_the_parts_are_joined() {
    use Ecn::*;
    let segment = tcp_segment(5, 100);
    let pieces = cut(&segment, &[5]);
    for (first, second, expected) in [
        (Capable0, Capable0, Some(Capable0)),
        (Capable0, CongestionExperienced, Some(CongestionExperienced)),
        (CongestionExperienced, Capable1, Some(CongestionExperienced)),
        (NotCapable, NotCapable, Some(NotCapable)),
        (NotCapable, CongestionExperienced, None),
        (CongestionExperienced, NotCapable, None),
    ] {
        let (mut layer, pool) = (layer(), pool());
        let given = Given { ecn: first, ..v4(6) };
        assert!(matches!(send(&mut layer, &given, 1, &pieces[0], &pool), Input::Consumed));
        let given = Given { ecn: second, ..v4(6) };
        match (send(&mut layer, &given, 1, &pieces[1], &pool), expected) {
            (Input::Tcp(found), Some(ecn)) => assert_eq!(found.ecn, ecn),
            (Input::Drop(reason), None) => assert_eq!(reason, DropReason::FragmentOverlap),
            (other, _) => panic!("{first:?} {second:?}: {other:?}"),
        }
    }
}

#[test]
fn an_atomic_fragment_needs_no_reassembly() {
    let (mut layer, pool) = (layer(), pool());
    let segment = tcp_segment(5, 10);
    assert_eq!(whole(send(&mut layer, &v6(6), 1, &(0, segment.clone(), false), &pool)), segment);
    assert_eq!(layer.stats().reassembled, 0);
}

/// What any receiver must conclude from fragments in this order: the datagram, once every octet
/// is there, or nothing for ever once two of them disagree.
#[derive(Default)]
struct Naive {
    seen: Vec<(usize, usize, bool)>,
    octets: Vec<Option<u8>>,
    total: Option<usize>,
    dead: bool,
}

impl Naive {
    fn take(&mut self, (offset, payload, more): &Piece) -> Option<Vec<u8>> {
        let place = (*offset, offset + payload.len(), *more);
        if self.dead || self.seen.contains(&place) {
            return None;
        }
        self.seen.push(place);
        self.octets.resize(self.octets.len().max(place.1), None);
        for (octet, at) in payload.iter().zip(*offset..) {
            self.dead |= self.octets[at].replace(*octet).is_some();
        }
        if !more {
            self.dead |= self.total.is_some();
            self.total = Some(place.1);
        }
        self.dead |= self.total.is_some_and(|total| {
            self.seen.iter().any(|(_, end, more)| *end > total || *end == total && *more)
        });
        if self.dead || self.total != Some(self.octets.len()) {
            return None;
        }
        self.octets.iter().copied().collect()
    }
}

proptest! {
    #[test]
    fn in_any_order_with_copies_the_datagram_comes_back(
        size in 40usize..3000, cuts in prop::collection::vec(4usize..375, 0..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40), six: bool,
    ) {
        let (mut layer, pool) = (layer(), pool());
        let given = if six { v6(6) } else { v4(6) };
        let segment = tcp_segment(5, size - 20);
        // One cut at least, behind the first 32 octets.
        let cuts: Vec<usize> = cuts.into_iter().chain([4]).collect();
        let pieces = cut(&segment, &cuts);
        let mut found = None;
        let every = 0..pieces.len();
        for index in order.iter().map(|index| index.index(pieces.len())).chain(every) {
            if found.is_some() {
                break;
            }
            match send(&mut layer, &given, 9, &pieces[index], &pool) {
                Input::Consumed => {}
                input => found = Some(whole(input)),
            }
        }
        prop_assert_eq!(found, Some(segment));
        prop_assert_eq!(layer.stats().fragment_octets, 0);
        prop_assert_eq!(pool.stats().used_octets, 0);
    }

    #[test]
    fn arbitrary_fragments_end_as_the_naive_receiver_says(
        pieces in prop::collection::vec((0usize..8, 1usize..5, any::<bool>()), 1..25), six: bool,
    ) {
        let (mut layer, pool) = (layer(), pool());
        // A protocol without rules for its first fragment, answered by nobody.
        let given = if six { v6(59) } else { v4(58) };
        let mut naive = Naive::default();
        for (index, (offset, units, more)) in pieces.into_iter().enumerate() {
            if six && offset == 0 && !more {
                continue; // an atomic fragment is a packet of its own
            }
            let piece = (offset * 8, vec![index as u8; units * 8], more);
            if !six && piece.0 == 0 && !more {
                continue;
            }
            let input = send(&mut layer, &given, 9, &piece, &pool);
            let expected = naive.take(&piece);
            match input {
                Input::Consumed => prop_assert!(expected.is_none() && !naive.dead),
                Input::Drop(DropReason::FragmentOverlap) => prop_assert!(naive.dead),
                // Whole: refused in silence, as this protocol is.
                Input::Drop(DropReason::IpProtocol) => {
                    prop_assert!(expected.is_some());
                    naive = Naive::default();
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
