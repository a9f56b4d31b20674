//! Where a rule ends: the case on the one side of the edge, and the one on the other. Each of these
//! is told apart by no other scenario.

use amends_core::definition::Fence;
use amends_core::input::{Answer, Input, Outcome, Verb};
use amends_core::saga::{ROUNDS_MAX, Reason, Saga, State, StepState};
use amends_core::{Direction, Event, Millis, Moment, Refusal, RunRef, StepIx, decide, rules};

use crate::shapes::{best_effort, pivot, reads, retriable, step};
use crate::world::*;

const FIRST: RunRef = RunRef::only(StepIx(0));

/// A reply over a broker that names its round, and what the machine says to it.
fn reply_of_round(saga: &mut World, undo: bool, round: u32) -> Result<(), Refusal> {
    let direction = if undo { Direction::Compensation } else { Direction::Action };
    let (round, attempt, outcome) = (Some(round), None, undone());
    saga.give(Input::Answer(Answer {
        run: FIRST,
        direction,
        round,
        attempt,
        own_exchange: false,
        outcome,
    }))
}

#[test]
fn s15_a_reply_to_an_undo_that_was_edited_and_never_sent_answers_nothing() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    saga.ask(Ask::Edit("undo a", "{}"));
    assert_eq!(reply_of_round(&mut saga, true, 1), Err(Refusal::NeverSent));
}

#[test]
fn s15_a_round_that_has_no_intent_yet_cannot_be_answered_and_the_one_before_it_can() {
    let mut saga = World::of([step("a").fence(Fence::Barrier), step("b").after([])]);
    saga.room_for_all().reply("b", refused("NO")).room_for_all().reply("undo a", acknowledged());
    saga.event("a", completed("1"));
    assert_eq!(saga.step("a").undo.as_ref().unwrap().sendings.as_ref().unwrap().round, 2);
    assert_eq!(reply_of_round(&mut saga, true, 2), Err(Refusal::NoSuchAttempt));
    assert_eq!(reply_of_round(&mut saga, true, 1), Ok(()));
    saga.room_for_all().reply("undo a", undone()).expect_state(State::Failed);
}

#[test]
fn a_success_of_a_round_that_a_later_one_has_replaced_still_speaks_for_the_step() {
    let mut saga = World::of([pivot("p"), retriable("r").fence(Fence::Barrier)]);
    saga.room_for_all().reply("p", completed("1")).room_for_all().reply("r", refused("NO"));
    saga.room_for_all().event_of_round("r", 1, completed("2"));
    saga.expect_result("r", "2").expect_state(State::Completed);
}

#[test]
fn a_refusal_after_a_success_that_nobody_resolved_contradicts_nothing() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.run_to(12).reply("a", completed("1")).reply_to("a", 1, refused("NO"));
    saga.expect_attention([]).expect_state(State::Pending);
}

#[test]
fn a_settled_refusal_that_leaves_nothing_unproven_proves_nothing() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    let proofs = saga.history(0).iter().filter(|e| matches!(e, Event::Proven { .. })).count();
    assert_eq!(proofs, 0);
}

#[test]
fn an_answer_promised_past_the_deadline_is_waited_for_as_long_as_an_attempt() {
    let mut saga = World::of([pivot("p"), retriable("r")]);
    saga.room_for_all().reply("p", completed("1")).run_to(70);
    let open = |saga: &World| saga.step("r").action.as_ref().and_then(|action| action.open);
    // Some second of the next is one at which it is out, whatever the backoff.
    while open(&saga).is_none() {
        let next = saga.seconds() + 1;
        saga.run_to(next);
    }
    let sent = open(&saga).expect("sent");
    assert!(saga.step("r").deadline < sent.sent_at, "its time was up");
    saga.pass_millis(5_000).reply("r", accepted());
    assert_eq!(open(&saga).expect("open").until, saga.now + Millis::secs(10));
}

