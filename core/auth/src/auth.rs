//! Keys and sessions together: what a shard calls.
//!
//! Owns: which key protects which flow, sessions by flow, the verdict on a segment.
//! Must not know: connections beyond their flow and initial numbers.
//! Implements: RFC 5925 §7.1 to §7.5, §2 (not beside MD5); RFC 2385 §2.
//!
//! A session begins with a SYN or SYN-ACK of ours that leaves: then both the flow and our initial
//! number are certain, and nothing is kept for a SYN that is not answered. A connection that was
//! opened before there was a key for it stays as it is.

use crate::key::{AuthKey, KeyError, KeyHandle, KeyKind};
use crate::mac::{MAC_OCTETS, Running, TrafficKey};
use crate::message::{AO_KIND, Ends, MD5_KIND, Message};
use crate::session::{AoSession, Direction, Numbers, Pair, Session, traffic_key};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use usertcp_base::{FlowKey, Seq};
use usertcp_wire::tcp::{Authentication, Flags, Header, raw_options};

/// Octets of the TCP-AO option as we send it, and of the MD5 option with its padding.
const AO_OPTION_OCTETS: u16 = 16;
const MD5_OPTION_OCTETS: u16 = 20;
/// Sessions from which on those of flows that are gone are looked for.
const SWEEP_FROM: usize = 64;

/// Why a segment is not taken.
#[must_use]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It is not signed, and should be.
    Missing,
    /// It is signed with a key we do not have.
    UnknownKey,
    /// The code is wrong.
    Mismatch,
    /// It belongs to no connection, and without one its key cannot be known.
    NoConnection,
}

/// A segment whose code is to be verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived<'a> {
    pub header: &'a Header,
    pub authentication: Option<Authentication>,
    /// The whole header as it came.
    pub octets: &'a [u8],
}

/// What protects a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthInfo {
    /// The MD5 option.
    Md5,
    /// TCP-AO.
    Ao {
        /// KeyID of what we send now.
        send_id: u8,
        /// RNextKeyID: what we ask the peer to use.
        next_receive_id: u8,
    },
}

struct Entry {
    handle: KeyHandle,
    key: AuthKey,
}

/// All keys and sessions of a shard.
#[derive(Default)]
pub struct Auth {
    keys: Vec<Entry>,
    sessions: BTreeMap<[u8; 22], (FlowKey, Session)>,
    issued: u32,
    sweep_at: usize,
}

impl Auth {
    /// No keys.
    pub const fn new() -> Auth {
        Auth { keys: Vec::new(), sessions: BTreeMap::new(), issued: 0, sweep_at: SWEEP_FROM }
    }

    /// Whether nothing is protected: no packet needs a look.
    pub fn is_idle(&self) -> bool {
        self.keys.is_empty() && self.sessions.is_empty()
    }

    /// Adds a key: for connections that are opened from now on, and as a further key of TCP-AO for
    /// those it covers that have one (RFC 5925 §7.5).
    ///
    /// # Errors
    /// [`KeyError::Prefix`], [`KeyError::Taken`], [`KeyError::Mixed`].
    pub fn add(&mut self, key: AuthKey) -> Result<KeyHandle, KeyError> {
        key.check()?;
        self.keys.iter().try_for_each(|entry| key.agrees_with(&entry.key))?;
        let handle = KeyHandle(self.issued);
        self.issued = self.issued.wrapping_add(1);
        self.keys.push(Entry { handle, key });
        Ok(handle)
    }

    /// Takes a key away. `lives` says whether a flow still has a connection.
    ///
    /// # Errors
    /// [`KeyError::InUse`] while a connection signs with it or asks for it (RFC 5925 §3.3);
    /// [`KeyError::Unknown`].
    pub fn remove(
        &mut self,
        handle: KeyHandle,
        lives: impl Fn(&FlowKey) -> bool,
    ) -> Result<(), KeyError> {
        self.sweep(lives);
        let used = |(_, session): &(FlowKey, Session)| match session {
            Session::Md5(key) => *key == handle,
            Session::Ao(session) => session.current == handle || session.next == handle,
        };
        if self.sessions.values().any(used) {
            return Err(KeyError::InUse);
        }
        let at = self.keys.iter().position(|entry| entry.handle == handle);
        self.keys.remove(at.ok_or(KeyError::Unknown)?);
        for (_, session) in self.sessions.values_mut() {
            if let Session::Ao(session) = session {
                session.forget(handle);
            }
        }
        Ok(())
    }

    /// Whether [`Auth::sweep`] is worth a call.
    pub fn sweep_is_due(&self) -> bool {
        self.sessions.len() >= self.sweep_at
    }

