//! What applications call.
//!
//! Owns: what bytes choose of each call.
//! Must not know: how calls are carried out and judged (`arena`).

use super::begin;
use crate::arena::{Arena, Messages, PEER_PORT, PORT, ours, theirs};
use crate::choice::Choice;
use usertcp_tcp::Settings;

/// What applications do about messages.
pub(super) fn manner(bits: u8) -> Messages {
    [Messages::Leaves, Messages::Leaves, Messages::Takes, Messages::Answers][usize::from(bits & 3)]
}

/// Whose application calls.
pub(super) fn handle(arena: &Arena, choice: &mut Choice<'_>) -> usize {
    usize::from(choice.octet()) % arena.handles.len().max(1)
}

pub(super) fn write(arena: &mut Arena, choice: &mut Choice<'_>) {
    let index = handle(arena, choice);
    let octets = match choice.below(4) {
        0 => choice.octet() as usize,
        1 => choice.pair() as usize % 4096,
        _ => choice.pair() as usize,
    };
    if choice.one_in(4) {
        arena.write_chain(index, octets, 1 + choice.pair() as usize % 2000);
    } else {
        arena.write(index, octets);
    }
}

pub(super) fn let_go(arena: &mut Arena, choice: &mut Choice<'_>) {
    let index = handle(arena, choice);
    let Some(conn) = arena.handles.get(index).map(|handle| handle.conn) else { return };
    let now = arena.now;
    match choice.below(4) {
        0 | 1 => {
            let _ = arena.shard.shutdown_write(now, conn);
        }
        2 => {
            let _ = arena.shard.close(now, conn);
        }
        _ => arena.shard.abort(now, conn),
    }
    arena.settle();
}

pub(super) fn connect(arena: &mut Arena, choice: &mut Choice<'_>) {
    let bits = choice.octet();
    let v6 = bits & 1 == 1;
    let to = match bits >> 1 & 3 {
        // To where a peer comes from: its port, our listening port, or our own address.
        0 => (theirs(v6, 1), PEER_PORT),
        1 => (ours(v6), PORT),
        _ => (theirs(v6, 2 + bits % 4), 7000 + u16::from(bits >> 3)),
    };
    let port = match bits >> 6 {
        0 => Some(PORT),
        1 => Some(5000 + u16::from(choice.octet() % 4)),
        _ => None,
    };
    let before = arena.peers.len();
    if arena.connect(to, port).is_some() && arena.peers.len() > before && choice.one_in(2) {
        let answer = arena.peers[before].synchronise_back();
        arena.give(&answer);
    }
}

pub(super) fn listeners(arena: &mut Arena, choice: &mut Choice<'_>) {
    match choice.below(4) {
        0 => arena.listen(None),
        1 if !arena.listeners.is_empty() => {
            let which = choice.octet() as usize % arena.listeners.len();
            let listener = arena.listeners.swap_remove(which);
            arena.shard.close_listener(arena.now, listener);
            arena.settle();
        }
        _ => arena.listen(Some(PORT)),
    }
}

pub(super) fn set(arena: &mut Arena, choice: &mut Choice<'_>) {
    let index = handle(arena, choice);
    let Some(conn) = arena.handles.get(index).map(|handle| handle.conn) else { return };
    let change = |settings: &mut Settings| *settings = begin::settings(*settings, choice);
    let _ = arena.shard.set_option(arena.now, conn, change);
    arena.settle();
}
