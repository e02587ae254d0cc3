//! Tests of the pipe and the wrappers.
extern crate std;

mod batch;

use crate::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::vec::Vec;
use usertcp_base::{Instant, Prng};
use usertcp_frame::{Chain, FramePool, PoolConfig};

const FACTS: DeviceFacts = DeviceFacts::offloading(Medium::Ip, 1500);

fn pool() -> FramePool {
    FramePool::new(&PoolConfig { octets: 4 << 20, reserve_small: 16 })
}

/// A packet of a few octets that say its number.
fn packet(pool: &FramePool, number: u32) -> Packet {
    Packet::plain(pool.copy_of(&number.to_be_bytes().repeat(5), 0).expect("room").into())
}

fn number(packet: &Packet) -> u32 {
    let mut octets = [0; 4];
    packet.octets.copy_to(0, &mut octets);
    u32::from_be_bytes(octets)
}

fn batch(packets: impl IntoIterator<Item = Packet>) -> TxBatch {
    let mut batch = TxBatch::new(64);
    packets.into_iter().for_each(|packet| batch.push(packet).expect("room"));
    batch
}

fn received(queue: &mut impl Queue, pool: &FramePool) -> Vec<Packet> {
    let mut into = RxBatch::new(64);
    queue.receive(pool, &mut into);
    core::iter::from_fn(|| into.pop()).collect()
}

