//! The program the kernel runs on each packet that arrives.
//! Owns: which packets are ours, in instructions. Must not know: how a program is loaded.
//!
//! Assembled here, so that neither a compiler nor a library is needed where it runs. It looks at
//! untagged Ethernet frames and redirects to the socket of their receive queue:
//! * IPv4 and IPv6 packets to one of our addresses,
//! * ARP whose target is one of our IPv4 addresses (RFC 826): questions for us, answers to us,
//! * neighbour solicitations for one of our IPv6 addresses (RFC 4861 §4.3); advertisements
//!   to us have our address as their destination already.
//!
//! All else goes on to the kernel's own stack, and so does everything while no socket is bound.

use super::sys::Instruction;
use std::net::IpAddr;

/// What to take from the interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Take {
    /// What is for these addresses, which must not be the kernel's. At most [`MOST_ADDRESSES`].
    Addresses(Vec<IpAddr>),
    /// Every packet: the kernel's stack hears nothing on this interface any more.
    Everything,
}

/// Addresses a program can look for.
pub const MOST_ADDRESSES: usize = 256;

/// Codes an XDP program returns.
pub(super) const XDP_PASS: i32 = 2;

const MOV_IMMEDIATE: u8 = 0xb7;
const MOV: u8 = 0xbf;
const ADD_IMMEDIATE: u8 = 0x07;
const LOAD_8: u8 = 0x71;
const LOAD_16: u8 = 0x69;
const LOAD_32: u8 = 0x61;
const LOAD_MAP: u8 = 0x18;
const JUMP: u8 = 0x05;
/// Comparisons of the lower 32 bits, so that no constant is extended by its sign.
const JUMP32_EQUAL: u8 = 0x16;
const JUMP32_NOT_EQUAL: u8 = 0x56;
const JUMP_GREATER: u8 = 0x2d;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const MAP_BY_FD: u8 = 1;
const REDIRECT_MAP: i32 = 51;

/// `struct xdp_md`.
const CONTEXT_DATA: i16 = 0;
const CONTEXT_DATA_END: i16 = 4;
const CONTEXT_QUEUE: i16 = 16;

const ETHERNET_OCTETS: i16 = 14;
const ETHERTYPE_AT: i16 = 12;
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const IPV4_OCTETS: i16 = 20;
const IPV4_DESTINATION_AT: i16 = ETHERNET_OCTETS + 16;
const ARP_OCTETS: i16 = 28;
const ARP_TARGET_AT: i16 = ETHERNET_OCTETS + 24;
const IPV6_OCTETS: i16 = 40;
const IPV6_NEXT_HEADER_AT: i16 = ETHERNET_OCTETS + 6;
const IPV6_DESTINATION_AT: i16 = ETHERNET_OCTETS + 24;
const ICMPV6: i32 = 58;
const NEIGHBOR_SOLICITATION: i32 = 135;
const SOLICITATION_OCTETS: i16 = 24;
const SOLICITATION_TYPE_AT: i16 = ETHERNET_OCTETS + IPV6_OCTETS;
const SOLICITATION_TARGET_AT: i16 = SOLICITATION_TYPE_AT + 8;

// Registers: r0 what is returned, r1 to r5 of calls, r6 to r9 kept over them.
const DATA: u8 = 2;
const DATA_END: u8 = 3;
const SCRATCH: u8 = 4;
const QUEUE: u8 = 6;
/// Four words of an address.
const WORDS: [u8; 4] = [5, 7, 8, 9];

/// A place to jump to, known once it is reached.
#[derive(Clone, Copy)]
struct Label(usize);

/// Where labels start until they are placed.
const UNPLACED: usize = usize::MAX;

#[derive(Default)]
struct Assembler {
    instructions: Vec<Instruction>,
    /// Where each label is.
    labels: Vec<usize>,
    /// Jumps, and the label each goes to.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    fn emit(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) {
        let registers = to | from << 4;
        self.instructions.push(Instruction { code, registers, offset, immediate });
    }
    fn label(&mut self) -> Label {
        self.labels.push(UNPLACED);
        Label(self.labels.len() - 1)
    }
    fn place(&mut self, label: Label) {
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = self.instructions.len();
        }
    }
    fn jump(&mut self, code: u8, a: u8, b: u8, immediate: i32, to: Label) {
        self.jumps.push((self.instructions.len(), to));
        self.emit(code, a, b, 0, immediate);
    }
    /// Goes to `to` unless the packet has `octets` octets in its first buffer.
    fn require(&mut self, octets: i16, to: Label) {
        self.emit(MOV, SCRATCH, DATA, 0, 0);
        self.emit(ADD_IMMEDIATE, SCRATCH, 0, 0, octets.into());
        self.jump(JUMP_GREATER, SCRATCH, DATA_END, 0, to);
    }
    /// The program, or `None` when a jump is too far.
    fn finish(mut self) -> Option<Vec<Instruction>> {
        for (at, label) in self.jumps {
            let target = self.labels.get(label.0).copied().filter(|at| *at != UNPLACED)?;
            let distance = target as i64 - at as i64 - 1;
            self.instructions.get_mut(at)?.offset = i16::try_from(distance).ok()?;
        }
        Some(self.instructions)
    }
}

