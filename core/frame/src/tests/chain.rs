//! Chains, against a `Vec<u8>` that does the same.
use super::*;
use crate::{Chain, Class, Entries, Slots, Uncut, Whole};
use proptest::prelude::*;
use std::vec;

/// A chain of `count` slices of `each` octets, from frames of their own.
fn chain_of(pool: &FramePool, count: usize, each: usize) -> (Chain, Vec<u8>) {
    let mut model = Vec::new();
    let chain = (0..count)
        .map(|at| {
            let octets = pattern(at as u8, each);
            model.extend_from_slice(&octets);
            slice_of(pool, &octets)
        })
        .collect();
    (chain, model)
}

#[test]
fn neighbours_in_a_frame_become_one_slice() {
    let pool = pool(1);
    let slice = slice_of(&pool, b"0123456789");
    let mut chain = Chain::from(slice.slice(..3));
    chain.push_back(slice.slice(3..5));
    assert_eq!(chain.slice_count(), 1);
    chain.push_back(slice.slice(6..));
    assert_eq!((chain.slice_count(), chain.charge()), (2, 256));
    chain.push_back(slice.slice(..0));
    assert_eq!((chain.slice_count(), &chain.to_vec()[..]), (2, &b"012346789"[..]));
}

#[test]
fn the_next_slices_are_the_first_two_and_where_there_are_many_those_behind_what_was_found_last() {
    let pool = pool(1);
    for count in 0..3 {
        let (chain, model) = chain_of(&pool, count, 5);
        assert_eq!(
            chain.next_slices().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>(),
            model
        );
    }
    let (mut chain, model) = chain_of(&pool, 9, 5);
    assert_eq!(chain.slice(20, 5).to_vec(), model[20..25]);
    let next = chain.next_slices().map(|slice| slice.to_vec()).collect::<Vec<_>>();
    assert_eq!(next, [0, 5, 25, 30].map(|at| model[at..at + 5].to_vec()));
    chain.advance(40);
    assert_eq!(chain.next_slices().next().map(|slice| slice.to_vec()), Some(model[40..].to_vec()));
}

#[test]
fn the_first_slice_of_an_empty_chain_is_one_like_any_other() {
    let pool = pool(1);
    let mut chain = Chain::new();
    chain.begin_with(slice_of(&pool, b"01"));
    chain.push_back(slice_of(&pool, b"23"));
    assert_eq!((chain.slice_count(), &chain.to_vec()[..]), (2, &b"0123"[..]));
    chain.clear();
    chain.begin_with(slice_of(&pool, b"4"));
    assert_eq!((chain.len(), &chain.to_vec()[..]), (1, &b"4"[..]));
}

#[test]
fn what_is_behind_the_headers_of_one_slice_changes_chains_and_nothing_else_does() {
    let pool = pool(1);
    for (count, headers, taken) in
        [(0, 0, None), (1, 0, Some(5)), (1, 4, Some(1)), (1, 5, None), (2, 1, None), (5, 1, None)]
    {
        let (mut packet, model) = chain_of(&pool, count, 5);
        let out = pool.stats();
        let mut chain = Chain::new();
        let done = chain.begin_behind(&mut packet, headers);
        assert_eq!(done.then_some(chain.len()), taken, "{count} slices, {headers} octets");
        let (from, left) = if done { (headers, 0) } else { (model.len(), model.len()) };
        assert_eq!((&chain.to_vec()[..], packet.len()), (&model[from..], left));
        assert_eq!(pool.stats(), out, "no frame is another's, none comes home");
    }
}

#[test]
fn clearing_what_mostly_is_one_slice_clears_any_chain() {
    let pool = pool(1);
    let home = pool.stats();
    for count in 0..6 {
        let (mut chain, _) = chain_of(&pool, count, 5);
        chain.clear();
        assert_eq!((chain.len(), chain.slice_count(), chain.charge()), (0, 0, 0));
        assert_eq!(pool.stats().used_octets, home.used_octets, "{count} frames came home");
        chain.begin_with(slice_of(&pool, b"0"));
        assert_eq!(&chain.to_vec()[..], b"0");
    }
}

