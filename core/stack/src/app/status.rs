//! STATUS, and settings.
//!
//! Owns: what can be asked of a connection, and changed while it lives.
//! Must not know: what a setting does.
//! Implements: RFC 9293 §3.9.1.6, §3.10.6, §3.9.1.9 (MUST-48).

use crate::anchor::{Body, Owner};
use crate::app::{ConnError, ConnInfo};
use crate::shard::Shard;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use usertcp_base::{ConnId, FlowKey, Instant, Observer};
use usertcp_cc::CongestionController;
use usertcp_tcp::{HandshakePhase, Info, Settings, StateName};

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// The settings of a connection.
    pub fn settings(&self, id: ConnId) -> Result<Settings, ConnError> {
        match &self.held(id)?.body {
            Body::Hot(hot, _) | Body::Early(_, hot) | Body::Ended(_, Some(hot)) => {
                self.table.hot.at(*hot).map(|tcb| *tcb.settings()).ok_or(ConnError::Stale)
            }
            Body::Parked(parked) => Ok(*self.table.moulds.settings(parked)),
            Body::Opening(opening) => {
                let opening = self.table.openings.at(*opening).ok_or(ConnError::Stale)?;
                Ok(*opening.birth.settings)
            }
            Body::Ended(reason, None) => Err(ConnError::Ended(*reason)),
            Body::Embryo(..) | Body::Asked(..) | Body::TimeWait(..) => Err(ConnError::Stale),
        }
    }

    /// Changes the settings of a connection. They count from now on.
    pub fn set_option(
        &mut self,
        now: Instant,
        id: ConnId,
        change: impl FnOnce(&mut Settings),
    ) -> Result<(), ConnError> {
        let mut settings = self.settings(id)?;
        let shares = settings.shares;
        change(&mut settings);
        // Which listener accepted it does not change.
        settings.shares.listener = shares.listener;
        if settings.shares != shares {
            self.leave_rates(id);
        }
        let shared = self.common.shelf.share(&settings);
        let _ = self.awake(now, id);
        self.is_awake(id)?;
        let Some(anchor) = self.table.anchors.get_mut(id) else { return Err(ConnError::Stale) };
        anchor.forget_prepared();
        match &mut anchor.body {
            Body::Hot(hot, _) | Body::Early(_, hot) => {
                let hot = *hot;
                if let Some(tcb) = self.table.hot.at_mut(hot) {
                    let effects = tcb.set_settings(&mut self.common.env(now, id), shared);
                    self.transmit.push(id, anchor);
                    self.apply(now, id, effects);
                    self.watch(now, id);
                }
            }
            Body::Opening(opening) => {
                if let Some(opening) = self.table.openings.at_mut(*opening) {
                    opening.birth.settings = shared;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends, state and figures of a connection.
    pub fn info(&self, now: Instant, id: ConnId) -> Result<ConnInfo, ConnError> {
        let anchor = self.table.anchors.get(id).ok_or(ConnError::Stale)?;
        let (state, figures) = match &anchor.body {
            Body::Hot(hot, _) => match self.table.hot.at(*hot) {
                Some(tcb) => {
                    let figures = tcb.info(now);
                    (figures.state, Some(figures))
                }
                None => (StateName::Closed, None),
            },
            Body::Parked(parked) => {
                let figures = self.table.moulds.copy(now, parked, 0).info(now);
                (figures.state, Some(figures))
            }
            Body::Early(_, hot) => {
                let state = StateName::SynReceived;
                let tcb = self.table.hot.at(*hot);
                (state, tcb.map(|tcb| Info { state, ..tcb.info(now) }))
            }
            Body::Embryo(..) | Body::Asked(..) => (StateName::SynReceived, None),
            Body::Opening(opening) => {
                let opening = self.table.openings.at(*opening);
                match opening.map(|opening| opening.handshake.phase()) {
                    Some(HandshakePhase::SynSent) => (StateName::SynSent, None),
                    Some(HandshakePhase::SynReceived) => (StateName::SynReceived, None),
                    None => (StateName::Closed, None),
                }
            }
            Body::TimeWait(..) => (StateName::TimeWait, None),
            Body::Ended(..) => (StateName::Closed, None),
        };
        let flow = self.table.anchors.flow(id).ok_or(ConnError::Stale)?;
        let (local, remote) = self.endpoints(&flow);
        Ok(ConnInfo { local, remote, state, figures })
    }

    /// Keeps a number of the application's own with a connection it holds: one it opened or accepted,
    /// until it closes the handle. It costs nothing beside the handle's own record, so an application
    /// that finds its state by it needs no table of connections. False: the application holds no such
    /// connection.
    pub fn set_token(&mut self, id: ConnId, token: u32) -> bool {
        match self.table.anchors.get_mut(id) {
            Some(anchor) if matches!(anchor.owner(), Owner::Application(_)) => {
                anchor.set_owner(Owner::Application(token));
                true
            }
            _ => false,
        }
    }

    /// The number the application gave a connection, zero before it gave one; `None`: it holds no such
    /// connection.
    pub fn token(&self, id: ConnId) -> Option<u32> {
        match self.table.anchors.get(id)?.owner() {
            Owner::Application(token) => Some(token),
            _ => None,
        }
    }

    fn endpoints(&self, flow: &FlowKey) -> (SocketAddr, SocketAddr) {
        let remote = usertcp_ip::ip_address(flow.remote);
        let unspecified = match remote {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let local = self.ip.local(flow.local).unwrap_or(unspecified);
        (SocketAddr::new(local, flow.local_port), SocketAddr::new(remote, flow.remote_port))
    }

    /// The connection, in any state, whose slot comes next after that of `after`; without it, the first.
    /// So all can be visited, a few at a time, while they come and go.
    pub fn next_connection(&self, after: Option<ConnId>) -> Option<ConnId> {
        let from = match after {
            Some(after) => after.slot.checked_add(1)?,
            None => 0,
        };
        self.table.anchors.id_from(from)
    }

    /// All connections, in any state.
    pub fn connections(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.table.anchors.iter().map(|(id, _)| id)
    }
}
