use super::*;

const MTU_PACKET: usize = 1500;

fn arrivals(path: &mut Path) -> Vec<(Nanos, u8)> {
    let mut out = vec![];
    while let Some(at) = path.next_arrival() {
        // None: it lets others pass first.
        if let Some((due, packet)) = path.poll(at) {
            out.push((due, packet[0]));
        }
    }
    out
}

fn fill(path: &mut Path, packets: u8) {
    for n in 0..packets {
        let mut packet = vec![0; MTU_PACKET];
        packet[0] = n;
        let _ = path.offer(0, packet);
    }
}

#[test]
fn the_rate_spaces_packets_and_delay_moves_all_of_them() {
    // 1500 octets at 120 Mbit/s take 100 µs.
    let config = PathConfig {
        rate: Rate::from_bits_per_second(120_000_000),
        ..PathConfig::clean(25 * MILLISECOND)
    };
    let mut path = Path::new(config, 1);
    fill(&mut path, 3);
    let at = |n: u64| 25 * MILLISECOND + n * 100_000;
    assert_eq!(arrivals(&mut path), [(at(1), 0), (at(2), 1), (at(3), 2)]);
}

#[test]
fn a_full_queue_drops_from_its_tail_by_packets_and_by_octets() {
    let limited =
        PathConfig { rate: Rate::from_bits_per_second(120_000_000), ..PathConfig::clean(0) };
    for config in [
        PathConfig { queue_packets: 4, ..limited },
        PathConfig { queue_octets: 4 * MTU_PACKET as u64, ..limited },
    ] {
        let mut path = Path::new(config, 1);
        fill(&mut path, 10);
        let arrived: Vec<u8> = arrivals(&mut path).iter().map(|(_, n)| *n).collect();
        assert_eq!(arrived, [0, 1, 2, 3]);
        assert_eq!((path.counts().overflowed, path.counts().longest_queue_packets), (6, 4));
    }
}

#[test]
fn the_queue_empties_at_the_rate() {
    let config = PathConfig {
        rate: Rate::from_bits_per_second(120_000_000),
        queue_packets: 1,
        ..PathConfig::clean(0)
    };
    let mut path = Path::new(config, 1);
    assert_eq!(path.offer(0, vec![0; MTU_PACKET]), Offered::Taken);
    assert_eq!(path.offer(99_999, vec![0; MTU_PACKET]), Offered::Lost);
    assert_eq!(path.offer(100_000, vec![0; MTU_PACKET]), Offered::Taken);
}

/// Numbers of the packets lost among the first thousand.
fn losses(config: PathConfig, seed: u64, octets: usize) -> Vec<u64> {
    let mut path = Path::new(config, seed);
    (0..1000).filter(|n| path.offer(*n, vec![0x45; octets]) == Offered::Lost).collect()
}

#[test]
fn the_same_packets_are_lost_whatever_else_happens() {
    let plain = PathConfig { loss: 10_000, ..PathConfig::clean(0) };
    let lost = losses(plain, 7, 1500);
    assert!((4..=20).contains(&lost.len()), "{lost:?}");
    let busy = PathConfig {
        reorder: 50_000,
        reordering: Reordering::LateBy(MILLISECOND),
        duplicate: 20_000,
        mark: 500_000,
        ..plain
    };
    assert_eq!(losses(busy, 7, 40), lost);
    assert_ne!(losses(plain, 8, 1500), lost);
}

#[test]
fn late_packets_are_overtaken_and_all_arrive() {
    let config = PathConfig {
        reorder: 200_000,
        reordering: Reordering::LateBy(10 * MILLISECOND),
        ..PathConfig::clean(MILLISECOND)
    };
    let mut path = Path::new(config, 3);
    for n in 0..200u8 {
        let _ = path.offer(u64::from(n) * MILLISECOND, vec![n]);
    }
    let arrived = arrivals(&mut path);
    let reordered = path.counts().reordered;
    assert!((20..60).contains(&reordered), "{reordered}");
    let late: Vec<_> = arrived
        .iter()
        .filter(|(due, n)| *due != u64::from(*n) * MILLISECOND + MILLISECOND)
        .collect();
    assert_eq!(late.len() as u64, reordered);
    assert!(late.iter().all(|(due, n)| *due < (u64::from(*n) + 11) * MILLISECOND));
    let mut numbers: Vec<u8> = arrived.iter().map(|(_, n)| *n).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<u8>>());
}