#[test]
fn charges_count_a_frame_once() {
    let pool = pool(2);
    let mut chain = Chain::from(slice_of(&pool, &[1; 1000]));
    chain.push_back(slice_of(&pool, &[2; 10]));
    assert_eq!(chain.charge(), 2112 + 256);
    assert_eq!(chain.split_to(500).charge(), 2112);
}

#[test]
fn the_ends_can_be_changed_in_place() {
    let pool = pool(2);
    for count in [1, 2, 5] {
        let (mut chain, mut model) = chain_of(&pool, count, 10);
        assert_eq!(chain.extend_back(b"tail"), 4);
        model.extend_from_slice(b"tail");
        chain.front_mut().unwrap().advance(3);
        model.drain(..3);
        chain.front_mut().unwrap().push_front(1).unwrap()[0] = b'>';
        model.insert(0, b'>');
        assert_eq!((chain.len(), chain.to_vec()), (model.len(), model.clone()));
        for offset in 0..model.len() {
            assert_eq!(chain.slice(offset, 4).to_vec(), model[offset..model.len().min(offset + 4)]);
        }
        chain.back_mut().unwrap().truncate(0);
        if let Some(mut front) = chain.front_mut() {
            front.truncate(0);
        }
        assert_eq!(chain.slice_count(), count.saturating_sub(2));
    }
}

#[test]
fn an_emptied_chain_gives_its_heap_and_its_frames_back() {
    let pool = pool(2);
    let (mut chain, model) = chain_of(&pool, 20, 100);
    assert_eq!(chain.slice_count(), 20);
    chain.advance(model.len() + 1);
    assert_eq!((chain.len(), chain.slice_count()), (0, 0));
    assert_all_home(&pool);
}

/// Long chains that were left, in whatever way, are the next ones: nothing of what they held is in them, and the pool goes
/// with the last slice, whoever has it.
#[test]
fn an_emptied_chain_is_the_next_one() {
    let pool = pool(9);
    for round in 0..40u8 {
        let (mut chain, model) = chain_of(&pool, 3 + usize::from(round % 7) * 20, 10);
        assert_eq!(chain.slice(15, 10).to_vec(), model[15..25]);
        let mut out = vec![0; model.len()];
        chain.take_to(&mut out[..usize::from(round % 3) * 12]);
        match round % 4 {
            0 => chain.clear(),
            1 => chain.advance(model.len()),
            2 => assert!(chain.take_to(&mut out) > 0),
            _ => {
                let (mut other, _) = chain_of(&pool, 4, 10);
                let before = chain.to_vec();
                other.append(chain);
                assert_eq!(other.to_vec()[40..], before);
                chain = other;
            }
        }
        if round % 4 != 3 {
            assert_eq!((chain.len(), chain.slice_count(), chain.charge()), (0, 0, 0));
        }
    }
    assert_all_home(&pool);
    // More at a time than are kept, and larger than are kept.
    let mut many: Vec<_> = (0..30).map(|_| chain_of(&pool, 5, 10).0).collect();
    many.iter_mut().for_each(Chain::clear);
    let (mut large, model) = chain_of(&pool, 300, 10);
    assert_eq!(large.take_to(&mut vec![0; model.len()]), model.len());
    let (mut last, _) = chain_of(&pool, 5, 10);
    drop((pool, many, large));
    last.clear();
}