#[test]
fn a_batch_is_bounded_and_in_order() {
    let pool = pool();
    let mut batch = RxBatch::new(2);
    assert!(batch.push(packet(&pool, 1)).is_ok() && batch.push(packet(&pool, 2)).is_ok());
    assert_eq!(number(&batch.push(packet(&pool, 3)).unwrap_err()), 3);
    assert_eq!((batch.len(), batch.room(), batch.is_full()), (2, 0, true));
    assert_eq!(batch.front().map(number), Some(1));
    assert_eq!(batch.iter().map(number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!([batch.pop(), batch.pop()].map(|packet| number(&packet.unwrap())), [1, 2]);
    assert!(batch.is_empty() && batch.pop().is_none());
}

#[test]
fn a_pipe_hands_over_without_copying_and_is_bounded() {
    let pool = pool();
    let (mut near, mut far) = pipe(FACTS, 3);
    let mut from = batch((0..5).map(|n| packet(&pool, n)));
    let first = from.front().and_then(|packet| packet.octets.front()).unwrap().as_ptr();
    let copied = pool.stats().octets_copied;
    assert_eq!((near.transmit(&mut from), from.len(), far.waiting()), (3, 2, 3));
    assert_eq!(near.transmit(&mut from), 0);
    let mut into = RxBatch::new(2);
    assert_eq!((far.receive(&pool, &mut into), far.receive(&pool, &mut into)), (2, 0));
    assert_eq!(into.front().and_then(|packet| packet.octets.front()).unwrap().as_ptr(), first);
    assert_eq!((near.transmit(&mut from), near.waiting()), (2, 0));
    assert_eq!(received(&mut far, &pool).iter().map(number).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(far.transmit(&mut batch([packet(&pool, 9)])), 1);
    assert_eq!(number(&received(&mut near, &pool)[0]), 9);
    assert_eq!(pool.stats().octets_copied - copied, 3 * 4 + 20 + 4, "only this test copies");
}

#[test]
fn what_a_pipe_carries_was_never_on_a_wire() {
    let pool = pool();
    let (mut near, mut far) = pipe(FACTS, 3);
    let mut super_packet = packet(&pool, 1);
    super_packet.offload.checksum = ChecksumState::Partial { start: 0, offset: 0 };
    super_packet.offload.gso = Some(Gso { kind: GsoKind::Tcp6, segment_octets: 4 });
    near.transmit(&mut batch([super_packet.clone(), packet(&pool, 2)]));
    let got = received(&mut far, &pool);
    assert_eq!(got[0].offload.checksum, ChecksumState::Verified);
    assert_eq!(got[0].offload.gso, super_packet.offload.gso);
    assert_eq!(got[1].offload.checksum, ChecksumState::Unverified);
}

/// What arrives of `count` packets sent through `faults`, one by one, and what was done.
fn through(faults: Faults, seed: u64, count: u32) -> (Vec<u32>, FaultStats) {
    let pool = pool();
    let (near, mut far) = pipe(FACTS, 64);
    let config = FaultConfig { transmit: faults, ..FaultConfig::default() };
    let mut near = Fault::new(near, &pool, config, Prng::from_seed(seed));
    let mut arrived = Vec::new();
    for n in 0..count {
        assert_eq!(near.transmit(&mut batch([packet(&pool, n)])), 1);
        arrived.extend(received(&mut far, &pool).iter().map(number));
    }
    (0..PATIENCE_CALLS).for_each(|_| drop(received(&mut near, &pool)));
    arrived.extend(received(&mut far, &pool).iter().map(number));
    (arrived, near.stats())
}

#[test]
fn without_faults_everything_passes() {
    let (arrived, stats) = through(Faults::default(), 1, 100);
    assert!(arrived.into_iter().eq(0..100));
    assert_eq!(stats, FaultStats::default());
}

#[test]
fn losses_doubles_and_swaps_are_what_was_counted() {
    let lossy = Faults { loss_per_million: 200_000, ..Faults::default() };
    let (arrived, stats) = through(lossy, 2, 1000);
    assert!((100..300).contains(&stats.lost));
    assert_eq!(arrived.len() as u64 + stats.lost, 1000);

    let doubling = Faults { duplicate_per_million: 200_000, ..Faults::default() };
    let (arrived, stats) = through(doubling, 3, 1000);
    assert_eq!(arrived.len() as u64, 1000 + stats.duplicated);

    let swapping = Faults { reorder_per_million: 200_000, ..Faults::default() };
    let (mut arrived, stats) = through(swapping, 4, 1000);
    let late = arrived.windows(2).filter(|pair| pair[0] > pair[1]).count() as u64;
    assert!(stats.reordered > 50 && stats.reordered - late <= 1);
    arrived.sort_unstable();
    assert!(arrived.into_iter().eq(0..1000), "late is not lost");
    assert_eq!(through(swapping, 4, 1000).1, stats, "the same seed, the same faults");
}

#[test]
fn damage_is_one_bit_of_a_copy_and_shows_in_the_checksum() {
    let pool = pool();
    let (mut near, far) = pipe(FACTS, 8);
    let receive = Faults { corrupt_per_million: 1_000_000, ..Faults::default() };
    let config = FaultConfig { receive, ..FaultConfig::default() };
    let mut far = Fault::new(far, &pool, config, Prng::from_seed(5));
    let mut sent = packet(&pool, 0x0102_0304);
    sent.octets.append(Chain::from(pool.copy_of(&[9; 3000], 0).unwrap()));
    near.transmit(&mut batch([sent.clone()]));
    let got = received(&mut far, &pool);
    let flipped =
        |a: &[u8], b: &[u8]| -> u32 { a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum() };
    assert_eq!(flipped(&got[0].octets.to_vec(), &sent.octets.to_vec()), 1);
    assert_eq!((got[0].len(), far.stats().corrupted), (sent.len(), 1));
    assert!(sent.octets.front().unwrap().iter().eq([1, 2, 3, 4].repeat(5).iter()));
}

#[test]
fn a_partial_checksum_is_completed_before_the_damage() {
    let pool = pool();
    let (near, mut far) = pipe(FACTS, 8);
    let transmit = Faults { corrupt_per_million: 1_000_000, ..Faults::default() };
    let config = FaultConfig { transmit, ..FaultConfig::default() };
    let mut near = Fault::new(near, &pool, config, Prng::from_seed(6));
    // 0x1234 stands for the pseudo header's sum, in the field at 4 + 2.
    let mut sent =
        Packet::plain(pool.copy_of(&[0xAA, 0xAA, 0, 0, 1, 2, 0x12, 0x34, 7], 0).unwrap().into());
    sent.offload.checksum = ChecksumState::Partial { start: 4, offset: 2 };
    near.transmit(&mut batch([sent]));
    let got = received(&mut far, &pool);
    assert_eq!(got[0].offload.checksum, ChecksumState::Unverified);
    let sum = !(0x0102u16 + 0x1234 + 0x0700);
    let whole = [0xAA, 0xAA, 0, 0, 1, 2, (sum >> 8) as u8, sum as u8, 7];
    let octets = got[0].octets.to_vec();
    assert_eq!(octets.iter().zip(whole).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>(), 1);
}

#[test]
fn a_full_queue_keeps_order_behind_faults() {
    let pool = pool();
    let (near, mut far) = pipe(FACTS, 2);
    let mut near = Fault::new(near, &pool, FaultConfig::default(), Prng::from_seed(7));
    let mut from = batch((0..6).map(|n| packet(&pool, n)));
    let mut arrived = Vec::new();
    while arrived.len() < 6 {
        near.transmit(&mut from);
        arrived.extend(received(&mut far, &pool).iter().map(number));
    }
    assert!(arrived.into_iter().eq(0..6));
}

/// A 32-bit word of a trace.
fn word(trace: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(trace[at..at + 4].try_into().unwrap())
}

#[test]
fn packets_are_written_down_both_ways() {
    let pool = pool();
    let trace = Rc::new(RefCell::new(Vec::new()));
    let (near, mut far) = pipe(FACTS, 2);
    let out = trace.clone();
    let mut near = Pcap::new(near, 18, move |octets: &[u8]| out.borrow_mut().extend(octets));
    assert_eq!(trace.borrow().len(), 28 + 20);
    near.set_now(Instant::from_micros(0x1_0000_0002));
    let mut from = batch((1..4).map(|n| packet(&pool, n)));
    assert_eq!((near.transmit(&mut from), from.len()), (2, 1));
    far.transmit(&mut batch([packet(&pool, 9)]));
    assert_eq!(received(&mut near, &pool).len(), 1);

    let trace = trace.borrow();
    let (mut at, mut blocks) = (0, Vec::new());
    while at < trace.len() {
        let total = word(&trace, at + 4) as usize;
        assert_eq!(word(&trace, at + total - 4) as usize, total, "the length stands at both ends");
        blocks.push((word(&trace, at), at));
        at += total;
    }
    assert_eq!(blocks.iter().map(|block| block.0).collect::<Vec<_>>(), [0x0A0D_0D0A, 1, 6, 6, 6]);
    assert_eq!(word(&trace, blocks[1].1 + 8), 101);
    let (_, first) = blocks[2];
    let fields: Vec<_> = (3..7).map(|index| word(&trace, first + 4 * index)).collect();
    assert_eq!(fields, [1, 2, 18, 20], "time, octets kept, octets in all");
    assert_eq!(
        &trace[first + 28..first + 48],
        [1u32.to_be_bytes().repeat(5)[..18].to_vec(), [0, 0].to_vec()].concat()
    );
    let ways: Vec<_> = blocks[2..].iter().map(|block| word(&trace, block.1 + 52)).collect();
    assert_eq!(ways, [2, 2, 1], "out, out, in; the one not taken is not written");
}

/// A queue that cares which memory it works with.
struct Choosy(Option<FramePool>);

impl Queue for Choosy {
    fn facts(&self) -> DeviceFacts {
        FACTS
    }
    fn bind(&mut self, pool: &FramePool) -> Result<(), BindError> {
        if self.0.is_some() {
            return Err(BindError::new(core::fmt::Error));
        }
        self.0 = Some(pool.clone());
        Ok(())
    }
    fn receive(&mut self, _pool: &FramePool, _into: &mut RxBatch) -> usize {
        0
    }
    fn transmit(&mut self, _from: &mut TxBatch) -> usize {
        0
    }
    fn wait_handle(&self) -> Option<WaitHandle> {
        None
    }
    fn has_waiting(&self) -> bool {
        self.0.is_some()
    }
}

#[test]
fn wrappers_pass_the_memory_on() {
    let pool = pool();
    let fault = Fault::new(Choosy(None), &pool, FaultConfig::default(), Prng::from_seed(1));
    let mut queue: std::boxed::Box<dyn Queue> =
        std::boxed::Box::new(Pcap::new(fault, 64, |_: &[u8]| {}));
    assert!(!queue.has_waiting());
    queue.bind(&pool).unwrap();
    assert!(queue.has_waiting());
    let again = queue.bind(&pool).expect_err("it has its memory");
    assert!(std::error::Error::source(&again).is_some());
    // A queue without wishes takes any memory.
    assert!(pipe(FACTS, 1).0.bind(&pool).is_ok());
}

/// Writes down what it is promised and asked.
struct Deferring<'a>(&'a RefCell<Vec<&'static str>>);

impl Queue for Deferring<'_> {
    fn facts(&self) -> DeviceFacts {
        FACTS
    }
    fn receive(&mut self, _pool: &FramePool, _into: &mut RxBatch) -> usize {
        0
    }
    fn transmit(&mut self, _from: &mut TxBatch) -> usize {
        0
    }
    fn wait_handle(&self) -> Option<WaitHandle> {
        None
    }
    fn defer_sends(&mut self) {
        self.0.borrow_mut().push("defer");
    }
    fn send_off(&mut self) {
        self.0.borrow_mut().push("send off");
    }
}

#[test]
fn a_capture_does_not_change_when_packets_leave() {
    let told = RefCell::default();
    let mut queue = std::boxed::Box::new(Pcap::new(Deferring(&told), 64, |_: &[u8]| {}));
    Queue::defer_sends(&mut queue);
    Queue::send_off(&mut queue);
    assert_eq!(told.take(), ["defer", "send off"]);
    // Others send what they take at once, and have nothing to do.
    let (mut near, _far) = pipe(FACTS, 1);
    near.defer_sends();
    near.send_off();
}

#[test]
fn a_batch_that_is_taken_from_takes_more_and_a_line_keeps_what_finds_no_room() {
    let pool = pool();
    let all = |batch: &RxBatch| batch.iter().map(number).collect::<Vec<_>>();
    let (mut line, mut into) = (Line::new(8), RxBatch::new(3));
    (0..5).for_each(|n| line.push(packet(&pool, n)).expect("room"));
    assert_eq!((into.take_from(&mut line), all(&into), line.len()), (3, std::vec![0, 1, 2], 2));
    assert_eq!(into.pop().map(|packet| number(&packet)), Some(0));
    assert_eq!((into.take_from(&mut line), all(&into), line.len()), (1, std::vec![1, 2, 3], 1));
    assert!(into.is_full());
    into.as_mut_slice()[1] = Packet::default();
    into.retain(|packet| !packet.is_empty());
    assert_eq!(all(&into), [1, 3]);
    into.clear();
    assert_eq!((into.take_from(&mut line), all(&into), line.len()), (1, std::vec![4], 0));
    // All at once, and then one behind another.
    let mut from = batch([packet(&pool, 5)]);
    assert_eq!((from.move_to(&mut line), from.len(), line.len()), (1, 0, 1));
    from.push(packet(&pool, 6)).expect("room");
    assert_eq!((from.move_to(&mut line), from.len()), (1, 0));
    assert_eq!(line.iter().map(number).collect::<Vec<_>>(), [5, 6]);
}
