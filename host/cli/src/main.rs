//! The `usertcp` command. Owns: the process: arguments, runtime, exit code, and which network the
//! commands run on. Must not know: the commands.

use std::process::ExitCode;
use usertcp_cli::commands;
use usertcp_cli::fault::Fault;
use usertcp_cli::kernel::KernelNetwork;
use usertcp_cli::options::Cli;
use usertcp_cli::plan::Plan;
use usertcp_cli::report;
use usertcp_cli::usage::{self, Usage};

fn main() -> ExitCode {
    let (outcome, json) = match usage::read(std::env::args_os()) {
        Usage::Run(cli) => (run(&cli), cli.command.network().json),
        Usage::Wrong(fault) => (Err(fault), std::env::args_os().any(|word| word == "--json")),
        Usage::Show(text) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            report::fault(&fault, json);
            ExitCode::from(fault.code())
        }
    }
}

fn run(cli: &Cli) -> Result<(), Fault> {
    let plan = Plan::from_options(cli.command.network())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::io("starting threads", &error, "free some memory or processes"))?;
    let outcome = runtime.block_on(async {
        match cli.command.network().kernel_sockets {
            Some(address) => commands::run(KernelNetwork::new(address), &cli.command).await,
            None => commands::run(start_stack(&plan).await?, &cli.command).await,
        }
    });
    // A thread may still wait for stdin: it is not waited for.
    runtime.shutdown_background();
    outcome
}

/// Starts the stack that `plan` describes. This is where the `usertcp` crate comes in: its
/// implementation of [`usertcp_cli::network::Network`] takes the place of `KernelNetwork`.
async fn start_stack(plan: &Plan) -> Result<KernelNetwork, Fault> {
    Err(Fault::run(
        format!("{}: this build has no stack yet", plan.device),
        "use the kernel's with --kernel-sockets 127.0.0.1",
    ))
}