/// Calls `cut` for the `len` octets from `offset` on in pieces of `each` octets, the last of what is left, as long as
/// a slice begins where a piece does, has its octets, and no other piece's before its last one; it ends this by
/// saying false, of a piece it did not take. How many octets were taken.
fn cut_pieces(
    chain: &mut Chain,
    offset: usize,
    len: usize,
    each: usize,
    mut cut: impl FnMut(Uncut<'_>, usize) -> bool,
) -> usize {
    let mut left = len;
    let (mut long, mut short) = (Entries::default(), Slots::default());
    match chain.starting_at(offset, len.div_ceil(each.max(1))) {
        Whole::Long(entries) => long = entries,
        Whole::Short(slots) => short = slots,
    }
    for slice in long.chain(short) {
        let (piece, octets) = (left.min(each), slice.octets());
        if piece == 0 || octets < piece || !cut(slice, piece) {
            break;
        }
        left -= piece;
        if octets > piece {
            break;
        }
    }
    len - left
}

/// The `len` octets from `offset` on with `front` octets before them that `write` writes.
fn slice_behind(
    chain: &mut Chain,
    front: usize,
    offset: usize,
    len: usize,
    write: impl FnOnce(&mut [u8], &[u8]),
) -> Option<FrameSlice> {
    let (mut packet, mut write) = (None, Some(write));
    let taken = cut_pieces(chain, offset, len, len, |slice, piece| {
        let Some(mut behind) = slice.behind(front, piece) else { return false };
        let (front, payload) = behind.parts().unwrap();
        if let Some(write) = write.take() {
            write(front, payload);
        }
        packet = Some(behind.into_slice());
        true
    });
    assert_eq!(taken, if packet.is_some() { len } else { 0 });
    packet
}

/// A chain of slices with room in front, each in a frame of its own.
fn roomy_chain(pool: &FramePool, count: usize) -> Chain {
    let slices = (0..count).map(|at| pool.copy_of(&pattern(at as u8, 100), 40).unwrap());
    slices.collect()
}

#[test]
fn headers_are_written_before_what_the_queue_holds() {
    let pool = pool(2);
    for count in [1, 2, 9] {
        let mut chain = roomy_chain(&pool, count);
        let whole = chain.to_vec();
        let mut seen = Vec::new();
        let mut packets: Vec<_> = (0..count)
            .map(|at| {
                let packet = slice_behind(&mut chain, 20, at * 100, 100, |front, payload| {
                    front.fill(at as u8);
                    seen.extend_from_slice(payload);
                });
                packet.unwrap()
            })
            .collect();
        assert_eq!((&seen, chain.to_vec(), chain.len()), (&whole, whole.clone(), whole.len()));
        for (at, packet) in packets.iter().enumerate() {
            assert_eq!(
                (&packet[..20], &packet[20..]),
                (&[at as u8; 20][..], &whole[at * 100..][..100])
            );
        }
        // The packet is on its way still: its header must stay as it is.
        assert!(slice_behind(&mut chain, 20, 0, 100, |_, _| unreachable!()).is_none());
        assert!(chain.behind(20, 100).is_none());
        packets.clear();
        if count <= 2 {
            let mut packet = chain.behind(30, 90).unwrap();
            packet.parts().unwrap().0.fill(5);
            let packet = packet.into_slice();
            assert_eq!(packet[..], [&[5; 30][..], &whole[..90]].concat());
            assert!(chain.behind(20, 100).is_none(), "it is shared again");
        }
        assert!(chain.behind(20, 101).is_none() && chain.behind(41, 100).is_none());
        let again = slice_behind(&mut chain, 40, 0, 60, |front, _| front.fill(9)).unwrap();
        assert_eq!((again.len(), &again[..41]), (100, &[&[9; 40][..], &whole[..1]].concat()[..]));
    }
    assert_all_home(&pool);
}

#[test]
fn pieces_are_cut_as_long_as_slices_are_pieces() {
    let pool = pool(2);
    for count in [1, 2, 9] {
        let mut chain = roomy_chain(&pool, count);
        let all = count * 100;
        let mut pieces = |offset, len, each, most| {
            let mut pieces = Vec::new();
            let taken = cut_pieces(&mut chain, offset, len, each, |slice, piece| {
                let octets = slice.octets();
                let mut behind = slice.behind(0, octets).unwrap();
                let (_, all) = behind.parts_of::<0>().unwrap();
                pieces.push((all[0], octets, piece));
                pieces.len() <= most
            });
            pieces.truncate(most);
            assert_eq!(taken, pieces.iter().map(|piece| piece.2).sum::<usize>());
            pieces
        };
        let first = |at: usize| pattern(at as u8, 100)[0];
        let whole: Vec<_> = (0..count).map(|at| (first(at), 100, 100)).collect();
        assert_eq!(pieces(0, all, 100, 9), whole);
        assert_eq!(pieces(0, all + 100, 100, 9), whole, "as many as there are");
        assert_eq!(pieces(0, all, 100, 1), &whole[..1], "as many as are wanted");
        for from in 1..count {
            assert_eq!(pieces(from * 100, all - from * 100, 100, 9), &whole[from..]);
            assert_eq!(pieces(from * 100, 100, 100, 9), &whole[from..=from]);
            let two = [whole[from - 1], (first(from), 100, 30)];
            assert_eq!(pieces(from * 100 - 100, 130, 100, 9), two, "the last is shorter");
        }
        assert_eq!(pieces(0, all, 60, 9), [(first(0), 100, 60)], "the next begins in the slice");
        assert_eq!(pieces(0, all + 1, 101, 9), [], "no piece goes across");
        assert_eq!(pieces(50, 50, 50, 9), [], "no piece begins in the middle");
        assert_eq!(pieces(all, 100, 100, 9), [], "the end");
        assert_eq!(pieces(0, 0, 100, 9), []);
    }
    let mut none = Chain::new();
    assert_eq!(cut_pieces(&mut none, 0, 100, 100, |_, _| unreachable!()), 0);
    assert_all_home(&pool);
}

/// Pieces are what the octets are, as long as each lies in one slice, whatever the slices are.
#[test]
fn pieces_share_the_frames_they_lie_in() {
    let pool = pool(9);
    for sizes in [&[100][..], &[30, 100], &[100, 50, 20, 130, 40, 60]] {
        let octets = pattern(3, sizes.iter().sum());
        let mut at = 0;
        let mut chain = Chain::new();
        for size in sizes {
            chain.push_back(slice_of(&pool, &octets[at..at + size]));
            at += size;
        }
        let ends: Vec<usize> = sizes.iter().scan(0, |end, size| Some(add(end, *size))).collect();
        for offset in 0..octets.len() + 2 {
            for each in [1, 10, 30, 50, 100, 131] {
                let pieces: Vec<_> =
                    chain.pieces(offset, each).map(|piece| piece.to_vec()).collect();
                let fits = |from: &usize| {
                    let end = ends.iter().find(|end| **end > *from);
                    end.is_some_and(|end| from + each <= *end)
                };
                let froms = (offset..).step_by(each).take_while(fits);
                let expected: Vec<_> = froms.map(|at| octets[at..at + each].to_vec()).collect();
                assert_eq!(pieces, expected, "{offset} {each}");
            }
        }
    }
    assert_eq!(Chain::new().pieces(0, 1).count(), 0);
    assert_all_home(&pool);
}

fn add(end: &mut usize, size: usize) -> usize {
    *end += size;
    *end
}

/// Packets of every shape go behind chains of every length, without what is in front of each.
#[test]
fn what_is_behind_headers_is_put_behind_whatever_slices_it_lies_in() {
    let pool = pool(9);
    let shapes = [&[60][..], &[20, 50], &[20], &[7], &[30, 40], &[5, 50], &[5, 9], &[9, 11, 30, 2]];
    for count in [0, 1, 2, 5] {
        for first in 0..shapes.len() {
            let (mut chain, mut model) = chain_of(&pool, count, 10);
            let shapes = shapes.iter().cycle().skip(first).take(shapes.len());
            let mut packets: Vec<_> = shapes
                .map(|sizes| {
                    let slices =
                        sizes.iter().map(|size| slice_of(&pool, &pattern(*size as u8, *size)));
                    let packet: Chain = slices.collect();
                    model.extend_from_slice(packet.to_vec().get(20..).unwrap_or_default());
                    packet
                })
                .collect();
            chain.append_behind(20, packets.iter_mut());
            assert_eq!((chain.len(), chain.to_vec()), (model.len(), model));
            assert_eq!(chain.charge(), charge_of(&chain));
            assert!(packets.iter().all(|packet| packet.is_empty() && packet.slice_count() == 0));
        }
    }
    // Slices of one frame that lie behind each other become one.
    let whole = slice_of(&pool, &pattern(1, 200));
    let (mut chain, mut model) = chain_of(&pool, 3, 10);
    let packet = |range: core::ops::Range<usize>| {
        [slice_of(&pool, &[9; 20]), whole.slice(range)].into_iter().collect::<Chain>()
    };
    let mut packets = [packet(0..80), packet(80..150), packet(160..200)];
    chain.append_behind(20, packets.iter_mut());
    model.extend([&whole[..150], &whole[160..]].concat());
    assert_eq!((chain.slice_count(), chain.to_vec()), (5, model));
    drop((chain, whole));
    assert_all_home(&pool);
}

#[test]
fn headers_are_not_written_where_they_cannot_be() {
    let pool = pool(2);
    for count in [1, 2, 9] {
        let mut chain = roomy_chain(&pool, count);
        let before = chain.to_vec();
        let mut refused = |front, offset, len| {
            slice_behind(&mut chain, front, offset, len, |_, _| unreachable!()).is_none()
        };
        assert!(refused(41, 0, 100), "no room");
        assert!(refused(20, 1, 50), "octets of the queue are in front");
        assert!(refused(20, 0, 101), "more than the slice");
        assert!(refused(20, count * 100, 1), "the end");
        let other = chain.front().unwrap().clone();
        assert!(slice_behind(&mut chain, 20, 0, 10, |_, _| unreachable!()).is_none(), "shared");
        assert_eq!((chain.to_vec(), &other[..]), (before.clone(), &before[..100]));
    }
}

#[test]
fn octets_taken_are_copied_once_and_gone() {
    let pool = pool(20);
    for (count, each) in [(1, 90), (2, 90), (30, 70)] {
        for step in [1, 60, 90, 100, 250, 5000] {
            let (mut chain, mut model) = chain_of(&pool, count, each);
            let copied = pool.stats().octets_copied;
            while !model.is_empty() {
                let mut out = std::vec![0; step];
                let left = chain.charge() - chain.charge_of_first(step);
                let taken = chain.take_to(&mut out);
                assert_eq!(chain.charge(), left);
                assert_eq!((taken, &out[..taken]), (step.min(model.len()), &model[..taken]));
                model.drain(..taken);
                assert_eq!((chain.len(), chain.to_vec()), (model.len(), model.clone()));
                let charges = chain.slices().map(|slice| slice.charge()).sum::<u32>();
                assert_eq!(chain.charge(), charges);
            }
            assert_eq!(pool.stats().octets_copied - copied, (count * each) as u64);
        }
    }
    assert_all_home(&pool);
}

#[test]
fn long_chains_are_put_behind_long_chains() {
    let pool = pool(20);
    let (mut chain, mut model) = chain_of(&pool, 5, 100);
    let (other, more) = chain_of(&pool, 7, 100);
    chain.append(other);
    model.extend_from_slice(&more);
    assert_eq!((chain.to_vec(), chain.len(), chain.slice_count()), (model.clone(), 1200, 12));
    assert_eq!(
        (chain.charge(), chain.slice(450, 300).to_vec()),
        (12 * 256, model[450..750].to_vec())
    );
}

#[test]
fn segments_of_a_send_queue_follow_each_other() {
    let pool = pool(20);
    let (chain, model) = chain_of(&pool, 300, 2000);
    let mut at = 0;
    while at < model.len() {
        let part = chain.slice(at, 1448);
        assert!(part.slice_count() <= 2);
        assert_eq!(part.to_vec(), model[at..model.len().min(at + 1448)]);
        at += 1448;
    }
    assert!(chain.slice(at, 1).is_empty());
}

#[test]
fn copying_out_is_counted() {
    let pool = pool(1);
    let (chain, model) = chain_of(&pool, 3, 50);
    let before = pool.stats().octets_copied;
    let mut out = [0; 60];
    assert_eq!(chain.copy_to(45, &mut out), 60);
    assert_eq!(out, model[45..105]);
    assert_eq!(chain.copy_to(145, &mut out), 5);
    assert_eq!(pool.stats().octets_copied - before, 65);
}

#[derive(Clone, Debug)]
enum Step {
    PushBack(usize),
    PushFront(usize),
    PopFront,
    PopBack,
    Advance(usize),
    Truncate(usize),
    Slice(usize, usize),
    CopyTo(usize, usize),
    ExtendBack(usize),
    SplitTo(usize),
    AppendClone(usize),
    CompactFront,
    CompactBack,
    TakeTo(usize),
    Behind(usize, usize),
}

/// The charge by its definition.
fn charge_of(chain: &Chain) -> u32 {
    let slices: Vec<_> = chain.slices().collect();
    let repeated = |at: usize| at > 0 && slices[at - 1].shares_frame(slices[at]);
    (0..slices.len()).filter(|at| !repeated(*at)).map(|at| slices[at].charge()).sum()
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..3000usize;
    prop_oneof![
        4 => n.clone().prop_map(Step::PushBack),
        1 => n.clone().prop_map(Step::PushFront),
        1 => Just(Step::PopFront),
        1 => Just(Step::PopBack),
        1 => n.clone().prop_map(Step::Advance),
        1 => n.clone().prop_map(Step::Truncate),
        3 => (0..20_000usize, n.clone()).prop_map(|(at, len)| Step::Slice(at, len)),
        1 => (0..20_000usize, n.clone()).prop_map(|(at, len)| Step::CopyTo(at, len)),
        1 => n.clone().prop_map(Step::ExtendBack),
        1 => n.clone().prop_map(Step::SplitTo),
        1 => n.clone().prop_map(Step::TakeTo),
        3 => (0..9usize, n).prop_map(|(which, len)| Step::Behind(which, len)),
        1 => (0..500usize).prop_map(Step::AppendClone),
        1 => Just(Step::CompactFront),
        1 => Just(Step::CompactBack),
    ]
}

fn range(model: &[u8], at: usize, len: usize) -> &[u8] {
    let from = at.min(model.len());
    &model[from..model.len().min(from + len)]
}

/// One step on both; what the chain answers is checked against the model.
fn apply(step: Step, seed: u8, pool: &FramePool, chain: &mut Chain, model: &mut Vec<u8>) {
    match step {
        Step::PushBack(n) => {
            let octets = pattern(seed, n);
            let headroom = usize::from(seed % 3) * 20;
            chain.push_back(pool.copy_of(&octets, headroom).unwrap());
            model.extend(octets);
        }
        Step::PushFront(n) => {
            let octets = pattern(seed, n);
            chain.push_front_slice(slice_of(pool, &octets));
            model.splice(..0, octets);
        }
        Step::PopFront => {
            let front = chain.pop_front().map_or_else(Vec::new, |slice| slice.to_vec());
            assert_eq!(model.drain(..front.len()).collect::<Vec<_>>(), front);
        }
        Step::PopBack => {
            let back = chain.pop_back().map_or_else(Vec::new, |slice| slice.to_vec());
            assert_eq!(model.split_off(model.len() - back.len()), back);
        }
        Step::Advance(n) => {
            chain.advance(n);
            model.drain(..n.min(model.len()));
        }
        Step::Truncate(n) => {
            let keep = model.len().saturating_sub(n);
            chain.truncate(keep);
            model.truncate(keep);
        }
        Step::Slice(at, len) => assert_eq!(chain.slice(at, len).to_vec(), range(model, at, len)),
        Step::CopyTo(at, len) => {
            let mut out = vec![0; len];
            let count = chain.copy_to(at, &mut out);
            assert_eq!(&out[..count], range(model, at, len));
        }
        Step::ExtendBack(n) => {
            let octets = pattern(seed, n);
            let count = chain.extend_back(&octets);
            model.extend_from_slice(&octets[..count]);
        }
        Step::SplitTo(n) => {
            let front = chain.split_to(n);
            let rest = model.split_off(n.min(model.len()));
            assert_eq!(front.to_vec(), core::mem::replace(model, rest));
        }
        Step::AppendClone(n) => {
            let part = chain.slice(n, n);
            model.extend_from_within(n.min(model.len())..(2 * n).min(model.len()));
            chain.append(part.clone());
        }
        Step::CompactFront => {
            chain.front_mut().map(|mut front| front.compact(pool, 0));
        }
        Step::TakeTo(n) => {
            let mut out = vec![0; n];
            let left = chain.charge() - chain.charge_of_first(n);
            let count = chain.take_to(&mut out);
            assert_eq!(chain.charge(), left);
            assert_eq!(model.drain(..n.min(model.len())).collect::<Vec<_>>(), &out[..count]);
        }
        Step::Behind(which, len) => {
            let offset = chain.slices().take(which).map(|slice| slice.len()).sum();
            let whole = chain.get(which).map_or(0, |slice| slice.len());
            let packet = slice_behind(chain, 20, offset, len, |front, _| front.fill(seed));
            if let Some(packet) = packet {
                assert!(len <= whole);
                assert_eq!(&packet[..20], [seed; 20]);
                assert_eq!(&packet[20..], range(model, offset, len));
            }
        }
        Step::CompactBack => {
            chain.back_mut().map(|mut back| back.compact(pool, 0));
        }
    }
}

proptest! {
    #[test]
    fn a_chain_does_what_a_vector_does(steps in prop::collection::vec(step(), 1..80)) {
        let pool = pool(40);
        let (mut chain, mut model) = (Chain::new(), Vec::new());
        for (seed, step) in steps.into_iter().enumerate() {
            apply(step, seed as u8, &pool, &mut chain, &mut model);
            prop_assert_eq!(chain.len(), model.len());
            prop_assert_eq!(chain.to_vec(), &model[..]);
            prop_assert_eq!(chain.slices().len(), chain.slice_count());
            prop_assert_eq!(chain.charge(), charge_of(&chain));
            prop_assert!(chain.slices().all(|slice| !slice.is_empty()));
        }
        drop(chain);
        assert_all_home(&pool);
    }
}

#[test]
fn a_full_frame_serves_many_writes() {
    let pool = pool(1);
    let mut chain = Chain::from(pool.take(Class::Full, 0).unwrap().into_slice());
    assert_eq!(chain.extend_back(b"x"), 0, "an empty slice is not kept");
    let mut frame = pool.take(Class::Full, 0).unwrap();
    frame.extend(b"a");
    chain.push_back(frame.into_slice());
    (0..100).for_each(|_| assert_eq!(chain.extend_back(b"0123456789"), 10));
    assert_eq!((chain.len(), chain.slice_count()), (1001, 1));
}

#[test]
fn what_lies_in_one_slice_is_taken_whole_or_not() {
    let pool = pool(2);
    let mut out = [0; 10];
    assert_eq!(Chain::new().take_only_to(&mut out), None);
    let (mut two, octets) = chain_of(&pool, 2, 5);
    assert_eq!((two.take_only_to(&mut out), two.to_vec()), (None, octets));
    let (mut one, octets) = chain_of(&pool, 1, 10);
    assert_eq!((one.take_only_to(&mut out[..9]), one.to_vec()), (None, octets.clone()));
    assert_eq!(one.take_only_to(&mut out), Some(10));
    assert_eq!((one.len(), one.slice_count(), &out[..]), (0, 0, &octets[..]));
}
