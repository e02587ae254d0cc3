//! Runs in memory: a program for each contender, both ends on one CPU.
//! Owns: how each is called. Must not know: how they are compared.

use super::lab::Lab;
use super::native::{Kbench, succeed};
use super::workload::{Load, Workload};
use crate::options::Contender;
use crate::run::Run;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The CPU of everything that runs in memory.
const CPU: &str = "0";

/// What is needed to run.
pub struct Programs {
    /// This program.
    pub own: PathBuf,
    /// The directory of lwIP's programs, if they could be built.
    pub lwip: Option<PathBuf>,
}

impl Programs {
    /// Ours, looking at every octet.
    pub fn verify(&self, workload: &Workload) -> Result<(), String> {
        let seconds = if workload.is_huge() { "0.01" } else { "0.05" };
        self.usertcp(workload, seconds, true).map(drop)
    }

    /// One run.
    pub fn run(
        &self,
        lab: Option<&Lab>,
        workload: &Workload,
        contender: Contender,
        seconds: f64,
    ) -> Result<Run, String> {
        let seconds = seconds.to_string();
        match contender {
            Contender::Usertcp => self.usertcp(workload, &seconds, false),
            Contender::Smoltcp => self.smoltcp(workload, &seconds),
            Contender::Lwip => {
                let programs = self.lwip.as_ref().ok_or("lwIP was not built")?;
                lwip(programs, workload, &seconds)
            }
            Contender::Kernel => {
                lab.ok_or("needs a network namespace")?.on_loopback(workload, &seconds)
            }
            Contender::Tunlim => Err("tunlim needs a device".into()),
        }
    }

    fn usertcp(&self, workload: &Workload, seconds: &str, verify: bool) -> Result<Run, String> {
        let mut command = pinned(&self.own);
        let only = format!("^{}$", workload.core_key());
        command.args(["core", "--raw", "--only", &only, "--seconds", seconds]);
        if verify {
            command.arg("--verify");
        }
        Run::parse(&succeed(&mut command, "usertcp-bench core")?)
    }

    fn smoltcp(&self, workload: &Workload, seconds: &str) -> Result<Run, String> {
        let (mtu, connections) = (workload.mtu.to_string(), workload.connections.to_string());
        let mut command = pinned(&self.own);
        command.args(["peer-smoltcp", "memory", word(workload.load), &mtu, &connections, seconds]);
        Run::parse(&succeed(&mut command, "smoltcp")?)
    }
}

fn lwip(programs: &Path, workload: &Workload, seconds: &str) -> Result<Run, String> {
    let name = match workload.load {
        Load::Short => "lwbench-short",
        _ if workload.mtu > 1500 => "lwbench-64k",
        _ => "lwbench-1460",
    };
    let mut command = pinned(&programs.join(name));
    command.args(["memory", word(workload.load), &workload.connections.to_string(), seconds]);
    Run::parse(&succeed(&mut command, "lwip")?)
}

/// The peers' word for a load.
fn word(load: Load) -> &'static str {
    match load {
        Load::Bulk | Load::BulkOut => "bulk",
        Load::Echo => "echo",
        Load::Short => "short",
    }
}

fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", CPU]).arg(program);
    command
}

impl Lab {
    /// The kernel's two ends on the loopback device, both on the same CPU.
    fn on_loopback(&self, workload: &Workload, seconds: &str) -> Result<Run, String> {
        let Kbench { path, .. } = &self.kbench;
        let (mode, port) = workload.service();
        let mut kbench = Command::new(path);
        kbench.args(["-m", mode, "--scpu", CPU, "--ccpu", CPU, "--cc", "cubic"]);
        kbench.args(["-p", &port.to_string(), "-n", &workload.connections.to_string()]);
        kbench.args(["-t", seconds, "--warm", "0.3", "-a", "127.0.0.1"]);
        let namespace = self.loopback();
        kbench.args(["--sns", namespace, "--cns", namespace]);
        Run::parse(&succeed(&mut kbench, "kbench")?)
    }
}
