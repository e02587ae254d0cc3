//! smoltcp doing what our own stack is measured with: in memory, and as a server on a TUN device.
//!
//! Owns: what is common to both. Must not know: who compares it with what.
//!
//! It is built in this program, so with the same compiler, profile and flags as our own stack.

mod memory;
mod ring;
mod tun;

pub use ring::{RingEnd, ring};

use crate::Outcome;
use crate::options::{Amount, PeerOptions};
use smoltcp::iface::{Config, Interface};
use smoltcp::phy::Device;
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

/// Runs what is asked for.
pub fn run(options: &PeerOptions) -> Result<Outcome, String> {
    match options {
        PeerOptions::Memory { load, mtu, connections, amount } => {
            match amount {
                Amount::Seconds(seconds) => {
                    println!("{}", memory::run(*load, *mtu, *connections, *seconds)?.line());
                }
                Amount::Operations(count) => {
                    let done = memory::run_fixed(*load, *mtu, *connections, *count)?;
                    println!("operations={done}");
                }
            }
            Ok(Outcome::Done)
        }
        PeerOptions::Tun { device, sockets } => tun::run(device, *sockets),
    }
}

/// An interface with one address.
pub fn interface(device: &mut impl Device, address: IpAddress) -> Result<Interface, String> {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = 7;
    let mut interface = Interface::new(config, device, Instant::now());
    let mut full = false;
    interface.update_ip_addrs(|all| full = all.push(IpCidr::new(address, 24)).is_err());
    if full { Err("no room for an address".into()) } else { Ok(interface) }
}

/// A socket with two buffers of that size.
pub fn socket(buffer_octets: usize) -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; buffer_octets]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    socket
}
