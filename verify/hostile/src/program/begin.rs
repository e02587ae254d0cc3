//! What a program begins with: bounds, settings, keys, and the first connections.
//!
//! Owns: what bytes choose of them; settings are chosen so later, too.
//! Must not know: what the program does then.

use super::calls::manner;
use super::peers::talk;
use crate::arena::{Arena, PEER_PORT, Setup, theirs};
use crate::choice::Choice;
use usertcp_base::{Limits, Rate, Seq, Span};
use usertcp_cc::Algorithm;
use usertcp_stack::{AuthAlgorithm, AuthKey, FastOpenListen, KeyKind, MasterKey, Scope};
use usertcp_tcp::{EcnMode, Settings, UserTimeoutOption};
use usertcp_wire::tcp::{Options, Timestamps};

/// The arena, with a connection or two.
pub(super) fn begin(choice: &mut Choice<'_>) -> Arena {
    let bits = choice.octet();
    let bit = |at: u8| bits >> at & 1 == 1;
    let tight = bit(1);
    let defaults = Limits::default();
    let limits = Limits {
        connections: if tight { 5 } else { 64 },
        hot_connections: if tight { 3 } else { 48 },
        embryos_per_listener: if tight { 2 } else { 64 },
        embryo_source_share: if tight { 1 } else { 4 },
        time_wait: if tight { 1 } else { 32 },
        fragment_octets: if tight { 16 << 10 } else { 1 << 20 },
        fragment_octets_per_source: if tight { 8 << 10 } else { 64 << 10 },
        icmp_errors_per_second: if tight { 2 } else { 1000 },
        reassembly_ranges: if tight { 4 } else { 64 },
        sack_ranges: if tight { 4 } else { 64 },
        receive_buffer_start_octets: if tight { 8 << 10 } else { 64 << 10 },
        receive_buffer_octets: if bit(2) { 32 << 10 } else { 512 << 10 },
        send_buffer_start_octets: if tight { 8 << 10 } else { 64 << 10 },
        send_buffer_octets: if bit(2) { 32 << 10 } else { 512 << 10 },
        ..defaults
    };
    let setup = Setup {
        limits,
        pool_octets: if bit(3) { 300 << 10 } else { 3 << 20 },
        offload: bit(4),
        settings: settings(Settings::default(), choice),
        algorithm: if bit(5) { Algorithm::Reno } else { Algorithm::Cubic },
        backlog: if tight { 2 } else { 8 },
        // Without cookies, so that random SYNs get behind them.
        fast_open: (bit(3) != bit(5)).then_some(FastOpenListen {
            pending: if tight { 1 } else { 16 },
            without_cookie: true,
        }),
        wrapping: bit(6),
    };
    let mut arena = Arena::new(&setup);
    let bits = choice.octet();
    if bits & 3 == 0 {
        protect(&mut arena);
    }
    arena.messages = manner(bits >> 2);
    let isn = first_number(choice);
    let offered = offer(choice);
    let peer = arena.add_peer(bit(0), 1, PEER_PORT, isn, offered);
    arena.open(peer);
    arena.accept();
    talk(&mut arena, peer, choice);
    if bit(7) {
        arena.connect((theirs(bit(0), 2), 7000), None);
        if let Some(peer) = arena.peers.get_mut(1) {
            peer.offered = offer(choice);
            let answer = peer.synchronise_back();
            arena.give(&answer);
        }
    }
    arena
}

/// Two of the hosts that open connections have keys, which nobody here knows.
fn protect(arena: &mut Arena) {
    let Ok(master) = MasterKey::new(b"unknown to all peers") else { return };
    for v6 in [false, true] {
        for id in 0..2 {
            let (algorithm, cover_options) = (AuthAlgorithm::AesCmac, true);
            let master = master.clone();
            let kind =
                KeyKind::Ao { send_id: id, receive_id: id, algorithm, cover_options, master };
            let added =
                arena.shard.add_auth_key(AuthKey { scope: Scope::host(theirs(v6, 5)), kind });
            assert!(added.is_ok(), "{added:?}");
        }
        let kind = KeyKind::Md5(master.clone());
        let added = arena.shard.add_auth_key(AuthKey { scope: Scope::host(theirs(v6, 3)), kind });
        assert!(added.is_ok(), "{added:?}");
    }
}

/// Where a peer's numbers begin: anywhere, or just before they wrap or change their sign.
pub(super) fn first_number(choice: &mut Choice<'_>) -> Seq {
    match choice.below(3) {
        0 => Seq(7_000),
        1 => Seq(u32::MAX - u32::from(choice.octet())),
        _ => Seq((1 << 31) - u32::from(choice.octet())),
    }
}

/// What a peer's SYN offers.
pub(super) fn offer(choice: &mut Choice<'_>) -> Options {
    let bits = choice.octet();
    let mss = [Some(1460), Some(1460), Some(536), Some(1), None, Some(0), Some(65_535), Some(216)];
    Options {
        mss: mss[usize::from(bits & 7)],
        scale: (bits & 8 == 0).then_some(if bits & 16 == 0 { 7 } else { choice.octet() % 16 }),
        sack_permitted: bits & 32 == 0,
        timestamps: (bits & 64 == 0).then_some(Timestamps {
            value: if bits & 128 == 0 { 1 } else { u32::MAX - 50 },
            echo: 0,
        }),
        ..Options::default()
    }
}

/// Settings, most of them other than `before`.
pub(super) fn settings(before: Settings, choice: &mut Choice<'_>) -> Settings {
    let bits = choice.octet();
    let mut settings = before;
    settings.no_delay = bits & 1 == 1;
    settings.cork = bits & 6 == 6;
    settings.timestamps = bits & 0x18 != 0x18;
    settings.sack = bits & 0x30 != 0x30;
    settings.window_scaling = bits & 0x60 != 0x60;
    if bits & 0x80 != 0 {
        let more = choice.octet();
        settings.keep_alive.enabled = more & 1 == 1;
        settings.keep_alive.idle = Span::from_secs(1 + u64::from(more));
        settings.keep_alive.interval = Span::from_millis(1 + u64::from(more) * 100);
        settings.keep_alive.probes = more >> 4;
        settings.give_up = Some(Span::from_millis(1 + u64::from(choice.octet()) * 1000));
        settings.user_timeout_option = match more % 3 {
            0 => UserTimeoutOption::Off,
            1 => UserTimeoutOption::Advise,
            _ => UserTimeoutOption::FOLLOW,
        };
        settings.persist_limit = (more & 2 != 0).then_some(Span::from_secs(u64::from(more)));
        settings.ack_delay = Span::from_millis(u64::from(more) % 200);
        settings.ecn = [
            EcnMode::Off,
            EcnMode::Accept,
            EcnMode::Ask,
            EcnMode::AcceptAccurate,
            EcnMode::AskClassic,
            EcnMode::AskAccurate,
        ][usize::from(more) % 6];
        settings.rto_min = Span::from_millis(1 + u64::from(more) * 4);
        settings.write_when_due = more & 16 != 0;
        settings.mss_limit_octets = if more & 4 != 0 { u16::from(more) * 8 } else { 0 };
        if more & 8 != 0 {
            let rate = 1000 + u64::from(choice.pair()) * 1000;
            settings.rate_limit = Rate::from_octets_per_second(rate);
        }
    }
    settings
}
