//! Programs of operations, decoded from bytes.
//!
//! Owns: which bytes mean which operation, and how time passes; what bytes choose of an operation is in `begin`, `peers` and
//! `calls`. Used by the fuzzer and by tests with random bytes.
//! Must not know: how a step is carried out or judged (`arena`).

mod begin;
mod calls;
mod peers;

use self::begin::begin;
use crate::arena::{Arena, Traffic};
use crate::choice::Choice;
use usertcp_base::{Counters, Span};

/// Operations of one program at most.
const MOST_STEPS: usize = 400;

/// Runs the program that `bytes` spell, to its end and until nothing may be left. What was
/// counted tells how deep it went.
pub fn run(bytes: &[u8]) -> (Counters, Traffic) {
    let mut choice = Choice::new(bytes);
    let mut arena = begin(&mut choice);
    for _ in 0..MOST_STEPS {
        if choice.is_over() {
            break;
        }
        step(&mut arena, &mut choice);
    }
    arena.end();
    (arena.shard.counters().clone(), arena.traffic)
}

fn step(arena: &mut Arena, choice: &mut Choice<'_>) {
    match choice.octet() % 44 {
        0 => peers::raw(arena, choice),
        1..=10 => {
            let forged = peers::segment(arena, choice);
            peers::give(arena, &forged, choice);
        }
        11..=15 => peers::polite(arena, choice),
        16 | 17 => peers::ahead(arena, choice),
        18 => peers::selective(arena, choice),
        19 => peers::signal(arena, choice),
        20 => peers::fragments(arena, choice),
        21 => peers::open(arena, choice),
        22 => {
            let span = Span::from_micros(u64::from(choice.pair()) * 16);
            arena.pass(span);
            age(arena, span);
        }
        23 | 24 => deadlines(arena, choice),
        25 => jump(arena, choice),
        26..=28 => calls::write(arena, choice),
        29 | 30 => {
            let (index, most) = (calls::handle(arena, choice), choice.pair() as usize);
            arena.read(index, most);
        }
        31 => {
            let index = calls::handle(arena, choice);
            arena.read_slice(index, choice.one_in(2));
        }
        32 | 33 => calls::let_go(arena, choice),
        34 => {
            while arena.accept().is_some() {
                if choice.one_in(2) {
                    break;
                }
            }
        }
        35 => calls::connect(arena, choice),
        36 => calls::listeners(arena, choice),
        37 => calls::set(arena, choice),
        38 => peers::tiny(arena, choice),
        39 => arena.messages = calls::manner(choice.octet()),
        40..=42 => peers::burst(arena, choice),
        _ => arena.held.truncate(choice.below(8) as usize),
    }
}

/// Time passes to the next deadline, or the next few.
fn deadlines(arena: &mut Arena, choice: &mut Choice<'_>) {
    for _ in 0..1 + choice.below(8) {
        if let Some(next) = arena.shard.next_deadline() {
            let span = next.since(arena.now);
            arena.pass(span);
            age(arena, span);
        }
    }
}

/// Time passes, whatever is due.
fn jump(arena: &mut Arena, choice: &mut Choice<'_>) {
    let span = match choice.below(8) {
        0..=4 => Span::from_micros(u64::from(choice.word()) / 64),
        5 | 6 => Span::from_micros(u64::from(choice.word())),
        // Beyond every circle that time is kept in.
        _ => Span::from_micros(u64::from(choice.word()) << choice.below(12)),
    };
    arena.pass(span);
    age(arena, span);
}

/// The peers' timestamp clocks go on.
fn age(arena: &mut Arena, span: Span) {
    for peer in &mut arena.peers {
        peer.stamp = peer.stamp.wrapping_add(span.as_millis() as u32);
    }
}