#[test]
fn packets_behind_others_move_by_no_more_than_asked() {
    let config = PathConfig {
        reorder: 100_000,
        reordering: Reordering::Behind(3, 50 * MILLISECOND),
        ..PathConfig::clean(MILLISECOND)
    };
    let mut path = Path::new(config, 5);
    for n in 0..200u8 {
        let _ = path.offer(u64::from(n) * MILLISECOND, vec![n]);
    }
    let order: Vec<u8> = arrivals(&mut path).iter().map(|(_, n)| *n).collect();
    let moved = order.iter().enumerate().map(|(at, n)| at as i64 - i64::from(*n));
    let furthest = moved.max().unwrap();
    // Others that wait too are passed as well, so a few more than three.
    assert!((1..=6).contains(&furthest), "{furthest}");
    assert_eq!(order.len(), 200);
}

#[test]
fn a_packet_behind_others_that_do_not_come_arrives_in_time() {
    let config = PathConfig {
        reorder: 1_000_000,
        reordering: Reordering::Behind(3, 5 * MILLISECOND),
        ..PathConfig::clean(MILLISECOND)
    };
    let mut path = Path::new(config, 5);
    let _ = path.offer(0, vec![9]);
    assert_eq!(path.poll(MILLISECOND), None);
    assert_eq!(path.next_arrival(), Some(6 * MILLISECOND));
    assert_eq!(path.poll(6 * MILLISECOND), Some((6 * MILLISECOND, vec![9])));
    assert_eq!(path.next_arrival(), None);
}

#[test]
fn an_early_packet_overtakes_the_delay() {
    let config = PathConfig {
        reorder: 1_000_000,
        reordering: Reordering::Early,
        ..PathConfig::clean(MILLISECOND)
    };
    let mut path = Path::new(config, 5);
    let _ = path.offer(7, vec![9]);
    assert_eq!(path.poll(7), Some((7, vec![9])));
}

#[test]
fn a_small_mtu_is_told_of_unless_icmp_is_dropped() {
    let mut config = PathConfig { mtu: 1280, ..PathConfig::clean(0) };
    let mut path = Path::new(config, 1);
    assert_eq!(path.offer(0, vec![0x45; 1281]), Offered::TooBig);
    assert_eq!(path.offer(0, vec![0x45; 1280]), Offered::Taken);
    config.drop_icmp = true;
    let mut path = Path::new(config, 1);
    assert_eq!(path.offer(0, vec![0x45; 1281]), Offered::Lost);
    let mut icmp = vec![0x45; 28];
    icmp[9] = 1;
    assert_eq!(path.offer(0, icmp), Offered::Lost);
    assert_eq!((path.counts().too_big, path.counts().icmp_dropped), (1, 1));
}

#[test]
fn only_capable_packets_are_marked_when_the_queue_is_long() {
    let config = PathConfig {
        rate: Rate::from_bits_per_second(120_000_000),
        mark_beyond_packets: 2,
        ..PathConfig::clean(0)
    };
    let mut path = Path::new(config, 1);
    for ecn in [2, 2, 2, 2, 0] {
        let mut packet = vec![0; MTU_PACKET];
        (packet[0], packet[1]) = (0x45, ecn);
        let _ = path.offer(0, packet);
    }
    let fields: Vec<u8> =
        std::iter::from_fn(|| path.poll(MILLISECOND)).map(|(_, packet)| packet[1]).collect();
    assert_eq!(fields, [2, 2, 3, 3, 0]);
}
