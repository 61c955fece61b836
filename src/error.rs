//! What went wrong, told to the person at the terminal: what failed, why, what to do about it.

use std::fmt;

/// The exit status of the program; the numbers are part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The work failed (1).
    Failed,
    /// The command line or the recipe is wrong (2); nothing was written. Of a comparison: it could not be made.
    Usage,
    /// The image was built but its proof failed or is incomplete (3).
    Unproven,
    /// The user stopped the program with a signal (128 + its number).
    Interrupted(i32),
}

impl Exit {
    /// The status as a number for the shell.
    pub fn code(self) -> i32 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unproven => 3,
            Self::Interrupted(signal) => 128 + signal,
        }
    }
}

/// What to do about a full disk.
const FULL_DISK: &str = "free some space, or point --out, TMPDIR or GOLDCAST_CACHE at a larger disk";

/// A child process that ended badly: enough to understand it and to run it again by hand.
#[derive(Debug, Clone)]
pub struct ChildFailure {
    /// The command as typed in a shell, quoted.
    pub command: String,
    /// How it ended: `exit status 1`, `killed by signal 9`.
    pub status: String,
    /// The last lines of what it wrote to its standard error (and output, when that is empty).
    pub output: String,
    /// A command line that runs it again in the same sandbox, where one exists.
    pub replay: Option<String>,
}

/// An error with its causes, a hint, and the exit status it leads to.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    what: String,
    causes: Vec<String>,
    hint: Option<String>,
    child: Option<ChildFailure>,
    diagnostic: Option<String>,
    exit: Exit,
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The work failed: `what` says so in the user's terms, lower case, no full stop.
    pub fn new(what: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            what: what.into(),
            causes: Vec::new(),
            hint: None,
            child: None,
            diagnostic: None,
            exit: Exit::Failed,
        }))
    }

    /// The command line or the recipe is wrong: exit status 2.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(what).exit_with(Exit::Usage)
    }

    /// Errors in a text that the user wrote, already drawn with file, line, column and excerpt.
    pub fn diagnostic(what: impl Into<String>, drawn: impl Into<String>) -> Self {
        let mut error = Self::usage(what);
        error.0.diagnostic = Some(drawn.into());
        error
    }

    /// Sets the exit status.
    pub fn exit_with(mut self, exit: Exit) -> Self {
        self.0.exit = exit;
        self
    }

    /// For a command that says with 1 that two things differ, as diff(1) does: that it could not tell is 2.
    pub fn trouble(self) -> Self {
        match self.0.exit {
            Exit::Failed => self.exit_with(Exit::Usage),
            _ => self,
        }
    }

    /// Says what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the child process that failed. When it says that a disk is full, the hint says what to do about that.
    pub fn child(mut self, child: ChildFailure) -> Self {
        if self.0.hint.is_none() && child.output.contains("No space left on device") {
            self.0.hint = Some(FULL_DISK.into());
        }
        self.0.child = Some(child);
        self
    }

    /// Says how to run the failed child again; does nothing when no child failed.
    pub fn replay(mut self, entering: impl Into<String>) -> Self {
        let entering = entering.into();
        if let Some(child) = &mut self.0.child {
            child.replay = Some(format!("{entering} -- {}", child.command));
        } else if self.0.hint.is_none() {
            self.0.hint = Some(format!("`{entering}` enters the tree as it was left"));
        }
        self
    }

    /// Adds a cause below those already there.
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.0.causes.push(cause.to_string());
        self
    }

    /// Puts a wider description on top: the former headline becomes the first cause.
    pub fn doing(mut self, what: impl Into<String>) -> Self {
        let former = std::mem::replace(&mut self.0.what, what.into());
        self.0.causes.insert(0, former);
        self
    }

    /// The exit status it leads to.
    pub fn exit(&self) -> Exit {
        self.0.exit
    }

    /// The headline.
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// The advice, when there is one.
    pub fn advice(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The causes, the nearest first.
    pub fn causes(&self) -> &[String] {
        &self.0.causes
    }

    /// The child process that failed, when one did.
    pub fn failed_child(&self) -> Option<&ChildFailure> {
        self.0.child.as_ref()
    }
}

