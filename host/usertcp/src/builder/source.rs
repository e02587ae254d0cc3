//! Where a stack's packets come from and go to.
//!
//! Owns: the device as it was chosen, and a queue of it for each shard. Must not know: shards.

use super::missing;
use crate::memory::ThreadPipe;
use crate::runtime::worker::Control;
use std::io;
use std::sync::Arc;
use usertcp_device::{Device, Queue, QueueHandle, SteerRule};
use usertcp_device_linux::packet::PacketConfig;
use usertcp_device_linux::xdp::{Take, XdpConfig};
use usertcp_ip::Cidr;

/// Makes a queue of the device, on its shard's thread.
pub(super) type MakeQueue = Box<dyn FnOnce() -> io::Result<Box<dyn Queue>> + Send>;
/// Opens the device: a queue for each shard.
pub(super) type OpenQueues = Box<dyn FnOnce(&SteerRule) -> io::Result<Vec<MakeQueue>> + Send>;

/// Where packets come from and go to.
pub(super) enum Source {
    None,
    Packet(PacketConfig),
    Xdp(XdpConfig),
    Memory(Vec<ThreadPipe>),
    Queue(MakeQueue),
    Device(OpenQueues),
}

/// Opens a device: how the queue of each shard is made, on that shard's thread.
pub(super) fn queues_of<D>(device: D, rule: &SteerRule) -> io::Result<Vec<MakeQueue>>
where
    D: Device,
    io::Error: From<D::Error>,
{
    let make =
        |handle: D::Handle| -> MakeQueue { Box::new(move || Ok(Box::new(handle.into_queue()))) };
    Ok(device.open(rule)?.into_iter().map(make).collect())
}

impl Source {
    /// Opens it: a queue for each of `controls`.
    pub(super) fn open(
        self,
        addresses: &[Cidr],
        rule: &SteerRule,
        controls: &[Arc<Control>],
    ) -> io::Result<Vec<MakeQueue>> {
        let queues: Vec<MakeQueue> = match self {
            Source::None => return Err(missing("a stack needs a device")),
            Source::Memory(ends) => {
                let make = |(end, control): (ThreadPipe, &Arc<Control>)| -> MakeQueue {
                    end.attach(&control.doorbell);
                    Box::new(move || Ok(Box::new(end)))
                };
                if ends.len() == controls.len() {
                    ends.into_iter().zip(controls).map(make).collect()
                } else {
                    Vec::new()
                }
            }
            Source::Queue(make) => vec![make],
            Source::Packet(mut config) => {
                if config.addresses.is_empty() {
                    config.addresses = addresses.iter().map(Cidr::address).collect();
                }
                queues_of(config, rule)?
            }
            Source::Xdp(mut config) => {
                if config.take == Take::Addresses(Vec::new()) {
                    config.take = Take::Addresses(addresses.iter().map(Cidr::address).collect());
                }
                queues_of(config, rule)?
            }
            Source::Device(open) => open(rule)?,
        };
        if queues.len() != controls.len() {
            return Err(missing("the device needs as many queues as the stack has shards"));
        }
        Ok(queues)
    }
}
