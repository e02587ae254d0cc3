//! Two connections joined by a queue that loses, doubles and reorders, with random application
//! calls; and the invariants that hold after every call of any connection.

use crate::*;
use usertcp_base::Instant;
use usertcp_cc::CongestionController;

/// What holds of a live connection between calls.
pub fn invariants<C: CongestionController>(tcb: &Tcb<C>, now: Instant) {
    let (una, nxt) = (tcb.snd.una, tcb.snd.nxt);
    assert!(una.at_or_before(nxt), "SND.UNA {una:?} beyond SND.NXT {nxt:?}");
    assert_eq!((tcb.recovery.una(), tcb.recovery.nxt()), (una, nxt), "one truth");
    let closed = tcb.halves.send() == SendHalf::Closed;
    if closed {
        assert_eq!((tcb.snd.outstanding(), tcb.queue.len()), (0, 0));
    } else {
        assert_eq!(tcb.fin_seq().since(una) as usize, tcb.queue.len());
        assert!(nxt.at_or_before(tcb.fin_seq() + 1));
    }
    if tcb.halves.send() == SendHalf::Open {
        assert!(nxt.at_or_before(tcb.fin_seq()), "FIN before its time");
    }
    if tcb.snd.outstanding() > 0 {
        assert!(tcb.next_deadline(now).is_some(), "outstanding without a deadline");
    }
    assert!(tcb.advertise.edge().at_or_after(tcb.receiver.nxt() - 1), "right edge");
    assert!(tcb.snd.small.at_or_before(nxt), "the mark of Nagle fell behind");
    if let Some(up) = tcb.snd.up {
        assert!(up.at_or_before(tcb.fin_seq()));
    }
    if tcb.queue.is_empty() && tcb.receiver.is_empty() {
        assert_eq!(tcb.memory_octets(), 0, "frames held when idle");
    }
    let total: u64 = tcb.info(now).limited.iter().map(|span| span.as_micros()).sum();
    let life = now.since(tcb.established).as_micros();
    // Each counts up to 76 hours.
    let known = life < 70 * 3_600_000_000;
    assert!(!known || total.abs_diff(life) <= 128, "stopwatches: {total} of {life}");
}
