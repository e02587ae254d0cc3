//! Bindings, shares and queues.

use super::*;
use alloc::vec::Vec;

fn listeners(embryos: u32, share: u32) -> Listeners<u8> {
    let limits =
        Limits { embryos_per_listener: embryos, embryo_source_share: share, ..Limits::default() };
    Listeners::new(Secrets::from_seed([1; 32]).unwrap(), &limits)
}

fn binding(local: Option<u16>, port: Option<u16>) -> Binding {
    Binding { local: local.map(LocalIndex), port }
}

fn source(number: u32) -> RemoteAddr {
    let mut octets = [0; 16];
    octets[10..12].fill(0xFF);
    octets[12..].copy_from_slice(&number.to_be_bytes());
    RemoteAddr(octets)
}

fn conn(slot: u32) -> ConnId {
    ConnId { slot, generation: 0 }
}

#[test]
fn the_most_specific_binding_wins() {
    let mut all = listeners(16, 16);
    assert_eq!(all.find(LocalIndex(1), 80), None);
    let any = all.bind(binding(None, None), 1, 0).unwrap();
    let host = all.bind(binding(Some(1), None), 1, 0).unwrap();
    let port = all.bind(binding(None, Some(80)), 1, 0).unwrap();
    let exact = all.bind(binding(Some(1), Some(80)), 1, 0).unwrap();
    assert_eq!(all.find(LocalIndex(1), 80), Some(exact));
    assert_eq!(all.find(LocalIndex(2), 80), Some(port));
    assert_eq!(all.find(LocalIndex(1), 81), Some(host));
    assert_eq!(all.find(LocalIndex(2), 81), Some(any));
    assert_eq!(all.unbind(exact).unwrap().count(), 0);
    assert_eq!(all.find(LocalIndex(1), 80), Some(port));
    assert!(all.uses_port(LocalIndex(9), 80));
    assert!(!all.uses_port(LocalIndex(1), 81));
}

/// MUST-41.
#[test]
fn a_second_listen_is_an_error() {
    let mut all = listeners(16, 16);
    let first = all.bind(binding(None, Some(80)), 5, 7).unwrap();
    assert_eq!(all.bind(binding(None, Some(80)), 5, 8), None);
    assert_eq!(all.get(first).unwrap().settings(), &7);
    assert_eq!(all.unbind(first).unwrap().count(), 0);
    assert!(all.unbind(first).is_none());
    let second = all.bind(binding(None, Some(80)), 5, 8).unwrap();
    assert_ne!(first, second);
    assert_eq!(all.len(), 1);
}

/// AT-39.
#[test]
fn a_source_gets_its_share_and_no_more() {
    let mut all = listeners(64, 16);
    let id = all.bind(binding(None, Some(80)), 5, 0).unwrap();
    for _ in 0..4 {
        all.add_embryo(id, &source(1)).unwrap();
    }
    assert_eq!(all.add_embryo(id, &source(1)), Err(EmbryoRefused::Source));
    let mut others = 0;
    for number in 2..1000 {
        others += u32::from(all.add_embryo(id, &source(number)).is_ok());
    }
    assert_eq!(others, 60);
    assert_eq!(all.add_embryo(id, &source(5000)), Err(EmbryoRefused::Listener));
    all.remove_embryo(id, &source(1));
    assert_eq!(all.get(id).unwrap().embryos(), 63);
    all.add_embryo(id, &source(1)).unwrap();
}

#[test]
fn accounting_returns_to_nothing() {
    let mut all = listeners(64, 16);
    let id = all.bind(binding(None, Some(80)), 5, 0).unwrap();
    let admitted = (0..40).filter(|n| all.add_embryo(id, &source(*n)).is_ok()).collect::<Vec<_>>();
    for number in admitted {
        all.remove_embryo(id, &source(number));
    }
    let listener = all.get(id).unwrap();
    assert_eq!(listener.embryos(), 0);
    assert!(listener.sources.as_ref().is_none_or(|all| all.iter().all(|count| *count == 0)));
}

#[test]
fn an_ipv6_host_is_one_source() {
    let address = |host: u8| {
        let mut octets = [0x20; 16];
        octets[15] = host;
        RemoteAddr(octets)
    };
    assert_eq!(source_group(&address(1)), source_group(&address(2)));
    assert_ne!(source_group(&source(1)), source_group(&source(2)));
}

/// AT-42.
#[test]
fn the_accept_queue_is_bounded() {
    let mut all = listeners(64, 16);
    let id = all.bind(binding(None, Some(80)), 3, 0).unwrap();
    let listener = all.get_mut(id).unwrap();
    for slot in 0..3 {
        assert!(listener.push(conn(slot), |_| true));
    }
    assert!(listener.is_full());
    assert!(!listener.push(conn(3), |_| true));
    assert_eq!(listener.accept(|_| true), Some(conn(0)));
    assert!(listener.push(conn(3), |_| true));
}

#[test]
fn what_ended_while_it_waited_makes_room() {
    let mut all = listeners(64, 16);
    let id = all.bind(binding(None, Some(80)), 2, 0).unwrap();
    let listener = all.get_mut(id).unwrap();
    for slot in 0..10_000 {
        assert!(listener.push(conn(slot), |id| id.slot >= slot));
        listener.forget();
    }
    assert!(listener.queue.len() <= 2 * SLACK);
    assert!(listener.push(conn(10_000), |id| id.slot >= 10_000));
    assert_eq!(listener.accept(|id| id.slot >= 10_000), Some(conn(10_000)));
    assert_eq!(listener.waiting(), 0);
}
