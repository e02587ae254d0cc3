//! The only place that changes a half. Owns: the declared table.
//! Implements: the arcs of RFC 9293 §3.3.2 among synchronised states (E-20).

use crate::halves::{Halves, RecvHalf, SendHalf};

/// What moves a half.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// The application closed its sending side.
    Close,
    /// The peer acknowledged our FIN.
    FinAcknowledged,
    /// The peer's FIN arrived, all data before it too.
    FinReceived,
}

/// Every legal arc: from, move, to. Nothing else happens.
pub const ARCS: [(Halves, Move, Halves); 10] = {
    use Move::{Close, FinAcknowledged, FinReceived};
    use RecvHalf as R;
    use SendHalf as S;
    const fn pair(send: S, recv: R, peer_first: bool) -> Halves {
        Halves::new(send, recv, peer_first)
    }
    let established = pair(S::Open, R::Open, false);
    let fin_wait_1 = pair(S::Closing, R::Open, false);
    let fin_wait_2 = pair(S::Closed, R::Open, false);
    let close_wait = pair(S::Open, R::Closed, true);
    let closing = pair(S::Closing, R::Closed, false);
    let last_ack = pair(S::Closing, R::Closed, true);
    let time_wait = pair(S::Closed, R::Closed, false);
    let closed = pair(S::Closed, R::Closed, true);
    [
        (established, Close, fin_wait_1),
        (established, FinReceived, close_wait),
        (fin_wait_1, FinAcknowledged, fin_wait_2),
        (fin_wait_1, FinReceived, closing),
        (fin_wait_2, FinReceived, time_wait),
        (close_wait, Close, last_ack),
        (closing, FinAcknowledged, time_wait),
        (last_ack, FinAcknowledged, closed),
        // Closing twice is no error and no change.
        (fin_wait_1, Close, fin_wait_1),
        (fin_wait_2, Close, fin_wait_2),
    ]
};

impl Halves {
    /// Moves along a declared arc; `false` when there is none, and nothing changes.
    pub fn apply(&mut self, event: Move) -> bool {
        for (from, by, to) in &ARCS {
            if from == self && *by == event {
                *self = *to;
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::halves::StateName;

    fn every_pair() -> impl Iterator<Item = Halves> {
        let sends = [SendHalf::Open, SendHalf::Closing, SendHalf::Closed];
        let recvs = [RecvHalf::Open, RecvHalf::Closed];
        sends.into_iter().flat_map(move |s| {
            recvs.into_iter().flat_map(move |r| [false, true].map(|first| Halves::new(s, r, first)))
        })
    }

    // proves E-20
    #[test]
    fn only_declared_arcs_move_anything() {
        for from in every_pair() {
            for event in [Move::Close, Move::FinAcknowledged, Move::FinReceived] {
                let mut to = from;
                let moved = to.apply(event);
                let declared = ARCS.iter().find(|arc| arc.0 == from && arc.1 == event);
                assert_eq!(moved, declared.is_some());
                assert_eq!(to, declared.map_or(from, |arc| arc.2));
            }
        }
    }

    // proves E-20
    #[test]
    fn the_names_along_both_ways_of_closing_are_the_rfcs() {
        let walk = |events: &[Move]| {
            let mut halves = Halves::OPEN;
            let mut names = alloc::vec![halves.state()];
            for event in events {
                assert!(halves.apply(*event), "{halves:?} {event:?}");
                names.push(halves.state());
            }
            names
        };
        use Move::{Close, FinAcknowledged, FinReceived};
        use StateName::*;
        let normal = walk(&[Close, FinAcknowledged, FinReceived]);
        assert_eq!(normal, [Established, FinWait1, FinWait2, TimeWait]);
        let both = walk(&[Close, FinReceived, FinAcknowledged]);
        assert_eq!(both, [Established, FinWait1, Closing, TimeWait]);
        let passive = walk(&[FinReceived, Close, FinAcknowledged]);
        assert_eq!(passive, [Established, CloseWait, LastAck, Closed]);
    }
}
