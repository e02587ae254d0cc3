//! Passive opens on this thread.
//! Owns: [`LocalListener`]. Must not know: how streams move data.

use crate::local::connection::Connection;
use crate::local::stack::LocalStack;
use crate::local::state::Shared;
use crate::local::stream::LocalStream;
use crate::native::{ListenAt, ListenOptions};
use crate::sockets::error;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};
use usertcp_base::{ConnId, ListenerId};

/// Waits for connections of a [`LocalStack`].
///
/// Dropping it ends the listening, and resets what was not accepted. Accepted streams live on.
pub struct LocalListener {
    shared: Rc<Shared>,
    id: ListenerId,
    local: SocketAddr,
}

impl LocalListener {
    /// Listens at `address` of `stack`. An unspecified address (`0.0.0.0`, `[::]`) stands for all of the
    /// stack's, of both families; port 0 for one that is free. It does not wait.
    ///
    /// # Errors
    /// `AddrInUse`; `AddrNotAvailable` when the address is not the stack's; `ConnectionAborted` when the
    /// stack was shut down.
    pub fn bind(stack: &LocalStack, address: SocketAddr) -> io::Result<LocalListener> {
        LocalListener::bind_with(stack, address, ListenOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`LocalListener::bind`].
    pub fn bind_with(
        stack: &LocalStack,
        address: SocketAddr,
        options: ListenOptions,
    ) -> io::Result<LocalListener> {
        LocalListener::listen(stack, ListenAt::from(address), address, &options)
    }

    /// Listens at what only [`ListenAt`] can say: every port of an address, or of all.
    ///
    /// # Errors
    /// As [`LocalListener::bind`].
    pub fn bind_at(
        stack: &LocalStack,
        at: ListenAt,
        options: ListenOptions,
    ) -> io::Result<LocalListener> {
        let address = at.address.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
        let shown = SocketAddr::new(address, at.port.unwrap_or(0));
        LocalListener::listen(stack, at, shown, &options)
    }

    fn listen(
        stack: &LocalStack,
        at: ListenAt,
        shown: SocketAddr,
        options: &ListenOptions,
    ) -> io::Result<LocalListener> {
        let shared = Rc::clone(stack.shared());
        let (id, port) = shared.call(|state, now| {
            if state.is_over() {
                return Err(error::stack_gone());
            }
            let id = state.engine.listen(now, at, options)?;
            state.add_listener(id);
            Ok((id, state.engine.listener_info(id).and_then(|info| info.port)))
        })?;
        let local = SocketAddr::new(shown.ip(), port.unwrap_or(shown.port()));
        Ok(LocalListener { shared, id, local })
    }

    /// The next connection, and the peer's address. May be dropped at any time: no connection is lost.
    ///
    /// # Errors
    /// `NetworkDown` when the stack was shut down.
    pub async fn accept(&self) -> io::Result<(LocalStream, SocketAddr)> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// The next connection, for hand-written futures. Any number of tasks may wait.
    ///
    /// # Errors
    /// As [`LocalListener::accept`].
    pub fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(LocalStream, SocketAddr)>> {
        loop {
            let (next, crowd) = self.shared.call(|state, _| {
                if state.is_over() {
                    return (Some(Err(error::listener_gone())), Default::default());
                }
                if let Some(id) = state.engine.accept(self.id) {
                    return (Some(Ok(id)), Default::default());
                }
                let waiting = state.waiting_at(self.id);
                (None, waiting.map(|waiting| waiting.add(context.waker())).unwrap_or_default())
            });
            crowd.wake();
            let id: ConnId = match next {
                None => return Poll::Pending,
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(id)) => id,
            };
            match Connection::adopt(&self.shared, id) {
                Some(connection) => {
                    let peer = connection.remote;
                    return Poll::Ready(Ok((LocalStream { connection }, peer)));
                }
                None => self.shared.call(|state, now| state.engine.abort(now, id)),
            }
        }
    }

    /// Where it listens; port zero when it listens at every port.
    ///
    /// # Errors
    /// None; the signature is that of every other listener.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        let waiting = self.shared.call(|state, now| {
            let waiting = state.remove_listener(self.id);
            if waiting.is_some() {
                state.acted = true;
                state.engine.unlisten(now, self.id);
            }
            waiting
        });
        // Nobody waits who does not borrow the listener, but for hand-written futures: they are told.
        waiting.unwrap_or_default().wake();
    }
}

impl std::fmt::Debug for LocalListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalListener").field("local", &self.local).finish_non_exhaustive()
    }
}