    /// Forgets the sessions of flows that are gone.
    pub fn sweep(&mut self, lives: impl Fn(&FlowKey) -> bool) {
        self.sessions.retain(|_, (flow, _)| lives(flow));
        self.sweep_at = (self.sessions.len() * 2).max(SWEEP_FROM);
    }

    /// Sessions kept, those of flows that are gone and not swept yet included.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn session(&self, flow: &FlowKey) -> Option<&Session> {
        self.sessions.get(&flow.octets()).map(|(_, session)| session)
    }

    /// The key a new connection of `flow` begins with: of the longest prefix, the first added.
    fn policy(&self, remote: IpAddr, flow: &FlowKey) -> Option<&Entry> {
        let covering = self.keys.iter().filter(|entry| entry.key.scope.covers(remote, flow));
        covering.min_by_key(|entry| u8::MAX - entry.key.scope.prefix_bits)
    }

    /// The key of `flow` with an identifier.
    fn find(
        &self,
        remote: IpAddr,
        flow: &FlowKey,
        wanted: impl Fn(u8, u8) -> bool,
    ) -> Option<&Entry> {
        self.keys.iter().find(|entry| {
            matches!(entry.key.kind, KeyKind::Ao { send_id, receive_id, .. }
                if wanted(send_id, receive_id) && entry.key.scope.covers(remote, flow))
        })
    }

    fn entry(&self, handle: KeyHandle) -> Option<&Entry> {
        self.keys.iter().find(|entry| entry.handle == handle)
    }

    /// Octets of the option that every segment of `flow` carries, or would if it were opened now.
    pub fn option_octets(&self, remote: IpAddr, flow: &FlowKey) -> u16 {
        match self.info_or_policy(remote, flow) {
            Some(AuthInfo::Md5) => MD5_OPTION_OCTETS,
            Some(AuthInfo::Ao { .. }) => AO_OPTION_OCTETS,
            None => 0,
        }
    }

    /// What protects `flow`, or would if it were opened now.
    pub fn info_or_policy(&self, remote: IpAddr, flow: &FlowKey) -> Option<AuthInfo> {
        self.info(flow).or_else(|| match self.policy(remote, flow)?.key.kind {
            KeyKind::Md5(_) => Some(AuthInfo::Md5),
            KeyKind::Ao { send_id, receive_id, .. } => {
                Some(AuthInfo::Ao { send_id, next_receive_id: receive_id })
            }
        })
    }

    /// What protects the connection of `flow`.
    pub fn info(&self, flow: &FlowKey) -> Option<AuthInfo> {
        match self.session(flow)? {
            Session::Md5(_) => Some(AuthInfo::Md5),
            Session::Ao(session) => {
                let (current, next) = (self.entry(session.current)?, self.entry(session.next)?);
                match (&current.key.kind, &next.key.kind) {
                    (KeyKind::Ao { send_id, .. }, KeyKind::Ao { receive_id, .. }) => {
                        Some(AuthInfo::Ao { send_id: *send_id, next_receive_id: *receive_id })
                    }
                    _ => None,
                }
            }
        }
    }

    /// From now on `flow` asks its peer for the key of ours with this identifier.
    ///
    /// # Errors
    /// [`KeyError::Unknown`] when there is no such key, or the flow has no TCP-AO.
    pub fn ask_for(
        &mut self,
        remote: IpAddr,
        flow: &FlowKey,
        receive_id: u8,
    ) -> Result<(), KeyError> {
        let wanted = |_, id| id == receive_id;
        let handle = self.find(remote, flow, wanted).ok_or(KeyError::Unknown)?.handle;
        match self.sessions.get_mut(&flow.octets()) {
            Some((_, Session::Ao(session))) => {
                session.next = handle;
                Ok(())
            }
            _ => Err(KeyError::Unknown),
        }
    }

    /// The option that a segment of ours needs; its header is to be written with room for it.
    pub fn reserve(
        &mut self,
        remote: IpAddr,
        flow: &FlowKey,
        header: &Header,
    ) -> Option<Authentication> {
        if header.flags.contains(Flags::SYN) {
            self.begin(remote, flow, header);
        }
        match self.info(flow) {
            Some(AuthInfo::Md5) => Some(Authentication::Md5),
            Some(AuthInfo::Ao { send_id, next_receive_id }) => {
                Some(Authentication::Ao { key_id: send_id, next_key_id: next_receive_id })
            }
            // Who has no connection can still be answered, if the key depends on none.
            None => match self.policy(remote, flow)?.key.kind {
                KeyKind::Md5(_) => Some(Authentication::Md5),
                KeyKind::Ao { .. } => None,
            },
        }
    }

    /// Our SYN or SYN-ACK leaves.
    fn begin(&mut self, remote: IpAddr, flow: &FlowKey, header: &Header) {
        let remote_isn = header.flags.contains(Flags::ACK).then(|| header.ack - 1);
        if let Some((_, Session::Ao(session))) = self.sessions.get_mut(&flow.octets())
            && session.local_isn == header.seq
        {
            // Again, or the answer in a simultaneous open.
            if let Some(remote_isn) = remote_isn {
                session.learn(remote_isn);
            }
            if remote_isn.is_none() || session.remote_isn() == remote_isn {
                return;
            }
        }
        let session = self.policy(remote, flow).map(|entry| match entry.key.kind {
            KeyKind::Md5(_) => Session::Md5(entry.handle),
            KeyKind::Ao { .. } => Session::Ao(AoSession::new(header.seq, remote_isn, entry.handle)),
        });
        match session {
            Some(session) => {
                self.sessions.insert(flow.octets(), (*flow, session));
            }
            None => {
                self.sessions.remove(&flow.octets());
            }
        }
    }

    /// Fills in the code of a segment of ours. `octets` is the whole header with a checksum of any
    /// value; the checksum comes after. Whether there was a key for it.
    #[must_use]
    pub fn sign<'a>(
        &mut self,
        ends: Ends,
        flow: &FlowKey,
        header: &Header,
        octets: &mut [u8],
        payload: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> bool {
        let mut code = [0; crate::MD5_OCTETS];
        let message = Message::new(ends, octets, payload);
        let Some((kind, length)) = self.code(ends, flow, header, message, &mut code) else {
            return false;
        };
        let option = raw_options(octets).find(|option| option.kind == kind);
        let Some(option) = option else { return false };
        let end = usize::from(option.offset) + usize::from(option.octets);
        let place = octets.get_mut(end.saturating_sub(length)..end);
        match (place, code.get(..length)) {
            (Some(place), Some(code)) => place.copy_from_slice(code),
            _ => return false,
        }
        true
    }

    /// The code of a segment of ours: the option's kind and the code's length.
    fn code<'a, P: Iterator<Item = &'a [u8]> + Clone>(
        &mut self,
        ends: Ends,
        flow: &FlowKey,
        header: &Header,
        message: Message<'_, P>,
        out: &mut [u8],
    ) -> Option<(u8, usize)> {
        let remote = ends.destination;
        let pair = Pair::new(ends.source, remote, flow);
        let handle = match self.session(flow) {
            Some(Session::Md5(handle)) => *handle,
            Some(Session::Ao(session)) => session.current,
            None => self.policy(remote, flow)?.handle,
        };
        let kind = &self.keys.iter().find(|entry| entry.handle == handle)?.key.kind;
        if let KeyKind::Md5(key) = kind {
            let mut code = Running::md5();
            message.feed_md5(&mut code, key.octets());
            code.finish(out);
            return Some((MD5_KIND, crate::MD5_OCTETS));
        }
        let session = match self.sessions.get_mut(&flow.octets()) {
            Some((_, Session::Ao(session))) => session,
            _ => return None,
        };
        let extension = session.extend_sent(header.seq);
        let bare_syn = is_bare_syn(header);
        let mut code = if bare_syn {
            syn_key(kind, &pair, header.seq, Direction::We)?.begin()
        } else {
            session.traffic(handle, kind, &pair, Direction::We)?.begin()
        };
        message.feed_ao(&mut code, extension, covers_options(kind));
        code.finish(out);
        Some((AO_KIND, MAC_OCTETS))
    }

    /// Judges a segment that came. `octets` is its whole header, `known` says whether its flow has a
    /// connection or a half-open record.
    ///
    /// # Errors
    /// The reason to drop it, silently (RFC 5925 §7.1, RFC 2385 §2).
    #[allow(clippy::too_many_arguments)]
    pub fn verify<'a>(
        &mut self,
        ends: Ends,
        flow: &FlowKey,
        header: &Header,
        authentication: Option<Authentication>,
        octets: &[u8],
        payload: impl Iterator<Item = &'a [u8]> + Clone,
        known: bool,
    ) -> Result<(), Refusal> {
        let arrived = Arrived { header, authentication, octets };
        let handle = match self.session(flow) {
            Some(Session::Ao(_)) => return self.verify_ao(ends, flow, &arrived, payload),
            Some(Session::Md5(handle)) => *handle,
            None if known => return Ok(()),
            None => match self.policy(ends.source, flow) {
                None => return Ok(()),
                Some(entry) if matches!(entry.key.kind, KeyKind::Md5(_)) => entry.handle,
                Some(_) => return self.verify_ao(ends, flow, &arrived, payload),
            },
        };
        self.verify_md5(ends, handle, &arrived, payload)
    }

    fn verify_md5<'a>(
        &self,
        ends: Ends,
        handle: KeyHandle,
        arrived: &Arrived<'_>,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), Refusal> {
        let Some(KeyKind::Md5(key)) = self.entry(handle).map(|entry| &entry.key.kind) else {
            return Err(Refusal::UnknownKey);
        };
        let expected = expected(arrived, MD5_KIND, crate::MD5_OCTETS)?;
        let message = Message::new(ends, arrived.octets, payload);
        let mut code = Running::md5();
        message.feed_md5(&mut code, key.octets());
        if code.matches(expected) { Ok(()) } else { Err(Refusal::Mismatch) }
    }

    fn verify_ao<'a>(
        &mut self,
        ends: Ends,
        flow: &FlowKey,
        arrived: &Arrived<'_>,
        payload: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), Refusal> {
        let Some(Authentication::Ao { key_id, next_key_id }) = arrived.authentication else {
            return Err(Refusal::Missing);
        };
        let remote = ends.source;
        let entry = self.find(remote, flow, |_, receive_id| receive_id == key_id);
        let handle = entry.ok_or(Refusal::UnknownKey)?.handle;
        let asked = self.find(remote, flow, |send_id, _| send_id == next_key_id);
        let asked = asked.map(|entry| entry.handle);
        let expected = expected(arrived, AO_KIND, MAC_OCTETS)?;
        let message = Message::new(ends, arrived.octets, payload);
        let kind = match self.keys.iter().find(|entry| entry.handle == handle) {
            Some(entry) => &entry.key.kind,
            None => return Err(Refusal::UnknownKey),
        };
        let pair = Pair::new(ends.destination, remote, flow);
        let session = match self.sessions.get_mut(&flow.octets()) {
            Some((_, Session::Ao(session))) => Some(session),
            _ => None,
        };
        let seq = arrived.header.seq;
        if is_bare_syn(arrived.header) {
            let key = syn_key(kind, &pair, seq, Direction::ThePeer).ok_or(Refusal::UnknownKey)?;
            let mut code = key.begin();
            message.feed_ao(&mut code, 0, covers_options(kind));
            if !code.matches(expected) {
                return Err(Refusal::Mismatch);
            }
            if let Some(session) = session {
                session.learn(seq);
            }
            return Ok(());
        }
        let session = session.ok_or(Refusal::NoConnection)?;
        if session.remote_isn().is_none() {
            if !arrived.header.flags.contains(Flags::SYN) {
                // A reset that answers our SYN comes from somebody who has no number yet.
                return Err(Refusal::NoConnection);
            }
            // What is learnt from a segment counts only once it is verified.
            let mut trial = session.clone();
            trial.learn(seq);
            trial.judge(handle, kind, &pair, seq, message, expected)?;
            *session = trial;
        } else {
            session.judge(handle, kind, &pair, seq, message, expected)?;
        }
        if let Some(asked) = asked {
            session.current = asked;
        }
        Ok(())
    }
}

