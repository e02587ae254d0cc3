use super::BASES;
use crate::recv::urgent::{Urgent, UrgentOutcome};
use usertcp_base::Seq;

// proves MUST-32, E-24: told when it appears and when it advances, never for less or the same
#[test]
fn the_mark_only_moves_forward() {
    for base in BASES {
        let read = Seq(base);
        let mut urgent = Urgent::new();
        assert_eq!(urgent.on_pointer(read, 10, read), UrgentOutcome::Advanced);
        assert_eq!(urgent.on_pointer(read, 10, read), UrgentOutcome::Unchanged);
        assert_eq!(urgent.on_pointer(read + 5, 4, read), UrgentOutcome::Unchanged);
        assert_eq!(urgent.on_pointer(read + 5, 6, read), UrgentOutcome::Advanced);
        assert_eq!(urgent.pending(read), 11);
        // proves MUST-33: the amount falls to zero exactly at the mark
        assert_eq!(urgent.pending(read + 10), 1);
        urgent.on_read(read + 11);
        assert_eq!(urgent.pending(read + 11), 0);
        assert_eq!(urgent.on_pointer(read + 5, 6, read + 11), UrgentOutcome::Unchanged);
    }
}

// proves MUST-31: 200 kB of urgent data, the pointer advancing
#[test]
fn urgent_data_of_any_length() {
    let (start, mut urgent) = (Seq(u32::MAX - 1000), Urgent::new());
    for sent in (0..200_000u32).step_by(1000) {
        assert_eq!(urgent.on_pointer(start + sent, 1000, start), UrgentOutcome::Advanced);
    }
    assert_eq!(urgent.pending(start), 200_000);
}

// proves AT-27: zero, far beyond, stale by half the circle: no underflow
#[test]
fn hostile_pointers_are_harmless() {
    let mut urgent = Urgent::new();
    let read = Seq(5);
    assert_eq!(urgent.on_pointer(read, 0, read), UrgentOutcome::Unchanged);
    assert_eq!(urgent.on_pointer(read - 3, 3, read), UrgentOutcome::Unchanged);
    assert_eq!(urgent.on_pointer(read - 70_000, 65_535, read), UrgentOutcome::Unchanged);
    assert_eq!(urgent.pending(read), 0);
    assert_eq!(urgent.on_pointer(read, u16::MAX, read), UrgentOutcome::Advanced);
    // a FIN before it: what never comes is not pending
    urgent.on_end(read + 100);
    assert_eq!(urgent.pending(read), 100);
    // three billion octets later the old mark is gone, not ahead
    let far = read + 3_000_000_000;
    urgent.on_read(read + 100);
    assert_eq!(urgent.pending(far), 0);
    assert_eq!(urgent.on_pointer(far, 1, far), UrgentOutcome::Advanced);
}
