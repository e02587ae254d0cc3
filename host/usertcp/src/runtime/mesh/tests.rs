use super::*;
use crate::runtime::wait::Waiter;
use std::time::Duration;
use usertcp_frame::PoolConfig;

fn pool() -> FramePool {
    FramePool::new(&PoolConfig { octets: 2 << 20, reserve_small: 264 })
}

fn bells(count: usize) -> Vec<Arc<Doorbell>> {
    (0..count).map(|_| Arc::new(Doorbell::new().unwrap())).collect()
}

/// A packet that says its number, in one slice or several.
fn packet(pool: &FramePool, number: u32) -> Option<Packet> {
    let mut chain = Chain::new();
    let slices = if number.is_multiple_of(7) { 1 + number % 5 } else { 1 };
    for _ in 0..slices {
        let octets = number.to_be_bytes().repeat(1 + number as usize % 300);
        chain.push_back(pool.copy_of(&octets, 0)?);
    }
    Some(Packet::plain(chain))
}

fn number(packet: &Packet) -> u32 {
    let octets = packet.octets.to_vec();
    let number = u32::from_be_bytes(octets[..4].try_into().unwrap());
    assert!(octets.chunks(4).all(|word| word == number.to_be_bytes()));
    let slices = if number.is_multiple_of(7) { 1 + number % 5 } else { 1 };
    assert_eq!(octets.len(), slices as usize * 4 * (1 + number as usize % 300));
    number
}

/// Sends `count` packets, some a while after the others, so that the reader sleeps in between. How
/// many found room.
fn write(mut way: Way, count: u32) -> u32 {
    let pool = pool();
    let mut sent = 0;
    for n in 0..count {
        pool.reclaim();
        sent += u32::from(packet(&pool, n).is_some_and(|packet| way.send(packet)));
        if n % 64 == 63 {
            way.tell();
        }
        if n % 20_000 == 19_999 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    // The last one must arrive, however long that takes.
    loop {
        // As after every turn: who is not told of a full ring does not empty it.
        way.tell();
        pool.reclaim();
        if packet(&pool, u32::MAX - 1).is_some_and(|packet| way.send(packet)) {
            break;
        }
        // The ring is full: of what it was not told of before, its reader may be asleep.
        way.tell();
        std::thread::yield_now();
    }
    way.tell();
    while pool.stats().lent > 0 {
        pool.reclaim();
        std::thread::yield_now();
    }
    let stats = pool.stats();
    assert_eq!((stats.used_octets, stats.lent), (0, 0), "{stats:?}");
    sent
}

/// Reads, asleep whenever there is nothing, until the last one came from each ring. How many.
fn read(rings: &mut [Consumer<Parcel>], bell: &Doorbell) -> u32 {
    let pool = pool();
    let mut waiter = Waiter::new(None);
    let mut last = vec![None; rings.len()];
    let mut received = 0;
    loop {
        bell.take_rung();
        for (ring, last) in rings.iter_mut().zip(&mut last) {
            while let Ok(parcel) = ring.pop() {
                let number = number(&parcel.unpack(&pool).unwrap());
                assert!(last.is_none_or(|last| last < number), "in order");
                *last = Some(number);
                received += 1;
            }
        }
        if last.iter().all(|last| *last == Some(u32::MAX - 1)) {
            return received - rings.len() as u32;
        }
        // For ever, if a ring were lost: the test would not end.
        if bell.lie_down() {
            let woken = waiter.sleep(bell, None);
            bell.get_up(woken.doorbell);
        }
    }
}

#[test]
fn packets_cross_in_order_and_no_ring_is_lost() {
    const COUNT: u32 = 40_000;
    // Short rings fill up; long ones let the reader sleep.
    for ring_packets in [2, 64, 1024] {
        let bells = bells(3);
        let mut ports = mesh_of(&bells, ring_packets);
        let writers: Vec<_> = ports
            .drain(1..)
            .map(|mut port| {
                let way = port.outward.remove(0).unwrap();
                std::thread::spawn(move || write(way, COUNT))
            })
            .collect();
        let received = read(&mut ports[0].inward, &bells[0]);
        let sent: u32 = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        assert_eq!(sent, received);
        println!("rings of {ring_packets}: {sent} of {} packets found room", 2 * COUNT);
    }
}

#[test]
fn a_mesh_has_a_way_for_each_pair() {
    let ports = mesh(&bells(4));
    for (index, port) in ports.iter().enumerate() {
        assert_eq!(port.inward.len(), 3);
        let to: Vec<_> = port.outward.iter().map(Option::is_some).collect();
        assert_eq!(to, (0..4).map(|other| other != index).collect::<Vec<_>>());
    }
}

#[test]
fn what_is_in_a_ring_goes_home_when_its_reader_is_gone() {
    let mut ports = mesh(&bells(2));
    let pool = pool();
    let mut way = ports[0].outward[1].take().unwrap();
    for n in 0..10 {
        assert!(way.send(packet(&pool, n).unwrap()));
    }
    assert!(pool.stats().lent > 10);
    drop(ports);
    drop(way);
    pool.reclaim();
    assert_eq!((pool.stats().lent, pool.stats().used_octets), (0, 0));
}
