//! Letting the run's key in, and logging in with it.

use super::run::{Runner, Try};
use super::{Check, LetIn, Ssh, Step, ssh};
use crate::error::{Error, Result};
use crate::verify::agent::Lost;
use crate::verify::report::Evidence;
use std::time::Duration;

impl Runner<'_> {
    fn make_key(&mut self) -> Result<&ssh::Key> {
        let key = match self.key.take() {
            Some(key) => key,
            None => ssh::Key::make(self.tools, &self.work.join("ssh"))?,
        };
        Ok(self.key.insert(key))
    }

    /// Lets the run's key in as `user`; what stands in the way when that cannot be done.
    pub(super) fn let_in(&mut self, user: &str, ways: &[LetIn], limit: Duration) -> Result<Option<Try>> {
        let mut script = self.make_key()?.authorize(user)?;
        if self.must_change(user) {
            // Nobody is there to be asked for a new password.
            script.push_str(&format!("chage --lastday -1 {user}\n"));
        }
        for way in ways {
            script.push_str(&format!("export NAME={user}\n{}\n", self.context.fill(&way.run)?));
        }
        let ran = self.machine()?.run(&script, limit).map_err(Lost::into_error)?;
        if ran.exit == 0 {
            return Ok(None);
        }
        let told = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        Ok(Some(Try::Unable(Evidence::new(format!("letting the key in as {user}"), told))))
    }

    fn must_change(&self, user: &str) -> bool {
        self.context.fact("users-to-change").is_some_and(|users| users.iter().any(|name| name == user))
    }

    /// Sets right what [`Self::let_in`] did, but for the key.
    pub(super) fn as_before(&mut self, user: &str, ways: &[LetIn], limit: Duration) -> Result<()> {
        let mut script = String::new();
        if self.must_change(user) {
            script.push_str(&format!("chage --lastday 0 {user}\n"));
        }
        for way in ways {
            script.push_str(&format!("export NAME={user}\n{}\n", self.context.fill(&way.undo)?));
        }
        if script.is_empty() {
            return Ok(());
        }
        let ran = self.machine()?.run(&format!("set -e\n{script}"), limit).map_err(Lost::into_error)?;
        match ran.exit {
            0 => Ok(()),
            _ => Err(Error::new(format!("the account {user} could not be set right again"))
                .because(String::from_utf8_lossy(&ran.stderr).trim().to_owned())),
        }
    }

    pub(super) fn ssh(&mut self, check: &Check, step: &Step, session: &Ssh, limit: Duration) -> Result<Try> {
        let user = self.context.fill(&session.user.text())?;
        let port = self.port(&session.port.text())?;
        self.make_key()?;
        self.machine()?.reach(port)?;
        let authorize = session.key && session.authorize;
        if authorize && let Some(unable) = self.let_in(&user, &check.let_in, limit)? {
            return Ok(unable);
        }
        let Some(key) = &self.key else { return Err(Error::new("there is no key")) };
        let (mut shown, output) = key.session(session, self.tools, &self.context, limit.as_secs().max(1))?;
        if authorize {
            shown = told(&shown, &check.let_in);
            self.as_before(&user, &check.let_in, limit)?;
        }
        let complaints = ssh::complaints(session, &output);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // A refusal is exit status 255; what the step expects is about a session that came about.
        let status = if session.login { output.status } else { 0 };
        self.compare(step, &shown, status, &out, &err, complaints)
    }
}

/// What was done, and past what the user was let in.
pub(super) fn told(did: &str, ways: &[LetIn]) -> String {
    ways.iter().fold(did.to_owned(), |did, way| format!("{did} [{}]", way.how))
}
