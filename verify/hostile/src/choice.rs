//! Decisions from bytes. Owns: the order in which bytes are used up. Must not know: what for.

/// Bytes that decide; zeros once they are used up.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    bytes: &'a [u8],
}

impl<'a> Choice<'a> {
    /// Decisions by `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Choice<'a> {
        Choice { bytes }
    }
    /// Whether all bytes are used up.
    pub const fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }
    /// One byte.
    pub fn octet(&mut self) -> u8 {
        match self.bytes {
            [first, rest @ ..] => {
                self.bytes = rest;
                *first
            }
            [] => 0,
        }
    }
    /// Two bytes.
    pub fn pair(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }
    /// Four bytes.
    pub fn word(&mut self) -> u32 {
        u32::from(self.pair()) << 16 | u32::from(self.pair())
    }
    /// A number below `bound`, which is not zero; one byte when that suffices.
    pub fn below(&mut self, bound: u32) -> u32 {
        match bound {
            0..=256 => u32::from(self.octet()) % bound.max(1),
            257..=65_536 => u32::from(self.pair()) % bound,
            _ => self.word() % bound,
        }
    }
    /// Yes in one case of `n`.
    pub fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == n - 1
    }
    /// One of several.
    pub fn of<T: Copy, const N: usize>(&mut self, values: [T; N]) -> T {
        values[self.below(N as u32) as usize]
    }
    /// A distance: mostly small, now and then anything, of either sign.
    pub fn distance(&mut self) -> u32 {
        let selector = self.octet();
        match selector % 8 {
            0..=2 => 0,
            3 => u32::from(selector >> 3),
            4 => 0_u32.wrapping_sub(u32::from(selector >> 3)),
            5 => u32::from(self.pair()),
            6 => 0_u32.wrapping_sub(u32::from(self.pair())),
            _ => self.word(),
        }
    }
    /// Up to `most` bytes as they are.
    pub fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(most.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }
}
