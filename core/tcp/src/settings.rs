//! What an application may set per connection, and what a connection is told at birth.
//! Owns: `Settings`, `Shares`, `KeepAlive`, `EcnMode`, `EcnOption`, `Manner`, `UserTimeoutOption`, `PathFacts`.
//! Must not know: addresses, devices.
//! Implements: the options of RFC 9293 §3.9.1, keep-alive of §3.8.4, thresholds of §3.8.3.

use usertcp_base::{Instant, Limits, Rate, RateGroupId, Scale, Span};

/// Keep-alive (RFC 9293 §3.8.4): off by default, first probe not before two hours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepAlive {
    /// Whether to probe at all (MUST-25: off).
    pub enabled: bool,
    /// Silence before the first probe (MUST-28: two hours).
    pub idle: Span,
    /// Time between probes.
    pub interval: Span,
    /// Unanswered probes that end the connection (MUST-29: more than one).
    pub probes: u8,
}

impl Default for KeepAlive {
    fn default() -> Self {
        KeepAlive {
            enabled: false,
            idle: Span::from_secs(7200),
            interval: Span::from_secs(75),
            probes: 9,
        }
    }
}

/// Explicit congestion notification: classic (RFC 3168) and accurate (RFC 9768).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EcnMode {
    /// Neither asked for nor answered.
    Off,
    /// Answered when the peer asks, never asked for.
    #[default]
    Accept,
    /// Asked for when we open, answered when the peer does.
    Ask,
    /// Accurate or classic answered, as the peer asks; never asked for.
    AcceptAccurate,
    /// Classic asked for when we open; accurate or classic answered.
    AskClassic,
    /// Accurate asked for when we open (the peer may answer classic); both answered.
    AskAccurate,
}

/// How much of ECN there is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum EcnLevel {
    /// None.
    Nothing,
    /// RFC 3168.
    Classic,
    /// RFC 9768, which falls back to the others.
    Accurate,
}

impl EcnMode {
    /// What an active open asks for.
    pub const fn asks(self) -> EcnLevel {
        match self {
            EcnMode::Off | EcnMode::Accept | EcnMode::AcceptAccurate => EcnLevel::Nothing,
            EcnMode::Ask | EcnMode::AskClassic => EcnLevel::Classic,
            EcnMode::AskAccurate => EcnLevel::Accurate,
        }
    }
    /// The most that a passive open answers.
    pub const fn accepts(self) -> EcnLevel {
        match self {
            EcnMode::Off => EcnLevel::Nothing,
            EcnMode::Accept | EcnMode::Ask => EcnLevel::Classic,
            EcnMode::AcceptAccurate | EcnMode::AskClassic | EcnMode::AskAccurate => {
                EcnLevel::Accurate
            }
        }
    }
}

/// When our acknowledgements carry the accurate ECN option, on a connection with accurate ECN.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EcnOption {
    /// Never: the three header bits alone.
    Never,
    /// When octets arrived marked, the mark of arriving octets changed, or 2^22 octets are untold.
    Least,
    /// When a counter changed since the last acknowledgement (RFC 9768 §3.2.3.3, the recommended
    /// simple scheme), unless the path seems to lose what has the option.
    #[default]
    WhenChanged,
    /// The same, whatever the path seems to do.
    Persist,
}

/// How much a peer must take (AT-10): a connection with data waiting all the time, of which less is
/// acknowledged, is ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeastProgress {
    /// Octets acknowledged in each interval.
    pub octets: u32,
    /// The interval. The end comes at most a quarter of it later.
    pub interval: Span,
}

/// When the path MTU is probed for (RFC 4821, RFC 8899).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MtuProbing {
    /// Never: only what the network says of packets that are too big counts.
    Off,
    /// Once large segments vanish, and after every decrease.
    #[default]
    AfterBlackHole,
    /// From the first segment on: a connection begins with the base size.
    Always,
}

/// The user-timeout option (RFC 5482): off by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UserTimeoutOption {
    /// Neither sent nor heeded.
    #[default]
    Off,
    /// `give_up` is told to the peer; the peer's word does not change it.
    Advise,
    /// `give_up` is told to the peer, and a larger value of the peer's holds instead of it, within
    /// bounds (§3.1: L_LIMIT at least 100 s, U_LIMIT against a peer that asks for ever).
    Follow {
        /// What holds is no less, nor less than the retransmission timeout.
        least: Span,
        /// What holds is no more.
        most: Span,
    },
}

impl UserTimeoutOption {
    /// Between 100 s and 15 minutes.
    pub const FOLLOW: UserTimeoutOption =
        UserTimeoutOption::Follow { least: Span::from_secs(100), most: Span::from_secs(900) };
}

