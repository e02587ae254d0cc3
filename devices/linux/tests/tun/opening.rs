//! Opening: what is set up, and what each failure is called.
use crate::common::*;
use usertcp_device::{Medium, Queue, RxBatch};
use usertcp_device_linux::OpenError;
use usertcp_device_linux::tun::{Tun, TunConfig, check_permission};
use usertcp_frame::{FramePool, PoolConfig};

#[test]
fn the_interface_is_set_up_as_told_and_vanishes_with_its_queue() {
    in_namespace(|| {
        let tun = Tun::open(&TunConfig {
            addresses: vec!["10.9.0.1/24".parse().unwrap(), "fd00:9::1/64".parse().unwrap()],
            routes: vec!["192.0.2.77/25".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            mtu: 1400,
            ..TunConfig::default()
        })
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((tun.facts.mtu, tun.facts.medium), (1400, Medium::Ip));
        assert!(tun.facts.checksum_offload && tun.facts.segmentation_offload);

        let link = ip("-o link show utcp0");
        for part in ["mtu 1400", "qlen 32768", "UP"] {
            assert!(link.contains(part), "{part}: {link}");
        }
        let addresses = ip("-o address show dev utcp0");
        assert!(addresses.contains("inet 10.9.0.1/24"), "{addresses}");
        assert!(addresses.contains("inet6 fd00:9::1/64"), "{addresses}");
        assert!(!addresses.contains("tentative"), "{addresses}");
        let routes = ip("route show dev utcp0") + &ip("-6 route show dev utcp0");
        for part in ["10.9.0.0/24", "192.0.2.0/25", "fd00:9::/64", "2001:db8::/32"] {
            assert!(routes.contains(part), "{part}: {routes}");
        }
        drop(tun);
        assert!(ip("link show utcp0").contains("does not exist"));
    });
}

#[test]
fn an_interface_that_outlives_programs_is_attached_again() {
    in_namespace(|| {
        ip("tuntap add dev utcp7 mode tun");
        for _ in 0..2 {
            let config = TunConfig {
                name: "utcp7".into(),
                routes: vec!["192.0.2.0/24".parse().unwrap()],
                ..config()
            };
            drop(open(&config));
        }
        assert!(ip("-o address show dev utcp7").contains("10.9.0.1/24"));
    });
}

#[test]
fn queues_share_an_interface() {
    in_namespace(|| {
        let tun = Tun::open(&TunConfig { queues: 3, ..config() }).unwrap();
        assert_eq!(tun.handles.len(), 3);
        let queues: Vec<_> = tun.handles.into_iter().map(|handle| handle.into_queue()).collect();
        let mut waits: Vec<_> = queues.iter().map(|queue| queue.wait_handle().unwrap().0).collect();
        waits.dedup();
        assert_eq!(waits.len(), 3);
    });
}

#[test]
fn failures_have_names() {
    in_namespace(|| {
        let _first = open(&config());
        assert!(matches!(Tun::open(&config()), Err(OpenError::Busy { .. })));
        let name = |name: &str| TunConfig { name: name.into(), ..config() };
        assert!(matches!(Tun::open(&name("lo")), Err(OpenError::NameTaken { .. })));
        assert!(matches!(Tun::open(&name("utcp1")), Err(OpenError::AddressInUse { .. })));
        let config = TunConfig {
            addresses: Vec::new(),
            routes: vec!["10.9.0.0/24".parse().unwrap()],
            ..name("utcp1")
        };
        // The kernel's own route to that network has another scope, so this one may stand beside
        // it or not, by version; the second of ours may not.
        let _second = Tun::open(&config);
        let config = TunConfig { name: "utcp2".into(), ..config };
        assert!(matches!(Tun::open(&config), Err(OpenError::RouteTaken { .. })));
    });
}

#[test]
fn without_root_the_permission_is_missing() {
    in_namespace(|| {
        become_nobody();
        for error in [Tun::open(&config()).err(), check_permission().err()] {
            assert!(matches!(error, Some(OpenError::NoPermission { .. })), "{error:?}");
        }
    });
}

#[test]
fn offloads_can_be_left_out() {
    in_namespace(|| {
        let queue = open(&TunConfig { offload: false, ..config() });
        let facts = queue.facts();
        assert!(!facts.checksum_offload && !facts.segmentation_offload);
        assert_eq!(facts.largest_packet_octets, 1500);
    });
}

#[test]
fn an_interface_that_was_removed_is_gone_and_one_that_is_down_is_not() {
    in_namespace(|| {
        let mut queue = open(&config());
        let (pool, mut batch) = (FramePool::new(&PoolConfig::default()), RxBatch::new(64));
        let mut look = || {
            let _ = queue.receive(&pool, &mut batch);
            queue.is_gone()
        };
        ip("link set utcp0 down");
        assert!(!look());
        ip("link set utcp0 up");
        assert!(!look());
        ip("link del utcp0");
        assert!(look());
        assert_eq!(queue.stats().read_errors, 1);
    });
}
