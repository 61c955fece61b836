//! The `ssh` step: logging in as somebody would, with a key that exists for this run only.

use super::run::STOPS;
use super::{Client, Context, Ssh};
use crate::error::{Context as _, Error, Result};
use crate::sandbox::{Command, Network, Output, Tools};
use std::path::{Path, PathBuf};

const INSIDE: &str = "/goldcast/ssh";

/// An ephemeral key pair and what the client needs around it.
pub struct Key {
    directory: PathBuf,
    public: String,
}

impl Key {
    /// Makes an Ed25519 key in `directory`, which is made.
    pub fn make(tools: &Tools, directory: &Path) -> Result<Self> {
        fs_err::create_dir_all(directory)?;
        // The client insists on a user database; the tools tree was only unpacked and may have none.
        let etc = directory.join("etc");
        fs_err::create_dir_all(&etc)?;
        fs_err::write(etc.join("passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
        fs_err::write(etc.join("group"), "root:x:0:\n")?;
        tools
            .command("ssh-keygen")
            .bind(directory, INSIDE)
            .bind_read_only(&etc, "/etc")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "goldcast-proof", "-f"])
            .arg(format!("{INSIDE}/key"))
            .run()
            .doing("making a key for the SSH checks")?;
        let public = fs_err::read_to_string(directory.join("key.pub"))?.trim().to_owned();
        Ok(Self { directory: directory.to_path_buf(), public })
    }

    /// The public half, a line for authorized keys.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// A script for the machine that lets the key in as `user`.
    pub fn authorize(&self, user: &str) -> Result<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if user.is_empty() || !user.chars().all(plain) {
            return Err(Error::usage(format!("'{user}' is not a login name")));
        }
        Ok(format!(
            "set -e\n\
             entry=$(getent passwd {user})\n\
             IFS=: read -r _ _ uid gid _ home _ <<<\"$entry\"\n\
             [ -d \"$home/.ssh\" ] || install -d -m 0700 -o \"$uid\" -g \"$gid\" \"$home/.ssh\"\n\
             file=$home/.ssh/authorized_keys\n\
             grep -qxF '{key}' \"$file\" 2>/dev/null || echo '{key}' >>\"$file\"\n\
             chown \"$uid:$gid\" \"$file\"\n\
             chmod 0600 \"$file\"\n",
            key = self.public
        ))
    }

    /// Gives a script the key: its file is in the environment as `SSH_KEY`.
    pub fn lend(&self, command: Command) -> Command {
        self.place(command).env("SSH_KEY", format!("{INSIDE}/key"))
    }

    fn place(&self, command: Command) -> Command {
        command.bind_read_only(&self.directory, INSIDE).bind_read_only(&self.directory.join("etc"), "/etc")
    }

    /// Runs the client against `port` of the machine.
    pub fn session(
        &self,
        step: &Ssh,
        tools: &Tools,
        context: &Context,
        seconds: u64,
    ) -> Result<(String, Output)> {
        let (user, port) = (context.fill(&step.user.text())?, context.fill(&step.port.text())?);
        let address = match &step.address {
            Some(address) => context.fill(&address.text())?,
            None => context.fill("{{guest.address}}")?,
        };
        let methods = if step.key { "publickey" } else { "none" };
        let program = match step.program {
            Client::Ssh => &["ssh", "-T"][..],
            Client::Sftp => &["sftp", "-b", "-"],
            Client::Scp => &["scp"],
        };
        let mut command = self
            .place(tools.command("timeout"))
            .network(Network::Inherit)
            .args(STOPS)
            .arg(seconds.to_string())
            .args(program)
            .args(["-F", "none"])
            .args(["-o", &format!("Port={port}"), "-o", &format!("User={user}")]);
        let fixed = [
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "GlobalKnownHostsFile=/dev/null",
            "IdentitiesOnly=yes",
            "LogLevel=ERROR",
        ];
        for option in fixed {
            command = command.args(["-o", option]);
        }
        command = command.args(["-o", &format!("PreferredAuthentications={methods}")]);
        if step.key {
            command = command.args(["-i", &format!("{INSIDE}/key")]);
        }
        let from = match &step.from {
            Some(from) => Some(context.fill(&from.text())?),
            None if step.address.is_some() => None,
            None => context.lab_address(if step.login { "owner" } else { "stranger" }),
        };
        if let Some(from) = &from {
            command = command.args(["-o", &format!("BindAddress={from}")]);
        }
        if !step.reach {
            // What is dropped is never answered: waiting longer than this shows nothing more.
            command = command.args(["-o", "ConnectTimeout=20"]);
        }
        for option in &step.options {
            command = command.args(["-o", &context.fill(option)?]);
        }
        // A colon in a place of scp's and sftp's is the end of the host's name.
        let place = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        let (command, run) = match step.program {
            Client::Ssh => {
                let run = context.fill(step.command.as_deref().unwrap_or("true"))?;
                (command.args([&address, &run]), run)
            }
            Client::Sftp => (command.arg(&place).stdin(b"ls\n".to_vec()), "sftp: ls".to_owned()),
            Client::Scp => (
                command.args([&format!("{place}:/etc/hostname"), "/tmp/fetched"]),
                "scp /etc/hostname".to_owned(),
            ),
        };
        let output = command.output()?;
        let from = from.map_or_else(String::new, |from| format!(" -b {from}"));
        Ok((format!("ssh -p {port}{from} {user}@{address} ({methods}) {run}"), output))
    }
}