impl AoSession {
    /// Verifies a segment at `seq` that is no SYN alone, and counts it.
    fn judge<'p>(
        &mut self,
        handle: KeyHandle,
        kind: &KeyKind,
        pair: &Pair,
        seq: Seq,
        message: Message<'_, impl Iterator<Item = &'p [u8]> + Clone>,
        expected: &[u8],
    ) -> Result<(), Refusal> {
        let extension = self.extension_received(seq);
        let key = self.traffic(handle, kind, pair, Direction::ThePeer);
        let mut code = key.ok_or(Refusal::NoConnection)?.begin();
        message.feed_ao(&mut code, extension, covers_options(kind));
        if !code.matches(expected) {
            return Err(Refusal::Mismatch);
        }
        self.advance_received(seq);
        Ok(())
    }
}

fn covers_options(kind: &KeyKind) -> bool {
    matches!(kind, KeyKind::Ao { cover_options: true, .. })
}

fn is_bare_syn(header: &Header) -> bool {
    header.flags.contains(Flags::SYN) && !header.flags.contains(Flags::ACK)
}

/// The key of a SYN: the receiver has no number yet (RFC 5925 §5.2).
fn syn_key(kind: &KeyKind, pair: &Pair, sender: Seq, sends: Direction) -> Option<TrafficKey> {
    traffic_key(kind, pair, Numbers { sender, receiver: Seq(0) }, sends)
}

/// The code in an option of `kind`, which is of that length.
fn expected<'a>(arrived: &Arrived<'a>, kind: u8, length: usize) -> Result<&'a [u8], Refusal> {
    let options = raw_options(arrived.octets);
    let option = options.into_iter().find(|option| option.kind == kind);
    let option = option.ok_or(Refusal::Missing)?;
    let overhead = if kind == AO_KIND { 4 } else { 2 };
    let start = usize::from(option.offset) + overhead;
    let end = usize::from(option.offset) + usize::from(option.octets);
    let code = arrived.octets.get(start..end).ok_or(Refusal::Mismatch)?;
    if code.len() == length { Ok(code) } else { Err(Refusal::Mismatch) }
}
