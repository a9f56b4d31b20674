//! Choreographies: which definitions can be one, and what a service makes of what it hears. That the
//! rules keep the laws in every order is the explorer's to show.

use amends_core::choreography::{
    Choreography, End, Happened, NotTaken, Outcome, Owed, Part, Said, Unsuited, react,
};
use amends_core::definition::{Command, Work};
use amends_core::{StepIx, StepSet};

use crate::shapes::{Spec, best_effort, define, pivot, reads, retriable, signal, step};

const A: StepIx = StepIx(0);
const B: StepIx = StepIx(1);
const C: StepIx = StepIx(2);

fn suited<const N: usize>(steps: [Spec; N]) -> Result<Choreography, Vec<Unsuited>> {
    Choreography::new(define(steps, None).unwrap_or_else(|wrong| panic!("{wrong:?}")))
}

fn choreography<const N: usize>(steps: [Spec; N]) -> Choreography {
    suited(steps).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

fn only(step: StepIx) -> StepSet {
    [step].into_iter().collect()
}

/// A service in the making: its steps, and what it holds.
struct Service<'a>(&'a Choreography, StepSet, Part);

impl Service<'_> {
    fn hears(&mut self, said: Said) -> Vec<Said> {
        self.takes(Happened::Heard(said)).unwrap_or_else(|why| panic!("{said:?}: {why:?}"))
    }

    fn takes(&mut self, happened: Happened) -> Result<Vec<Said>, NotTaken> {
        react(self.0, self.1, &mut self.2, happened)
    }

    fn owes(&self) -> Vec<Owed> {
        self.2.owed(self.0, self.1).collect()
    }
}

#[test]
fn the_arbiter_is_the_pivot_the_first_retriable_step_or_the_last_one() {
    let arbiter = |of: Choreography| of.arbiter();
    assert_eq!(arbiter(choreography([step("a"), pivot("b"), retriable("c")])), B);
    assert_eq!(arbiter(choreography([step("a"), retriable("b"), retriable("c")])), B);
    assert_eq!(arbiter(choreography([step("a"), step("b"), best_effort("c")])), B);
    assert_eq!(arbiter(choreography([step("a"), step("b"), reads("c")])), C);
    assert_eq!(
        arbiter(choreography([step("a"), step("b").after([]), step("c").after(["a", "b"])])),
        C
    );
}

#[test]
fn what_can_be_no_choreography_is_told_whole() {
    let none = |steps| suited(steps).err();
    let no_arbiter = Some(vec![Unsuited::NoArbiter]);
    assert_eq!(none([step("a"), step("b").after([])]), no_arbiter);
    assert_eq!(none([best_effort("a"), best_effort("b")]), no_arbiter);
    let abreast = [step("a"), retriable("b"), retriable("c").after(["a"])];
    assert_eq!(suited(abreast).err(), no_arbiter);
    let mut elsewhere = step("a");
    if let Work::Command { compensation, .. } = &mut elsewhere.step.work {
        *compensation = Some(Command { service: "Other".into(), name: "undo".into() });
    }
    let wrong = suited([elsewhere, step("b").for_each(), signal("c"), step("d")]).err();
    let told = [Unsuited::UndoneElsewhere(A), Unsuited::Runs(B), Unsuited::Signal(C)];
    assert_eq!(wrong, Some(told.to_vec()));
}

#[test]
fn in_whatever_order_it_is_heard_a_failed_saga_leaves_the_same() {
    let of = choreography([step("a"), step("b"), pivot("c")]);
    let words = [
        Said::Started,
        Said::Completed(A),
        Said::Failed,
        Said::NeverRan(B),
        Said::NeverRan(C),
        Said::Compensated(A),
    ];
    let mut ends = Vec::new();
    for order in orders(words.len()) {
        let mut listener = Service(&of, StepSet::EMPTY, Part::default());
        for at in order {
            assert_eq!(listener.hears(words[at]), []);
        }
        assert_eq!(listener.2.end(&of), Some(End::Failed));
        ends.push(listener.2);
    }
    ends.dedup();
    assert_eq!(ends.len(), 1);
}

/// Every order of so many things.
fn orders(of: usize) -> Vec<Vec<usize>> {
    let Some(last) = of.checked_sub(1) else { return vec![Vec::new()] };
    let put =
        |order: Vec<usize>| (0..of).map(move |at| [&order[..at], &[last], &order[at..]].concat());
    orders(last).into_iter().flat_map(put).collect()
}

#[test]
fn a_step_runs_when_all_before_it_are_heard_and_no_sooner() {
    let of = choreography([step("a"), step("b").after([]), step("c").after(["a", "b"])]);
    let mut service = Service(&of, only(C), Part::default());
    service.hears(Said::Completed(B));
    service.hears(Said::Completed(A));
    assert_eq!(service.owes(), [], "nobody has said that there is such a saga");
    service.hears(Said::Started);
    assert_eq!(service.owes(), [Owed::Run(C)]);
    assert_eq!(service.takes(Happened::Ran(C, Outcome::Completed)), Ok(vec![Said::Completed(C)]));
    assert_eq!((service.owes(), service.2.end(&of)), (vec![], Some(End::Completed)));
    assert_eq!(service.takes(Happened::Ran(C, Outcome::Completed)), Err(NotTaken::NotOwed));
}

