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
    // Where it is refused, the thread stays where it is.
    let _ = choose_cores(|set, first| {
        // SAFETY: the macros read and write inside of the set.
        unsafe {
            if libc::CPU_COUNT(set) > 1 {
                libc::CPU_CLR(first, set);
            }
        }
    });
}

/// Takes this thread, which was kept off no core, to that core, and lets it go before all of its priority. Whether that
/// was allowed.
#[allow(unsafe_code)]
pub fn go_first_on_first_core() -> bool {
    // SAFETY: the macros write inside of the set.
    let chosen = choose_cores(|set, first| unsafe {
        libc::CPU_ZERO(set);
        libc::CPU_SET(first, set);
    });
    // SAFETY: all-zero parameters are valid ones, and the calls read and write them as a whole.
    chosen
        && unsafe {
            let mut parameters: libc::sched_param = std::mem::zeroed();
            let known = libc::sched_getparam(0, &raw mut parameters) == 0;
            parameters.sched_priority += 1;
            known && libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) == 0
        }
}

/// Gives this thread the cores that `choose` makes of those it has, of which it is told the first. Not safely: std does not choose
/// cores.
#[allow(unsafe_code)]
fn choose_cores(choose: impl FnOnce(&mut libc::cpu_set_t, usize)) -> bool {
    // SAFETY: an all-zero set is a valid one, the calls read and write it as a whole, the macro inside of it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) != 0 {
            return false;
        }
        let cores = libc::CPU_SETSIZE as usize;
        let Some(first) = (0..cores).find(|core| libc::CPU_ISSET(*core, &set)) else {
            return false;
        };
        choose(&mut set, first);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) == 0
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
