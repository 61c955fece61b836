//! The program: one table from command to function.

fn main() {
    if let Some(status) = goldcast::sandbox::stage::dispatch() {
        std::process::exit(status);
    }
    if let Err(error) = run() {
        eprint!("{}", error.render());
        std::process::exit(error.exit().code());
    }
}

fn run() -> goldcast::Result<()> {
    use goldcast::sandbox::*;
    let e = enter()?;
    println!("{e:?}");
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = if args[0] == "ro" { Root::ReadOnly(args[1].clone().into()) } else { Root::Tree(args[1].clone().into()) };
    let o = Command::new(root, &args[2]).args(&args[3..]).run()?;
    println!("{}", o.text());
    Ok(())
}
