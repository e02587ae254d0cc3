//! The steering rule as a program of the kernel, to be put in front of a device's queues.
//!
//! Owns: the instructions (eBPF of the socket filter kind). Must not know: how a program is loaded, which
//! device runs it.
//!
//! It computes [`SteerRule::owner`] of TCP packets without IPv6 extension headers, and tells queue 0 for all
//! else, whole or in fragments: the shards pass on what is another's.

use usertcp_device::SteerRule;

/// One instruction: operation, registers, jump distance, constant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub(crate) struct Instruction {
    pub(crate) code: u8,
    /// The target in the lower half, the source in the upper.
    pub(crate) registers: u8,
    pub(crate) jump: i16,
    pub(crate) constant: i32,
}

/// Operations, by the names of the kernel's documentation (instruction-set.rst).
mod op {
    pub(super) const LOAD_ABSOLUTE_32: u8 = 0x20;
    pub(super) const LOAD_ABSOLUTE_16: u8 = 0x28;
    pub(super) const LOAD_ABSOLUTE_8: u8 = 0x30;
    pub(super) const LOAD_INDIRECT_32: u8 = 0x40;
    pub(super) const LOAD_CONSTANT_64: u8 = 0x18;
    pub(super) const ADD: u8 = 0x0F;
    pub(super) const MULTIPLY: u8 = 0x2F;
    pub(super) const MULTIPLY_CONSTANT: u8 = 0x27;
    pub(super) const OR: u8 = 0x4F;
    pub(super) const AND_CONSTANT: u8 = 0x57;
    pub(super) const SHIFT_LEFT: u8 = 0x67;
    pub(super) const SHIFT_RIGHT: u8 = 0x77;
    pub(super) const XOR: u8 = 0xAF;
    pub(super) const MOVE: u8 = 0xBF;
    pub(super) const MOVE_CONSTANT: u8 = 0xB7;
    pub(super) const JUMP: u8 = 0x05;
    pub(super) const JUMP_IF_EQUAL: u8 = 0x15;
    pub(super) const JUMP_UNLESS_EQUAL: u8 = 0x55;
    pub(super) const EXIT: u8 = 0x95;
}

/// What a load from the packet leaves its octets in, and what the program returns.
const RESULT: u8 = 0;
/// For constants and steps between; loads from the packet destroy them.
const SCRATCH: u8 = 1;
const CONSTANT: u8 = 2;
/// Where a load from the packet finds the packet.
const PACKET: u8 = 6;
/// What loads from the packet keep.
const ONE: u8 = 7;
const OTHER: u8 = 8;
const WORD: u8 = 9;

const FIRST: u64 = 0xBF58_476D_1CE4_E5B9;
const SECOND: u64 = 0x94D0_49BB_1331_11EB;

/// The program for packets that begin with their IP header.
pub(crate) fn program(rule: &SteerRule) -> Vec<Instruction> {
    let mut program = Program { instructions: Vec::new(), to_none: Vec::new() };
    let key = rule.key();
    program.register(op::MOVE, PACKET, 1);
    program.load(op::LOAD_ABSOLUTE_8, 0);
    program.constant(op::SHIFT_RIGHT, RESULT, 4);
    let to_v6 = program.jump(op::JUMP_IF_EQUAL, 6);
    program.unless_equal(4);
    program.version_4(key);
    let to_end = program.jump(op::JUMP, 0);
    program.land(to_v6);
    program.version_6(key);
    program.land(to_end);
    program.finish(key, rule.shards());
    program.instructions
}

struct Program {
    instructions: Vec<Instruction>,
    /// Jumps to the answer for packets of no flow.
    to_none: Vec<usize>,
}

impl Program {
    fn version_4(&mut self, key: [u64; 2]) {
        // More fragments, or not the first octet.
        self.load(op::LOAD_ABSOLUTE_16, 6);
        self.constant(op::AND_CONSTANT, RESULT, 0x3FFF);
        self.unless_equal(0);
        self.load(op::LOAD_ABSOLUTE_8, 9);
        self.unless_equal(6);
        self.load(op::LOAD_ABSOLUTE_32, 12);
        self.register(op::MOVE, ONE, RESULT);
        self.load(op::LOAD_ABSOLUTE_32, 16);
        self.register(op::MOVE, OTHER, RESULT);
        self.load(op::LOAD_ABSOLUTE_8, 0);
        self.constant(op::AND_CONSTANT, RESULT, 0xF);
        self.constant(op::SHIFT_LEFT, RESULT, 2);
        self.register(op::MOVE, WORD, RESULT);
        // Both ports, behind the header.
        self.push(op::LOAD_INDIRECT_32, 0, WORD, 0);
        self.register(op::MOVE, SCRATCH, RESULT);
        self.constant(op::SHIFT_RIGHT, SCRATCH, 16);
        self.constant(op::SHIFT_LEFT, SCRATCH, 32);
        self.register(op::XOR, ONE, SCRATCH);
        self.constant(op::AND_CONSTANT, RESULT, 0xFFFF);
        self.constant(op::SHIFT_LEFT, RESULT, 32);
        self.register(op::XOR, OTHER, RESULT);
        for end in [ONE, OTHER] {
            self.xor(end, key[0]);
            self.mix(end);
        }
    }

