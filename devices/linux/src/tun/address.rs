//! Interfaces, addresses and routes, by netlink.
//! Owns: one synchronous conversation with the kernel. Must not know: devices.

use super::cidr::Cidr;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use std::io;
use std::net::IpAddr;

/// A conversation about the interfaces of this thread's network namespace.
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

/// An interface as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) mtu: u32,
    pub(crate) queue_length_packets: u32,
    pub(crate) up: bool,
}

/// What the kernel answers to one request, before it says that this was all.
type Answers = Vec<RouteNetlinkMessage>;

impl Netlink {
    pub(crate) fn open() -> io::Result<Netlink> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Netlink { socket, sequence: 0 })
    }

    /// The interface of that name; `None` when there is none.
    pub(crate) fn link(&mut self, name: &str) -> io::Result<Option<Link>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::IfName(name.into()));
        let answers = match self.ask(RouteNetlinkMessage::GetLink(request), 0) {
            Ok(answers) => answers,
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(read_link(&link)),
            _ => None,
        }))
    }

    /// Sets MTU and queue length, and brings the interface up.
    pub(crate) fn set_up(&mut self, index: u32, mtu: u32, queue_length: u32) -> io::Result<()> {
        let mut request = LinkMessage::default();
        request.header.index = index;
        request.header.flags = LinkFlags::Up;
        request.header.change_mask = LinkFlags::Up;
        request.attributes.push(LinkAttribute::Mtu(mtu));
        request.attributes.push(LinkAttribute::TxQueueLen(queue_length));
        self.ask(RouteNetlinkMessage::SetLink(request), 0).map(drop)
    }

    /// Gives the interface an address, or leaves it when it has it.
    ///
    /// Nobody on a TUN device could object to an IPv6 address, so it need not wait for objections
    /// (RFC 4862 §5.4).
    pub(crate) fn add_address(&mut self, index: u32, cidr: Cidr) -> io::Result<()> {
        let mut request = AddressMessage::default();
        request.header.family = family(cidr.address);
        request.header.prefix_len = cidr.prefix_bits;
        request.header.index = index;
        request.attributes.push(AddressAttribute::Local(cidr.address));
        request.attributes.push(AddressAttribute::Address(cidr.address));
        if cidr.address.is_ipv6() {
            request.header.flags = AddressHeaderFlags::Nodad;
            request.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.ask(RouteNetlinkMessage::NewAddress(request), flags).map(drop)
    }

    /// All addresses of all interfaces: index, address, prefix.
    pub(crate) fn addresses(&mut self) -> io::Result<Vec<(u32, Cidr)>> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = self.ask(request, NLM_F_DUMP)?;
        Ok(answers.iter().filter_map(read_address).collect())
    }

    /// Sends packets to a network out of the interface. `AlreadyExists`: there is such a route,
    /// of this interface or another.
    pub(crate) fn add_route(&mut self, index: u32, network: Cidr) -> io::Result<()> {
        let network = network.network();
        let mut request = RouteMessage::default();
        request.header.address_family = family(network.address);
        request.header.destination_prefix_length = network.prefix_bits;
        request.header.table = RouteHeader::RT_TABLE_MAIN;
        request.header.protocol = RouteProtocol::Static;
        request.header.scope = RouteScope::Link;
        request.header.kind = RouteType::Unicast;
        request.attributes.push(RouteAttribute::Destination(RouteAddress::from(network.address)));
        request.attributes.push(RouteAttribute::Oif(index));
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        self.ask(RouteNetlinkMessage::NewRoute(request), flags).map(drop)
    }

    /// Whether the interface has a route to exactly this network.
    pub(crate) fn has_route(&mut self, index: u32, network: Cidr) -> io::Result<bool> {
        let network = network.network();
        let mut request = RouteMessage::default();
        request.header.address_family = family(network.address);
        let answers = self.ask(RouteNetlinkMessage::GetRoute(request), NLM_F_DUMP)?;
        Ok(answers.iter().any(|answer| is_route(answer, index, network)))
    }

    /// Sends a request, and collects answers until the kernel says that was all.
    fn ask(&mut self, request: RouteNetlinkMessage, flags: u16) -> io::Result<Answers> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        self.socket.send(&octets, 0)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            if self.read_answers(&datagram, &mut answers)? {
                return Ok(answers);
            }
        }
    }

    /// The messages of one datagram. True: the last one of the conversation was among them.
    fn read_answers(&self, datagram: &[u8], answers: &mut Answers) -> io::Result<bool> {
        let mut rest = datagram;
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            let length = (message.header.length as usize).next_multiple_of(4).max(4);
            rest = rest.get(length..).unwrap_or_default();
            if message.header.sequence_number != self.sequence {
                continue; // an answer to a request given up on
            }
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(true),
                NetlinkPayload::Error(error) if error.code.is_none() => return Ok(true),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                _ => {}
            }
        }
        Ok(false)
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn read_link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        mtu: 0,
        queue_length_packets: 0,
        up: message.header.flags.contains(LinkFlags::Up),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::TxQueueLen(length) => link.queue_length_packets = *length,
            _ => {}
        }
    }
    link
}

fn read_address(answer: &RouteNetlinkMessage) -> Option<(u32, Cidr)> {
    let RouteNetlinkMessage::NewAddress(message) = answer else { return None };
    // A point-to-point interface has its own address in `Local`, the peer's in `Address`.
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    Some((message.header.index, Cidr::new(address, message.header.prefix_len)?))
}

fn is_route(answer: &RouteNetlinkMessage, index: u32, network: Cidr) -> bool {
    let RouteNetlinkMessage::NewRoute(route) = answer else { return false };
    let mut destination = None;
    let mut interface = None;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(v4)) => destination = Some((*v4).into()),
            RouteAttribute::Destination(RouteAddress::Inet6(v6)) => {
                destination = Some((*v6).into())
            }
            RouteAttribute::Oif(index) => interface = Some(*index),
            _ => {}
        }
    }
    // The default route carries no destination.
    let destination = destination.unwrap_or(network.address);
    route.header.destination_prefix_length == network.prefix_bits
        && (destination == network.address || network.prefix_bits == 0)
        && interface == Some(index)
}
