//! Random histories: a reference for pipe, and invariants under any sequence of operations.

use super::*;
use proptest::prelude::*;

/// RFC 6675 §4 by definition, octet by octet (in steps of a segment).
#[derive(Clone, Copy, Default)]
struct Octet {
    sacked: bool,
    lost: bool,
    resent: bool,
}

// proves 6675-2
#[test]
fn pipe_equals_the_reference_on_a_thousand_random_patterns() {
    for seed in 0..1000 {
        let mut prng = Prng::from_seed(seed);
        let mut sender = Sender::new();
        let count = 20 + prng.below(30) as usize;
        let mut model = std::vec![Octet::default(); count];
        let mut left = count as u32;
        while left > 0 {
            let merged = 1 + prng.below(u64::from(left.min(8))) as u32;
            sender.send_merged(merged);
            left -= merged;
        }
        sender.pass(100);
        for _ in 0..20 {
            let from = prng.below(count as u64) as usize;
            let to = (from + 1 + prng.below(4) as usize).min(count);
            if prng.below(3) == 0 {
                resend(&mut sender, &mut model);
            } else if from > 0 {
                let _ = sender.sack(1, &[(from as u32 + 1, to as u32)]);
                for octet in &mut model[from..to] {
                    *octet = Octet { sacked: true, ..Octet::default() };
                }
                learn_losses(&sender, &mut model);
            }
            let pipe: u32 = model.iter().map(weigh).sum();
            assert_eq!(sender.recovery.in_flight(), pipe, "seed {seed}");
            sender.pass(prng.below(40));
        }
    }
}
fn weigh(octet: &Octet) -> u32 {
    if octet.sacked {
        return 0;
    }
    (u32::from(!octet.lost) + u32::from(octet.resent)) * MSS
}
/// What is lost is recovery's decision; the model takes it over and keeps its own count.
fn learn_losses(sender: &Sender, model: &mut [Octet]) {
    for (index, octet) in model.iter_mut().enumerate() {
        let at = seq(index as u32 + 1);
        let pending = sender.recovery.board.pending_ranges();
        if pending.iter().any(|range| at.within(range.0, range.1)) {
            (octet.lost, octet.resent) = (true, false);
        }
    }
}
fn resend(sender: &mut Sender, model: &mut [Octet]) {
    if let Some((from, octets)) = sender.recovery.next_retransmission(START + (1 << 20)) {
        let octets = octets.min(2 * MSS);
        let _ = sender.recovery.on_retransmitted(sender.now, from, octets);
        let first = (from.since(START) / MSS) as usize;
        for octet in &mut model[first..first + (octets / MSS) as usize] {
            octet.resent = true;
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Send { octets: u32, mss: u32 },
    Resend { most: u32 },
    Rescue,
    Ack { octets: u32, sack: Vec<(u32, u32)>, echo: u64, flags: u8 },
    Wild { ack: u32, sack: Vec<(u32, u32)> },
    Pass { micros: u64 },
    Fire { window: u32, new_data: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let blocks = || prop::collection::vec((0u32..60_000, 0u32..9_000), 0..4);
    let wild = || prop::collection::vec((any::<u32>(), any::<u32>()), 0..4);
    prop_oneof![
        4 => (1u32..20_000, 1u32..3000).prop_map(|(octets, mss)| Op::Send { octets, mss }),
        3 => (1u32..5000).prop_map(|most| Op::Resend { most }),
        1 => Just(Op::Rescue),
        5 => (0u32..6000, blocks(), 0u64..500, any::<u8>())
            .prop_map(|(octets, sack, echo, flags)| Op::Ack { octets, sack, echo, flags }),
        1 => (any::<u32>(), wild()).prop_map(|(ack, sack)| Op::Wild { ack, sack }),
        3 => (0u64..400_000).prop_map(|micros| Op::Pass { micros }),
        3 => (0u32..100_000, any::<bool>())
            .prop_map(|(window, new_data)| Op::Fire { window, new_data }),
    ]
}

fn apply(sender: &mut Sender, op: &Op) {
    let una = sender.recovery.una();
    match op {
        Op::Send { octets, mss } => {
            if sender.recovery.outstanding() < 1 << 24 {
                sender.recovery.on_sent(sender.now, *octets, *mss, octets % 3 == 0);
            }
        }
        Op::Resend { most } => {
            if let Some((from, octets)) = sender.recovery.next_retransmission(una + (1 << 20)) {
                let octets = octets.min(*most);
                let _ = sender.recovery.on_retransmitted(sender.now, from, octets);
            }
        }
        Op::Rescue => {
            if let Some((from, octets)) = sender.recovery.next_rescue(una + (1 << 20)) {
                let _ = sender.recovery.on_retransmitted(sender.now, from, octets);
            }
        }
        Op::Ack { octets, sack, echo, flags } => {
            let ack = una + (*octets).min(sender.recovery.outstanding());
            let blocks: Vec<_> = sack.iter().map(|b| (una + b.0, una + b.0 + b.1)).collect();
            let input = AckInput {
                echoed_at: Some(sender.now - ms(*echo)),
                window_changed: flags & 1 != 0,
                has_payload: flags & 2 != 0,
                new_data_ready: flags & 4 != 0,
                marks: if flags & 8 != 0 { MarkReport::Classic(8) } else { MarkReport::None },
                ..sender.input(ack, &blocks)
            };
            let _ = sender.give(&input);
        }
        Op::Wild { ack, sack } => {
            let blocks: Vec<_> = sack.iter().map(|b| (Seq(b.0), Seq(b.1))).collect();
            let _ = sender.give(&sender.input(Seq(*ack), &blocks));
        }
        Op::Pass { micros } => sender.now = sender.now + Span::from_micros(*micros),
        Op::Fire { window, new_data } => {
            let right_edge = una + *window;
            let window = SendWindowFacts { right_edge, new_data_ready: *new_data, mtu_probe: None };
            if let Some(deadline) = sender.recovery.deadline() {
                sender.now = sender.now.max(deadline);
            }
            let _ = sender.recovery.on_timer(sender.now, &mut sender.cc, window);
        }
    }
    sender.recovery.check();
    let recovery = &sender.recovery;
    let _ = recovery.allowance(sender.cc.window);
    assert!(recovery.rto() >= ms(1) && recovery.rto() <= Span::from_secs(120));
    assert!(recovery.delivered() <= u64::from(u32::MAX));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    // proves BG-7, AT-6, AT-41 for this part
    #[test]
    fn any_history_keeps_the_invariants(
        start: u32,
        sack: bool,
        timestamps: bool,
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut sender = Sender::with(|settings, begin| {
            begin.una = Seq(start);
            (begin.sack, begin.timestamps) = (sack, timestamps);
            settings.rto_jitter = start % 2 == 0;
            settings.sack_ranges = 8;
        });
        let mut delivered = 0;
        for op in &ops {
            apply(&mut sender, op);
            prop_assert!(sender.recovery.delivered() >= delivered);
            delivered = sender.recovery.delivered();
        }
        // Whatever happened, an acknowledgement of everything ends it.
        let _ = sender.give(&sender.input(sender.recovery.nxt(), &[]));
        prop_assert_eq!(sender.recovery.outstanding(), 0);
        prop_assert_eq!(sender.recovery.state(), RecoveryState::Open);
    }
}
