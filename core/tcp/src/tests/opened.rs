//! What the handshake hands over.

use super::bench::*;
use crate::{Effects, Segment, UsualSegment};
use std::{format, vec};
use usertcp_base::{Ecn, Span, WireWindow};
use usertcp_frame::{Chain, Class};
use usertcp_wire::tcp::Flags;

// proves 7323-2
#[test]
fn the_window_of_a_syn_is_never_scaled() {
    let start = Start { scale: Some(7), window: 1000, active: true, ..Start::default() };
    let mut bench = start.go();
    assert_eq!(bench.info().peer_window_octets, 1000);
    let out = bench.write(5000);
    assert_eq!(spans(&out), [(0, 1000)]);
    // Every later one is.
    let ack = bench.peer().window(100);
    let _ = bench.send(ack);
    assert_eq!(bench.info().peer_window_octets, 12_800);
    let passive = Start { scale: Some(7), window: 1000, ..Start::default() }.go();
    assert_eq!(passive.info().peer_window_octets, 128_000);
    assert!(bench.peer().flags == Flags::ACK);
}

/// Octets in front of the payload.
const HEADERS: usize = 4;

/// The same connection twice, and a packet with a question of so many octets that completes its handshake.
fn asked(start: &Start, octets: usize) -> [(Bench, Segment); 2] {
    [(); 2].map(|()| {
        let (bench, mut segment) = Bench::newborn(start.clone());
        let mut frame = bench.pool.take(Class::Full, 100).unwrap();
        assert_eq!(frame.extend(&vec![7; HEADERS + octets]), HEADERS + octets);
        segment.payload = Chain::from(frame.into_slice());
        (bench, segment)
    })
}

/// The short way takes what it takes as the long one does, and leaves the rest untouched for it.
#[test]
fn a_question_with_the_last_acknowledgement_is_taken_as_any_segment_is() {
    let mut taken = 0;
    let plain = Start { scale: Some(7), ..Start::modern() };
    let starts = [
        plain.clone(),
        Start { fixed_window: None, ..plain.clone() },
        Start { timestamps: false, ..plain.clone() },
        plain.clone().with(|settings| settings.receive_buffer_octets = 100),
        plain.clone().with(|settings| settings.ack_delay = Span::from_millis(1)),
        plain.ecn(),
    ];
    for (start, octets) in starts.iter().flat_map(|start| [0, 1, 64, 511, 512].map(|n| (start, n)))
    {
        for (flags, window, mark) in [
            (Flags::ACK, 500, Ecn::NotCapable),
            (Flags::ACK | Flags::PSH, 1, Ecn::Capable0),
            (Flags::ACK | Flags::PSH, 0, Ecn::NotCapable),
            (Flags::ACK | Flags::FIN, 500, Ecn::NotCapable),
            (Flags::ACK, 500, Ecn::CongestionExperienced),
        ] {
            let [(mut short, mut first), (mut long, mut same)] = asked(start, octets);
            for segment in [&mut first, &mut same] {
                segment.header.flags = flags;
                segment.header.window = WireWindow(window);
                segment.ecn = mark;
            }
            let Some(usual) = UsualSegment::of(&first) else { continue };
            let before = format!("{:?}", short.info());
            let packet = &mut first.payload;
            let Some(effects) = short.call(|tcb, env| tcb.take_first(env, &usual, packet, HEADERS))
            else {
                let left = packet.len() - HEADERS;
                assert_eq!((before, left), (format!("{:?}", short.info()), octets));
                continue;
            };
            same.payload.advance(HEADERS);
            taken += 1;
            let other = long.call(|tcb, env| tcb.handle_segment(env, &mut same));
            assert_eq!(format!("{:?}", Effects::from(effects)), format!("{other:?}"));
            for millis in [0, 1, 50, 5000] {
                let seen = [&mut short, &mut long].map(|bench| {
                    let answer = match millis {
                        0 => bench.drain(),
                        1 => bench.write(100),
                        _ => bench.pass(millis),
                    };
                    let tcb = &bench.tcb;
                    let parts = (&tcb.acks, &tcb.autotune, &tcb.advertise, &tcb.timestamps);
                    format!("{answer:?} {:?} {parts:?}", bench.info())
                });
                assert_eq!(seen[0], seen[1]);
            }
        }
    }
    // With timestamps and without ECN, and room for it; no longer than a question, with or without PSH, with a window and
    // no mark of congestion.
    assert_eq!(taken, 3 * 4 * 2);
}
