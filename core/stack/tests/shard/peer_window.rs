//! What the peer's window lets go.

use crate::hand::{Hand, Wire, wire};
use usertcp_base::{Limits, Seq, WireWindow};
use usertcp_cc::Reno;
use usertcp_stack::{Listen, Profile};
use usertcp_wire::tcp::Flags;

fn end(segments: &[Wire]) -> Option<Seq> {
    segments.iter().map(|one| one.header.seq + one.payload.len() as u32).max_by_key(|end| end.0)
}

/// E-18, E-19: an acknowledgement that is no window update leaves the right edge where it is.
#[test]
fn an_acknowledgement_of_old_data_does_not_open_the_window() {
    let mut hand = Hand::new(Limits::default());
    let mut profile = Profile::<Reno>::default();
    profile.settings.no_delay = true;
    let listen = Listen { local: None, port: Some(80), backlog: 1, profile };
    let listener = hand.shard.listen(&listen).unwrap();
    let first = hand.open(1000);
    let conn = hand.shard.accept(listener).unwrap();
    let with_window = |mut wire: Wire, octets| {
        wire.header.window = WireWindow(octets);
        wire
    };
    hand.give(&with_window(wire(Flags::ACK, 5001, first.0).with_payload(&[1; 10]), 2000));
    hand.give(&with_window(wire(Flags::ACK, 5011, first.0), 2000));
    hand.shard.write(hand.now, conn, &[7; 4000]).unwrap();
    let sent = hand.sent();
    assert!(end(&sent).unwrap().at_or_before(first + 2000));
    let middle = sent.first().unwrap().payload.len() as u32;
    let old = wire(Flags::ACK, 5006, (first + middle).0).with_payload(&[1; 10]);
    let more = hand.give(&with_window(old, 2000 - middle as u16));
    assert!(end(&more).is_none_or(|end| end.at_or_before(first + 2000)), "{more:?}");
    let more = hand.give(&with_window(wire(Flags::ACK, 5016, (first + middle).0), 2000));
    assert_eq!(end(&more), Some(first + middle + 2000 / middle * middle));
}
