//! Pieces of a chain that are cut where they lie, and headers written in front of them.
use super::*;
use crate::{Entries, Slots, Uncut, Whole};

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
pub(super) fn slice_behind(
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

/// The end moves on by `size`; where it is then.
fn add(end: &mut usize, size: usize) -> usize {
    *end += size;
    *end
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
