//! Where runs over devices take place. Owns: network namespaces, the veth pair, the server process;
//! takes all of it down at the end. Must not know: what the numbers mean.
//!
//! ```text
//! namespace t:  kbench client, kernel TCP ── TUN t0, 10.8.0.1 ── 10.8.0.2 usertcp services, or a peer
//! namespaces a, b:  a: kbench client, 10.9.0.1 ── veth ── 10.9.0.2, kernel TCP, kbench server :b
//! namespaces c, p:  c: kbench client, 10.7.0.1 ── veth ── no address, usertcp services on 10.7.0.2 :p
//! ```
//! The server is on CPU 0, the client on CPU 1. The kernel is made to use CUBIC: its default on some
//! machines is BBR, which is slower on links without loss.

use super::native::{Kbench, last_lines, succeed};
use super::workload::{Load, Place, Workload};
use crate::options::Contender;
use crate::run::Run;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PREFIX: &str = "utcpbench";

/// Why nothing can be measured here, if so.
pub fn obstacle() -> Option<String> {
    // The owner of /proc/self is this process's effective user.
    use std::os::unix::fs::MetadataExt;
    if std::fs::metadata("/proc/self").map_or(1, |facts| facts.uid()) != 0 {
        return Some("needs root, for network namespaces and a TUN device".into());
    }
    if !Path::new("/dev/net/tun").exists() {
        return Some("this machine has no /dev/net/tun".into());
    }
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Some("needs two CPUs, one for each side".into());
    }
    let missing = |tool: &&&str| Command::new(tool).arg("-V").output().is_err();
    if let Some(tool) = ["ip", "taskset", "setpriv"].iter().find(missing) {
        return Some(format!("needs the program {tool}"));
    }
    let trial = Namespace::create("x");
    trial.err().map(|problem| format!("no network namespace can be made: {problem}"))
}

/// The namespaces, and the programs that run in them.
pub struct Lab {
    /// The client, and the kernel's server.
    pub kbench: Kbench,
    servers: Servers,
    tun: Namespace,
    client: Namespace,
    server: Namespace,
    far_client: Namespace,
    /// Where the kernel has no address, so that it answers nothing.
    bare: Namespace,
}

/// The programs that serve on a TUN device.
pub struct Servers {
    /// The `usertcp` command.
    pub usertcp: PathBuf,
    /// This program, which smoltcp is in.
    pub own: PathBuf,
    /// The directory of lwIP's programs, if they could be built.
    pub lwip: Option<PathBuf>,
    /// The least TCP, if it could be built.
    pub tunlim: Option<PathBuf>,
}

/// How long a run is.
#[derive(Clone, Copy)]
pub struct Window {
    /// Before it is measured.
    pub warm_seconds: f64,
    /// Measured.
    pub seconds: f64,
}

impl Lab {
    /// Makes the namespaces.
    pub fn set_up(kbench: Kbench, servers: Servers) -> Result<Lab, String> {
        sweep();
        let lab = Lab {
            kbench,
            servers,
            tun: Namespace::create("t")?,
            client: Namespace::create("a")?,
            server: Namespace::create("b")?,
            far_client: Namespace::create("c")?,
            bare: Namespace::create("p")?,
        };
        join(&lab.client, ("va", Some("10.9.0.1/24")), &lab.server, ("vb", Some("10.9.0.2/24")))?;
        join(&lab.far_client, ("vc", Some("10.7.0.1/24")), &lab.bare, ("vp", None))?;
        Ok(lab)
    }

