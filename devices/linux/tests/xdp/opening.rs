//! Opening and binding: what is set up, what each failure is called, what is left behind.
use crate::common::*;
use usertcp_device::{Medium, Queue, QueueHandle as _};
use usertcp_device_linux::OpenError;
use usertcp_device_linux::xdp::{Take, Xdp, XdpConfig, XdpMode, check_permission};

#[test]
fn the_program_is_on_the_interface_while_a_queue_lives() {
    on_veth(|| {
        ip("link set ours0 mtu 1400");
        let pool = pool();
        let queue = open(&config(), &pool);
        assert_eq!(queue.facts().mtu, 1400);
        assert_eq!(queue.facts().medium, Medium::Ethernet { mac: OUR_MAC });
        assert!(!queue.facts().checksum_offload && !queue.facts().segmentation_offload);
        assert!(ip("link show ours0").contains("xdp"), "{}", ip("link show ours0"));
        assert!(pool.stats().full_out >= 1024, "frames wait for packets: {pool:?}");
        // Neighbours ask for fd00:9::2 in this group.
        assert!(ip("maddress show dev ours0").contains("33:33:ff:00:00:02"));
        drop(queue);
        assert!(!ip("maddress show dev ours0").contains("33:33:ff:00:00:02"));
        assert!(!ip("link show ours0").contains("xdp"), "{}", ip("link show ours0"));
        assert_eq!(pool.stats().used_octets, 0, "and come home");
    });
}

#[test]
fn zero_copy_is_asked_for_and_what_came_of_it_is_told() {
    on_veth(|| {
        let pool = pool();
        // veth has no zero-copy: the kernel refuses it, and copies instead.
        let config = config();
        let queue = open(&config, &pool);
        let mode = XdpMode { native: true, zero_copy: false, multi_buffer: true };
        assert_eq!((queue.mode(), config.told.get()), (Some(mode), Some(&mode)));
        assert_eq!(mode.to_string(), "program in the driver, the kernel copies, multi-buffer");
        drop(queue);
        let queue = open(&XdpConfig { native: false, mtu: 1280, ..config }, &pool);
        assert_eq!(queue.facts().mtu, 1280);
        assert_eq!(queue.mode(), Some(XdpMode { native: false, ..mode }));
        assert!(ip("link show ours0").contains("xdpgeneric"), "{}", ip("link show ours0"));
    });
}

#[test]
fn failures_have_names() {
    on_veth(|| {
        let pool = pool();
        let first = open(&config(), &pool);
        assert!(matches!(Xdp::open(&config()), Err(OpenError::ProgramTaken { .. })));
        drop(first);
        let name = |name: &str| XdpConfig { interface: name.into(), ..config() };
        for unknown in ["nobody", "", "a-name-too-long-for-one"] {
            let opened = Xdp::open(&name(unknown));
            assert!(matches!(opened, Err(OpenError::NoInterface { .. })), "{unknown}");
        }
        assert!(matches!(Xdp::open(&name("lo")), Err(OpenError::NotEthernet { .. })));
        let kernels = Take::Addresses(vec![KERNEL.into()]);
        let opened = Xdp::open(&XdpConfig { take: kernels, ..config() });
        assert!(matches!(opened, Err(OpenError::AddressInUse { .. })));
        let take = Take::Addresses(Vec::new());
        let configs = [
            XdpConfig { take, ..config() },
            XdpConfig { take: Take::Addresses(vec![OURS.into(); 257]), ..config() },
            XdpConfig { mtu: 1279, ..config() },
            XdpConfig { queues: 0, ..config() },
            XdpConfig { ring_entries: 100, ..config() },
            XdpConfig { ring_entries: 32, ..config() },
        ];
        for config in configs {
            assert!(matches!(Xdp::open(&config), Err(OpenError::BadConfig { .. })));
        }
        let mut xdp = Xdp::open(&XdpConfig { first_queue: 7, ..config() }).unwrap();
        let mut queue = xdp.handles.remove(0).into_queue();
        let error = queue.bind(&pool).unwrap_err().to_string();
        assert!(error.contains("no queue 7"), "{error}");
        assert!(queue.bind(&pool).is_err() && queue.wait_handle().is_none());
        drop((queue, xdp));
        ip("link set ours0 down");
        assert!(matches!(Xdp::open(&config()), Err(OpenError::Down { .. })));
        assert_eq!(pool.stats().used_octets, 0);
    });
}

#[test]
fn a_queue_is_bound_once_and_moves_nothing_before() {
    on_veth(|| {
        let pool = pool();
        let mut xdp = Xdp::open(&config()).unwrap();
        let mut queue = xdp.handles.remove(0).into_queue();
        assert_eq!(queue.mode(), None);
        let waiting = queue.wait_handle();
        let packet =
            usertcp_device::Packet::plain(pool.copy_of(&frame(ICMP, &[0; 8]), 0).unwrap().into());
        assert_eq!(send(&mut queue, packet), 0);
        queue.bind(&pool).unwrap();
        assert_eq!(queue.wait_handle(), waiting);
        assert!(queue.bind(&pool).is_err(), "once");
        assert!(queue.mode().is_some(), "the second time changes nothing");
    });
}

#[test]
fn without_root_the_permission_is_missing() {
    on_veth(|| {
        become_nobody();
        for error in [Xdp::open(&config()).err(), check_permission().err()] {
            assert!(matches!(error, Some(OpenError::NoPermission { .. })), "{error:?}");
        }
    });
}