#[test]
fn a_failure_after_the_arbiter_ran_is_void() {
    let of = choreography([step("a"), pivot("b"), retriable("c")]);
    let mut first = Service(&of, only(A), Part::default());
    first.hears(Said::Started);
    assert_eq!(first.takes(Happened::Ran(A, Outcome::Completed)), Ok(vec![Said::Completed(A)]));
    assert_eq!(first.hears(Said::Failed), []);
    assert_eq!(first.owes(), [], "the arbiter has not spoken");
    first.hears(Said::Completed(B));
    assert_eq!(first.owes(), []);
    let mut last = Service(&of, only(C), Part::default());
    for word in [Said::Started, Said::Completed(A), Said::Failed, Said::Completed(B)] {
        assert_eq!(last.hears(word), []);
    }
    assert_eq!(last.owes(), [Owed::Run(C)]);
}

#[test]
fn a_service_undoes_its_own_steps_one_after_the_other() {
    let of = choreography([step("a"), step("b"), pivot("c")]);
    let mut service = Service(&of, [A, B].into_iter().collect(), Part::default());
    service.hears(Said::Started);
    for step in [A, B] {
        assert_eq!(service.owes(), [Owed::Run(step)]);
        let said = service.takes(Happened::Ran(step, Outcome::Completed));
        assert_eq!(said, Ok(vec![Said::Completed(step)]));
    }
    service.hears(Said::NeverRan(C));
    for step in [B, A] {
        assert_eq!(service.owes(), [Owed::Undo(step)]);
        assert_eq!(service.takes(Happened::Undone(step)), Ok(vec![Said::Compensated(step)]));
    }
    assert_eq!(service.2.end(&of), Some(End::Failed));
}

#[test]
fn what_has_begun_is_asked_on_after_a_failure_until_it_answers() {
    let of = choreography([step("a"), step("b")]);
    for (outcome, says, owes) in [
        (Outcome::Completed, vec![Said::Completed(B)], None),
        (Outcome::Refused, vec![Said::Failed, Said::NeverRan(B)], None),
    ] {
        let mut service = Service(&of, only(B), Part::default());
        service.hears(Said::Started);
        service.hears(Said::Completed(A));
        assert_eq!(service.takes(Happened::Begun(B)), Ok(vec![]));
        assert_eq!(service.hears(Said::Failed), []);
        assert_eq!(service.owes(), [Owed::Run(B)]);
        assert_eq!(service.takes(Happened::Ran(B, outcome)), Ok(says));
        assert_eq!(service.owes().first(), owes.as_ref());
    }
}

#[test]
fn who_waits_in_vain_says_so_where_that_can_still_end_the_saga() {
    let of = choreography([step("a"), best_effort("b"), pivot("c"), retriable("d")]);
    let d = StepIx(3);
    let mut service = Service(&of, only(C), Part::default());
    service.hears(Said::Started);
    service.hears(Said::Completed(A));
    assert_eq!(service.takes(Happened::Overdue(B)), Ok(vec![]));
    assert_eq!(service.owes(), [Owed::Run(C)], "nobody waits for ever for a best effort");
    assert_eq!(service.takes(Happened::Overdue(d)), Ok(vec![]), "it is tried until it succeeds");
    let mut other = Service(&of, only(A), Part::default());
    let said = other.takes(Happened::Overdue(C));
    assert_eq!(
        said,
        Ok(vec![Said::Failed, Said::NeverRan(A)]),
        "and bars its own in the same breath"
    );
    assert_eq!(other.takes(Happened::Overdue(C)), Ok(vec![]), "once");
    assert_eq!(other.takes(Happened::Overdue(StepIx(9))), Err(NotTaken::NoStep));
}

#[test]
fn what_contradicts_the_service_or_the_others_is_not_taken_and_changes_nothing() {
    let of = choreography([step("a"), step("b"), pivot("c"), retriable("d")]);
    let d = StepIx(3);
    let cases = [
        (vec![Said::Completed(B)], Said::NeverRan(B)),
        (vec![Said::Completed(B)], Said::Skipped(B)),
        (vec![Said::NeverRan(B)], Said::Completed(B)),
        (vec![Said::NeverRan(B)], Said::Compensated(B)),
        (vec![Said::Compensated(B)], Said::Completed(C)),
        (vec![Said::Completed(C)], Said::Compensated(B)),
        (vec![], Said::Compensated(C)),
        (vec![], Said::NeverRan(d)),
        (vec![], Said::Completed(A)),
    ];
    for (heard, then) in cases {
        let mut service = Service(&of, only(A), Part::default());
        for said in heard {
            service.hears(said);
        }
        let before = service.2;
        assert_eq!(service.takes(Happened::Heard(then)), Err(NotTaken::Contradicts), "{then:?}");
        assert_eq!(service.2, before);
    }
    let mut service = Service(&of, only(A), Part::default());
    let nowhere = Happened::Heard(Said::Completed(StepIx(4)));
    assert_eq!(service.takes(nowhere), Err(NotTaken::NoStep));
}

