//! The program: one table from command to function.

use clap::Parser;
use goldcast::cli::{Cli, Command};
use goldcast::event::{Event, RUN, What};
use goldcast::{Result, commands};
use std::time::Instant;

fn main() {
    // A re-execution of goldcast that enters a namespace: before threads, signals or argument parsing.
    if let Some(status) = goldcast::sandbox::stage::dispatch() {
        std::process::exit(status);
    }
    let start = Instant::now();
    let cli = Cli::parse();
    if let Err(error) = run(&cli).map_err(goldcast::interrupt::outranks) {
        goldcast::stderr::write(error.render());
        if cli.command.talk().is_some_and(|talk| talk.json) {
            Event::new(start.elapsed(), RUN, What::from(&error)).print();
        }
        std::process::exit(error.exit().code());
    }
}

fn run(cli: &Cli) -> Result<()> {
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
