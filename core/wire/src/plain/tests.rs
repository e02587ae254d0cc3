//! What is written here is what `emit` writes; what is not of the shape is left to it.

use super::*;
use crate::tcp::{AccurateEcn, Cookie, EmitChecksum, SackBlock, emit, header_len};
use proptest::prelude::*;
use usertcp_base::{Seq, WireWindow};

fn stamps() -> impl Strategy<Value = Timestamps> {
    any::<(u32, u32)>().prop_map(|(value, echo)| Timestamps { value, echo })
}

fn header() -> impl Strategy<Value = Header> {
    let flags = (0u16..512).prop_map(Flags::from_bits);
    (any::<(u16, u16, u32, u32, u16, u16)>(), flags).prop_map(|(fields, flags)| {
        let (source_port, destination_port, seq, ack, window, urgent) = fields;
        let (seq, ack, window) = (Seq(seq), Seq(ack), WireWindow(window));
        Header { source_port, destination_port, seq, ack, flags, window, urgent }
    })
}

proptest! {
    #[test]
    fn it_is_what_emit_writes(
        header in header(),
        stamps in stamps(),
        (mss, scale, sack_permitted) in any::<(u16, u8, bool)>(),
        (sum, partial) in any::<(u32, bool)>(),
    ) {
        let mut options = Options { timestamps: Some(stamps), ..Options::default() };
        if header.flags.contains(Flags::SYN) {
            options.mss = Some(mss);
            options.scale = Some(scale);
            options.sack_permitted = sack_permitted;
        }
        let field = if partial { EmitChecksum::Partial(sum) } else { EmitChecksum::Full(sum) };
        let plain = Plain::of(header.flags, &options).unwrap();
        let (mut ours, mut theirs) = ([0; 60], [0; 60]);
        let running = Running::from_partial(sum);
        prop_assert!(plain.write(&mut ours, &header, running, !partial));
        let octets = emit(&mut theirs, &header, &options, field);
        prop_assert_eq!(ours, theirs);
        prop_assert_eq!(plain.header_octets(), octets);
        prop_assert_eq!(octets, header_len(&options, header.flags));
        prop_assert!(!plain.write(&mut ours[..octets - 1], &header, running, !partial));
    }
}

#[test]
fn other_options_are_of_no_plain_shape() {
    let stamped = Options { timestamps: Some(Timestamps::default()), ..Options::default() };
    let opening = Options { mss: Some(1460), scale: Some(7), ..stamped };
    let mut with_sack = stamped;
    with_sack.sack.push(SackBlock::default());
    let changes: [fn(&mut Options); 3] = [
        |options| options.user_timeout = Some(1),
        |options| options.accurate_ecn = Some(AccurateEcn::default()),
        |options| options.timestamps = None,
    ];
    for change in changes {
        let (mut one, mut other) = (stamped, opening);
        change(&mut one);
        change(&mut other);
        assert_eq!(Plain::of(Flags::ACK, &one), None);
        assert_eq!(Plain::of(Flags::SYN, &other), None);
    }
    assert_eq!(Plain::of(Flags::ACK, &with_sack), None);
    for missing in [
        Options { mss: None, ..opening },
        Options { scale: None, ..opening },
        Options { fast_open: Some(Cookie::REQUEST), ..opening },
    ] {
        assert_eq!(Plain::of(Flags::SYN, &missing), None);
    }
}
