//! What the SYNs of all connections with the same settings have in common.
//!
//! Owns: what settings offer by IPv4 without keys, worked out once.
//! Must not know: flows, numbers, who opens.

use crate::net;
use alloc::rc::Rc;
use usertcp_base::Limits;
use usertcp_ip::Ip;
use usertcp_tcp::{Greeting, Offer, Settings};

/// The one that was asked for last: mostly that of the next connection.
#[derive(Debug, Default)]
pub(crate) struct Greetings {
    last: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// While these are kept nobody else's are where they are.
    settings: Rc<Settings>,
    mtu: u16,
    greeting: Greeting,
}

impl Greetings {
    /// What a SYN with these settings offers by IPv4 where nothing is signed. The limits are always the same.
    #[inline(always)] // in two places
    pub(crate) fn of(&mut self, settings: &Rc<Settings>, ip: &Ip, limits: &Limits) -> &Greeting {
        let is_known = |kept: &Kept| Rc::ptr_eq(&kept.settings, settings) && kept.mtu == ip.mtu();
        let last = self.last.take_if(|kept| !is_known(kept));
        drop(last);
        let fresh = || Kept::new(settings, ip, limits);
        &self.last.get_or_insert_with(fresh).greeting
    }
}

impl Kept {
    #[cold]
    fn new(settings: &Rc<Settings>, ip: &Ip, limits: &Limits) -> Kept {
        let offer = Offer::new(settings, limits, &net::path_facts_v4(ip));
        let greeting = Greeting::new(&offer, settings);
        Kept { settings: Rc::clone(settings), mtu: ip.mtu(), greeting }
    }
}

#[cfg(test)]
mod tests;
