//! The control bits. Owns: their names and sets. Implements: RFC 9293 §3.1, RFC 3168 §6.1,
//! RFC 9768 §3.1 (AE), requirement ledger E3.

use core::fmt;
use core::ops::BitOr;

/// A set of control bits, as in the header's low nine bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u16);

impl Flags {
    /// No bit.
    pub const NONE: Flags = Flags(0);
    /// No more data from the sender.
    pub const FIN: Flags = Flags(1);
    /// Synchronise sequence numbers.
    pub const SYN: Flags = Flags(1 << 1);
    /// Reset the connection.
    pub const RST: Flags = Flags(1 << 2);
    /// Push.
    pub const PSH: Flags = Flags(1 << 3);
    /// The acknowledgement field counts.
    pub const ACK: Flags = Flags(1 << 4);
    /// The urgent pointer counts.
    pub const URG: Flags = Flags(1 << 5);
    /// ECN echo.
    pub const ECE: Flags = Flags(1 << 6);
    /// Congestion window reduced.
    pub const CWR: Flags = Flags(1 << 7);
    /// Accurate ECN (formerly the nonce sum).
    pub const AE: Flags = Flags(1 << 8);

    const ALL: u16 = 0x1FF;

    /// The set for the low nine bits of `bits`; the rest is dropped (E-26).
    pub const fn from_bits(bits: u16) -> Flags {
        Flags(bits & Flags::ALL)
    }
    /// The nine bits.
    pub const fn bits(self) -> u16 {
        self.0
    }
    /// Whether every bit of `other` is here.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
    /// Whether any bit of `other` is here.
    pub const fn intersects(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }
    /// The bits of both.
    pub const fn union(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
    /// The bits that are in both.
    pub const fn intersection(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }
    /// The bits of `self` that are not in `other`.
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
    /// Whether no bit is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Sequence numbers the bits take: one each for SYN and FIN (RFC 9293 §3.4).
    pub const fn sequence_len(self) -> u32 {
        self.contains(Flags::SYN) as u32 + self.contains(Flags::FIN) as u32
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        self.union(other)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 9] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"];
        if self.is_empty() {
            return f.write_str("-");
        }
        let mut separator = "";
        for (bit, name) in NAMES.iter().enumerate() {
            if self.0 >> bit & 1 == 1 {
                write!(f, "{separator}{name}")?;
                separator = "|";
            }
        }
        Ok(())
    }
}
