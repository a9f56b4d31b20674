//! `amends verify`: a definition tried in every order, before it runs.

use std::path::PathBuf;
use std::time::Duration;

use amends_definition::{Checked, Compiled, Document, Pattern, Reactions, Severity, render_within};
use clap::{Args, ValueEnum};

use super::definition_file::{self, AllowedEnv};
use super::exit::{Exit, Failure};
use super::interrupt::Interrupt;
use super::{Outcome, Session, columns, input, shown};
use crate::verify::{self, Shown, Supposition, Task, choreographed, free};

/// Try a definition in every order: what is proved, how it can end, and what a person decides
///
/// The engine's own machine is taken through every order of what may happen to this saga: first
/// with no fault, then with any one, any two, and so on, within a time and about 1 GiB of memory
/// (an estimate, by the number and sizes of the states). Messages are lost, late and cut off, services refuse, postpone and stay silent, amends crashes, somebody cancels. Printed
/// is how far that came, which laws hold, how the saga can end, and for each thing that only a
/// person could decide the shortest story to it, with the fix.
///
/// Ends with 0 when at least every order without a fault was tried and no law is broken, with 1 when
/// one is and the counterexample is shown, and with 13 when the time or the memory was used up
/// before anything was proved. Ctrl-C stops it and tells what was tried by then. With
/// --suppose a participant does not do what the file says of it: the story shows what comes of
/// it. A choreography is tried among its services. Of a free choreography every order is tried in
/// which its reactions may come; --faults has no meaning there. More is on the page docs/verify.md.
#[derive(Args, Debug)]
#[command(after_help = verify::help())]
pub struct Verify {
    /// The definition file
    file: PathBuf,
    /// When to stop; what was tried by then is said
    #[arg(long, value_name = "TIME", value_parser = input::duration, default_value = "10s")]
    within: Duration,
    /// The most faults that come together
    #[arg(long, value_name = "N", default_value_t = 3, allow_negative_numbers = true)]
    faults: u8,
    /// A promise that a service does not keep, as in PaymentService=twice; may be repeated
    #[arg(long, value_name = "SERVICE=PROMISE", value_parser = Supposition::read)]
    suppose: Vec<Supposition>,
    /// Tell the shortest story of this end as well, or all that need a person; may be repeated
    #[arg(long, value_enum, value_name = "END")]
    show: Vec<Show>,
    /// Draw stories as Mermaid sequence diagrams, for Markdown
    #[arg(long)]
    mermaid: bool,
    /// End with 1 also where a person may have to decide
    #[arg(long)]
    no_person: bool,
    #[command(flatten)]
    env: AllowedEnv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Show {
    Completed,
    RolledBack,
    NothingDone,
    NotClean,
    Person,
}

impl Verify {
    pub fn run(self, session: &Session) -> Outcome {
        let mut checked = match definition_file::read_either(&self.file, &self.env)? {
            Document::Saga(checked) => checked,
            Document::Free(checked) => return self.free(session, checked),
        };
        let Some(compiled) = checked.compiled.take() else { return Err(self.wrong(checked)) };
        let interrupt = Interrupt::heard()?;
        let task = Task {
            within: self.within,
            faults_max: self.faults,
            suppositions: self.suppose.clone(),
            interrupted: &|| interrupt.came(),
        };
        if compiled.pattern == Pattern::Choreography {
            return self.choreographed(session, &checked, &compiled, &task);
        }
        let report =
            verify::verify(&compiled, task).map_err(|why| Failure::new(Exit::Usage, why))?;
        let saga_type = compiled.definition.saga_type();
        let raw = verify::json(&report, &checked, saga_type);
        session
            .output
            .one(&raw, || Ok(verify::words(&report, &checked, saga_type, &self.shown())))?;
        definition_file::warn(&checked);
        if report.counterexample.is_some() || (self.no_person && !report.findings.is_empty()) {
            return Err(Failure::silent(Exit::Error));
        }
        if report.interrupted {
            return Err(Failure::new(Exit::Interrupted, "interrupted before all was tried"));
        }
        if report.proved().is_none() {
            let what = "nothing is proved: not even every order without a fault was tried";
            let failure = Failure::new(Exit::Unproved, what);
            return Err(match verify::further(&report) {
                Some(next) => failure.hint(next),
                None => failure,
            });
        }
        Ok(())
    }

