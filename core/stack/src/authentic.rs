//! Authenticated segments, where packets and connections meet keys.
//!
//! Owns: the calls for keys, which segments are judged and signed, what protection takes from a
//! connection's options.
//! Must not know: codes and their messages (`auth`), what a segment means to a connection.
//! Implements: RFC 5925 §7.4 to §7.8, RFC 2385 §2, §4.3 in a shard.
//!
//! A shard without keys pays one comparison per packet. A protected connection leaves a segment at a
//! time: each has a code of its own, so a device cannot cut a larger one.

use crate::shard::Shard;
use core::net::IpAddr;
use usertcp_auth::{AuthInfo, AuthKey, Ends, KeyError, KeyHandle, Refusal};
use usertcp_base::{ConnId, DropReason, FlowKey, Observer};
use usertcp_cc::CongestionController;
use usertcp_frame::Chain;
use usertcp_ip::{TcpInput, ip_address};
use usertcp_tcp::{Offer, PathFacts, Reply, Settings};
use usertcp_wire::checksum::{self, Running};
use usertcp_wire::tcp::{self, CHECKSUM_OFFSET, EmitChecksum, LONGEST_HEADER_OCTETS};

/// A signed header, and how much of it there is.
pub(crate) struct Signed {
    pub octets: [u8; LONGEST_HEADER_OCTETS],
    pub len: usize,
}

impl<C: CongestionController, O: Observer> Shard<C, O> {
    /// Adds a key: connections its scope covers are protected by it when they are opened after this,
    /// and segments for them that are not signed are dropped. For TCP-AO it is also a further key of
    /// those that are open.
    ///
    /// # Errors
    /// [`KeyError::Prefix`], [`KeyError::Taken`], [`KeyError::Mixed`].
    pub fn add_auth_key(&mut self, key: AuthKey) -> Result<KeyHandle, KeyError> {
        self.common.unusual = true;
        self.auth.add(key)
    }

    /// Takes a key away.
    ///
    /// # Errors
    /// [`KeyError::InUse`] while a connection signs with it or asks its peer to; [`KeyError::Unknown`].
    pub fn remove_auth_key(&mut self, key: KeyHandle) -> Result<(), KeyError> {
        let table = &self.table;
        self.auth.remove(key, |flow| table.find(flow).is_some())
    }

    /// The connection asks its peer to sign with the TCP-AO key that has this `receive_id` here. We
    /// follow what the peer asks of us without being told.
    ///
    /// # Errors
    /// [`KeyError::Unknown`] when there is no such key, or the connection has no TCP-AO.
    pub fn ask_for_auth_key(&mut self, conn: ConnId, receive_id: u8) -> Result<(), KeyError> {
        let flow = self.table.anchors.flow(conn).ok_or(KeyError::Unknown)?;
        self.auth.ask_for(ip_address(flow.remote), &flow, receive_id)
    }

    /// What protects a connection; `None`: nothing.
    pub fn auth_info(&self, conn: ConnId) -> Option<AuthInfo> {
        self.auth.info(&self.table.anchors.flow(conn)?)
    }

    /// Octets of the option on every segment of `flow`.
    #[inline]
    pub(crate) fn auth_option_octets(&self, flow: &FlowKey) -> u16 {
        if self.auth.is_idle() { 0 } else { self.signed_option_octets(flow) }
    }

    #[cold]
    fn signed_option_octets(&self, flow: &FlowKey) -> u16 {
        self.auth.option_octets(ip_address(flow.remote), flow)
    }

    /// Whether a connection of `flow` is or would be protected.
    pub(crate) fn is_protected(&self, flow: &FlowKey) -> bool {
        self.auth_option_octets(flow) > 0
    }

    /// A stranger's segment cannot be answered signed: its key depends on numbers nobody has any more.
    pub(crate) fn cannot_sign(&self, flow: &FlowKey) -> bool {
        if self.auth.is_idle() || self.auth.info(flow).is_some() {
            return false;
        }
        let info = self.auth.info_or_policy(ip_address(flow.remote), flow);
        matches!(info, Some(AuthInfo::Ao { .. }))
    }

