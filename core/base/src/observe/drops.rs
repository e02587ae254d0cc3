//! Every way a packet may die, each counted.

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $label:literal,)*) => {
        /// Why a packet was dropped or refused.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum DropReason { $($(#[doc = $doc])* $name,)* }

        impl DropReason {
            /// How many reasons there are.
            pub const COUNT: usize = [$($label),*].len();
            /// All of them, in counter order.
            pub const ALL: [DropReason; DropReason::COUNT] = [$(DropReason::$name),*];
            /// A stable name for metrics, in snake case.
            pub const fn label(self) -> &'static str {
                match self { $(DropReason::$name => $label,)* }
            }
        }
    };
}

drop_reasons! {
    /// The link frame is shorter than its headers, or its ARP is none of Ethernet and IPv4.
    LinkMalformed = "link_malformed",
    /// The link frame is for another station.
    LinkNotOurs = "link_not_ours",
    /// The link frame has a VLAN tag: it is of another network.
    LinkVlan = "link_vlan",
    /// The link frame carries neither IP nor ARP.
    LinkKind = "link_kind",
    /// ARP or neighbour discovery that breaks its rules, or comes from an address no neighbour has.
    NeighbourMalformed = "neighbour_malformed",
    /// ARP or neighbour discovery that is not about us or someone we know.
    NeighbourIgnored = "neighbour_ignored",
    /// Another station says that it has an address of ours (RFC 5227 §2.4).
    NeighbourConflict = "neighbour_conflict",
    /// Waited for a neighbour's address, and too many did.
    NeighbourQueue = "neighbour_queue",
    /// The neighbour did not answer, or there is no gateway.
    NeighbourUnreachable = "neighbour_unreachable",
    /// Neither IPv4 nor IPv6.
    IpVersion = "ip_version",
    /// Lengths of the IP header do not fit the packet.
    IpMalformed = "ip_malformed",
    /// IPv4 header checksum.
    IpChecksum = "ip_checksum",
    /// Not one of our addresses.
    IpNotOurs = "ip_not_ours",
    /// A source no packet may have: multicast, broadcast, loopback from outside, unspecified.
    IpMartianSource = "ip_martian_source",
    /// Broadcast or multicast destination for a protocol that does not take it.
    IpBroadcast = "ip_broadcast",
    /// Source routing option or routing header (RFC 7126, RFC 5095).
    IpSourceRoute = "ip_source_route",
    /// More extension headers than allowed, or one we must refuse.
    IpExtension = "ip_extension",
    /// A protocol nobody here speaks.
    IpProtocol = "ip_protocol",
    /// Fragments overlap, or are inconsistent (RFC 5722).
    FragmentOverlap = "fragment_overlap",
    /// No room for fragments.
    FragmentLimit = "fragment_limit",
    /// A datagram stayed incomplete too long.
    FragmentTimeout = "fragment_timeout",
    /// The first fragment does not hold the transport header (RFC 3128).
    FragmentTiny = "fragment_tiny",
    /// A malformed ICMP message.
    IcmpMalformed = "icmp_malformed",
    /// ICMP checksum.
    IcmpChecksum = "icmp_checksum",
    /// An ICMP message that is not acted on.
    IcmpIgnored = "icmp_ignored",
    /// An ICMP error whose quote matches no connection or lies outside what is in flight.
    IcmpUnmatched = "icmp_unmatched",
    /// Data offset below five words or past the packet.
    TcpMalformed = "tcp_malformed",
    /// An option's length is illegal (MUST-7).
    TcpOptions = "tcp_options",
    /// TCP checksum.
    TcpChecksum = "tcp_checksum",
    /// Source equals destination (LAND), or port zero.
    TcpLand = "tcp_land",
    /// A segment of a protected peer is not signed (RFC 5925 §7.4, RFC 2385 §2).
    AuthMissing = "auth_missing",
    /// It is signed with a key we do not have.
    AuthUnknownKey = "auth_unknown_key",
    /// Its code is wrong.
    AuthMismatch = "auth_mismatch",
    /// It belongs to no connection, and without one nobody can verify it or answer it signed.
    AuthNoConnection = "auth_no_connection",
    /// No connection and no listener: answered by a reset, or not.
    NoConnection = "no_connection",
    /// A reset that was due was not sent: the bucket was empty.
    ResetLimited = "reset_limited",
    /// A segment a listener does not take.
    ListenRefused = "listen_refused",
    /// The accept queue is full.
    BacklogFull = "backlog_full",
    /// Half-open records are full and cookies are not possible.
    EmbryoLimit = "embryo_limit",
    /// One source has its share of half-open records.
    EmbryoSourceLimit = "embryo_source_limit",
    /// A cookie was not ours, or too old.
    CookieInvalid = "cookie_invalid",
    /// No anchor or no TCB free.
    ConnectionLimit = "connection_limit",
    /// A handshake segment with an unacceptable acknowledgement.
    HandshakeAck = "handshake_ack",
    /// A segment that an opening connection does not take.
    HandshakeUnexpected = "handshake_unexpected",
    /// PAWS: older than what was seen (RFC 7323 §5).
    PawsOld = "paws_old",
    /// The negotiated timestamp is missing (RFC 7323 §3.2).
    TimestampMissing = "timestamp_missing",
    /// Outside the receive window (E-10).
    OutOfWindow = "out_of_window",
    /// A reset in the window but not at its edge: challenged (RFC 5961 §3).
    ResetChallenged = "reset_challenged",
    /// A reset outside the window.
    ResetOutOfWindow = "reset_out_of_window",
    /// A SYN on a synchronised connection: challenged (RFC 5961 §4).
    SynChallenged = "syn_challenged",
    /// No ACK bit on a synchronised connection (E-16).
    AckMissing = "ack_missing",
    /// An acknowledgement of something never sent (E-18).
    AckTooNew = "ack_too_new",
    /// An acknowledgement older than any we accept (RFC 5961 §5).
    AckTooOld = "ack_too_old",
    /// Nothing in it that we did not have.
    DuplicateData = "duplicate_data",
    /// Data beyond the window was cut off.
    BeyondWindow = "beyond_window",
    /// Data after the peer's FIN.
    DataAfterFin = "data_after_fin",
    /// Data for an application that has closed: the connection is reset (SHLD-3).
    DataAfterClose = "data_after_close",
    /// Too many out-of-order ranges.
    ReassemblyLimit = "reassembly_limit",
    /// No memory for more receive data.
    ReceiveMemory = "receive_memory",
    /// TIME-WAIT does not take it.
    TimeWait = "time_wait",
    /// A TIME-WAIT record made room for another.
    TimeWaitEvicted = "time_wait_evicted",
    /// A challenge acknowledgement that was due was not sent.
    ChallengeLimited = "challenge_limited",
    /// An ICMP message that was due was not sent.
    IcmpLimited = "icmp_limited",
    /// No frame for something that had to be sent; it is tried again where the protocol says so.
    PoolEmpty = "pool_empty",
    /// It belongs to another shard, whose ring is full.
    SteerFull = "steer_full",
    /// The device refused a packet for good.
    DeviceRefused = "device_refused",
}
