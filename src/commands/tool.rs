//! `goldcast tool`: the programs that goldcast itself uses, on the user's files.

use super::session::{Locking, Session};
use crate::cli::tool::Tool;
use crate::error::{Context, Error, Result};

/// Where the current directory is seen inside.
const HERE: &str = "/here";

/// Runs the command.
pub fn tool(arguments: &Tool) -> Result<()> {
    super::end_as(status(arguments)?)
}

fn status(arguments: &Tool) -> Result<i32> {
    let session = Session::enter(&arguments.recipe.recipe, &arguments.network, &arguments.talk)?;
    let lock = session.lock(&Locking::Refused)?;
    let tools = session.tools(&lock)?;
    let here = std::env::current_dir().doing("finding the current directory")?;
    let (program, rest) =
        arguments.command.split_first().ok_or_else(|| Error::usage("no program was named after `--`"))?;
    tools.command(program).args(rest).bind(&here, HERE).cwd(HERE).interactive()
}
