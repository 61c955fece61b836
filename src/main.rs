//! The program: one table from command to function.

use clap::Parser;
use goldcast::cli::{Cli, Command};
use goldcast::{Result, commands};

fn main() {
    // A re-execution of goldcast that enters a namespace: before threads, signals or argument parsing.
    if let Some(status) = goldcast::sandbox::stage::dispatch() {
        std::process::exit(status);
    }
    if let Err(error) = run(Cli::parse()).map_err(goldcast::interrupt::outranks) {
        goldcast::stderr::write(error.render());
        std::process::exit(error.exit().code());
    }
}

fn run(cli: Cli) -> Result<()> {
    match &cli.command {
        Command::Build(arguments) => commands::build::build(arguments),
        Command::Lock(arguments) => commands::lock::lock(arguments),
        Command::Verify(arguments) => commands::verify::verify(arguments),
        Command::Check(arguments) => commands::check::check(arguments),
        Command::Why(arguments) => commands::why::why(arguments),
        Command::Overlays(arguments) => commands::overlays::overlays(arguments),
        Command::Diff(arguments) => commands::diff::diff(arguments),
        Command::Run(arguments) => commands::run::run(arguments),
        Command::Shell(arguments) => commands::shell::shell(arguments),
        Command::Rebuild(arguments) => commands::rebuild::rebuild(arguments),
        Command::Tool(arguments) => commands::tool::tool(arguments),
        Command::Cache(arguments) => commands::cache::cache(arguments),
        Command::Schema(arguments) => commands::generate::schema(arguments),
        Command::Completions(arguments) => commands::generate::completions(arguments),
        Command::Man(arguments) => commands::generate::man(arguments),
    }
}