/// Settings of one connection. A listener's are inherited by what it accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Send small segments at once (Nagle off, MUST-17).
    pub no_delay: bool,
    /// Hold back partial segments until told otherwise, at most 200 ms (MAY-15).
    pub cork: bool,
    /// Keep-alive.
    pub keep_alive: KeepAlive,
    /// R2: time without progress after which the connection is given up; `None`: never (MUST-21).
    pub give_up: Option<Span>,
    /// Whether that is told to the peer, and the peer's value followed.
    pub user_timeout_option: UserTimeoutOption,
    /// Longest time an active open may take (MUST-23: at least three minutes by default).
    pub open_timeout: Span,
    /// Longest time the peer may keep its window closed; `None`: for ever (RFC 6429).
    pub persist_limit: Option<Span>,
    /// How much the peer must take while data waits for it; `None`: any little will do.
    pub least_progress: Option<LeastProgress>,
    /// How long an acknowledgement may wait for company (MUST-40: below 500 ms).
    pub ack_delay: Span,
    /// Stream rate limit: octets per second of packets that carry data, headers from IP on included.
    pub rate_limit: Rate,
    /// The rates it shares with others: set by the layer that holds those.
    pub shares: Shares,
    /// Differentiated services code point, 0 to 63 (MUST-48).
    pub dscp: u8,
    /// TTL or hop limit (MUST-49).
    pub hop_limit: u8,
    /// Offer timestamps (RFC 7323).
    pub timestamps: bool,
    /// Offer selective acknowledgements (RFC 2018).
    pub sack: bool,
    /// Offer window scaling (RFC 7323).
    pub window_scaling: bool,
    /// Explicit congestion notification; read when the connection opens.
    pub ecn: EcnMode,
    /// The option of accurate ECN; read when the connection opens.
    pub ecn_option: EcnOption,
    /// Largest MSS to announce; 0 means what the MTU gives.
    pub mss_limit_octets: u16,
    /// When the path MTU is probed for.
    pub mtu_probing: MtuProbing,
    /// MSS that every path is expected to carry: what a connection falls to when larger segments
    /// vanish, and begins with when it always probes. 0 means what packets of 1280 octets give.
    pub base_mss_octets: u16,
    /// Begin with what earlier connections to the same host found out, and leave what this one finds
    /// to later ones (RFC 9040).
    pub share_path_facts: bool,
    /// Report soft errors to the application (SHLD-20).
    pub soft_errors: bool,
    /// Least retransmission timeout.
    pub rto_min: Span,
    /// Octets the send queue may hold; 0: it follows the congestion window, within the limits.
    pub send_buffer_octets: u32,
    /// Octets the receive buffer has; 0: it follows the reader, within the limits. Read when the
    /// connection opens.
    pub receive_buffer_octets: u32,
    /// Written octets that may wait to be sent: a write takes no more, and waits until half of
    /// them have left.
    pub unsent_low_water_octets: u32,
    /// Under a rate limit of its own (`rate_limit`): a write takes what the limit lets leave at once, and the
    /// application is told that it may write again when the next release is due. What is limited waits at the
    /// application, as whatever it makes data of, and not in memory; a write that comes late by no more than
    /// a release costs no rate.
    pub write_when_due: bool,
    /// Probe a silent tail (RFC 8985 §7).
    pub tail_probe: bool,
    /// Begin anew from a small window after an idle time (RFC 5681 §4.1).
    pub restart_after_idle: bool,
    /// SYNs sent again before an active open is given up; 0: `open_timeout` alone decides.
    pub syn_retries: u8,
    /// Segments of a burst at least, in the manner of Linux.
    pub least_burst_segments: u16,
    /// How it looks on the wire where the standards leave a choice.
    pub manner: Manner,
}

/// Which rates a connection shares with others. It is the layer above that gives these a meaning; here
/// they are kept with the other settings, so that a connection that rests needs nothing for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shares {
    /// The group it joined.
    pub group: RateGroupId,
    /// What the listener that accepted it allows all of its connections.
    pub listener: RateGroupId,
    /// Its part of the group's rate, beside the other members' weights; zero counts as one.
    pub weight: u16,
}

impl Default for Shares {
    fn default() -> Self {
        Shares { group: RateGroupId::NONE, listener: RateGroupId::NONE, weight: 1 }
    }
}