/// Words of an address as a program on this machine loads them.
fn words<const N: usize>(octets: &[u8]) -> [i32; N] {
    let mut words = [0; N];
    for (word, four) in words.iter_mut().zip(octets.chunks_exact(4)) {
        *word = i32::from_ne_bytes([four[0], four[1], four[2], four[3]]);
    }
    words
}

/// The program for a socket map: what is not taken, or finds no socket, gets `otherwise`.
/// `None`: more addresses than [`MOST_ADDRESSES`].
pub(super) fn assemble(take: &Take, map: i32, otherwise: i32) -> Option<Vec<Instruction>> {
    let mut asm = Assembler::default();
    let (ours, not_ours) = (asm.label(), asm.label());
    asm.emit(LOAD_32, QUEUE, 1, CONTEXT_QUEUE, 0);
    if let Take::Addresses(addresses) = take {
        if addresses.len() > MOST_ADDRESSES {
            return None;
        }
        look(&mut asm, addresses, ours, not_ours);
        asm.place(not_ours);
        asm.emit(MOV_IMMEDIATE, 0, 0, 0, XDP_PASS);
        asm.emit(EXIT, 0, 0, 0, 0);
    }
    asm.place(ours);
    asm.emit(LOAD_MAP, 1, MAP_BY_FD, 0, map);
    asm.emit(0, 0, 0, 0, 0);
    asm.emit(MOV, 2, QUEUE, 0, 0);
    asm.emit(MOV_IMMEDIATE, 3, 0, 0, otherwise);
    asm.emit(CALL, 0, 0, 0, REDIRECT_MAP);
    asm.emit(EXIT, 0, 0, 0, 0);
    asm.finish()
}

/// Goes to one of the two labels, by what the packet is.
fn look(asm: &mut Assembler, addresses: &[IpAddr], ours: Label, not_ours: Label) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => v4.push(words::<1>(&address.octets())),
            IpAddr::V6(address) => v6.push(words::<4>(&address.octets())),
        }
    }
    asm.emit(LOAD_32, DATA, 1, CONTEXT_DATA, 0);
    asm.emit(LOAD_32, DATA_END, 1, CONTEXT_DATA_END, 0);
    asm.require(ETHERNET_OCTETS, not_ours);
    let [ipv4, arp, ipv6] = [(); 3].map(|()| asm.label());
    asm.emit(LOAD_16, WORDS[0], DATA, ETHERTYPE_AT, 0);
    for (ethertype, label) in [(IPV4, ipv4), (IPV6, ipv6), (ARP, arp)] {
        asm.jump(JUMP32_EQUAL, WORDS[0], 0, ethertype.to_be().into(), label);
    }
    asm.jump(JUMP, 0, 0, 0, not_ours);

    asm.place(ipv4);
    asm.require(ETHERNET_OCTETS + IPV4_OCTETS, not_ours);
    compare(asm, IPV4_DESTINATION_AT, &v4, ours);
    asm.jump(JUMP, 0, 0, 0, not_ours);

    asm.place(arp);
    asm.require(ETHERNET_OCTETS + ARP_OCTETS, not_ours);
    compare(asm, ARP_TARGET_AT, &v4, ours);
    asm.jump(JUMP, 0, 0, 0, not_ours);

    asm.place(ipv6);
    asm.require(ETHERNET_OCTETS + IPV6_OCTETS, not_ours);
    compare(asm, IPV6_DESTINATION_AT, &v6, ours);
    asm.emit(LOAD_8, WORDS[0], DATA, IPV6_NEXT_HEADER_AT, 0);
    asm.jump(JUMP32_NOT_EQUAL, WORDS[0], 0, ICMPV6, not_ours);
    asm.require(SOLICITATION_TYPE_AT + SOLICITATION_OCTETS, not_ours);
    asm.emit(LOAD_8, WORDS[0], DATA, SOLICITATION_TYPE_AT, 0);
    asm.jump(JUMP32_NOT_EQUAL, WORDS[0], 0, NEIGHBOR_SOLICITATION, not_ours);
    compare(asm, SOLICITATION_TARGET_AT, &v6, ours);
    asm.jump(JUMP, 0, 0, 0, not_ours);
}

/// Goes to `ours` when the address at `at` is one of those given, and else on. The address must
/// be inside the packet.
fn compare<const N: usize>(asm: &mut Assembler, at: i16, addresses: &[[i32; N]], ours: Label) {
    let registers = &WORDS[..N];
    for (register, offset) in registers.iter().zip((at..).step_by(4)) {
        asm.emit(LOAD_32, *register, DATA, offset, 0);
    }
    for address in addresses {
        let next = asm.label();
        // The last words differ most often.
        for (register, word) in registers.iter().zip(address).skip(1).rev() {
            asm.jump(JUMP32_NOT_EQUAL, *register, 0, *word, next);
        }
        asm.jump(JUMP32_EQUAL, registers[0], 0, address[0], ours);
        asm.place(next);
    }
}