#[test]
fn a_service_has_the_steps_that_name_it() {
    let mut other = step("b");
    let named = |name: &str| Command { service: "Other".into(), name: name.into() };
    other.step.work = Work::Command { action: named("do"), compensation: Some(named("undo")) };
    let of = choreography([step("a"), other, pivot("c")]);
    let steps = ["Svc", "Other", "Nobody"].map(|service| of.steps_of(service));
    assert_eq!(steps, [[A, C].into_iter().collect(), only(B), StepSet::EMPTY]);
}

#[test]
fn what_only_reads_or_never_ran_is_not_undone() {
    let of = choreography([reads("a"), step("b"), pivot("c")]);
    let mut reader = Service(&of, only(A), Part::default());
    assert_eq!(reader.2.end(&of), None, "nothing has happened yet");
    reader.hears(Said::Started);
    reader.takes(Happened::Ran(A, Outcome::Completed)).unwrap();
    assert_eq!(reader.hears(Said::Failed), []);
    reader.hears(Said::NeverRan(B));
    reader.hears(Said::NeverRan(C));
    assert_eq!((reader.owes(), reader.2.end(&of)), (vec![], Some(End::Failed)));
    let of = choreography([step("a"), pivot("b")]);
    let mut barred = Service(&of, only(A), Part::default());
    barred.hears(Said::Started);
    assert_eq!(barred.hears(Said::Failed), [Said::NeverRan(A)]);
    barred.hears(Said::NeverRan(B));
    assert_eq!((barred.owes(), barred.2.end(&of)), (vec![], Some(End::Failed)));
    let of = choreography([reads("a"), pivot("b")]);
    assert_eq!(Part::default().end(&of), None, "no step has to be undone, and no word was said");
}

#[test]
fn its_own_words_are_nothing_new_to_a_service() {
    let of = choreography([step("a"), pivot("b")]);
    let mut service = Service(&of, only(A), Part::default());
    service.hears(Said::Started);
    service.takes(Happened::Ran(A, Outcome::Completed)).unwrap();
    let before = service.2;
    assert_eq!(service.hears(Said::Completed(A)), []);
    assert_eq!(service.2, before);
}

#[test]
fn a_step_that_never_ran_tells_of_a_failure_unless_the_saga_can_do_without_it() {
    let of = choreography([step("a"), best_effort("b").after([]), step("c").after(["a", "b"])]);
    let barred = |word| Service(&of, only(A), Part::default()).hears(word);
    assert_eq!(barred(Said::NeverRan(B)), []);
    assert_eq!(barred(Said::NeverRan(C)), [Said::NeverRan(A)]);
}

#[test]
fn a_best_effort_is_waited_for_and_given_up_by_its_own_service_when_it_has_not_begun() {
    let of = choreography([step("a"), best_effort("b"), pivot("c")]);
    let ready = |mine| {
        let mut service = Service(&of, only(mine), Part::default());
        service.hears(Said::Started);
        service.hears(Said::Completed(A));
        service
    };
    assert_eq!(ready(C).owes(), [], "the best effort may still come");
    let mut own = ready(B);
    assert_eq!(own.takes(Happened::Overdue(B)), Ok(vec![Said::NeverRan(B)]));
    assert_eq!(own.owes(), []);
    let mut begun = ready(B);
    begun.takes(Happened::Begun(B)).unwrap();
    assert_eq!(begun.takes(Happened::Overdue(B)), Ok(vec![]));
    assert_eq!(begun.owes(), [Owed::Run(B)]);
}

#[test]
fn after_the_decision_nothing_is_barred() {
    let of = choreography([best_effort("a"), pivot("b").after([])]);
    let mut service = Service(&of, only(A), Part::default());
    for word in [Said::Started, Said::Completed(B), Said::Failed] {
        assert_eq!(service.hears(word), []);
    }
    assert_eq!(service.owes(), [Owed::Run(A)]);
}

#[test]
fn what_nothing_stands_before_is_awaited_until_it_is_known() {
    let of = choreography([step("a"), step("b").after([]), step("c").after(["a", "b"])]);
    let mut service = Service(&of, only(C), Part::default());
    let awaited = |service: &Service<'_>| service.2.awaited(&of).collect::<Vec<_>>();
    assert_eq!(awaited(&service), [], "nobody has said that there is such a saga");
    service.hears(Said::Started);
    assert_eq!(awaited(&service), [A, B]);
    service.hears(Said::Completed(A));
    assert_eq!(awaited(&service), [B]);
    service.hears(Said::Skipped(B));
    assert_eq!(awaited(&service), [C]);
}
