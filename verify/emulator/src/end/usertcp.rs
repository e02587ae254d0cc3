//! usertcp's ends: a stack over its own TUN device in the calling thread's namespace, and a
//! handler on its thread.
//! Owns: two handlers. Must not know: the kernel's sockets.

use super::{
    CHUNK, Job, OVERTIME, PORT, Pattern, Received, ReceiverReport, SAMPLE_TIME, Sample,
    SenderReport,
};
use crate::namespace::{STACK_DEVICE, Side};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use usertcp::{
    Cidr, ConnId, ConnectOptions, Context, EcnMode, Handler, KernelCidr, ListenAt, ListenOptions,
    Read, Settings, ShardEvent, Span, Stack, TunConfig,
};

type Outcome<T> = Result<T, String>;

/// Sends for the time of the job, then closes and waits for the receiver to close.
///
/// # Errors
/// What went wrong, in words.
pub fn send(job: &Job) -> Outcome<SenderReport> {
    let (tell, outcome) = channel();
    let handler = Sending {
        job: job.clone(),
        pattern: Pattern::default(),
        conn: None,
        end: Instant::now(),
        shut: false,
        report: SenderReport::default(),
        tell,
    };
    let stack = start(job, Side::Sender, handler)?;
    wait(&stack, &outcome, job)
}

/// Accepts one connection and reads to its end. `ready` is called once it listens.
///
/// # Errors
/// What went wrong, in words.
pub fn receive(job: &Job, ready: impl FnOnce()) -> Outcome<ReceiverReport> {
    let (tell, outcome) = channel();
    let handler =
        Receiving { job: job.clone(), conn: None, received: None, buffer: vec![0; CHUNK], tell };
    let stack = start(job, Side::Receiver, handler)?;
    // A question is answered after the start, where the handler began to listen.
    stack.run_blocking(|_| ()).map_err(|error| error.to_string())?;
    ready();
    wait(&stack, &outcome, job)
}

/// How long an end that is done answers the other: some retransmission timeouts, as the path may lose the last
/// segments too, and who waits for their acknowledgement would wait for nobody.
const LINGER: Duration = Duration::from_secs(5);

fn start(job: &Job, side: Side, handler: impl Handler + Send) -> Outcome<Stack> {
    let gateway: KernelCidr =
        job.host.gateway_cidr(side).parse().map_err(|error| format!("{error:?}"))?;
    let own: Cidr = job.host.cidr(side).parse().map_err(|error| format!("{error:?}"))?;
    let tun = TunConfig {
        name: STACK_DEVICE.into(),
        mtu: job.host.mtu,
        addresses: vec![gateway],
        ..TunConfig::default()
    };
    let mut settings = Settings::default();
    if job.host.ecn {
        settings.ecn = EcnMode::Ask;
    }
    Stack::builder()
        .name("usertcp-end")
        .tun(tun)
        .address(own)
        .settings(settings)
        .linger(LINGER)
        .run_native(handler)
        .map_err(|error| format!("start: {error}"))
}

fn wait<T>(stack: &Stack, outcome: &Receiver<Outcome<T>>, job: &Job) -> Outcome<T> {
    let longest = job.seconds + OVERTIME + job.patience;
    let outcome = outcome.recv_timeout(longest).map_err(|_| "it took too long".to_owned());
    stack.shutdown();
    outcome?
}

struct Sending {
    job: Job,
    pattern: Pattern,
    conn: Option<ConnId>,
    end: Instant,
    shut: bool,
    report: SenderReport,
    tell: Sender<Outcome<SenderReport>>,
}

impl Sending {
    fn write_on(&mut self, context: &mut Context<'_>, conn: ConnId) {
        while !self.shut {
            match context.write(conn, self.pattern.piece(self.report.written)) {
                Ok(0) => return,
                Ok(count) => self.report.written += count as u64,
                Err(error) => return self.finish(Err(format!("write: {error}"))),
            }
        }
    }

    fn sample(&mut self, context: &Context<'_>, conn: ConnId) {
        let Some(info) = context.info(conn).and_then(|info| info.figures) else { return };
        self.report.controller = info.controller.into();
        if self.job.sampled {
            self.report.samples.push(Sample::of(self.job.origin.elapsed(), &info));
        }
    }

