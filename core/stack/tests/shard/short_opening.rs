//! The short way of SYN and SYN-ACK against the general one, as `short_way` does it for what follows: two shards
//! with one seed, one of which has padding behind its packets, must say the same.

use crate::hand::{Hand, OURS, PEER, Wire, wire};
use crate::pair::{address, to};
use proptest::prelude::*;
use usertcp_base::{ConnId, Ecn, Limits, ListenerId, Seq, Span};
use usertcp_cc::Reno;
use usertcp_stack::{Listen, Profile};
use usertcp_tcp::{EcnMode, UserTimeoutOption};
use usertcp_wire::tcp::{Flags, Options, Timestamps};

/// A segment of the peer's.
#[derive(Clone, Debug)]
struct Said {
    flags: Flags,
    /// From what would be right.
    ack_offset: i32,
    seq_offset: i32,
    options: Options,
    payload_octets: usize,
    flaw: Flaw,
    mark: Ecn,
    /// All of them together are less than what parks a connection: the general way wakes one for less.
    pause_ms: u16,
}

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Flaw {
    None,
    Checksum,
    PortZero,
    OurAddress,
    OtherPort,
}

fn options() -> impl Strategy<Value = Options> {
    let sound = (any::<u16>(), any::<u8>(), any::<u32>()).prop_map(|(mss, scale, value)| Options {
        mss: Some(mss),
        scale: Some(scale),
        sack_permitted: true,
        timestamps: Some(Timestamps { value, echo: 0 }),
        ..Options::default()
    });
    (sound, 0..20_u8).prop_map(|(sound, change)| match change {
        0 => Options { mss: None, ..sound },
        1 => Options { scale: None, ..sound },
        2 => Options { sack_permitted: false, ..sound },
        3 => Options { timestamps: None, ..sound },
        4 => Options { user_timeout: Some(30), ..sound },
        _ => sound,
    })
}

fn said(usual: Flags) -> impl Strategy<Value = Said> {
    let flags = prop_oneof![
        14 => Just(usual),
        1 => Just(Flags::SYN),
        1 => Just(Flags::SYN | Flags::ACK),
        1 => Just(Flags::SYN | Flags::ECE | Flags::CWR),
        1 => Just(Flags::SYN | Flags::ACK | Flags::ECE),
        1 => Just(Flags::SYN | Flags::FIN),
        1 => Just(Flags::RST | Flags::ACK),
        2 => Just(Flags::ACK),
    ];
    let offset = || prop_oneof![12 => Just(0), 1 => -2..3_i32];
    let flaw = prop_oneof![
        16 => Just(Flaw::None),
        1 => Just(Flaw::Checksum),
        1 => Just(Flaw::PortZero),
        1 => Just(Flaw::OurAddress),
        1 => Just(Flaw::OtherPort),
    ];
    let payload_octets = prop_oneof![8 => Just(0_usize), 1 => 1..40_usize];
    let mark = prop_oneof![8 => Just(Ecn::NotCapable), 1 => Just(Ecn::CongestionExperienced)];
    (flags, offset(), offset(), options(), payload_octets, flaw, mark, 0..120_u16).prop_map(
        |(flags, ack_offset, seq_offset, options, payload_octets, flaw, mark, pause_ms)| Said {
            flags,
            ack_offset,
            seq_offset,
            options,
            payload_octets,
            flaw,
            mark,
            pause_ms,
        },
    )
}

fn profile() -> impl Strategy<Value = Profile<Reno>> {
    let ecn = prop_oneof![
        Just(EcnMode::Off),
        Just(EcnMode::Accept),
        Just(EcnMode::Ask),
        Just(EcnMode::AskAccurate)
    ];
    (ecn, any::<[bool; 3]>(), 0..6_u8).prop_map(|(ecn, [sack, stamps, scaling], change)| {
        let mut profile = Profile::<Reno>::default();
        let settings = &mut profile.settings;
        settings.ecn = ecn;
        match change {
            0 => settings.sack = sack,
            1 => settings.timestamps = stamps,
            2 => settings.window_scaling = scaling,
            3 => settings.user_timeout_option = UserTimeoutOption::Advise,
            4 => (settings.dscp, settings.hop_limit) = (10, 0),
            _ => {}
        }
        profile
    })
}

