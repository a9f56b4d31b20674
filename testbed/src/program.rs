//! A program of a server: found, or missed by the name of its package, and run as a user that may
//! run it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, bail};

/// A program with its arguments.
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    envs: Vec<(&'static str, OsString)>,
}

impl Program {
    /// Looks in these folders, then in the path. What is missing is named with the Debian package
    /// that has it.
    pub(crate) fn find(name: &str, folders: &[PathBuf], package: &str) -> anyhow::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places = folders.iter().cloned().chain(std::env::split_paths(&path));
        let Some(folder) = places.find(|folder| folder.join(name).is_file()) else {
            bail!("{name} is not installed; `apt-get install {package}` brings it");
        };
        Ok(Self { path: folder.join(name), args: Vec::new(), envs: Vec::new() })
    }

    /// Where it was found.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// For programs that are told by their environment.
    pub(crate) fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name, value.as_ref().to_owned()));
        self
    }

    /// `--name=value`, for programs that take no other form.
    pub(crate) fn option(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let mut option = OsString::from(name);
        option.push("=");
        option.push(value);
        self.arg(option)
    }

    /// Runs it to its end, as whoever we are: did it end well?
    pub(crate) fn succeeds(&self) -> bool {
        let mut command = Command::new(&self.path);
        command.args(&self.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// Runs it to its end, as whoever we are, and has what it said.
    pub(crate) fn output(&self) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.path);
        let output = command.args(&self.args).stdin(Stdio::null()).output();
        output.with_context(|| format!("{} cannot be run", self.path.display()))
    }

    /// As a command for this user, in this folder, in a process group of its own, so that a
    /// Ctrl-C at the tests is not one at the server. All it prints goes to `log`.
    pub(crate) fn command(&self, user: Option<User>, log: &Path) -> anyhow::Result<Command> {
        let file = fs::File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("{} cannot be written", log.display()))?;
        let mut command = Command::new(&self.path);
        command.args(&self.args).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        command.env("LC_ALL", "C").process_group(0);
        command.envs(self.envs.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = log.parent() {
            command.current_dir(folder);
        }
        if let Some(User { uid, gid }) = user {
            command.uid(uid).gid(gid);
        }
        Ok(command)
    }
}

/// Whom a server runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// Root runs no server: `wanted` does where the machine knows that user, else `nobody`.
    /// Anyone else runs it as themselves, which is `None`.
    pub(crate) fn instead_of_root(wanted: &str) -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
        let user = Self::named(wanted, &users).or_else(|| Self::named("nobody", &users));
        let user = user.with_context(|| {
            format!(
                "the servers do not run as root, and there is neither a user {wanted} nor nobody"
            )
        })?;
        Ok(Some(user))
    }

    fn named(name: &str, users: &str) -> Option<Self> {
        let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = fields.find(|fields| fields[0] == name)?;
        Some(Self { uid: found.get(2)?.parse().ok()?, gid: found.get(3)?.parse().ok()? })
    }

    /// Gives them the folder.
    pub(crate) fn own(self, folder: &Path) -> anyhow::Result<()> {
        chown(folder, Some(self.uid), Some(self.gid))
            .with_context(|| format!("{} cannot be given away", folder.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name() {
        let users = "root:x:0:0:root:/r:/bin/sh\nbroken\nmysql:x:104:110::/none:/bin/false\n";
        assert_eq!(User::named("mysql", users), Some(User { uid: 104, gid: 110 }));
        assert_eq!(User::named("broken", users), None);
        assert_eq!(User::named("postgres", users), None);
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let missing = Program::find("amends-no-such-server", &[], "the-package").err().unwrap();
        assert!(missing.to_string().contains("apt-get install the-package"), "{missing}");
    }
}
