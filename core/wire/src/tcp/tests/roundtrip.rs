use super::*;
use proptest::option::of;
use proptest::prelude::*;
use std::vec;

fn cookies() -> impl Strategy<Value = Cookie> {
    prop_oneof![
        Just(Cookie::REQUEST),
        (2usize..=8, any::<[u8; 16]>())
            .prop_map(|(half, octets)| Cookie::new(&octets[..half * 2]).unwrap()),
    ]
}

fn accurate_ecn() -> impl Strategy<Value = AccurateEcn> {
    (any::<bool>(), 0u8..=3, any::<[u32; 3]>()).prop_map(|(swapped, count, raw)| {
        let mut counters = [0; 3];
        for (to, from) in counters.iter_mut().zip(raw).take(usize::from(count)) {
            *to = from >> 8;
        }
        let order = match swapped {
            true => AccurateEcnOrder::Capable1First,
            false => AccurateEcnOrder::Capable0First,
        };
        AccurateEcn { order, count, counters }
    })
}

prop_compose! {
    fn timestamps()(value: u32, echo: u32) -> Timestamps {
        Timestamps { value, echo }
    }
}

prop_compose! {
    fn headers()(
        source_port: u16, destination_port: u16, seq: u32, ack: u32, bits: u16, window: u16,
        urgent: u16,
    ) -> Header {
        let flags = Flags::from_bits(bits);
        let ack = Seq(if flags.contains(Flags::ACK) { ack } else { 0 });
        let window = WireWindow(window);
        Header { source_port, destination_port, seq: Seq(seq), ack, flags, window, urgent }
    }
}

prop_compose! {
    /// Options in which everything fits: the rare ones come alone.
    fn on_syn()(
        mss in of(any::<u16>()), scale in of(any::<u8>()), sack_permitted: bool,
        timestamps in of(timestamps()), rare in 0..3u8, cookie in cookies(), timeout: u16,
        ecn in accurate_ecn(),
    ) -> Options {
        Options {
            mss, scale, sack_permitted, timestamps,
            fast_open: (rare == 1).then_some(cookie),
            user_timeout: (rare == 2).then_some(timeout),
            accurate_ecn: (rare == 2).then_some(ecn),
            ..Options::default()
        }
    }
}

prop_compose! {
    fn elsewhere()(
        timestamps in of(timestamps()), edges in prop::collection::vec(any::<(u32, u32)>(), 0..=4),
        timeout in of(any::<u16>()), ecn in of(accurate_ecn()), rare: bool,
    ) -> Options {
        let most = if rare { 1 } else if timestamps.is_some() { 3 } else { 4 };
        let sack = edges.into_iter().take(most)
            .map(|(left, right)| SackBlock { left: Seq(left), right: Seq(right) });
        Options {
            timestamps,
            sack: sack.collect(),
            user_timeout: timeout.filter(|_| rare),
            accurate_ecn: ecn.filter(|ecn| rare && (ecn.count < 2 || timeout.is_none())),
            ..Options::default()
        }
    }
}

proptest! {
    #[test]
    fn what_is_emitted_parses_back(
        header in headers(), syn in on_syn(), other in elsewhere(), partial in 0u32..0x20000,
        payload in 0usize..2000,
    ) {
        let options = if header.flags.contains(Flags::SYN) { syn } else { other };
        let mut out = vec![0xAA; 60];
        let len = emit(&mut out, &header, &options, EmitChecksum::Full(partial));
        prop_assert!((HEADER_OCTETS..=LONGEST_HEADER_OCTETS).contains(&len) && len.is_multiple_of(4));
        prop_assert!(verifies(&out[..len], partial));
        let back = parse(&out[..len], len + payload);
        prop_assert_eq!(back, Ok((header, options, len)));
    }

    #[test]
    fn what_parses_emits_to_something_that_parses_the_same(
        flags: u16, area in prop::collection::vec(any::<u8>(), 0..=40),
    ) {
        let octets = packet(flags, &area);
        let Ok((header, options, _)) = parse(&octets, octets.len()) else { return Ok(()) };
        let mut out = vec![0; 60];
        let len = emit(&mut out, &header, &options, EmitChecksum::Full(0));
        let (header_again, again, _) = parse(&out[..len], len).unwrap();
        prop_assert_eq!(header_again, header);
        prop_assert_eq!(again.timestamps, options.timestamps);
        prop_assert_eq!(again.mss, options.mss);
        prop_assert_eq!(again.scale, options.scale);
    }
}

// proves PR-6: the work is counted; that nothing is allocated needs no test, for this crate has no
// allocator. `usertcp-bench -- micro` has the nanoseconds.
#[test]
fn forty_octets_of_options_are_forty_steps_at_most() {
    use super::super::parse::walk;
    let steps = |area: &[u8]| walk(area, true, &mut Options::default());
    assert_eq!(steps(&[1; 40]), Ok(40), "the worst: forty NOPs");
    assert_eq!(steps(&[2; 40]), Ok(20), "the shortest options with a length");
    assert_eq!(steps(&[]), Ok(0));
    let mut ended = [1; 40];
    ended[9] = 0;
    assert_eq!(steps(&ended), Ok(10), "nothing behind the end is looked at");
}

proptest! {
    // proves PR-6
    #[test]
    fn no_options_take_more_steps_than_octets(
        area in prop::collection::vec(prop_oneof![0u8..6, any::<u8>()], 0..=40), syn: bool,
    ) {
        use super::super::parse::walk;
        if let Ok(steps) = walk(&area, syn, &mut Options::default()) {
            prop_assert!(steps <= area.len());
        }
    }
}
