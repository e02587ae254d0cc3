//! The machine under the measurement. Owns: what it is, how busy it is, whether Ctrl-C was pressed.
//! Must not know: what is measured.

use crate::json::Json;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// CPU seconds all CPUs were busy since the machine started.
pub fn busy_seconds() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<f64> = text
        .lines()
        .next()
        .map(|line| {
            line.split_whitespace().skip(1).take(7).filter_map(|n| n.parse().ok()).collect()
        })
        .unwrap_or_default();
    // user nice system idle iowait irq softirq, in hundredths of a second on every Linux we know.
    if ticks.len() < 7 { 0.0 } else { (ticks.iter().sum::<f64>() - ticks[3] - ticks[4]) / 100.0 }
}

/// Waits until others leave the CPUs alone, at most `patience`. Returns the cores they use.
pub fn wait_for_quiet(patience: Duration) -> f64 {
    const LOOK: Duration = Duration::from_millis(200);
    let began = Instant::now();
    loop {
        let before = busy_seconds();
        std::thread::sleep(LOOK);
        let cores = (busy_seconds() - before) / LOOK.as_secs_f64();
        if cores < 0.2 || began.elapsed() > patience {
            return cores;
        }
    }
}

/// Resident octets of this process.
pub fn resident_octets() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// CPU seconds this thread has used.
pub fn thread_cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// CPU time of this thread, to the nanosecond: what others do on the machine is not in it.
#[allow(unsafe_code)]
pub fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec, which lives here.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    if failed != 0 {
        return Duration::ZERO;
    }
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Keeps this thread off the core that a stack of one shard is pinned to, where there is another one.
#[allow(unsafe_code)]
pub fn leave_first_core() {
    // Not safely: std does not choose cores. Where it is refused, the thread stays where it is.
    // SAFETY: an all-zero set is a valid one, the calls read and write it as a whole, the macros inside of it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return;
        }
        let cores = libc::CPU_SETSIZE as usize;
        let first = (0..cores).find(|core| libc::CPU_ISSET(*core, &set));
        if let Some(first) = first.filter(|_| libc::CPU_COUNT(&set) > 1) {
            libc::CPU_CLR(first, &mut set);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
        }
    }
}

/// How many files a process may hold open.
pub fn file_limit() -> u64 {
    let text = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    line.split_whitespace().nth(4).and_then(|n| n.parse().ok()).unwrap_or(u64::MAX)
}

/// What a report says about the machine: kernel, CPU, number of CPUs, revision of the source.
pub fn facts() -> Vec<(&'static str, Json)> {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    vec![
        ("kernel", Json::text(kernel.trim())),
        ("cpu", Json::text(cpu)),
        ("cpus", Json::Number(cpus as f64)),
        ("revision", Json::text(revision())),
        ("date", Json::Text(output("date", &["-u", "+%FT%TZ"]).unwrap_or_default())),
    ]
}

/// The short name of the commit that the program was built from, with `+changes` if sources differed from it;
/// `unknown` where nobody knew.
pub fn revision() -> &'static str {
    env!("USERTCP_REVISION")
}

fn output(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_interrupt(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From now on Ctrl-C only raises [`interrupted`], so that what was set up is taken down.
#[allow(unsafe_code)]
pub fn catch_interrupt() {
    let handler = on_interrupt as extern "C" fn(libc::c_int);
    // SAFETY: the handler only stores to an atomic, which is allowed in a signal handler.
    unsafe {
        libc::signal(libc::SIGINT, handler as libc::sighandler_t);
        libc::signal(libc::SIGTERM, handler as libc::sighandler_t);
    }
}

/// Whether Ctrl-C was pressed.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
