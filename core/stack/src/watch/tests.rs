use super::*;

const NOW: Instant = Instant::from_millis(1_000_000);
const LEAST: LeastProgress = LeastProgress { octets: 3000, interval: Span::from_secs(30) };

fn watched() -> Watched {
    let id = ConnId { slot: 1, generation: 1 };
    Watched { id, next: NOW, marks: VecDeque::new(), end: Seq(0) }
}
fn at(seconds: u64) -> Instant {
    NOW + Span::from_secs(seconds)
}

/// Looks every second until it is too slow, the peer taking `octets` a second of `written`.
fn ends_after(octets: u32, written: u32) -> Option<u64> {
    let mut watched = watched();
    (0..1000).find(|second| {
        let una = (*second as u32).wrapping_mul(octets).min(written);
        let waits = (una < written).then_some((Seq(una), Seq(written)));
        watched.look(at(*second), waits, &LEAST) == Seen::TooSlow
    })
}

#[test]
fn slower_than_demanded_is_too_slow_after_one_interval() {
    assert_eq!(ends_after(1, 1 << 30), Some(30));
    assert_eq!(ends_after(99, 1 << 30), Some(30));
    assert_eq!(ends_after(100, 1 << 30), None);
    assert_eq!(ends_after(0, 1), Some(30));
    assert_eq!(ends_after(50, 1000), None, "all of it gets through in time");
}

#[test]
fn what_filled_the_peers_buffer_at_first_counts_for_one_interval() {
    let mut watched = watched();
    let una = |second: u64| Seq(if second == 0 { 0 } else { 100_000 + second as u32 });
    let slow = (0..100).step_by(5).find(|second| {
        let waits = Some((una(*second), Seq(1 << 30)));
        watched.look(at(*second), waits, &LEAST) == Seen::TooSlow
    });
    assert_eq!(slow, Some(35));
}

#[test]
fn a_trickle_that_is_delivered_is_no_slow_reader() {
    let mut watched = watched();
    for second in 0..1000 {
        // Ten octets are on their way whenever one looks, never the same ones.
        let waits = Some((Seq(second * 10), Seq(second * 10 + 10)));
        assert_eq!(watched.look(at(u64::from(second)), waits, &LEAST), Seen::GoesOn);
    }
}

#[test]
fn a_slot_used_again_begins_anew() {
    let mut watch = Watch::default();
    let first = ConnId { slot: 3, generation: 1 };
    watch.add(NOW, first);
    watch.add(at(1), first);
    assert_eq!((watch.due.len(), watch.next_deadline()), (1, Some(NOW)));
    watch.add(at(2), ConnId { slot: 3, generation: 2 });
    assert_eq!((watch.due.len(), watch.marks.len()), (1, 1));
    assert!(watch.take_due(at(1)).is_none());
    assert_eq!(watch.take_due(at(2)).map(|watched| watched.id.generation), Some(2));
    assert_eq!((watch.due.len(), watch.marks.len()), (0, 0));
}