    /// Whether the command knows the device of `place`.
    pub fn knows(&self, place: Place) -> bool {
        let device = format!("{}:", place.name());
        let output = Command::new(&self.servers.usertcp)
            .args(["services", "--help"])
            .stdin(Stdio::null())
            .output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&device))
    }

    /// The client's namespace, and the address that ours has.
    fn site(&self, place: Place) -> (&Namespace, &'static str) {
        match place {
            Place::Packet | Place::Xdp => (&self.far_client, "10.7.0.2"),
            Place::Memory | Place::Tun => (&self.tun, "10.8.0.2"),
        }
    }

    /// The name of the namespace for runs on the loopback device.
    pub fn loopback(&self) -> &str {
        &self.server.name
    }

    /// One run of `workload` with `contender` as the server.
    pub fn run(
        &self,
        workload: &Workload,
        contender: Contender,
        window: Window,
    ) -> Result<Run, String> {
        let mut kbench = self.kbench(workload, window);
        if contender == Contender::Kernel {
            kbench.args(["--sns", &self.server.name, "--cns", &self.client.name]);
            kbench.args(["-a", "10.9.0.2"]);
            return Run::parse(&succeed(&mut kbench, "kbench")?);
        }
        // A fresh one for each run: what the last one left behind is no part of this one.
        let mut server = self.start(workload, contender)?;
        let run = self.drive(workload, &mut kbench, &mut server)?;
        let copies = (contender == Contender::Usertcp).then(|| server.copies_of_an_octet());
        Ok(Run { copied: copies.flatten().map(|copies| copies * run.octets), ..run })
    }

    /// Ours, sending back large messages on several connections: every octet is looked at.
    pub fn verify(&self, workload: &Workload, window: Window) -> Result<Run, String> {
        let mut kbench = self.kbench(workload, window);
        kbench.args(["-m", "rr", "-p", "5003", "-n", "8", "--msg", "100000"]);
        let mut server = self.start(workload, Contender::Usertcp)?;
        self.drive(workload, &mut kbench, &mut server)
    }

    /// The same as [`Lab::run`] of ours, with its system calls counted, which slows it down.
    pub fn count_calls(&self, workload: &Workload, window: Window) -> Result<Run, String> {
        let mut kbench = self.kbench(workload, window);
        kbench.arg("--count-calls");
        let mut server = self.start(workload, Contender::Usertcp)?;
        self.drive(workload, &mut kbench, &mut server)
    }

    fn kbench(&self, workload: &Workload, window: Window) -> Command {
        let (mode, port) = workload.service();
        let mut kbench = Command::new(&self.kbench.path);
        kbench.args(["-m", mode, "--scpu", "0", "--ccpu", "1", "--cc", "cubic"]);
        kbench.args(["-p", &port.to_string(), "-n", &workload.connections.to_string()]);
        kbench.args(["-t", &window.seconds.to_string()]);
        kbench.args(["--warm", &window.warm_seconds.to_string()]);
        kbench
    }

    fn drive(
        &self,
        workload: &Workload,
        kbench: &mut Command,
        server: &mut Services<'_>,
    ) -> Result<Run, String> {
        let (namespace, address) = self.site(workload.place);
        kbench.args(["--role", "client", "--cns", &namespace.name, "-a", address]);
        kbench.args(["--wait", "5", "--peer-pid", &server.process.id().to_string()]);
        let line = succeed(kbench, "kbench");
        line.and_then(|line| Run::parse(&line)).map_err(|problem| server.blame(problem))
    }

    fn start(&self, workload: &Workload, contender: Contender) -> Result<Services<'_>, String> {
        let mut server = self.command(workload, contender)?;
        let device = match contender {
            // It makes its own.
            Contender::Usertcp => None,
            _ => Some(TunDevice::create(&self.tun)?),
        };
        let log = self.kbench.directory.join("services.log");
        let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let file_too = file.try_clone().map_err(|error| error.to_string())?;
        let process = server
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(file_too)
            .spawn()
            .map_err(|error| format!("starting {}: {error}", contender.name()))?;
        Ok(Services { process, log, name: contender.name(), _device: device })
    }

    fn command(&self, workload: &Workload, contender: Contender) -> Result<Command, String> {
        // `ip`, `setpriv` and `taskset` each become the next: the process started is the server.
        let namespace = match workload.place {
            Place::Packet | Place::Xdp => &self.bare,
            Place::Memory | Place::Tun => &self.tun,
        };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &namespace.name, "setpriv", "--pdeathsig", "KILL"]);
        command.args(["taskset", "-c", "0"]);
        let servers = &self.servers;
        match contender {
            Contender::Usertcp => {
                command.arg(&servers.usertcp).args(["services", "--json"]);
                match workload.place {
                    Place::Packet | Place::Xdp => {
                        let device = format!("{}:vp", workload.place.name());
                        command.args(["--device", &device, "--addr", "10.7.0.2/24"]);
                    }
                    Place::Memory | Place::Tun => {
                        command.args(["--dev", "t0", "--addr", "10.8.0.2/24"]);
                        command.args(["--peer", "10.8.0.1/24"]);
                    }
                }
            }
            Contender::Smoltcp => {
                let sockets = workload.connections.max(128).to_string();
                command.arg(&servers.own).args(["peer-smoltcp", "tun", "t0", &sockets]);
            }
            Contender::Lwip => {
                let programs = servers.lwip.as_ref().ok_or("lwIP was not built")?;
                let short = workload.load == Load::Short;
                let name = if short { "lwbench-short" } else { "lwbench-1460" };
                command.arg(programs.join(name)).args(["tun", "t0", "1500"]);
            }
            Contender::Tunlim => {
                let tunlim = servers.tunlim.as_ref().ok_or("tunlim was not built")?;
                command.arg(tunlim).args(["t0", "1500", "vnet"]);
            }
            Contender::Kernel => return Err("the kernel needs no program on a TUN device".into()),
        }
        Ok(command)
    }
}

/// A TUN device for a server that makes none; it ends with this value.
struct TunDevice<'a> {
    namespace: &'a Namespace,
}

impl TunDevice<'_> {
    fn create(namespace: &Namespace) -> Result<TunDevice<'_>, String> {
        let name = &namespace.name;
        ip(&format!("-n {name} tuntap add dev t0 mode tun"))?;
        let device = TunDevice { namespace };
        ip(&format!("-n {name} addr add 10.8.0.1/24 dev t0"))?;
        ip(&format!("-n {name} link set t0 mtu 1500 up"))?;
        Ok(device)
    }
}

