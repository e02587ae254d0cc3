//! Flows of either width come out as they went in.

use super::*;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use proptest::prelude::*;

fn flow(remote: [u8; 16], local: u16, ports: (u16, u16)) -> FlowKey {
    FlowKey {
        remote: RemoteAddr(remote),
        local: LocalIndex(local),
        remote_port: ports.0,
        local_port: ports.1,
    }
}

fn mapped(near: [u8; 4]) -> [u8; 16] {
    let mut octets = [0; 16];
    octets[10..12].fill(0xFF);
    octets[12..].copy_from_slice(&near);
    octets
}

fn body() -> Body {
    Body::Ended(CloseReason::Aborted, None)
}

#[test]
fn a_record_is_as_small_as_promised_with_the_largest_body() {
    assert_eq!(size_of::<Anchor>() - size_of::<Body>(), 28);
    assert!(size_of::<Body>() <= 56, "{}", size_of::<Body>());
    assert!(size_of::<Handshake>() <= 48, "{}", size_of::<Handshake>());
    assert_eq!(size_of::<Option<Anchor>>(), size_of::<Anchor>(), "a free slot takes no more");
}

#[test]
fn addresses_that_share_their_last_octets_are_told_apart() {
    let mut anchors = Anchors::new(8);
    let v4 = flow(mapped([1, 2, 3, 4]), 0, (5, 6));
    let mut remote = v4.remote.0;
    remote[0] = 0x20;
    let v6 = flow(remote, 0, (5, 6));
    let (one, other) = (
        anchors.add(&v4, Owner::Nobody, body()).unwrap(),
        anchors.add(&v6, Owner::Nobody, body()).unwrap(),
    );
    assert_eq!((anchors.flow(one), anchors.flow(other)), (Some(v4), Some(v6)));
    assert_eq!(anchors.id_of(one.slot, &v4), Some(one));
    assert_eq!(anchors.id_of(one.slot, &v6), None);
    assert_eq!(anchors.id_of(other.slot, &v4), None);
    assert_eq!(anchors.id_of(other.slot, &v6), Some(other));
}

#[test]
fn owners_come_out_as_they_went_in() {
    let mut anchors = Anchors::new(1);
    let id = anchors.add(&FlowKey::default(), Owner::Nobody, body()).unwrap();
    for owner in [
        Owner::Listener(ListenerId(u32::MAX)),
        Owner::Gate(ListenerId(3)),
        Owner::Application(7),
        Owner::Nobody,
    ] {
        anchors.get_mut(id).unwrap().set_owner(owner);
        assert_eq!(anchors.get(id).unwrap().owner(), owner);
        assert_eq!(anchors.get(id).unwrap().is_held(), owner != Owner::Nobody);
    }
}

proptest! {
    #[test]
    fn flows_of_both_widths_agree_with_a_map(
        steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0u8..8, 0u16..4), 1..200),
    ) {
        let mut anchors = Anchors::new(64);
        let mut model = BTreeMap::new();
        for (add, wide, near, port) in steps {
            let mut remote = mapped([10, 0, 0, near]);
            remote[3] = u8::from(wide);
            let wanted = flow(remote, port % 2, (port, 80));
            if add {
                if let Some(id) = anchors.add(&wanted, Owner::Nobody, body()) {
                    model.insert(id, wanted);
                }
            } else if let Some(id) = model.keys().nth(usize::from(near)).copied() {
                model.remove(&id);
                prop_assert!(anchors.discard(id.slot));
                prop_assert_eq!(anchors.flow(id), None);
            }
            for (id, flow) in &model {
                prop_assert_eq!(anchors.flow(*id), Some(*flow));
            }
        }
        let all = anchors.iter().map(|(id, _)| id).collect::<Vec<_>>();
        prop_assert_eq!(all, model.keys().copied().collect::<Vec<_>>());
    }
}