/// What is wrong with how the server received the client.
pub fn complaints(step: &Ssh, output: &Output) -> Vec<String> {
    let told = String::from_utf8_lossy(&output.stderr);
    let refused = told.lines().find_map(|line| {
        let (_, after) = line.split_once("Permission denied (")?;
        Some(after.split(')').next().unwrap_or_default().split(',').map(str::to_owned).collect::<Vec<_>>())
    });
    let mut complaints = Vec::new();
    if !step.reach {
        // "No route to host" is a machine that is gone, and a connection that is closed is one that came about.
        let shut = output.status == 255
            && told.lines().any(|line| {
                line.contains("connect to host") && (line.contains("timed out") || line.contains("refused"))
            });
        if refused.is_some() || !shut {
            complaints.push("the client got through to the server".to_owned());
        }
        return complaints;
    }
    match (step.login, &refused) {
        (true, Some(_)) => complaints.push("the login was refused".to_owned()),
        (true, None) if output.status == 255 => complaints.push("there was no session".to_owned()),
        (true, None) if output.status == 124 => complaints.push("the session did not end in time".to_owned()),
        // Only the server's own word is a refusal: a broken connection would hide an open door.
        (false, None) => complaints.push("the server did not refuse the login".to_owned()),
        _ => {}
    }
    if let Some(wanted) = &step.offers {
        let mut wanted = wanted.clone();
        let mut offered = refused.unwrap_or_default();
        wanted.sort();
        offered.sort();
        if wanted != offered {
            complaints.push(format!("the server offers {offered:?}, wanted {wanted:?}"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(step: &str, status: i32, stderr: &str) -> Vec<String> {
        let step: Ssh = toml::from_str(&format!("user = 'u'\nport = 22\n{step}")).unwrap();
        complaints(&step, &Output { status, stdout: Vec::new(), stderr: stderr.into() })
    }

    #[test]
    fn only_a_denial_counts_as_refused() {
        let denied = "u@127.0.0.1: Permission denied (publickey).\r\n";
        assert_eq!(told("login = false", 255, denied), [""; 0]);
        assert_eq!(told("login = false", 255, "Connection refused"), ["the server did not refuse the login"]);
        assert_eq!(told("login = false", 0, ""), ["the server did not refuse the login"]);
        assert_eq!(told("", 255, denied), ["the login was refused"]);
        assert_eq!(told("", 255, "timed out"), ["there was no session"]);
        assert_eq!(told("", 0, ""), [""; 0]);
    }

    #[test]
    fn only_silence_or_a_refused_connection_is_shut_out() {
        let out = |status, said| told("login = false\nreach = false", status, said);
        assert_eq!(out(255, "ssh: connect to host 192.0.2.100 port 22: Connection timed out"), [""; 0]);
        assert_eq!(out(255, "ssh: connect to host 192.0.2.100 port 22: Connection refused"), [""; 0]);
        let through = ["the client got through to the server"];
        assert_eq!(out(255, "u@192.0.2.100: Permission denied (publickey)."), through);
        assert_eq!(out(0, ""), through);
        for no_ban in [
            "Bad source address",
            "ssh: connect to host 192.0.2.100 port 22: No route to host",
            "Connection timed out during banner exchange",
            "Connection closed by 192.0.2.100 port 22",
        ] {
            assert_eq!(out(255, no_ban), through, "{no_ban}");
        }
    }

    #[test]
    fn offered_methods_are_compared_as_a_set() {
        let both = "Permission denied (password,publickey).";
        assert_eq!(told("login = false\noffers = ['publickey', 'password']", 255, both), [""; 0]);
        assert!(told("login = false\noffers = ['publickey']", 255, both)[0].contains("password"));
    }

    #[test]
    fn a_login_name_cannot_carry_a_command() {
        let key = Key { directory: "/nowhere".into(), public: "ssh-ed25519 AAAA".into() };
        assert!(key.authorize("x; rm -rf /").is_err());
        assert!(key.authorize("admin").unwrap().contains("getent passwd admin"));
    }
}