    fn choreographed(
        &self,
        session: &Session,
        checked: &Checked,
        compiled: &Compiled,
        task: &Task<'_>,
    ) -> Outcome {
        if self.mermaid {
            let what = "--mermaid: the stories of a choreography are told in words";
            return Err(Failure::new(Exit::Usage, what).hint("leave it out"));
        }
        let report =
            choreographed::verify(compiled, task).map_err(|why| Failure::new(Exit::Usage, why))?;
        let saga_type = compiled.definition.saga_type();
        let raw = choreographed::json(&report, checked, saga_type);
        let words = || Ok(choreographed::words(&report, checked, saga_type, &self.shown()));
        session.output.one(&raw, words)?;
        definition_file::warn(checked);
        if report.is_broken() {
            return Err(Failure::silent(Exit::Error));
        }
        if report.interrupted() {
            return Err(Failure::new(Exit::Interrupted, "interrupted before all was tried"));
        }
        if report.proved().is_none() {
            let what = "nothing is proved: not even every order without a fault was tried";
            return Err(Failure::new(Exit::Unproved, what).hint("give it longer: --within 1m"));
        }
        Ok(())
    }

    fn free(&self, session: &Session, mut checked: Checked<Reactions>) -> Outcome {
        if self.mermaid {
            let what = "--mermaid: the runs of a free choreography are told in words";
            return Err(Failure::new(Exit::Usage, what).hint("leave it out, or see amends graph"));
        }
        let reactions = checked.compiled.take().filter(|_| !free::is_unfit(&checked));
        let Some(reactions) = reactions else { return Err(self.wrong(checked)) };
        let interrupt = Interrupt::heard()?;
        let task = Task {
            within: self.within,
            faults_max: 0,
            suppositions: self.suppose.clone(),
            interrupted: &|| interrupt.came(),
        };
        let report = free::verify(&reactions, &checked, &task)
            .map_err(|why| Failure::new(Exit::Usage, why))?;
        let raw = free::json(&report, &checked, &reactions);
        let words = || Ok(free::words(&report, &checked, &reactions, &self.shown()));
        session.output.one(&raw, words)?;
        free::retain_untold(&mut checked);
        definition_file::tell(&checked);
        if report.is_broken() || checked.count(Severity::Error) > 0 {
            return Err(Failure::silent(Exit::Error));
        }
        if report.interrupted {
            return Err(Failure::new(Exit::Interrupted, "interrupted before all was tried"));
        }
        if !report.analysis.complete {
            let what = "nothing is proved: not every order was tried";
            return Err(Failure::new(Exit::Unproved, what).hint("give it longer: --within 1m"));
        }
        Ok(())
    }

    fn wrong<T>(&self, mut checked: Checked<T>) -> Failure {
        checked.findings.retain(|finding| finding.severity == Severity::Error);
        let width = columns::width_of(&std::io::stderr());
        shown::say(render_within(&checked, shown::colour_err(), width).trim_end());
        let what = format_args!("{} has errors and cannot be tried", self.file.display());
        Failure::new(Exit::Usage, what)
    }

    fn shown(&self) -> Shown {
        let names = self.show.iter().filter_map(ValueEnum::to_possible_value);
        Shown {
            colour: shown::colour_out(),
            width: columns::width(),
            mermaid: self.mermaid,
            ends: names.filter_map(|name| verify::end_of(name.get_name())).collect(),
            every_story: self.show.contains(&Show::Person),
        }
    }
}
