//! Who cleans up when nobody else can: a process that outlives ours by a moment.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

/// Waits for the end of its input, which comes when our process ends, however it ends. Then it
/// kills whose number is in the file `pid` of the folder, and removes the folder. It tries for a
/// while, since children of the server may still be writing there.
const SCRIPT: &str = r#"
cat > /dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
    pid=$(cat "$1/pid" 2> /dev/null) && kill -9 "$pid" 2> /dev/null
    rm -rf "$1" 2> /dev/null && exit
    sleep 0.2
done
"#;

/// The keeper of one folder.
pub(crate) struct Keeper(Child);

impl Keeper {
    /// Keeps this folder.
    pub(crate) fn of(folder: &Path) -> anyhow::Result<Self> {
        use std::os::unix::process::CommandExt;

        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "amends-testbed-keeper"]).arg(folder).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().context("sh cannot be run")?))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