/// Choices that the standards leave open and other stacks, or their tests, can see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Manner {
    /// Our own: an acknowledgement is delayed by what arrivals teach; PSH where the data written
    /// ends.
    #[default]
    Own,
    /// As Linux: acknowledgements wait 40 ms from the first on; bursts are sized by a millisecond
    /// of the rate, and end in PSH when they are longer than a segment.
    Linux,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            no_delay: false,
            cork: false,
            keep_alive: KeepAlive::default(),
            give_up: Some(Span::from_secs(924)),
            user_timeout_option: UserTimeoutOption::Off,
            open_timeout: Span::from_secs(180),
            persist_limit: None,
            least_progress: None,
            ack_delay: Span::from_millis(40),
            rate_limit: Rate::UNLIMITED,
            shares: Shares::default(),
            dscp: 0,
            hop_limit: 64,
            timestamps: true,
            sack: true,
            window_scaling: true,
            ecn: EcnMode::Accept,
            ecn_option: EcnOption::WhenChanged,
            mss_limit_octets: 0,
            mtu_probing: MtuProbing::AfterBlackHole,
            base_mss_octets: 0,
            share_path_facts: true,
            soft_errors: true,
            rto_min: Span::from_millis(200),
            send_buffer_octets: 0,
            receive_buffer_octets: 0,
            unsent_low_water_octets: u32::MAX,
            write_when_due: false,
            tail_probe: true,
            restart_after_idle: true,
            syn_retries: 0,
            least_burst_segments: 2,
            manner: Manner::Own,
        }
    }
}

impl Settings {
    /// Octets of the receive buffer at the beginning.
    pub fn receive_start_octets(&self, limits: &Limits) -> u32 {
        let start = match self.receive_buffer_octets {
            0 => limits.receive_buffer_start_octets,
            octets => octets,
        };
        start.max(self.least_receive_octets(limits))
    }

    /// Scale of the windows we offer: the least that lets the largest buffer be told.
    pub(crate) fn receive_scale(&self, limits: &Limits) -> Scale {
        let largest = match self.receive_buffer_octets {
            0 => limits.receive_buffer_octets,
            octets => octets,
        };
        if self.window_scaling { Scale::for_window(largest) } else { Scale::NONE }
    }

    /// Windows are told in units of the scale, and half a buffer is all that is offered where payload takes four times its
    /// size: of less than two units nothing would ever be.
    pub(crate) fn least_receive_octets(&self, limits: &Limits) -> u32 {
        match self.receive_scale(limits).shift() {
            0 => 0,
            shift => 2 << shift,
        }
    }

    /// What Linux starts with, as far as a connection shows it: six more SYNs before it gives up,
    /// and its manner. The other values are ours already.
    pub fn linux() -> Settings {
        Settings { syn_retries: 6, manner: Manner::Linux, ..Settings::default() }
    }
}

/// What the layer below says of the path when a connection starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathFacts {
    /// Largest TCP segment, header included, the path is thought to carry (MTU less IP header).
    pub segment_octets: u16,
    /// Largest TCP segment our interface takes in: what the MSS option is made from (MUST-67).
    pub receive_segment_octets: u16,
    /// MSS to assume of a peer that names none: 536 for IPv4, 1220 for IPv6 (MUST-15).
    pub default_mss_octets: u16,
    /// Octets of a packet beside the segment: the network header, and options others put on.
    pub header_octets: u8,
    /// Smallest packet that every path carries (IC-5).
    pub least_packet_octets: u16,
    /// What earlier connections to the same host found.
    pub host: Option<HostFacts>,
}

/// What connections to one host may learn from those before them (RFC 9040).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostFacts {
    /// The size of segments, if the path carries less than the interface.
    pub path: Option<LearnedPath>,
    /// Smoothed round-trip time and its variation.
    pub rtt: Option<(Span, Span)>,
    /// Slow-start threshold, octets.
    pub threshold_octets: Option<u32>,
    /// The path reorders.
    pub reorders: bool,
}

/// A segment size found by an earlier connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LearnedPath {
    /// Largest segment, header included.
    pub segment_octets: u16,
    /// Nothing larger is tried before.
    pub until: Instant,
}

/// Octets of a TCP header without options.
pub const HEADER_OCTETS: u16 = 20;
/// Octets the timestamps option takes, padding included.
pub const TIMESTAMP_OCTETS: u16 = 12;

impl PathFacts {
    /// The MSS to announce: from fixed headers only, never reduced for options (MUST-67).
    pub fn announced_mss(&self, settings: &Settings) -> u16 {
        let mss = self.receive_segment_octets.saturating_sub(HEADER_OCTETS);
        if settings.mss_limit_octets > 0 { mss.min(settings.mss_limit_octets) } else { mss }
    }
}
