//! Windows on the wire. Owns: the 16-bit field and its scale. Implements: RFC 7323 §2.

/// The window field as it stands in a header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct WireWindow(pub u16);

/// A window scale shift, 0 to 14.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Scale(u8);

impl Scale {
    /// No scaling.
    pub const NONE: Scale = Scale(0);
    /// The largest shift (RFC 7323 §2.3).
    pub const MAX: Scale = Scale(14);

    /// A shift; more than 14 counts as 14 (RFC 7323 §2.3).
    pub const fn clamped(shift: u8) -> Scale {
        Scale(if shift > 14 { 14 } else { shift })
    }
    /// The smallest shift that lets a window of `bytes` be expressed.
    pub const fn for_window(bytes: u32) -> Scale {
        let mut shift = 0;
        while shift < 14 && (bytes >> shift) > u16::MAX as u32 {
            shift += 1;
        }
        Scale(shift)
    }
    /// The shift.
    pub const fn shift(self) -> u8 {
        self.0
    }
    /// Octets that `field` stands for under this scale.
    pub const fn octets(self, field: WireWindow) -> u32 {
        (field.0 as u32) << self.0
    }
    /// The field for `octets`, rounded down, at most 65535.
    pub const fn field(self, octets: u32) -> WireWindow {
        let scaled = octets >> self.0;
        WireWindow(if scaled > u16::MAX as u32 { u16::MAX } else { scaled as u16 })
    }
}