    fn version_6(&mut self, key: [u64; 2]) {
        self.load(op::LOAD_ABSOLUTE_8, 6);
        self.unless_equal(6);
        for (end, address, port) in [(ONE, 8, 40), (OTHER, 24, 42)] {
            self.load_64(end, address);
            self.xor(end, key[1]);
            self.mix(end);
            self.load_64(WORD, address + 8);
            self.register(op::XOR, end, WORD);
            self.xor(end, key[0]);
            self.mix(end);
            self.load(op::LOAD_ABSOLUTE_16, port);
            self.register(op::XOR, end, RESULT);
            self.mix(end);
        }
    }

    /// From the two ends to the shard, and the answer for packets of no flow.
    fn finish(&mut self, key: [u64; 2], shards: u16) {
        self.register(op::ADD, ONE, OTHER);
        self.xor(ONE, key[1]);
        self.mix(ONE);
        self.constant(op::SHIFT_RIGHT, ONE, 32);
        self.constant(op::MULTIPLY_CONSTANT, ONE, i32::from(shards));
        self.constant(op::SHIFT_RIGHT, ONE, 32);
        self.register(op::MOVE, RESULT, ONE);
        self.push(op::EXIT, 0, 0, 0);
        for jump in std::mem::take(&mut self.to_none) {
            self.land(jump);
        }
        self.constant(op::MOVE_CONSTANT, RESULT, 0);
        self.push(op::EXIT, 0, 0, 0);
    }

    fn mix(&mut self, register: u8) {
        for (shift, factor) in [(32, Some(FIRST)), (29, Some(SECOND)), (32, None)] {
            self.register(op::MOVE, SCRATCH, register);
            self.constant(op::SHIFT_RIGHT, SCRATCH, shift);
            self.register(op::XOR, register, SCRATCH);
            if let Some(factor) = factor {
                self.load_constant(factor);
                self.register(op::MULTIPLY, register, CONSTANT);
            }
        }
    }

    fn xor(&mut self, register: u8, constant: u64) {
        self.load_constant(constant);
        self.register(op::XOR, register, CONSTANT);
    }

    fn load_constant(&mut self, constant: u64) {
        // Two instructions' worth of room: the upper half lies in the second.
        self.push(op::LOAD_CONSTANT_64, CONSTANT, 0, constant as u32 as i32);
        self.push(0, 0, 0, (constant >> 32) as u32 as i32);
    }

    /// Eight octets of the packet, the first the highest.
    fn load_64(&mut self, register: u8, at: i32) {
        self.load(op::LOAD_ABSOLUTE_32, at);
        self.register(op::MOVE, register, RESULT);
        self.constant(op::SHIFT_LEFT, register, 32);
        self.load(op::LOAD_ABSOLUTE_32, at + 4);
        self.register(op::OR, register, RESULT);
    }

    /// Octets of the packet, in the result. A packet that is too short ends the program with 0.
    fn load(&mut self, code: u8, at: i32) {
        self.push(code, 0, 0, at);
    }

    fn register(&mut self, code: u8, to: u8, from: u8) {
        self.push(code, to, from, 0);
    }

    fn constant(&mut self, code: u8, to: u8, constant: i32) {
        self.push(code, to, 0, constant);
    }

    fn unless_equal(&mut self, constant: i32) {
        let jump = self.jump(op::JUMP_UNLESS_EQUAL, constant);
        self.to_none.push(jump);
    }

    /// A jump whose goal [`Program::land`] tells; by the result, if it has a condition.
    fn jump(&mut self, code: u8, constant: i32) -> usize {
        self.push(code, RESULT, 0, constant);
        self.instructions.len() - 1
    }

    fn land(&mut self, jump: usize) {
        let distance = self.instructions.len() - jump - 1;
        if let Some(instruction) = self.instructions.get_mut(jump) {
            instruction.jump = distance as i16;
        }
    }

    fn push(&mut self, code: u8, to: u8, from: u8, constant: i32) {
        self.instructions.push(Instruction { code, registers: from << 4 | to, jump: 0, constant });
    }
}

#[cfg(test)]
mod tests;
