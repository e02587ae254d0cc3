//! What two ends agree on. Owns: `Offer` (ours), `Agreed` (the result).
//! Implements: RFC 7323 §2.2, §3.2; RFC 2018 §2; RFC 9293 §3.7.1.

use super::ecn::EcnAgreed;
use crate::settings::{EcnMode, EcnOption, PathFacts, Settings};
use usertcp_base::{Limits, Scale, Seq};
use usertcp_wire::tcp::Options;

/// What we put, or would put, into our SYN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// MSS we announce.
    pub mss_octets: u16,
    /// Our window scale.
    pub scale: Scale,
    /// Window scaling at all.
    pub window_scaling: bool,
    /// Selective acknowledgements.
    pub sack: bool,
    /// Timestamps.
    pub timestamps: bool,
    /// Explicit congestion notification.
    pub ecn: EcnMode,
    /// The option of accurate ECN.
    pub ecn_option: EcnOption,
    /// Window of the SYN, never scaled (7323-2).
    pub window_octets: u16,
}

impl Offer {
    /// From what the application set, the limits, and the path.
    pub fn new(settings: &Settings, limits: &Limits, path: &PathFacts) -> Offer {
        let start = settings.receive_start_octets(limits);
        Offer {
            mss_octets: path.announced_mss(settings),
            scale: settings.receive_scale(limits),
            window_scaling: settings.window_scaling,
            sack: settings.sack,
            timestamps: settings.timestamps,
            ecn: settings.ecn,
            ecn_option: settings.ecn_option,
            window_octets: start.min(u32::from(u16::MAX)) as u16,
        }
    }
}

/// What holds for a connection once both SYNs are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreed {
    /// Our initial sequence number.
    pub iss: Seq,
    /// The peer's.
    pub irs: Seq,
    /// MSS the peer announced, or the default; floor applied (AT-17).
    pub peer_mss_octets: u16,
    /// Scale of windows we receive.
    pub send_scale: Scale,
    /// Scale of windows we send.
    pub receive_scale: Scale,
    /// Selective acknowledgements both ways.
    pub sack: bool,
    /// Timestamps both ways: our offset, and the peer's last value.
    pub timestamps: Option<AgreedTimestamps>,
    /// Explicit congestion notification.
    pub ecn: EcnAgreed,
    /// Window of the peer's SYN, unscaled.
    pub peer_window_octets: u16,
    /// Window of our SYN, unscaled: the right edge already promised.
    pub own_window_octets: u16,
}

/// Timestamps as agreed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AgreedTimestamps {
    /// Added to our clock (RFC 7323 §7.1).
    pub offset: u32,
    /// The peer's value to echo.
    pub recent: u32,
}

/// The peer's MSS, with its floor and its default.
pub fn peer_mss(options: &Options, path: &PathFacts, limits: &Limits) -> u16 {
    match options.mss {
        None => path.default_mss_octets,
        Some(mss) => mss.max(limits.smallest_mss_octets),
    }
}