#[test]
fn a_pause_hides_nothing_but_what_time_alone_would_raise() {
    let mut saga = World::of([step("a")]);
    saga.room_for_all().ask(Ask::Pause).reply("a", off_contract());
    saga.expect_attention(["a Contract"]);
    let mut slow = World::of([step("a"), step("b")]);
    slow.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    slow.run_to(60).expect_attention(["undo a UndoSlow"]).ask(Ask::Pause);
    slow.expect_attention(["undo a UndoSlow"]);
}

#[test]
fn s22_a_wait_for_room_moves_the_saga_s_deadline_only_while_that_may_turn_it() {
    let mut turned = World::within(100, [step("a"), step("b")]);
    turned.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    let before = turned.saga.deadline;
    turned.tick_to(30).room_for_all();
    assert_eq!(turned.saga.deadline, before, "compensating");
    let mut forward = World::within(100, [pivot("p"), retriable("r")]);
    forward.room_for_all().reply("p", completed("1")).tick_to(30).room_for_all();
    assert_eq!(forward.saga.deadline, before, "past the point of no return");
    let mut revocable = World::within(100, [step("a"), step("b")]);
    revocable.room_for_all().reply("a", completed("1")).tick_to(30).room_for_all();
    assert_eq!(revocable.saga.deadline, before.map(|deadline| deadline + Millis::secs(30)));
}

#[test]
fn s22_a_sending_owed_from_the_deadline_on_does_not_move_it() {
    let mut saga = World::of([step("a").within(60)]);
    let wait = Some(Millis::secs(10));
    let later = Outcome::Transient { fault: fault("LATER"), named: true, retry_after: wait };
    saga.room_for_all().tick_to(50);
    saga.reply("a", later).asleep_to(60).room_for_all().expect_deadline("a", 60);
}

#[test]
fn s22_a_deadline_that_stays_where_it_is_is_not_said_to_have_moved() {
    let mut saga = World::within(100, [step("a"), step("b")]);
    saga.room_for_all().asleep_to(1).outage(1).reply("a", completed("1")).room_for_all();
    let moves = |e: &&Event| matches!(e, Event::DeadlineMoved { .. });
    assert_eq!(saga.history(0).iter().filter(moves).count(), 0);
}

#[test]
fn skip_fits_no_open_step_of_another_kind() {
    let mut saga = World::of([
        step("a").after([]),
        best_effort("m").after([]),
        reads("o").after([]),
        pivot("p").after(["a", "o"]),
    ]);
    saga.room_for_all();
    for open in ["a", "m", "o"] {
        saga.refuses(forced(Ask::Skip(open)), Refusal::VerbDoesNotFit);
    }
    saga.reply("a", completed("1")).reply("o", completed("1")).room_for_all();
    saga.refuses(forced(Ask::Skip("p")), Refusal::VerbDoesNotFit);
}

#[test]
fn a_retriable_step_that_was_never_sent_is_not_skipped_after_the_turn() {
    let mut saga = World::of([step("a"), retriable("r")]);
    saga.room_for_all().reply("a", completed("1")).ask(Ask::Cancel);
    saga.expect_state(State::Compensating).refuses(Ask::Skip("r"), Refusal::VerbDoesNotFit);
}

#[test]
fn s12_no_body_is_given_after_the_turn_to_a_step_that_was_never_sent() {
    let mut saga = World::of([step("a").after([]), step("b").after([]), step("c").after([])]);
    saga.room_for("c").reply("c", completed("1")).room_for("b").reply("b", refused("NO"));
    saga.expect_state(State::Compensating);
    saga.refuses(Ask::Edit("a", "{}"), Refusal::VerbDoesNotFit);
}

#[test]
fn what_was_accepted_is_in_flight_for_its_time_out_from_when_it_was_sent() {
    let mut saga = World::of([pivot("p")]);
    saga.room_for_all().tick_to(1).reply("p", accepted()).tick_to(9);
    saga.refuses(Ask::Completed("p"), Refusal::AttemptInFlight).tick_to(10);
    saga.ask(Ask::Completed("p")).expect_state(State::Completed);
}

