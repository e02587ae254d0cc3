//! What is read and written here is what `tcp` reads and writes.

use super::*;
use crate::checksum;
use crate::tcp::{EmitChecksum, Flags, Header, Options, Timestamps, emit, parse};
use crate::usual::read_ipv4;
use proptest::prelude::*;
use usertcp_base::Ecn;

fn syn_header() -> impl Strategy<Value = SynHeader> {
    let fields = any::<(u16, u16, u32, Option<u32>, u16)>();
    (fields, any::<(u16, u8, u32, u32)>()).prop_map(|(fields, options)| {
        let (source_port, destination_port, seq, ack, window) = fields;
        let (mss, scale, value, echo) = options;
        let (seq, ack, window) = (Seq(seq), ack.map(Seq), WireWindow(window));
        SynHeader { source_port, destination_port, seq, ack, window, mss, scale, value, echo }
    })
}

/// The same as `tcp` has it.
fn general(syn: &SynHeader) -> (Header, Options) {
    let flags = if syn.ack.is_some() { Flags::SYN | Flags::ACK } else { Flags::SYN };
    let header = Header {
        source_port: syn.source_port,
        destination_port: syn.destination_port,
        seq: syn.seq,
        ack: syn.ack.unwrap_or_default(),
        flags,
        window: syn.window,
        urgent: 0,
    };
    let options = Options {
        mss: Some(syn.mss),
        scale: Some(syn.scale),
        sack_permitted: true,
        timestamps: Some(Timestamps { value: syn.value, echo: syn.echo }),
        ..Options::default()
    };
    (header, options)
}

proptest! {
    #[test]
    fn it_is_what_emit_writes(syn in syn_header(), partial in any::<bool>()) {
        let (source, destination) = ([10, 0, 0, 1], [192, 168, 255, 7]);
        let ip = IpHeader {
            payload_octets: SYN_OCTETS as u16,
            ecn: Ecn::NotCapable,
            dscp: 3,
            hop_limit: 63,
            source,
            destination,
        };
        let mut ours = [0; BOTH_V4];
        write_syn_v4(&mut ours, &ip, &syn, !partial);
        let (front, back) = ours.split_first_chunk().unwrap();
        prop_assert_eq!(read_ipv4(front), Some(ip));
        let pseudo = checksum::pseudo_v4(source, destination, tcp::PROTOCOL, SYN_OCTETS as u32);
        let field =
            if partial { EmitChecksum::Partial(pseudo) } else { EmitChecksum::Full(pseudo) };
        let (header, options) = general(&syn);
        let mut theirs = [0; SYN_OCTETS];
        prop_assert_eq!(emit(&mut theirs, &header, &options, field), SYN_OCTETS);
        prop_assert_eq!(back, &theirs[..]);
        prop_assert_eq!(read_syn(&theirs), Some(syn));
    }

    /// What is read is what `parse` reads, whatever octets are changed.
    #[test]
    fn another_shape_is_not_read(syn in syn_header(), at in 0..SYN_OCTETS, to in any::<u8>()) {
        let (header, options) = general(&syn);
        let mut octets = [0; SYN_OCTETS];
        emit(&mut octets, &header, &options, EmitChecksum::Partial(0));
        octets[at] = to;
        if let Some(read) = read_syn(&octets) {
            let (mut expected, options) = general(&read);
            let (parsed, parsed_options, parsed_octets) = parse(&octets, SYN_OCTETS).unwrap();
            // Without URG it means nothing.
            expected.urgent = parsed.urgent;
            prop_assert_eq!((parsed, parsed_options), (expected, options));
            prop_assert_eq!(parsed_octets, SYN_OCTETS);
        } else {
            prop_assert!(matches!(at, 12..=13 | 20..=21 | 24..=27 | 36..=38), "{}", at);
        }
    }
}
