//! What a run came to, in lines.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::blows::Struck;
use crate::service::Deliveries;

/// As many as a reader looks at; the first ones tell most.
const WRONG_SHOWN_MAX: usize = 40;

/// See the module.
pub struct Report {
    pub way: &'static str,
    pub sagas: u64,
    pub completed: usize,
    pub failed: usize,
    pub struck: Vec<Struck>,
    pub deliveries: Deliveries,
    /// Requests of clients that had no answer, or "not now".
    pub repeated: u64,
    pub took: Duration,
    pub wrong: Vec<String>,
    pub log_tail: String,
    pub folder: PathBuf,
}

impl Report {
    pub fn holds(&self) -> bool {
        self.wrong.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, sagas, completed, failed, deliveries, repeated, .. } = self;
        writeln!(f, "over {way}: {sagas} started, {completed} completed, {failed} failed")?;
        for struck in &self.struck {
            writeln!(f, "  {struck}")?;
        }
        let Deliveries { commands, sent_again, brought_again } = deliveries;
        writeln!(
            f,
            "  {commands} commands, of which services met duplicates: {sent_again} sent again by the \
             engine, {brought_again} brought again by a broker"
        )?;
        writeln!(f, "  {repeated} requests of clients repeated")?;
        let seconds = self.took.as_secs_f64();
        writeln!(f, "  {seconds:.1} s, {:.0} sagas/s", *sagas as f64 / seconds)?;
        if self.holds() {
            return write!(f, "  every ledger is exact");
        }
        writeln!(f, "  {} things are wrong:", self.wrong.len())?;
        for wrong in self.wrong.iter().take(WRONG_SHOWN_MAX) {
            writeln!(f, "    {wrong}")?;
        }
        writeln!(f, "the end of the server's log:\n{}", self.log_tail)?;
        write!(f, "data, ledgers and logs: {}", self.folder.display())
    }
}