#[test]
fn a_step_that_only_reads_is_quiet_in_flight_and_a_pivot_is_not() {
    let mut saga = World::of([reads("o"), pivot("p")]);
    saga.room_for_all();
    assert!(rules::quiet(saga.def.step(StepIx(0)), saga.step("o")));
    saga.reply("o", completed("1")).room_for_all();
    assert!(!rules::quiet(saga.def.step(StepIx(1)), saga.step("p")));
}

/// A saga whose first step's command stands in this round. Nobody sends 65,535 rounds in a test, so
/// the state is made and not reached.
fn in_round(saga: &World, undo: bool, round: u32) -> Saga {
    let mut made = saga.saga.clone();
    let StepState::Runs { runs, .. } = &mut made.steps[0] else { panic!("it is ready") };
    let sendings = match &mut runs[0].undo {
        Some(undone) if undo => undone.sendings.as_mut(),
        _ => runs[0].action.as_mut(),
    };
    sendings.expect("it was sent").round = round;
    made
}

fn told(saga: &World, mut made: Saga, input: Input) -> (Result<(), Refusal>, Vec<Event>) {
    let mut facts = Vec::new();
    let now = Moment { at: saga.now, jitter: 0 };
    (decide(&saga.def, &mut made, now, input, &mut facts), facts)
}

fn opened(facts: &[Event]) -> Option<u32> {
    facts.iter().find_map(|event| match event {
        Event::RoundOpened { command, .. } => Some(command.round),
        _ => None,
    })
}

#[test]
fn there_is_a_last_round_of_an_edited_undo_and_of_an_edited_action() {
    let mut undo = World::of([step("a"), step("b")]);
    undo.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    undo.room_for_all().reply("undo a", transient());
    let mut action = World::of([step("a")]);
    action.room_for_all().reply("a", not_sent());
    for (saga, direction) in [(undo, Direction::Compensation), (action, Direction::Action)] {
        let edit = || {
            let body = "{}".into();
            Input::Verb {
                verb: Verb::Edit { run: FIRST, direction, body, force: false },
                act: act(),
            }
        };
        let of_undo = direction == Direction::Compensation;
        let (result, facts) = told(&saga, in_round(&saga, of_undo, ROUNDS_MAX - 1), edit());
        assert_eq!((result, opened(&facts)), (Ok(()), Some(ROUNDS_MAX)));
        let (result, facts) = told(&saga, in_round(&saga, of_undo, ROUNDS_MAX), edit());
        assert_eq!((result, facts), (Err(Refusal::VerbDoesNotFit), vec![]));
        let (result, facts) = told(&saga, in_round(&saga, of_undo, 5), edit());
        assert_eq!((result, opened(&facts)), (Ok(()), Some(6)));
    }
}

#[test]
fn a_retriable_step_that_is_refused_in_its_last_round_goes_on_in_it() {
    let mut saga = World::of([retriable("r").fence(Fence::Barrier)]);
    saga.room_for_all();
    for (round, opens) in [(ROUNDS_MAX - 1, Some(ROUNDS_MAX)), (ROUNDS_MAX, None)] {
        let (attempt, outcome) = (Some(1), refused("NO"));
        let answer = Input::Answer(Answer {
            run: FIRST,
            direction: Direction::Action,
            round: Some(round),
            attempt,
            own_exchange: true,
            outcome,
        });
        let (result, facts) = told(&saga, in_round(&saga, false, round), answer);
        assert_eq!((result, opened(&facts)), (Ok(()), opens), "round {round}");
        let refused = facts.iter().any(|e| matches!(e, Event::Refused { .. }));
        assert_eq!(refused, opens.is_some(), "in its last round a refusal is a not-now");
    }
}

#[test]
fn a_cause_that_goes_takes_its_attention_with_it_and_no_other() {
    let mut saga = World::of([step("a").after([]), step("b").after([])]);
    saga.room_for_all().reply("a", off_contract()).reply("b", off_contract());
    saga.expect_attention(["a Contract", "b Contract"]);
    saga.run_to(2).reply("a", completed("1")).expect_attention(["b Contract"]);
    assert!(saga.saga.attention.iter().all(|a| a.reason == Reason::Contract));
}
