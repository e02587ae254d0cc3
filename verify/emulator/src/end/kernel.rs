//! The kernel's ends: plain blocking sockets on the calling thread, in its namespace.
//! Owns: nothing beyond a call. Must not know: usertcp.

use super::{
    CHUNK, Job, OVERTIME, PORT, Pattern, Received, ReceiverReport, SAMPLE_TIME, Sample,
    SenderReport,
};
use crate::namespace::Side;
use crate::sys;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

const CONTROLLER: &str = "cubic";
/// A write that finds no room comes back after this long, to look at the time.
const WRITE_TIME: Duration = Duration::from_millis(10);

/// Sends for the time of the job, then closes and waits for the receiver to close.
///
/// # Errors
/// What went wrong, in words.
pub fn send(job: &Job) -> Result<SenderReport, String> {
    let remote = (job.host.address(Side::Receiver), PORT).into();
    let mut stream = TcpStream::connect_timeout(&remote, job.patience)
        .map_err(|error| format!("connect: {error}"))?;
    let mut report = SenderReport { controller: choose(&stream), ..SenderReport::default() };
    write_for(&mut stream, job, &mut report)?;
    stream.shutdown(Shutdown::Write).map_err(|error| format!("shutdown: {error}"))?;
    stream.set_read_timeout(Some(job.patience)).map_err(|error| format!("a timeout: {error}"))?;
    match stream.read(&mut [0; 1]) {
        Ok(0) => {}
        Ok(_) => return Err("the receiver sent something".into()),
        Err(error) => return Err(format!("waiting for the receiver's end: {error}")),
    }
    Ok(report)
}

/// CUBIC where the kernel has it; what is used.
fn choose(stream: &TcpStream) -> String {
    let refused = sys::set_congestion_control(stream, CONTROLLER).is_err();
    let used = sys::congestion_control(stream).unwrap_or_else(|_| "unknown".into());
    if refused { format!("{used} (no {CONTROLLER} here)") } else { used }
}

fn write_for(stream: &mut TcpStream, job: &Job, report: &mut SenderReport) -> Result<(), String> {
    stream.set_write_timeout(Some(WRITE_TIME)).map_err(|error| format!("a timeout: {error}"))?;
    let pattern = Pattern::default();
    let end = Instant::now() + job.seconds + OVERTIME;
    let mut sampled = Instant::now();
    while Instant::now() < end {
        if job.sampled && sampled.elapsed() >= SAMPLE_TIME {
            sampled = Instant::now();
            report.samples.extend(sample(stream, job));
        }
        match stream.write(pattern.piece(report.written)) {
            Ok(count) => report.written += count as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("write: {error}")),
        }
    }
    Ok(())
}

fn sample(stream: &TcpStream, job: &Job) -> Option<Sample> {
    let info = sys::tcp_info(stream).ok()?;
    let mss = u64::from(info.tcpi_snd_mss);
    let flight =
        info.tcpi_unacked.saturating_sub(info.tcpi_sacked + info.tcpi_lost) + info.tcpi_retrans;
    Some(Sample {
        at: job.origin.elapsed(),
        window_octets: u64::from(info.tcpi_snd_cwnd) * mss,
        threshold_octets: u64::from(info.tcpi_snd_ssthresh).saturating_mul(mss),
        in_flight_octets: u64::from(flight) * mss,
        srtt_micros: info.tcpi_rtt.into(),
        retransmissions: info.tcpi_total_retrans.into(),
        limiter: "",
    })
}

/// Accepts one connection and reads to its end. `ready` is called once it listens.
///
/// # Errors
/// What went wrong, in words.
pub fn receive(job: &Job, ready: impl FnOnce()) -> Result<ReceiverReport, String> {
    let local = (job.host.address(Side::Receiver), PORT);
    let listener = TcpListener::bind(local).map_err(|error| format!("listen: {error}"))?;
    ready();
    let mut stream = accept(&listener, job.patience)?;
    let mut received = Received::begin(job.seconds);
    stream.set_read_timeout(Some(job.patience)).map_err(|error| format!("a timeout: {error}"))?;
    let mut buffer = vec![0; CHUNK];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(received.end()),
            Ok(count) => received.take(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("read: {error}")),
        }
    }
}

fn accept(listener: &TcpListener, patience: Duration) -> Result<TcpStream, String> {
    listener.set_nonblocking(true).map_err(|error| format!("listen: {error}"))?;
    let end = Instant::now() + patience;
    while Instant::now() < end {
        match listener.accept() {
            Ok((stream, _)) => {
                let blocking = stream.set_nonblocking(false);
                return blocking.map(|()| stream).map_err(|error| format!("accept: {error}"));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                sys::wait_readable([listener.as_raw_fd(); 2], patience / 10);
            }
            Err(error) => return Err(format!("accept: {error}")),
        }
    }
    Err("no connection came".into())
}
