//! What is refused, and what an open device says of itself.
use crate::common::*;
use usertcp_device::{DeviceFacts, Medium, Queue, RxBatch};
use usertcp_device_linux::OpenError;
use usertcp_device_linux::packet::{Packet, PacketConfig};
use usertcp_frame::{FramePool, PoolConfig};

#[test]
fn an_ethernet_says_what_it_can() {
    with_kernel(|_| {
        let device = Packet::open(&config()).unwrap();
        let facts = DeviceFacts::offloading(Medium::Ethernet { mac: OUR_MAC }, 1500);
        assert_eq!((device.facts, device.name.as_str(), device.handles.len()), (facts, "b0", 1));
        run("link set b0 mtu 9000");
        assert_eq!(Packet::open(&config()).unwrap().facts.mtu, 9000);
        let less = PacketConfig { mtu: 1400, ..config() };
        assert_eq!(Packet::open(&less).unwrap().facts.mtu, 1400);
        let own = PacketConfig { mac: Some([2, 0, 0, 0, 0, 7]), ..config() };
        let queue = open(&own);
        assert_eq!(queue.facts().medium, Medium::Ethernet { mac: [2, 0, 0, 0, 0, 7] });
        assert!(queue.wait_handle().is_some());
    });
}

#[test]
fn what_cannot_be_used_is_refused() {
    with_kernel(|_| {
        run("link set lo up");
        let refusal = |config: &PacketConfig| Packet::open(config).unwrap_err();
        let on = |interface: &str| PacketConfig { interface: interface.into(), ..config() };
        assert!(matches!(refusal(&on("lo")), OpenError::NotEthernet { .. }));
        assert!(matches!(refusal(&on("nosuch")), OpenError::NoInterface { .. }));
        run("addr add 10.9.0.2/24 dev b0");
        let error = refusal(&config());
        let ours = |address: &std::net::IpAddr| *address == std::net::IpAddr::from(OURS);
        assert!(
            matches!(&error, OpenError::AddressInUse { address, .. } if ours(address)),
            "{error}"
        );
        run("addr flush dev b0");
        run("link set b0 down");
        assert!(matches!(refusal(&config()), OpenError::Down { .. }));
    });
}

#[test]
fn an_interface_that_was_removed_is_gone_and_one_that_is_down_is_not() {
    with_kernel(|_| {
        let mut queue = open(&config());
        let (pool, mut batch) = (FramePool::new(&PoolConfig::default()), RxBatch::new(8));
        let mut look = || {
            let _ = queue.receive(&pool, &mut batch);
            (queue.is_gone(), queue.stats().read_errors)
        };
        assert_eq!(look(), (false, 0));
        run("link set b0 down");
        assert_eq!(look(), (false, 1));
        run("link set b0 up");
        assert_eq!(look(), (false, 1));
        run("link del b0");
        assert_eq!(look(), (true, 2));
    });
}