/// A shard, and what it says.
struct Side {
    hand: Hand,
    padded: bool,
    listener: ListenerId,
    /// Our sequence number before what we say next, our clock, and our port.
    iss: Seq,
    clock: u32,
    port: u16,
    accepted: Option<ConnId>,
}

impl Side {
    fn new(profile: Profile<Reno>, padded: bool) -> Side {
        let mut hand = Hand::new(Limits::default());
        let listen = Listen { local: None, port: Some(80), backlog: 1, profile };
        let listener = hand.shard.listen(&listen).unwrap();
        Side { hand, padded, listener, iss: Seq(0), clock: 0, port: 80, accepted: None }
    }

    /// Opens a connection to the peer's port 1000, and lets go of it again when `close` says so.
    fn connect(&mut self, profile: Profile<Reno>, close: u8) -> String {
        let now = self.hand.now;
        let connect = usertcp_stack::Connect { profile, ..to(address(9), 1000) };
        let id = self.hand.shard.connect(now, &connect).unwrap();
        let sent = self.hand.sent();
        self.note(&sent);
        self.port = sent[0].header.source_port;
        let closed = match close {
            0 => Some(self.hand.shard.shutdown_write(now, id)),
            1 => Some(self.hand.shard.close(now, id)),
            _ => None,
        };
        format!("{sent:?} {closed:?}")
    }

    /// All that is to be seen from outside after the segment.
    fn take(&mut self, segment: &Wire, flaw: Flaw, mark: Ecn, pause_ms: u16) -> String {
        let now = self.hand.now + Span::from_millis(u64::from(pause_ms));
        let late = self.hand.run_until(now);
        let mut octets = segment.octets();
        if mark == Ecn::CongestionExperienced {
            // And the checksum of the header.
            octets[1] |= 3;
            octets[11] = octets[11].wrapping_sub(3);
        }
        if flaw == Flaw::Checksum {
            octets[36] ^= 1;
        }
        let length = octets.len() + usize::from(self.padded);
        let mut sent = self.hand.give_front(&[&octets[..], &[0]].concat(), length);
        let accepted = self.hand.shard.accept(self.listener);
        self.accepted = accepted.or(self.accepted);
        let info = accepted.map(|id| self.hand.shard.info(now, id));
        sent.extend(self.hand.sent());
        for (_, wire) in &late {
            self.note(std::slice::from_ref(wire));
        }
        self.note(&sent);
        let events = core::mem::take(&mut self.hand.events);
        let next = self.hand.shard.next_deadline();
        let counters = self.hand.shard.counters();
        let usage = self.hand.shard.usage();
        format!("{late:?} {sent:?} {info:?} {events:?} {next:?} {counters:?} {usage:?}")
    }

    /// A connection of the same flow comes and goes before: what remains of it is in TIME-WAIT.
    fn close_first(&mut self) -> Vec<String> {
        let stamps = |value, echo| Options {
            timestamps: Some(Timestamps { value, echo }),
            ..Options::default()
        };
        let offered =
            Options { mss: Some(1400), scale: Some(2), sack_permitted: true, ..stamps(1 << 31, 0) };
        let mut seen = Vec::new();
        let mut say = |side: &mut Side, segment: Wire| {
            seen.push(side.take(&segment, Flaw::None, Ecn::NotCapable, 1));
        };
        say(self, wire(Flags::SYN, 4000, 0).with_options(offered));
        let ack = self.iss.0.wrapping_add(1);
        let last = wire(Flags::ACK, 4001, ack).with_options(stamps(1 << 31, self.clock));
        say(self, last);
        if let Some(id) = self.accepted {
            let closed = self.hand.shard.close(self.hand.now, id);
            assert!(closed.is_ok() && !self.hand.sent().is_empty());
            let fin = wire(Flags::FIN | Flags::ACK, 4001, ack.wrapping_add(1));
            say(self, fin.with_options(stamps(1 << 31, self.clock)));
        }
        seen
    }

