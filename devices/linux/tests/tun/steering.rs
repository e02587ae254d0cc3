//! The steering rule in front of the queues.
use crate::common::*;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;
use usertcp_device::{Device, FlowEnd, Queue, QueueHandle, RxBatch, SteerRule};
use usertcp_device_linux::tun::{TunConfig, TunQueue};
use usertcp_frame::FramePool;

/// The ends of a TCP packet's flow.
fn ends(packet: &[u8]) -> Option<(FlowEnd, FlowEnd)> {
    let address = |from: usize, count: usize| -> Option<IpAddr> {
        let octets = packet.get(from..from + count)?;
        match count {
            4 => Some(<[u8; 4]>::try_from(octets).ok()?.into()),
            _ => Some(<[u8; 16]>::try_from(octets).ok()?.into()),
        }
    };
    let (protocol, source, destination, at) = match packet.first()? >> 4 {
        4 => (packet.get(9)?, address(12, 4)?, address(16, 4)?, 20),
        _ => (packet.get(6)?, address(8, 16)?, address(24, 16)?, 40),
    };
    if *protocol != TCP {
        return None;
    }
    let port = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    let end = |address, port| FlowEnd { address, port };
    Some((end(source, port(at)?), end(destination, port(at + 2)?)))
}

/// Flows that came by `queue`, and belong to another; and those that belong to it.
fn strangers(queue: &mut TunQueue, index: u16, rule: &SteerRule, pool: &FramePool) -> (u32, u32) {
    let mut batch = RxBatch::new(256);
    queue.receive(pool, &mut batch);
    let (mut strange, mut right) = (0, 0);
    while let Some(packet) = batch.pop() {
        if let Some((source, destination)) = ends(&packet.octets.to_vec()) {
            match rule.owner(source, destination) == index {
                true => right += 1,
                false => strange += 1,
            }
        }
    }
    (strange, right)
}

#[test]
fn the_kernel_leads_flows_by_our_rule() {
    in_namespace(|| {
        let rule = SteerRule::new([0x0123_4567_89AB_CDEF, 77], 3);
        let six = "fd00:9::1/64".parse().unwrap();
        let mut config = TunConfig { queues: 1, ..config() };
        config.addresses.push(six);
        let handles = config.open(&rule).unwrap();
        let mut queues: Vec<_> = handles.into_iter().map(QueueHandle::into_queue).collect();
        assert_eq!(queues.len(), 3);
        let pool = pool();
        for at in ["10.9.0.2:80", "[fd00:9::2]:80"] {
            let at: SocketAddr = at.parse().unwrap();
            for _ in 0..30 {
                // Nobody answers: it is the SYN that matters.
                let _ = TcpStream::connect_timeout(&at, Duration::from_millis(1));
            }
            for (index, queue) in queues.iter_mut().enumerate() {
                let (strange, right) = strangers(queue, index as u16, &rule, &pool);
                assert_eq!(strange, 0, "queue {index}");
                assert!(right > 0, "queue {index} has its share of the flows to {at}");
            }
        }
    });
}
