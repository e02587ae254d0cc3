//! Frames and slices: room in front and behind, sharing.
use super::*;
use crate::Class;

#[test]
fn a_frame_grows_at_both_ends() {
    let pool = pool(1);
    let mut frame = pool.take(Class::Small, 100).unwrap();
    assert_eq!((frame.headroom(), frame.tailroom(), frame.is_empty()), (100, 124, true));
    assert_eq!(frame.bytes(), b"");
    assert_eq!(frame.extend(b"world"), 5);
    frame.push_front(6).unwrap().copy_from_slice(b"hello ");
    assert_eq!(frame.bytes(), b"hello world");
    frame.spare_mut()[0] = b'!';
    frame.advance_len(1);
    frame.bytes_mut()[0] = b'H';
    assert_eq!(frame.bytes(), b"Hello world!");
    assert!(frame.push_front(95).is_none());
    assert_eq!(frame.len(), 12, "a push that fails changes nothing");
    frame.truncate(5);
    assert_eq!(frame.extend(b", you"), 5);
    assert_eq!(&frame.into_slice()[..], b"Hello, you");
    assert_eq!(pool.stats().octets_copied, 10);
}

#[test]
fn a_frame_takes_no_more_than_fits() {
    let pool = pool(1);
    let mut frame = pool.take(Class::Small, 1000).unwrap();
    assert_eq!((frame.headroom(), frame.tailroom()), (224, 0));
    assert_eq!(frame.extend(b"x"), 0);
    let mut frame = pool.take(Class::Small, 0).unwrap();
    assert_eq!(frame.extend(&[7; 300]), 224);
    frame.advance_len(1);
    assert_eq!(frame.len(), 224);
    assert!(frame.push_front(usize::MAX).is_none());
}

#[test]
fn slices_share_and_the_last_one_gives_back() {
    let pool = pool(1);
    let mut whole = slice_of(&pool, b"0123456789");
    assert!(whole.is_unique());
    let front = whole.split_to(4);
    assert_eq!((&front[..], &whole[..]), (&b"0123"[..], &b"456789"[..]));
    assert!(!front.is_unique() && front.shares_frame(&whole));
    assert_eq!(&whole.slice(1..=2)[..], b"56");
    assert_eq!(&whole.slice(4..100)[..], b"89");
    assert!(whole.slice(7..).is_empty());
    let (from, to) = (5, 2);
    assert!(whole.slice(from..to).is_empty());
    whole.advance(100);
    assert!(whole.is_empty());
    drop(whole);
    assert!(front.is_unique());
    drop(front);
    assert_all_home(&pool);
}

#[test]
fn only_a_lone_slice_grows_in_front() {
    let pool = pool(1);
    let mut slice = pool.copy_of(b"data", 20).unwrap();
    let other = slice.clone();
    assert_eq!(slice.headroom(), 0);
    assert!(slice.push_front(1).is_none() && slice.bytes_mut().is_none());
    drop(other);
    assert_eq!(slice.headroom(), 20);
    slice.push_front(20).unwrap().fill(b'h');
    assert_eq!((&slice[18..], slice.headroom()), (&b"hhdata"[..], 0));
    assert!(slice.push_front(1).is_none());
    slice.bytes_mut().unwrap()[0] = b'H';
    assert_eq!(slice[0], b'H');
}

#[test]
fn appending_in_place_needs_the_filled_end() {
    let pool = pool(1);
    let mut slice = slice_of(&pool, b"abc");
    let mut early = slice.slice(..2);
    assert_eq!(early.try_extend(b"x"), 0, "its end is inside what others see");
    assert_eq!(slice.try_extend(b"def"), 3, "the end is the filled mark: sharing does not matter");
    assert_eq!((&slice[..], &early[..]), (&b"abcdef"[..], &b"ab"[..]));
    let mut copy = slice.clone();
    assert_eq!(copy.try_extend(b"g"), 1);
    assert_eq!(slice.try_extend(b"h"), 0, "the place is taken");
    drop((early, copy));
    slice.truncate(2);
    assert_eq!(slice.try_extend(&[b'z'; 1000]), 222, "alone, it may write over what it cut off");
    assert_eq!((&slice[..3], slice.len()), (&b"abz"[..], 224));
}

#[test]
fn a_lent_slice_still_counts_as_a_reference() {
    let pool = pool(1);
    let slice = slice_of(&pool, b"abc");
    let lent = slice.clone().lend();
    assert!(!slice.is_unique());
    assert_eq!(pool.stats().lent, 1);
    let mut back = lent.into_slice(&pool).unwrap();
    drop(slice);
    assert!(back.is_unique());
    assert_eq!(back.try_extend(b"d"), 1);
    assert_eq!((&back[..], pool.stats().lent), (&b"abcd"[..], 0));
}

#[test]
fn a_lent_slice_does_not_enter_another_pool() {
    let (one, other) = (pool(1), pool(1));
    let lent = slice_of(&one, b"abc").lend();
    let lent = lent.into_slice(&other).unwrap_err();
    assert_eq!(&lent[..], b"abc");
    drop(lent);
    assert_all_home(&one);
}

#[test]
fn few_octets_move_to_a_small_frame() {
    let pool = pool(2);
    let mut slice = slice_of(&pool, &pattern(1, 2000));
    assert!(!slice.compact(&pool, 0), "too long");
    slice.truncate(100);
    assert!(!slice.compact(&pool, 125), "no room for the headroom");
    assert!(slice.compact(&pool, 16));
    assert_eq!((slice.charge(), slice.headroom(), &slice[..]), (256, 16, &pattern(1, 100)[..]));
    assert!(!slice.compact(&pool, 0), "it is small already");
    assert_eq!(pool.stats().full_out, 0);
}