    fn note(&mut self, said: &[Wire]) {
        for wire in said {
            if wire.header.flags.contains(Flags::SYN) {
                self.iss = wire.header.seq;
            }
            if let Some(stamps) = wire.options.timestamps {
                self.clock = stamps.value;
            }
        }
    }

    fn segment(&self, said: &Said, to_client: bool) -> Wire {
        let ack = self.iss.0.wrapping_add(1).wrapping_add_signed(said.ack_offset);
        let seq = 5000_u32.wrapping_add_signed(said.seq_offset);
        let syn = said.flags.contains(Flags::SYN);
        let seq = if syn { seq } else { seq + 1 };
        let ack = if said.flags.contains(Flags::ACK) { ack } else { 0 };
        let mut options = said.options;
        if let Some(stamps) = &mut options.timestamps {
            stamps.echo = if said.flags.contains(Flags::ACK) { self.clock } else { 0 };
        }
        if !syn {
            let timestamps = options.timestamps;
            options = Options { timestamps, ..Options::default() };
        }
        let mut segment = wire(said.flags, seq, ack)
            .with_options(options)
            .with_payload(&vec![3; said.payload_octets])
            .towards(if to_client { self.port } else { 80 });
        match said.flaw {
            Flaw::None | Flaw::Checksum => {}
            Flaw::PortZero => segment = segment.by(PEER, 0),
            Flaw::OurAddress => segment = segment.by(OURS, 80),
            Flaw::OtherPort => segment = segment.by(PEER, 1001),
        }
        segment
    }

    fn run(&mut self, all: &[Said], to_client: bool) -> Vec<String> {
        let mut seen = Vec::new();
        for said in all {
            let segment = self.segment(said, to_client);
            seen.push(self.take(&segment, said.flaw, said.mark, said.pause_ms));
        }
        seen
    }
}

proptest! {
    #[test]
    fn a_listener_makes_of_a_syn_what_the_general_way_makes(
        profile in profile(),
        syns in proptest::collection::vec(said(Flags::SYN), 1..4),
        acks in proptest::collection::vec(said(Flags::ACK), 0..3),
    ) {
        let all = [syns, acks].concat();
        let (mut short, mut general) = (Side::new(profile, false), Side::new(profile, true));
        prop_assert_eq!(short.run(&all, false), general.run(&all, false));
    }

    #[test]
    fn a_listener_makes_of_a_syn_after_another_connection_what_the_general_way_makes(
        profile in profile(),
        syns in proptest::collection::vec(said(Flags::SYN), 1..4),
        acks in proptest::collection::vec(said(Flags::ACK), 0..3),
        seq in prop_oneof![Just(4000_i32), Just(4001), Just(4002), Just(5000)],
        near in any::<bool>(),
    ) {
        let mut all = [syns, acks].concat();
        for said in &mut all {
            said.seq_offset += seq - 5000;
            if near && let Some(stamps) = &mut said.options.timestamps {
                stamps.value = (1 << 31) + stamps.value % 3 - 1;
            }
        }
        let (mut short, mut general) = (Side::new(profile, false), Side::new(profile, true));
        prop_assert_eq!(short.close_first(), general.close_first());
        prop_assert_eq!(short.run(&all, false), general.run(&all, false));
    }

    #[test]
    fn an_open_makes_of_its_answer_what_the_general_way_makes(
        profile in profile(),
        close in 0..12_u8,
        answers in proptest::collection::vec(said(Flags::SYN | Flags::ACK), 1..4),
        acks in proptest::collection::vec(said(Flags::ACK), 0..3),
    ) {
        let all = [answers, acks].concat();
        let (mut short, mut general) = (Side::new(profile, false), Side::new(profile, true));
        prop_assert_eq!(short.connect(profile, close), general.connect(profile, close));
        prop_assert_eq!(short.run(&all, true), general.run(&all, true));
    }
}