/// Headline and causes on one line; [`Error::render`] draws the whole.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        for cause in &self.0.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The whole error as it is printed at the end of a run, without colour, ending in a newline.
    pub fn render(&self) -> String {
        let inner = &self.0;
        let mut text = format!("error: {}\n", inner.what);
        for cause in &inner.causes {
            text.push_str(&format!("  because: {}\n", cause.trim_end().replace('\n', "\n           ")));
        }
        if let Some(drawn) = &inner.diagnostic {
            text.push('\n');
            text.push_str(drawn.trim_end());
            text.push('\n');
        }
        if let Some(child) = &inner.child {
            text.push_str(&format!("  command: {}\n  ended:   {}\n", child.command, child.status));
            for line in child.output.lines() {
                text.push_str(&format!("  | {line}\n"));
            }
            if let Some(replay) = &child.replay {
                text.push_str(&format!("  replay:  {replay}\n"));
            }
        }
        if let Some(hint) = &inner.hint {
            text.push_str(&format!("\n  hint: {}\n", hint.replace('\n', "\n        ")));
        }
        text
    }
}

/// Adds what was being done to any error on its way up.
pub trait Context<T> {
    /// `what` is the headline; the error it had becomes the cause.
    fn doing(self, what: impl Into<String>) -> Result<T>;
    /// As [`Context::doing`], for a headline that costs something to make.
    fn doing_with<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: IntoError> Context<T> for std::result::Result<T, E> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.into_error().doing(what))
    }

    fn doing_with<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| error.into_error().doing(what()))
    }
}

/// Errors of libraries that become ours.
pub trait IntoError {
    /// The same error as an [`Error`].
    fn into_error(self) -> Error;
}

impl IntoError for Error {
    fn into_error(self) -> Error {
        self
    }
}

impl IntoError for String {
    fn into_error(self) -> Error {
        Error::new(self)
    }
}

impl IntoError for std::io::Error {
    fn into_error(self) -> Error {
        let full = self.kind() == std::io::ErrorKind::StorageFull;
        let error = Error::new(self.to_string());
        if full { error.hint(FULL_DISK) } else { error }
    }
}

impl IntoError for nix::errno::Errno {
    fn into_error(self) -> Error {
        std::io::Error::from(self).into_error()
    }
}

macro_rules! into_error {
    ($($type:ty),* $(,)?) => {$(
        impl IntoError for $type {
            fn into_error(self) -> Error {
                Error::new(self.to_string())
            }
        }
    )*};
}

into_error!(
    serde_json::Error,
    toml::ser::Error,
    toml::de::Error,
    std::num::ParseIntError,
    std::str::Utf8Error
);

impl<E: IntoError> From<E> for Error
where
    E: NotError,
{
    fn from(error: E) -> Self {
        error.into_error()
    }
}

/// Marks the foreign error types, so that `?` works on them without clashing with `From<Error>`.
pub trait NotError {}
impl NotError for std::io::Error {}
impl NotError for nix::errno::Errno {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headline_of_an_inner_error_becomes_the_first_cause() {
        let inner = Error::new("reading x").because("no such file").hint("make it");
        let outer = Err::<(), _>(inner).doing("building y").unwrap_err();
        assert_eq!(outer.to_string(), "building y: reading x: no such file");
        assert_eq!(outer.advice(), Some("make it"));
        assert!(outer.render().ends_with("hint: make it\n"));
    }

    #[test]
    fn trouble_is_told_apart_from_a_difference_and_from_a_signal() {
        assert_eq!(Error::new("no network").trouble().exit().code(), 2);
        assert_eq!(Error::usage("no such image").trouble().exit().code(), 2);
        assert_eq!(Error::new("stopped").exit_with(Exit::Interrupted(2)).trouble().exit().code(), 130);
    }
}
