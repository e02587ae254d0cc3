//! The `usertcp` command. Owns: the process: arguments, runtime, exit code, and which network the
//! commands run on. Must not know: the commands.

use std::process::ExitCode;
use usertcp_cli::commands;
use usertcp_cli::fault::Fault;
use usertcp_cli::kernel::KernelNetwork;
use usertcp_cli::options::{Cli, Command, ConnectArgs, ServeArgs, ServicesArgs};
use usertcp_cli::own::{Face, Fallback, NoHandler, OwnNetwork};
use usertcp_cli::plan::Plan;
use usertcp_cli::report;
use usertcp_cli::usage::{self, Usage};

fn main() -> ExitCode {
    let (outcome, json) = match usage::read(std::env::args_os()) {
        Usage::Run(cli) => (run(&cli), cli.command.json()),
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
    let network = match &cli.command {
        Command::Sim(args) => return commands::run_sim(args),
        Command::Serve(ServeArgs { network, .. })
        | Command::Services(ServicesArgs { network, .. })
        | Command::Connect(ConnectArgs { network, .. }) => network,
    };
    let plan = Plan::from_options(network)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::io("starting threads", &error, "free some memory or processes"))?;
    let outcome = runtime.block_on(async {
        match network.kernel_sockets {
            Some(address) => commands::run(KernelNetwork::new(address), &cli.command).await,
            None => run_on_stack(&plan, &cli.command).await,
        }
    });
    // A thread may still wait for stdin: it is not waited for.
    runtime.shutdown_background();
    outcome
}

/// Runs the command on our own stack: the services as a handler on its thread, the others over
/// streams.
async fn run_on_stack(plan: &Plan, command: &Command) -> Result<(), Fault> {
    let fallback = match command {
        Command::Services(args) => return commands::run_services(plan, args).await,
        Command::Serve(_) => Fallback::Pipe,
        Command::Connect(_) => Fallback::Refuse,
        Command::Sim(args) => return commands::run_sim(args),
    };
    let network = OwnNetwork::start::<NoHandler>(plan, Face::Sockets, fallback)?;
    commands::run(network, command).await
}
