//! The services on the stack's own thread. Owns: one small record per connection; no task, no
//! lock, no copy: what is echoed stays in the frames it came in.
//! Must not know: TUN, threads.

use super::{Service, Transferred, chargen_lines};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use usertcp::{
    Chain, Class, ConnId, Context, FrameSlice, Handler, ListenAt, ListenOptions, ListenerId, Read,
    ShardEvent,
};

/// The handler.
pub struct Services {
    recipe: Recipe,
    listeners: Vec<(ListenerId, Service)>,
    /// By slot.
    connections: Vec<Option<Connection>>,
    /// The pattern of chargen, in one frame that all connections share.
    pattern: Option<FrameSlice>,
    /// Counted since the last turn: several shards share the totals, which are told once a turn.
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    streams: u64,
    octets_in: u64,
    octets_out: u64,
}

impl Tally {
    fn tell(&mut self, totals: &Transferred) {
        let Tally { streams, octets_in, octets_out } = std::mem::take(self);
        for (total, count) in [
            (&totals.streams, streams),
            (&totals.octets_in, octets_in),
            (&totals.octets_out, octets_out),
        ] {
            if count > 0 {
                total.fetch_add(count, Relaxed);
            }
        }
    }
}

struct Connection {
    service: Service,
    /// Read and not yet taken by the send queue.
    pending: Chain,
    answered: bool,
}

/// A pattern frame holds so many octets: a super-segment of the usual path, so that few lie in two.
const PATTERN_OCTETS: usize = 45 * 1448;

/// What is needed to make a handler on the stack's thread.
#[derive(Clone)]
pub struct Recipe {
    /// The first of four ports.
    pub base_port: u16,
    /// Where to count.
    pub transferred: Arc<Transferred>,
    /// How listening went.
    pub outcome: Arc<Mutex<Option<io::Result<()>>>>,
}

impl crate::own::Recipe for Recipe {
    type Handler = Services;
    fn make(self) -> Services {
        Services {
            recipe: self,
            listeners: Vec::new(),
            connections: Vec::new(),
            pattern: None,
            tally: Tally::default(),
        }
    }
}

impl Services {
    fn accept_all(&mut self, context: &mut Context<'_>, listener: ListenerId) {
        let found = self.listeners.iter().find(|(id, _)| *id == listener);
        let Some((_, service)) = found.copied() else { return };
        while let Some(conn) = context.accept(listener) {
            self.tally.streams += 1;
            let slot = conn.slot as usize;
            if self.connections.len() <= slot {
                self.connections.resize_with(slot + 1, || None);
            }
            let connection = Connection { service, pending: Chain::new(), answered: false };
            if let Some(place) = self.connections.get_mut(slot) {
                *place = Some(connection);
            }
            self.advance(context, conn);
        }
    }

    /// Reads and writes as far as both go.
    fn advance(&mut self, context: &mut Context<'_>, conn: ConnId) {
        let slot = conn.slot as usize;
        let Some(mut connection) = self.connections.get_mut(slot).and_then(Option::take) else {
            return;
        };
        let over = match connection.service {
            Service::Chargen => self.generate(context, conn),
            _ => self.answer(context, conn, &mut connection),
        };
        if over {
            context.close(conn);
        } else if let Some(place) = self.connections.get_mut(slot) {
            *place = Some(connection);
        }
    }

    /// Discard and both echoes; whether the connection is done with.
    fn answer(
        &mut self,
        context: &mut Context<'_>,
        conn: ConnId,
        connection: &mut Connection,
    ) -> bool {
        loop {
            if !connection.pending.is_empty() {
                let chain = std::mem::take(&mut connection.pending);
                let octets = chain.len() as u64;
                match context.write_chain(conn, chain) {
                    Err(_) => return true,
                    Ok(rest) if rest.is_empty() => {
                        self.tally.octets_out += octets;
                        connection.answered = true;
                    }
                    Ok(rest) => {
                        connection.pending = rest;
                        return false;
                    }
                }
            }
            if connection.answered && connection.service == Service::EchoOnce {
                return true;
            }
            match context.read_slice(conn) {
                Err(_) | Ok(Read::End) => return true,
                Ok(Read::Nothing) => return false,
                Ok(Read::Data(slice)) => {
                    self.tally.octets_in += slice.len() as u64;
                    if connection.service != Service::Discard {
                        connection.pending = Chain::from(slice);
                    }
                }
            }
        }
    }

    /// Writes the pattern while there is room. What the peer sends is read and forgotten.
    fn generate(&mut self, context: &mut Context<'_>, conn: ConnId) -> bool {
        loop {
            match context.read_slice(conn) {
                Err(_) | Ok(Read::End) => return true,
                Ok(Read::Nothing) => break,
                Ok(Read::Data(_)) => {}
            }
        }
        let Some(pattern) = self.pattern(context) else { return false };
        loop {
            match context.write_chain(conn, Chain::from(pattern.clone())) {
                Err(_) => return true,
                Ok(rest) if rest.is_empty() => {
                    self.tally.octets_out += pattern.len() as u64;
                }
                Ok(_) => return false,
            }
        }
    }

    fn pattern(&mut self, context: &Context<'_>) -> Option<FrameSlice> {
        if self.pattern.is_none() {
            let mut frame = context.pool().take(Class::Large, 0)?;
            let lines = chargen_lines();
            let whole: Vec<u8> = lines.iter().copied().cycle().take(PATTERN_OCTETS).collect();
            frame.extend(&whole);
            self.pattern = Some(frame.into_slice());
        }
        self.pattern.clone()
    }
}

impl Handler for Services {
    fn on_start(&mut self, context: &mut Context<'_>) {
        let options = ListenOptions { backlog: 16_384, ..ListenOptions::default() };
        for (port, service) in (self.recipe.base_port..=u16::MAX).zip(Service::ALL) {
            match context.listen(ListenAt::port(port), &options) {
                Ok(listener) => self.listeners.push((listener, service)),
                Err(error) => {
                    let what = io::Error::new(error.kind(), format!("port {port}: {error}"));
                    set(&self.recipe.outcome, Err(what));
                    return;
                }
            }
        }
        set(&self.recipe.outcome, Ok(()));
    }

    fn on_event(&mut self, context: &mut Context<'_>, event: ShardEvent) {
        match event {
            ShardEvent::Accepted { listener, .. } => self.accept_all(context, listener),
            ShardEvent::Readable(conn)
            | ShardEvent::Writable(conn)
            | ShardEvent::PeerClosed(conn) => self.advance(context, conn),
            ShardEvent::Closed { conn, .. } => {
                if let Some(place) = self.connections.get_mut(conn.slot as usize)
                    && place.take().is_some()
                {
                    context.close(conn);
                }
            }
            _ => {}
        }
    }

    fn on_turn(&mut self, _: &mut Context<'_>) {
        self.tally.tell(&self.recipe.transferred);
    }

    fn on_stop(&mut self, context: &mut Context<'_>) {
        self.tally.tell(&self.recipe.transferred);
        context.shutdown_all();
    }
}

fn set(outcome: &Mutex<Option<io::Result<()>>>, value: io::Result<()>) {
    // A poisoned lock would mean that this thread panicked here before.
    if let Ok(mut place) = outcome.lock()
        && !matches!(*place, Some(Err(_)))
    {
        *place = Some(value);
    }
}
