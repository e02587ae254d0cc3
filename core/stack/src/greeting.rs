//! What the SYNs of all connections with the same settings have in common.
//!
//! Owns: the handshake that settings offer by IPv4 without keys, worked out once.
//! Must not know: flows, numbers, who opens.

use crate::net;
use alloc::rc::Rc;
use usertcp_base::Limits;
use usertcp_ip::Ip;
use usertcp_tcp::{Handshake, Offer, Settings};

/// The one that was asked for last: mostly that of the next connection.
#[derive(Debug, Default)]
pub(crate) struct Greetings {
    last: Option<Greeting>,
}

#[derive(Debug)]
struct Greeting {
    /// While these are kept nobody else's are where they are.
    settings: Rc<Settings>,
    mtu: u16,
    handshake: Handshake,
}

impl Greetings {
    /// What a SYN with these settings offers by IPv4 where nothing is signed: a handshake of no connection. The limits
    /// are always the same.
    #[inline(always)] // in two places
    pub(crate) fn of(&mut self, settings: &Rc<Settings>, ip: &Ip, limits: &Limits) -> &Handshake {
        let is_known = |greeting: &Greeting| {
            Rc::ptr_eq(&greeting.settings, settings) && greeting.mtu == ip.mtu()
        };
        let last = self.last.take_if(|greeting| !is_known(greeting));
        drop(last);
        let fresh = || Greeting::new(settings, ip, limits);
        &self.last.get_or_insert_with(fresh).handshake
    }
}

impl Greeting {
    #[cold]
    fn new(settings: &Rc<Settings>, ip: &Ip, limits: &Limits) -> Greeting {
        let offer = Offer::new(settings, limits, &net::path_facts_v4(ip));
        let handshake = Handshake::offering(&offer);
        Greeting { settings: Rc::clone(settings), mtu: ip.mtu(), handshake }
    }
}

#[cfg(test)]
mod tests;