    fn finish(&mut self, outcome: Outcome<()>) {
        let report = std::mem::take(&mut self.report);
        // Whoever gave up waiting does not miss it.
        let _ = self.tell.send(outcome.map(|()| report));
        self.shut = true;
    }

    /// The receiver's end ends the job.
    fn look_for_end(&mut self, context: &mut Context<'_>, conn: ConnId) {
        if let Ok(Read::End) = context.read(conn, &mut [0; 1]) {
            self.sample(context, conn);
            self.finish(Ok(()));
            context.close(conn);
            self.conn = None;
        }
    }
}

impl Handler for Sending {
    fn on_start(&mut self, context: &mut Context<'_>) {
        let remote = (self.job.host.address(Side::Receiver), PORT).into();
        match context.connect(remote, &ConnectOptions::default()) {
            Ok(conn) => self.conn = Some(conn),
            Err(error) => self.finish(Err(format!("connect: {error}"))),
        }
    }

    fn on_event(&mut self, context: &mut Context<'_>, event: ShardEvent) {
        match event {
            ShardEvent::Connected(conn) => {
                self.end = Instant::now() + self.job.seconds + OVERTIME;
                context.wake_after(span(SAMPLE_TIME));
                self.write_on(context, conn);
            }
            ShardEvent::Writable(conn) => self.write_on(context, conn),
            ShardEvent::Readable(conn) | ShardEvent::PeerClosed(conn) => {
                self.look_for_end(context, conn);
            }
            ShardEvent::Closed { reason, .. } if self.conn.is_some() => {
                self.finish(Err(format!("closed: {reason:?}")));
                self.conn = None;
            }
            _ => {}
        }
    }

    fn on_wake(&mut self, context: &mut Context<'_>) {
        let Some(conn) = self.conn else { return };
        self.sample(context, conn);
        if self.shut {
            return;
        }
        if Instant::now() < self.end {
            context.wake_after(span(SAMPLE_TIME));
            return;
        }
        self.shut = true;
        if let Err(error) = context.shutdown_write(conn) {
            self.finish(Err(format!("shutdown: {error}")));
        }
    }
}

struct Receiving {
    job: Job,
    conn: Option<ConnId>,
    received: Option<Received>,
    buffer: Vec<u8>,
    tell: Sender<Outcome<ReceiverReport>>,
}

impl Receiving {
    fn read_on(&mut self, context: &mut Context<'_>, conn: ConnId) {
        let Some(received) = &mut self.received else { return };
        loop {
            match context.read(conn, &mut self.buffer) {
                Ok(Read::Data(count)) => received.take(&self.buffer[..count]),
                Ok(Read::Nothing) => return,
                Ok(Read::End) => {
                    let _ = self.tell.send(Ok(received.end()));
                    context.close(conn);
                    self.conn = None;
                    return;
                }
                Err(error) => {
                    let _ = self.tell.send(Err(format!("read: {error}")));
                    return;
                }
            }
        }
    }
}

impl Handler for Receiving {
    fn on_start(&mut self, context: &mut Context<'_>) {
        if let Err(error) = context.listen(ListenAt::port(PORT), &ListenOptions::default()) {
            let _ = self.tell.send(Err(format!("listen: {error}")));
        }
    }

    fn on_event(&mut self, context: &mut Context<'_>, event: ShardEvent) {
        match event {
            ShardEvent::Accepted { listener, .. } => {
                if let Some(conn) = context.accept(listener) {
                    self.conn = Some(conn);
                    self.received = Some(Received::begin(self.job.seconds));
                    self.read_on(context, conn);
                }
            }
            ShardEvent::Readable(conn) | ShardEvent::PeerClosed(conn) => {
                self.read_on(context, conn);
            }
            ShardEvent::Closed { conn, reason } if self.conn == Some(conn) => {
                self.read_on(context, conn);
                if self.conn.is_some() {
                    let _ = self.tell.send(Err(format!("closed: {reason:?}")));
                }
            }
            _ => {}
        }
    }
}

fn span(time: Duration) -> Span {
    Span::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
