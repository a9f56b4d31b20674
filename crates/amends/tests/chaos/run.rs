//! One run: the stage is set, the load runs, the nemesis plays its plan; then the faults are off,
//! everything ends, and the judge looks at all of it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::judge;
use crate::load::Load;
use crate::load::book::Book;
use crate::nemesis::{self, WhileDown};
use crate::plan::{Plan, Scope};
use crate::report::Report;
use crate::stage::{Stage, Wanted};

/// The latest copy of a request comes 3 s after it, and the latest success 300 ms after its attempt;
/// the machine may be busy.
const LATE_BY_MAX: Duration = Duration::from_secs(4);

/// After the last fault everything is over within some seconds; an undo that was tried in vain for
/// long waits longest, and the machine may be busy.
pub const QUIET_WITHIN: Duration = Duration::from_secs(180);

/// What a run is to be.
pub struct Run<'a> {
    pub seed: u64,
    /// The arguments that repeat it, for the report.
    pub again: String,
    pub wanted: Wanted,
    /// Draws the plan, for what the stage has.
    pub plan: &'a (dyn Fn(Scope, &Dice) -> Plan + Sync),
    /// How long is waited for everything to end.
    pub quiet_within: Duration,
    /// Each fault is shown as it comes.
    pub shows: bool,
}

impl Run<'_> {
    /// Runs in the folder, which stays; the report says what was found. An error is a run that could
    /// not be judged.
    pub async fn play(&self, folder: &Path, while_down: WhileDown<'_>) -> Result<Report, String> {
        let dice = Dice::seeded(self.seed);
        let mut stage = Stage::set(folder, self.wanted, &dice.split(1)).await?;
        let scope =
            Scope { clock: self.wanted.clock && stage.has_clock(), disk: stage.disk.is_some() };
        let plan = (self.plan)(scope, &dice.split(2));
        let kept = std::fs::write(folder.join("plan.txt"), plan.to_string());
        kept.map_err(|error| format!("the plan cannot be kept: {error}"))?;

        let book = Arc::new(Book::open());
        stage.server.start();
        stage.server.ready().await?;
        let began = Instant::now();
        let load = Load::start(&stage.api(), &dice.split(3), &book);
        let played = nemesis::play(&plan, &mut stage, while_down, self.shows).await;
        load.stop().await;
        let stormed_for = began.elapsed();
        let struck = played.map_err(|what| format!("{what}\nagain: {}", self.again))?;

        let api = stage.server.api();
        let quiet = Instant::now();
        judge::until_nothing_is_owed(&api, self.quiet_within).await;
        let quiet_after = quiet.elapsed();
        // What comes late comes now, and may owe an undo.
        tokio::time::sleep(LATE_BY_MAX).await;
        let book = book.close();
        let mut found = judge::of_the_server(&api, &book, self.quiet_within).await;
        stage.server.stop().await?;
        let verdict = judge::of_the_ledgers(&mut found, &stage.evidence()?);
        stage.server.start();
        stage.server.ready().await?;
        found.wrong.extend(judge::of_a_quiet_life(&api).await);
        for kind in plan.kinds().iter().filter(|kind| !struck.contains_key(kind)) {
            found.wrong.push(format!("{} was planned and never struck", kind.name()));
        }
        let log_tail = stage.server.log_tail();
        stage.server.stop().await?;
        let report = Report {
            seed: self.seed,
            again: self.again.clone(),
            folder: folder.to_owned(),
            struck,
            lacking: stage.lacking.clone(),
            book,
            found,
            verdict,
            stormed_for,
            quiet_after,
            log_tail,
        };
        if !report.holds() {
            stage.keep_data()?;
        }
        Ok(report)
    }
}
