//! Which frames are in the kernel's hands.
use crate::xdp::umem::{CHUNK_OCTETS, KERNEL_HEADROOM_OCTETS, Layout, Line, Stock, split_address};
use usertcp_device::Packet;
use usertcp_frame::{FramePool, PoolConfig};

fn pool() -> FramePool {
    FramePool::new(&PoolConfig { octets: 1 << 20, reserve_small: 0 })
}

#[test]
fn the_stock_gives_back_what_it_was_given_and_nothing_else() {
    let pool = pool();
    let layout = Layout::new(false, true);
    let mut stock = Stock::new(&pool);
    let mut addresses = Vec::new();
    while let Some(frame) = layout.fresh(&pool) {
        assert_eq!(frame.headroom(), KERNEL_HEADROOM_OCTETS as usize);
        addresses.push(stock.put(frame).unwrap());
    }
    let count = addresses.len();
    assert_eq!((stock.count() as usize, pool.stats().full_out as usize), (count, count));
    let region = pool.region().len() as u64;
    for address in &addresses {
        assert!(address + u64::from(CHUNK_OCTETS) <= region, "the kernel checks it too");
        for wrong in [address + 1, address - 1, address + 1056] {
            assert!(stock.take(wrong).is_none());
        }
    }
    for wrong in [0, region, region + 32, u64::MAX] {
        assert!(stock.take(wrong).is_none());
    }
    let frame = stock.take(addresses[5]).unwrap();
    assert_eq!(frame.region_offset() as u64, addresses[5]);
    assert!(stock.take(addresses[5]).is_none(), "once");
    assert_eq!(stock.count() as usize, count - 1);
    drop((frame, stock));
    assert_eq!(pool.stats().used_octets, 0);
}

#[test]
fn addresses_that_come_back_tell_where_the_data_starts() {
    assert_eq!(split_address(0x0100_0000_0001_2345), (0x1_2345, 256));
    assert_eq!(split_address(7), (7, 0));
}

#[test]
fn a_line_keeps_slices_until_they_complete_in_whatever_order() {
    let pool = pool();
    let mut line = Line::new(8);
    let slice = || pool.copy_of(b"abcdef", 0).unwrap();
    let repeated = slice();
    let addresses: Vec<_> = [slice(), repeated.clone(), slice(), repeated.slice(2..), repeated]
        .into_iter()
        .map(|slice| line.push(slice))
        .collect();
    assert_eq!(addresses[1], addresses[4], "under way twice");
    assert_eq!(addresses[3], addresses[1] + 2);
    assert_eq!((line.len(), pool.stats().small_out), (5, 3));
    assert!(!line.complete(addresses[0] + 1), "nobody's");
    assert!(line.complete(addresses[2]));
    assert_eq!((line.len(), pool.stats().small_out), (5, 2), "home, but its place is not free");
    assert!(line.complete(addresses[0]));
    assert_eq!((line.len(), pool.stats().small_out), (4, 1));
    assert!(line.complete(addresses[4]) && line.complete(addresses[3]));
    assert_eq!((line.len(), pool.stats().small_out), (1, 1), "the second time is under way yet");
    assert!(line.complete(addresses[1]));
    assert_eq!((line.len(), pool.stats().small_out), (0, 0));
    assert!(!line.complete(addresses[1]));
}

#[test]
fn what_a_device_may_still_touch_is_never_used_again() {
    let pool = pool();
    let (mut stock, mut line) = (Stock::new(&pool), Line::new(4));
    stock.put(Layout::new(true, true).fresh(&pool).unwrap()).unwrap();
    line.push(pool.copy_of(b"abc", 0).unwrap());
    stock.abandon();
    line.abandon();
    drop((stock, line));
    assert_eq!((pool.stats().full_out, pool.stats().small_out), (1, 1));
}

#[test]
fn parts_are_as_long_as_a_buffer_and_for_devices_within_a_page() {
    let copied = Layout::new(false, true);
    assert_eq!(copied.part_octets(4000, 1448), 1448);
    assert_eq!(copied.part_octets(0, 9000), 2080);
    assert_eq!((copied.parts(7, 9000), copied.parts(7, 0)), (5, 0));
    let device = Layout::new(true, true);
    assert_eq!(device.part_octets(4000, 1448), 96);
    assert_eq!((device.parts(4000, 1448), device.parts(4096, 1448)), (2, 1));
    assert_eq!(device.part_octets(4096, 9000), 2080);
    assert_eq!(Layout::new(true, false).most_parts(), 1);
    assert!(device.most_parts() < copied.most_parts());
}

#[test]
fn devices_are_given_frames_that_cross_no_page() {
    let pool = pool();
    let layout = Layout::new(true, true);
    let mut frames = Vec::new();
    // Those that do cross one lie in front after a while, and only so many are looked at.
    while let Some(frame) = layout.fresh(&pool) {
        assert!(frame.region_offset() % 4096 + CHUNK_OCTETS as usize <= 4096);
        frames.push(frame);
    }
    assert!((16..=32).contains(&frames.len()), "{}", frames.len());
    assert_eq!(pool.stats().full_out as usize, frames.len(), "those looked at in vain are home");
    assert!(!layout.is_fit(&Layout::any(&pool).unwrap()));
    assert!(Layout::new(false, true).fresh(&pool).is_some(), "the kernel's copying takes any");
}

#[test]
fn packets_are_gathered_in_as_few_parts_as_can_be() {
    let pool = pool();
    let octets: Vec<u8> = (0..3000_u32).map(|at| at as u8).collect();
    let mut packet = Packet::default();
    octets.chunks(10).for_each(|part| packet.octets.push_back(pool.copy_of(part, 0).unwrap()));
    let copy = Layout::new(false, true).gather(&pool, &packet).unwrap();
    assert_eq!((copy.slice_count(), copy.to_vec()), (2, octets));
    assert!(Layout::new(false, false).gather(&pool, &packet).is_none(), "one part is too short");
    packet.octets.truncate(1514);
    let copy = Layout::new(true, false).gather(&pool, &packet).unwrap();
    assert_eq!(copy.slice_count(), 1);
}
