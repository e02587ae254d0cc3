//! Any steps on a chain, against a `Vec<u8>` that takes the same ones.
use super::cut::slice_behind;
use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    PushBack(usize),
    PushFront(usize),
    PopFront,
    PopBack,
    Advance(usize),
    Truncate(usize),
    Slice(usize, usize),
    CopyTo(usize, usize),
    ExtendBack(usize),
    SplitTo(usize),
    AppendClone(usize),
    CompactFront,
    CompactBack,
    TakeTo(usize),
    Behind(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..3000usize;
    prop_oneof![
        4 => n.clone().prop_map(Step::PushBack),
        1 => n.clone().prop_map(Step::PushFront),
        1 => Just(Step::PopFront),
        1 => Just(Step::PopBack),
        1 => n.clone().prop_map(Step::Advance),
        1 => n.clone().prop_map(Step::Truncate),
        3 => (0..20_000usize, n.clone()).prop_map(|(at, len)| Step::Slice(at, len)),
        1 => (0..20_000usize, n.clone()).prop_map(|(at, len)| Step::CopyTo(at, len)),
        1 => n.clone().prop_map(Step::ExtendBack),
        1 => n.clone().prop_map(Step::SplitTo),
        1 => n.clone().prop_map(Step::TakeTo),
        3 => (0..9usize, n).prop_map(|(which, len)| Step::Behind(which, len)),
        1 => (0..500usize).prop_map(Step::AppendClone),
        1 => Just(Step::CompactFront),
        1 => Just(Step::CompactBack),
    ]
}

fn range(model: &[u8], at: usize, len: usize) -> &[u8] {
    let from = at.min(model.len());
    &model[from..model.len().min(from + len)]
}

/// One step on both; what the chain answers is checked against the model.
fn apply(step: Step, seed: u8, pool: &FramePool, chain: &mut Chain, model: &mut Vec<u8>) {
    match step {
        Step::PushBack(n) => {
            let octets = pattern(seed, n);
            let headroom = usize::from(seed % 3) * 20;
            chain.push_back(pool.copy_of(&octets, headroom).unwrap());
            model.extend(octets);
        }
        Step::PushFront(n) => {
            let octets = pattern(seed, n);
            chain.push_front_slice(slice_of(pool, &octets));
            model.splice(..0, octets);
        }
        Step::PopFront => {
            let front = chain.pop_front().map_or_else(Vec::new, |slice| slice.to_vec());
            assert_eq!(model.drain(..front.len()).collect::<Vec<_>>(), front);
        }
        Step::PopBack => {
            let back = chain.pop_back().map_or_else(Vec::new, |slice| slice.to_vec());
            assert_eq!(model.split_off(model.len() - back.len()), back);
        }
        Step::Advance(n) => {
            chain.advance(n);
            model.drain(..n.min(model.len()));
        }
        Step::Truncate(n) => {
            let keep = model.len().saturating_sub(n);
            chain.truncate(keep);
            model.truncate(keep);
        }
        Step::Slice(at, len) => assert_eq!(chain.slice(at, len).to_vec(), range(model, at, len)),
        Step::CopyTo(at, len) => {
            let mut out = vec![0; len];
            let count = chain.copy_to(at, &mut out);
            assert_eq!(&out[..count], range(model, at, len));
        }
        Step::ExtendBack(n) => {
            let octets = pattern(seed, n);
            let count = chain.extend_back(&octets);
            model.extend_from_slice(&octets[..count]);
        }
        Step::SplitTo(n) => {
            let front = chain.split_to(n);
            let rest = model.split_off(n.min(model.len()));
            assert_eq!(front.to_vec(), core::mem::replace(model, rest));
        }
        Step::AppendClone(n) => {
            let part = chain.slice(n, n);
            model.extend_from_within(n.min(model.len())..(2 * n).min(model.len()));
            chain.append(part.clone());
        }
        Step::CompactFront => {
            chain.front_mut().map(|mut front| front.compact(pool, 0));
        }
        Step::TakeTo(n) => {
            let mut out = vec![0; n];
            let left = chain.charge() - chain.charge_of_first(n);
            let count = chain.take_to(&mut out);
            assert_eq!(chain.charge(), left);
            assert_eq!(model.drain(..n.min(model.len())).collect::<Vec<_>>(), &out[..count]);
        }
        Step::Behind(which, len) => {
            let offset = chain.slices().take(which).map(|slice| slice.len()).sum();
            let whole = chain.get(which).map_or(0, |slice| slice.len());
            let packet = slice_behind(chain, 20, offset, len, |front, _| front.fill(seed));
            if let Some(packet) = packet {
                assert!(len <= whole);
                assert_eq!(&packet[..20], [seed; 20]);
                assert_eq!(&packet[20..], range(model, offset, len));
            }
        }
        Step::CompactBack => {
            chain.back_mut().map(|mut back| back.compact(pool, 0));
        }
    }
}

proptest! {
    #[test]
    fn a_chain_does_what_a_vector_does(steps in prop::collection::vec(step(), 1..80)) {
        let pool = pool(40);
        let (mut chain, mut model) = (Chain::new(), Vec::new());
        for (seed, step) in steps.into_iter().enumerate() {
            apply(step, seed as u8, &pool, &mut chain, &mut model);
            prop_assert_eq!(chain.len(), model.len());
            prop_assert_eq!(chain.to_vec(), &model[..]);
            prop_assert_eq!(chain.slices().len(), chain.slice_count());
            prop_assert_eq!(chain.charge(), charge_of(&chain));
            prop_assert!(chain.slices().all(|slice| !slice.is_empty()));
        }
        drop(chain);
        assert_all_home(&pool);
    }
}