    /// What we offer on a SYN. Beside an MD5 option, timestamps leave no room for SACK, which is worth
    /// more.
    pub(crate) fn offer(&self, settings: &Settings, flow: &FlowKey, path: &PathFacts) -> Offer {
        let mut offer = Offer::new(settings, &self.common.limits, path);
        if !self.auth.is_idle()
            && let Some(AuthInfo::Md5) = self.auth.info_or_policy(ip_address(flow.remote), flow)
        {
            offer.timestamps &= !offer.sack;
        }
        offer
    }

    fn ends(&self, flow: &FlowKey) -> Option<Ends> {
        let source: IpAddr = self.ip.local(flow.local)?;
        Some(Ends { source, destination: ip_address(flow.remote) })
    }

    /// Judges a segment before anything else looks at it.
    pub(crate) fn authenticate(
        &mut self,
        flow: &FlowKey,
        input: &TcpInput,
        header: &tcp::Header,
        options: &tcp::Options,
        header_octets: usize,
    ) -> Result<(), DropReason> {
        if self.auth.is_idle() {
            return Ok(());
        }
        let ends = self.ends(flow).ok_or(DropReason::AuthMissing)?.reversed();
        let known = self.table.find(flow).is_some();
        let first = input.octets.front().map_or(&[][..], |first| first);
        let whole = first.get(..header_octets).ok_or(DropReason::TcpMalformed)?;
        let mut skip = header_octets;
        let payload = input.octets.slices().map(move |slice| {
            let rest = slice.get(skip.min(slice.len())..).unwrap_or(&[]);
            skip = 0;
            rest
        });
        let verdict =
            self.auth.verify(ends, flow, header, options.authentication, whole, payload, known);
        verdict.map_err(|refusal| match refusal {
            Refusal::Missing => DropReason::AuthMissing,
            Refusal::UnknownKey => DropReason::AuthUnknownKey,
            Refusal::Mismatch => DropReason::AuthMismatch,
            Refusal::NoConnection => DropReason::AuthNoConnection,
        })
    }

    /// Reserves the option that a segment of ours needs; whether it needs one.
    pub(crate) fn reserve_auth(&mut self, flow: &FlowKey, reply: &mut Reply) -> bool {
        if self.auth.is_idle() {
            return false;
        }
        if self.auth.sweep_is_due() {
            let table = &self.table;
            self.auth.sweep(|flow| table.find(flow).is_some());
        }
        let option = self.auth.reserve(ip_address(flow.remote), flow, &reply.header);
        reply.options.authentication = option;
        option.is_some()
    }

    /// Writes and signs a header for which [`Shard::reserve_auth`] has made room. `pseudo` is the sum
    /// of the pseudo-header; `partial`: the device completes the checksum.
    pub(crate) fn signed_header(
        &mut self,
        flow: &FlowKey,
        reply: &Reply,
        payload: &Chain,
        pseudo: u32,
        partial: bool,
    ) -> Option<Signed> {
        let mut octets = [0; LONGEST_HEADER_OCTETS];
        let zero = EmitChecksum::Partial(0);
        let len = tcp::emit(&mut octets, &reply.header, &reply.options, zero);
        let ends = self.ends(flow)?;
        let header = octets.get_mut(..len)?;
        let slices = payload.slices().map(|slice| &slice[..]);
        if !self.auth.sign(ends, flow, &reply.header, header, slices) {
            return None;
        }
        let field = if partial {
            checksum::fold(pseudo)
        } else {
            let mut sum = Running::from_partial(pseudo);
            sum.add(header);
            for slice in payload.slices() {
                sum.add(slice);
            }
            sum.finish()
        };
        let place = header.get_mut(CHECKSUM_OFFSET..CHECKSUM_OFFSET + 2)?;
        place.copy_from_slice(&field.to_be_bytes());
        Some(Signed { octets, len })
    }
}