impl Drop for TunDevice<'_> {
    fn drop(&mut self) {
        let _ = ip(&format!("-n {} link del t0", self.namespace.name));
    }
}

/// A running server; it ends with this value.
struct Services<'a> {
    process: Child,
    log: PathBuf,
    name: &'static str,
    /// Removed after the process has ended.
    _device: Option<TunDevice<'a>>,
}

impl Services<'_> {
    /// A problem of the client, with what the server said if that is where it comes from.
    fn blame(&mut self, problem: String) -> String {
        let end = match self.process.try_wait() {
            Ok(Some(status)) => format!("{} ended ({status})", self.name),
            _ => format!("{} is running", self.name),
        };
        let said = last_lines(&std::fs::read_to_string(&self.log).unwrap_or_default(), 5);
        let said = if said.is_empty() { "nothing".to_owned() } else { format!("\n{said}") };
        format!("{problem}; {end} and said {said}")
    }
}

impl Services<'_> {
    /// Ends ours as a user would, and reads what it says then.
    fn copies_of_an_octet(&mut self) -> Option<f64> {
        let id = self.process.id().to_string();
        succeed(Command::new("kill").args(["-INT", &id]), "kill").ok()?;
        for _ in 0..200 {
            if self.process.try_wait().ok()?.is_some() {
                return copies(&std::fs::read_to_string(&self.log).ok()?);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

/// How often an octet was copied, by the event that the command ends with.
fn copies(log: &str) -> Option<f64> {
    let stopped = log.lines().rfind(|line| line.contains("\"stopped\""))?;
    let value = |name: &str| -> Option<f64> {
        let (_, rest) = stopped.split_once(&format!("\"{name}\":"))?;
        rest.split([',', '}']).next()?.trim().parse().ok()
    };
    Some(value("octets_copied")? / value("octets_in")?.max(value("octets_out")?))
}

impl Drop for Services<'_> {
    fn drop(&mut self) {
        // Nothing is left to do about an error here: the process is gone or cannot be ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A network namespace; it ends with this value.
struct Namespace {
    name: String,
}

impl Namespace {
    fn create(suffix: &str) -> Result<Namespace, String> {
        let name = format!("{PREFIX}-{}-{suffix}", std::process::id());
        ip(&format!("netns add {name}"))?;
        let namespace = Namespace { name };
        ip(&format!("-n {} link set lo up", namespace.name))?;
        namespace.set("net/ipv4/ip_local_port_range", "1024 65535")?;
        // Some kernels let a namespace have Reno as its default but not CUBIC. That is for the short
        // connections, where it does not matter; kbench asks for CUBIC on every other socket.
        namespace.set("net/ipv4/tcp_congestion_control", "reno")?;
        Ok(namespace)
    }

    /// Sets a kernel parameter inside.
    fn set(&self, parameter: &str, value: &str) -> Result<(), String> {
        let script = format!("echo {value} > /proc/sys/{parameter}");
        let mut shell = Command::new("ip");
        shell.args(["netns", "exec", &self.name, "sh", "-c", &script]);
        succeed(&mut shell, parameter).map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.name));
    }
}

/// A veth pair between two namespaces, each end's name with its address.
fn join(
    one: &Namespace,
    (device, address): (&str, Option<&str>),
    other: &Namespace,
    (far_device, far_address): (&str, Option<&str>),
) -> Result<(), String> {
    let (near, far) = (&one.name, &other.name);
    ip(&format!("link add {device} netns {near} type veth peer name {far_device} netns {far}"))?;
    for (namespace, device, address) in [(near, device, address), (far, far_device, far_address)] {
        if let Some(address) = address {
            ip(&format!("-n {namespace} addr add {address} dev {device}"))?;
        }
        ip(&format!("-n {namespace} link set {device} up"))?;
    }
    Ok(())
}

/// Removes what a bench that was killed has left.
fn sweep() {
    let Ok(names) = ip("netns list") else { return };
    for name in names.lines().filter_map(|line| line.split_whitespace().next()) {
        let mut parts = name.split('-');
        let (prefix, process) = (parts.next(), parts.next());
        let gone = process.is_some_and(|id| !Path::new("/proc").join(id).exists());
        if prefix == Some(PREFIX) && gone {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

fn ip(words: &str) -> Result<String, String> {
    succeed(Command::new("ip").args(words.split(' ')), &format!("ip {words}"))
}

#[cfg(test)]
mod tests {
    use super::copies;

    #[test]
    fn copies_are_of_the_octets_that_passed() {
        let log = "{\"event\":\"started\"}\n{\"connections\":1,\"event\":\"stopped\",\
            \"octets_copied\":300,\"octets_in\":200,\"octets_out\":100,\"seconds\":1}\n";
        assert_eq!(copies(log), Some(1.5));
        assert_eq!(copies("{\"event\":\"stopped\",\"octets_in\":1,\"octets_out\":0}"), None);
    }
}
