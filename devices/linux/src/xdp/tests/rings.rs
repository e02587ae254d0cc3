//! The arithmetic of rings, with the kernel's side played here.
use crate::xdp::ring::{Consumer, Descriptor, Entry, Memory, Producer};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// A ring as the kernel sees it.
#[derive(Clone)]
struct Shared(Rc<(AtomicU32, AtomicU32, AtomicU32, Vec<AtomicU64>)>);

impl Shared {
    /// With both indexes at `start`.
    fn new(words: usize, start: u32) -> Shared {
        let words = (0..words).map(|_| AtomicU64::new(u64::MAX)).collect();
        Shared(Rc::new((AtomicU32::new(start), AtomicU32::new(start), AtomicU32::new(0), words)))
    }
}

impl Memory for Shared {
    fn producer(&self) -> &AtomicU32 {
        &self.0.0
    }
    fn consumer(&self) -> &AtomicU32 {
        &self.0.1
    }
    fn flags(&self) -> &AtomicU32 {
        &self.0.2
    }
    fn words(&self) -> &[AtomicU64] {
        &self.0.3
    }
}

/// Where indexes may start: also just before they wrap.
const STARTS: [u32; 4] = [0, 5, u32::MAX - 2, u32::MAX];

#[test]
fn a_producer_fills_its_ring_and_no_more() {
    for start in STARTS {
        let kernel = Shared::new(4, start);
        let mut ring = Producer::new::<u64>(kernel.clone());
        assert!(ring.has_room(4) && !ring.has_room(5));
        for value in 0..4 {
            assert!(ring.has_room(1));
            ring.push::<u64>(value);
        }
        assert!(!ring.has_room(1));
        assert_eq!(kernel.producer().load(SeqCst), start, "nothing is shown yet");
        ring.publish();
        assert_eq!(kernel.producer().load(SeqCst), start.wrapping_add(4));
        let written: Vec<_> = (0..4_u32)
            .map(|at| kernel.words()[(start.wrapping_add(at) & 3) as usize].load(SeqCst))
            .collect();
        assert_eq!(written, [0, 1, 2, 3]);
        assert_eq!(ring.waiting(), 4);
        // The kernel reads three.
        kernel.consumer().store(start.wrapping_add(3), SeqCst);
        assert!(ring.has_room(3) && !ring.has_room(4));
        assert_eq!(ring.waiting(), 1);
        ring.push::<u64>(9);
        assert_eq!(kernel.words()[(start & 3) as usize].load(SeqCst), 9, "the first place again");
    }
}

#[test]
fn a_producer_believes_the_kernel_only_as_far_as_it_must() {
    let kernel = Shared::new(4, 0);
    let mut ring = Producer::new::<u64>(kernel.clone());
    (0..4).for_each(|value| ring.push::<u64>(value));
    // More read than written would be nonsense: there is no room then.
    kernel.consumer().store(u32::MAX - 7, SeqCst);
    assert!(!ring.has_room(1));
}

#[test]
fn a_consumer_reads_what_was_shown_and_gives_places_back_at_once() {
    for start in STARTS {
        let kernel = Shared::new(8, start);
        let mut ring = Consumer::new::<Descriptor>(kernel.clone());
        assert_eq!(ring.pop::<Descriptor>(), None);
        assert!(!ring.has_entries());
        let values: Vec<_> = (0..3_u32)
            .map(|n| Descriptor { address: u64::from(n) << 48 | 7, octets: n + 60, more: n == 1 })
            .collect();
        for (value, at) in values.iter().zip(0_u32..) {
            let place = (start.wrapping_add(at) & 3) as usize * 2;
            value.write(&kernel.words()[place..place + 2]);
        }
        kernel.producer().store(start.wrapping_add(2), SeqCst);
        assert!(ring.has_entries());
        assert_eq!(ring.pop::<Descriptor>(), Some(values[0]));
        assert!(ring.has_entries());
        assert_eq!(ring.pop::<Descriptor>(), Some(values[1]));
        assert!(!ring.has_entries());
        assert_eq!(ring.pop::<Descriptor>(), None, "the third is not shown yet");
        assert_eq!(kernel.consumer().load(SeqCst), start, "places are ours until released");
        ring.release();
        assert_eq!(kernel.consumer().load(SeqCst), start.wrapping_add(2));
        kernel.producer().store(start.wrapping_add(3), SeqCst);
        assert_eq!(ring.pop::<Descriptor>(), Some(values[2]));
        // More than a ring full is nonsense.
        kernel.producer().store(start.wrapping_add(3 + 5), SeqCst);
        assert_eq!(ring.pop::<Descriptor>(), None);
    }
}

#[test]
fn descriptors_have_the_kernels_layout() {
    let words = [AtomicU64::new(0), AtomicU64::new(0)];
    Descriptor { address: 0x1122, octets: 0x0304, more: true }.write(&words);
    let octets: Vec<u8> = words.iter().flat_map(|word| word.load(SeqCst).to_ne_bytes()).collect();
    assert_eq!(octets[..8], 0x1122_u64.to_ne_bytes());
    assert_eq!(octets[8..12], 0x0304_u32.to_ne_bytes());
    assert_eq!(octets[12..], libc::XDP_PKT_CONTD.to_ne_bytes());
}

#[test]
fn the_kernel_says_when_it_sleeps() {
    let kernel = Shared::new(4, 0);
    let ring = Producer::new::<u64>(kernel.clone());
    assert!(!ring.needs_wakeup());
    kernel.flags().store(libc::XDP_RING_NEED_WAKEUP, SeqCst);
    assert!(ring.needs_wakeup());
}
