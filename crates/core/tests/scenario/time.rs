//! Time that was ours: pauses, outages, and waiting for room never fire a deadline.

use amends_core::definition::Fence;
use amends_core::input::Outcome;
use amends_core::saga::State;
use amends_core::{Input, Millis, Refusal};

use crate::shapes::{pivot, retriable, signal, step};
use crate::world::*;

#[test]
fn a_paused_saga_sends_nothing_and_fires_no_timer() {
    let mut saga = World::within(100, [step("a")]);
    saga.room_for_all().ask(Ask::Pause).expect_due(None).sent_clear();
    saga.run_to(3_600).expect_sent([]).expect("started: a executing");
}

#[test]
fn a_paused_saga_takes_answers_and_goes_on_with_them_when_it_is_resumed() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().ask(Ask::Pause).reply("a", completed("1"));
    saga.expect("pending: a completed, b pending").room_for_all().expect_sent(["a"]);
    saga.ask(Ask::Resume).room_for_all().expect_sent(["b"]);
}

#[test]
fn a_paused_saga_may_turn_yet_undoes_nothing_before_it_is_resumed() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().ask(Ask::Pause);
    saga.reply("b", refused("NO")).expect_state(State::Compensating).sent_clear().run_to(60);
    saga.expect_sent([]).ask(Ask::Resume).room_for_all().expect_sent(["undo a"]);
}

#[test]
fn a_resume_gives_back_the_time_of_the_pause() {
    let mut saga = World::within(100, [step("a")]);
    saga.room_for_all().tick_to(5).ask(Ask::Pause).asleep_to(1_005).ask(Ask::Resume);
    saga.expect_deadline("a", 1_060);
    assert_eq!(saga.saga.deadline, Some(amends_core::Time(1_000_000 + 1_100_000)));
    saga.run_to(1_059).expect("started: a executing");
}

#[test]
fn after_a_pause_the_deadline_is_at_least_one_time_out_after_the_next_sending() {
    let mut saga = World::of([step("a")]);
    saga.run_to(55).sent_clear().ask(Ask::Pause).asleep_to(500).ask(Ask::Resume);
    saga.run_to(510).expect_state(State::Started).run_to(512);
    let action = saga.step("a").action.as_ref().and_then(|action| action.open).expect("sent");
    assert!(saga.step("a").deadline >= action.sent_at + amends_core::Millis::secs(10));
}

#[test]
fn an_outage_longer_than_the_deadline_does_not_fail_the_step() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().asleep_to(600).outage(600).tick().expect("started: a executing, b pending");
    saga.run_to(602).expect_sent(["a", "a #2"]).reply("a", completed("1"));
    saga.expect("pending: a completed, b pending");
}

#[test]
fn an_outage_that_ends_past_everything_still_leaves_a_whole_attempt() {
    let mut saga = World::of([step("a").within(10)]);
    saga.room_for_all().asleep_to(9).outage(1).tick().asleep_to(100).outage(91).tick();
    saga.expect_state(State::Started).run_to(101);
    assert_eq!(saga.step("a").deadline, amends_core::Time(1_000_000 + 111_000));
}

#[test]
fn an_outage_while_a_step_waits_for_room_is_made_up_for_once() {
    let mut saga = World::of([step("a").within(10)]);
    saga.tick_to(2).asleep_to(102).outage(100).tick_to(103).room_for_all();
    // Ten seconds of its own, the outage, and three seconds before and after it without room.
    saga.expect_sent(["a"]).expect_deadline("a", 10 + 100 + 3);
}

#[test]
fn an_outage_while_a_step_backs_off_is_made_up_for_once() {
    let mut saga = World::of([step("a").within(60)]);
    saga.room_for_all().reply("a", transient()).asleep_to(100).outage(100).tick().room_for_all();
    saga.expect_sent(["a", "a #2"]).expect_deadline("a", 60 + 100);
}

#[test]
fn an_outage_brings_no_try_forward_whose_time_is_still_to_come() {
    let mut saga = World::of([step("a").within(600)]);
    let retry_after = Some(Millis::secs(100));
    let later = Outcome::Transient { fault: fault("LATER"), named: true, retry_after };
    saga.room_for_all().reply("a", later).asleep_to(10).outage(9).tick().room_for_all();
    saga.expect_sent(["a"]).run_to(99).expect_sent([]).run_to(101).expect_sent(["a #2"]);
}

#[test]
fn an_outage_moves_the_saga_s_and_the_signal_s_deadlines() {
    let mut saga = World::within(100, [signal("s").deadline(50)]);
    saga.asleep_to(200).outage(195).tick().expect("started: s pending");
    saga.expect_deadline("s", 245).tick_to(244).expect("started: s pending");
    saga.tick_to(245).expect("failed: s failed");
    let mut saga = World::within(100, [signal("s").deadline(1_000)]);
    saga.asleep_to(200).outage(195).tick().tick_to(294).expect("started: s pending");
    saga.tick_to(295).expect("failed: s pending");
}

#[test]
fn an_outage_moves_no_deadline_of_what_is_over() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).outage(100);
    saga.expect_deadline("a", 60).expect_deadline("b", 160);
}

#[test]
fn the_deadline_does_not_fire_while_the_step_waits_for_room() {
    let mut saga = World::of([step("a")]);
    saga.tick_to(3_600).expect("started: a pending").expect_due(None);
    saga.room_for_all().expect_sent(["a"]).expect_deadline("a", 3_660);
    saga.tick_to(3_609).expect("started: a executing");
}

#[test]
fn the_deadline_does_not_fire_while_a_retry_waits_for_room() {
    let mut saga = World::of([step("a").fence(Fence::Barrier)]);
    saga.room_for_all().tick_to(10).tick_to(300).expect("started: a executing");
    saga.room_for_all().expect_sent(["a", "a #2"]).expect_deadline("a", 349);
    saga.tick_to(348).expect("started: a executing");
}

#[test]
fn a_wait_for_room_is_added_to_the_deadline_also_when_that_has_not_passed() {
    let mut saga = World::of([step("a")]);
    saga.tick_to(10).room_for_all().expect_sent(["a"]).expect_deadline("a", 70);
}

#[test]
fn a_wait_shorter_than_a_second_moves_no_deadline() {
    let mut saga = World::of([step("a")]);
    saga.pass_millis(999).room_for_all().expect_deadline("a", 60);
}

#[test]
fn what_cannot_be_reached_past_the_said_deadline_is_unreachable_however_long_there_was_no_room() {
    let mut saga = World::of([step("a")]);
    saga.tick_to(59).room_for_all().reply("a", not_sent()).expect("started: a executing");
    saga.tick_to(90).room_for_all().reply("a", not_sent()).expect("failed: a failed");
    saga.expect_exceptions([]);
}

#[test]
fn the_deadline_starts_when_the_step_is_ready_and_not_with_the_saga() {
    let mut saga = World::of([step("a"), step("b").fence(Fence::Barrier)]);
    saga.run_to(50).reply("a", completed("1")).room_for_all().expect_deadline("b", 110);
    saga.run_to(109).expect("pending: a completed, b executing").run_to(110);
    saga.expect("compensating: a completed, b compensating");
}

#[test]
fn timers_fire_neither_early_nor_twice() {
    let mut saga = World::of([step("a")]);
    saga.room_for_all().asleep_to(9).tick();
    let before = saga.facts();
    saga.pass_millis(999).tick();
    assert_eq!(saga.facts(), before, "early");
    saga.pass_millis(1).tick();
    assert_eq!(saga.facts(), before + 1, "due");
    saga.tick();
    assert_eq!(saga.facts(), before + 1, "twice");
}

#[test]
fn an_outage_while_compensating_only_lets_the_undo_be_tried_again() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    saga.room_for_all().asleep_to(600).outage(600).tick().run_to(601).sent_clear();
    saga.reply("undo a", undone()).expect_state(State::Failed);
}

#[test]
fn a_retriable_step_overdue_only_by_an_outage_needs_nobody() {
    let mut saga = World::of([pivot("p"), retriable("r")]);
    saga.room_for_all().reply("p", completed("1")).room_for_all().asleep_to(600).outage(600);
    saga.tick().expect_attention([]);
}

#[test]
fn a_saga_without_a_deadline_has_no_global_one() {
    let mut saga = World::of([step("a").within(1_000_000)]);
    saga.room_for_all().expect_due(Some(1_000_000_000)).tick_to(999_999);
    saga.expect("started: a executing");
}

#[test]
fn an_outage_during_a_pause_is_made_up_for_once() {
    let mut saga = World::of([step("a").within(10)]);
    saga.room_for_all().ask(Ask::Pause).tick_to(100).outage(50).ask(Ask::Resume);
    saga.expect_deadline("a", 110);
}

#[test]
fn time_alone_raises_no_attention_during_a_pause() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    saga.room_for_all().ask(Ask::Pause).tick_to(300).reply("undo a", transient());
    saga.expect_attention([]).ask(Ask::Resume).expect_attention([]);
}

#[test]
fn an_attempt_that_an_outage_cut_off_does_not_use_up_max_attempts() {
    let mut saga = World::of([step("a").max_attempts(1).fence(Fence::Barrier)]);
    saga.room_for_all().asleep_to(600).outage(600).tick().expect("started: a executing");
    saga.run_to(601).expect_sent(["a", "a #2"]).tick_to(610).expect_state(State::Started);
    // The new attempt had its whole time, and nobody was away.
    saga.run_to(611).expect_sent(["undo a"]);
}

#[test]
fn an_exchange_that_an_outage_broke_does_not_use_up_max_attempts() {
    let mut saga = World::of([step("a").max_attempts(1)]);
    saga.room_for_all().asleep_to(600).outage(600).reply("a", unknown());
    saga.run_to(601).expect_sent(["a", "a #2"]).reply("a", completed("1"));
    saga.expect_state(State::Completed);
}

#[test]
fn a_pause_longer_than_the_attempt_does_not_use_up_max_attempts() {
    let mut saga = World::of([step("a").max_attempts(1)]);
    saga.room_for_all().ask(Ask::Pause).asleep_to(600).ask(Ask::Resume).run_to(601);
    saga.expect_sent(["a", "a #2"]).expect("started: a executing");
}

#[test]
fn a_not_now_heard_after_an_outage_uses_up_max_attempts_as_ever() {
    let mut saga = World::of([step("a").max_attempts(1)]);
    saga.room_for_all().asleep_to(600).outage(600).reply("a", transient());
    saga.expect_state(State::Compensating);
}

#[test]
fn a_pivot_whose_only_attempt_an_outage_cut_off_needs_nobody() {
    let mut saga = World::of([pivot("p").max_attempts(1)]);
    saga.room_for_all().asleep_to(600).outage(600).tick().expect_attention([]);
    saga.run_to(601).expect_sent(["p", "p #2"]).run_to(611).expect_attention(["p PivotUnknown"]);
}

#[test]
fn what_a_crash_lost_is_sent_again_whatever_max_attempts_says() {
    let mut saga = World::of([step("a").max_attempts(1).fence(Fence::Barrier)]);
    saga.room_for_all().restarted().lost("a").expect("started: a executing").run_to(1);
    // It counts as sent, so the new attempt is the last one.
    saga.expect_sent(["a", "a #2"]).run_to(11).expect_sent(["undo a"]);
}

#[test]
fn without_a_fence_no_crash_and_no_outage_makes_more_attempts_than_max_attempts_says() {
    let unfenced = || World::of([step("a").max_attempts(1).fence(Fence::None)]);
    let mut crashed = unfenced();
    crashed.room_for_all().restarted().lost("a").run_to(600);
    crashed.expect_sent(["a"]).expect_attention(["a OutcomeUnknown"]);
    let mut slept = unfenced();
    slept.room_for_all().asleep_to(600).outage(600).tick().run_to(1_200);
    slept.expect_sent(["a"]).expect_attention(["a OutcomeUnknown"]);
}

#[test]
fn what_a_crash_lost_may_still_be_heard() {
    let mut saga = World::of([step("a").max_attempts(1)]);
    saga.room_for_all().restarted().lost("a").event("a", completed("1"));
    saga.expect_state(State::Completed);
}

#[test]
fn a_crash_loses_nothing_of_what_was_accepted_or_is_not_out() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().reply("a", accepted());
    let (run, direction) = saga.target("a");
    let lost = Input::Lost { run, direction };
    assert_eq!(saga.give(lost.clone()), Err(Refusal::NotOwed));
    saga.reply("a", completed("1"));
    assert_eq!(saga.give(lost), Err(Refusal::NotOwed));
}

#[test]
fn what_does_not_leave_right_after_an_outage_is_tried_for_a_time_out_more() {
    let mut saga = World::of([step("a").within(10)]);
    saga.room_for_all().asleep_to(9).outage(1).tick().asleep_to(100).outage(91).tick();
    saga.run_to(102).reply("a", not_sent()).expect("started: a executing");
    saga.run_to(110).reply("a", not_sent()).expect("started: a executing").run_to(111);
    saga.expect("compensating: a compensating");
}

#[test]
fn after_an_outage_the_saga_s_deadline_is_at_least_one_time_out_after_the_next_sending() {
    let mut saga = World::within(30, [step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).run_to(28).sent_clear();
    // Made up for, the deadline is at 102; the backoff of the attempt that was cut off ends at 104.
    saga.asleep_to(100).outage(72).tick().run_to(113).expect_sent(["b #4"]);
    saga.expect("pending: a completed, b executing").run_to(114);
    saga.expect("compensating: a completed, b executing");
}

#[test]
fn after_an_outage_the_next_sending_may_be_the_next_step_s() {
    let mut saga = World::within(30, [step("a").timeout(50), step("b")]);
    saga.room_for_all().tick_to(20).asleep_to(27).outage(7).tick_to(40);
    saga.expect("started: a executing, b pending").reply("a", completed("1")).tick_to(42);
    saga.room_for_all().tick_to(51).expect("pending: a completed, b executing").tick_to(52);
    saga.expect("compensating: a completed, b executing");
}

#[test]
fn after_an_outage_the_saga_s_deadline_does_not_wait_for_an_answer_that_was_promised() {
    let mut saga = World::within(30, [step("a").accepted_timeout(1_000)]);
    saga.room_for_all().reply("a", accepted()).tick_to(20).asleep_to(27).outage(7).tick_to(36);
    saga.expect("started: a executing").tick_to(37).expect("compensating: a executing");
}

#[test]
fn an_accepted_attempt_waits_as_long_as_its_moved_deadline() {
    let mut saga = World::of([step("a")]);
    saga.room_for_all().reply("a", accepted()).asleep_to(50).outage(40).run_to(99);
    saga.expect_sent(["a"]).expect("started: a executing").run_to(101).expect_sent(["a #2"]);
}

#[test]
fn an_accepted_attempt_waits_as_long_as_its_extended_deadline() {
    let mut saga = World::of([step("a").max_attempts(1)]);
    saga.room_for_all().reply("a", accepted()).ask(Ask::Extend("a", 300)).run_to(299);
    saga.expect_sent(["a"]).expect("started: a executing").event("a", completed("1"));
    saga.expect_state(State::Completed);
}

#[test]
fn a_time_out_of_its_own_for_what_is_accepted_does_not_follow_the_deadline() {
    let mut saga = World::of([step("a").accepted_timeout(20)]);
    saga.room_for_all().reply("a", accepted()).ask(Ask::Extend("a", 300)).run_to(21);
    saga.expect_sent(["a", "a #2"]);
}

#[test]
fn an_outage_moves_the_time_too_in_which_a_service_must_be_reached() {
    let mut saga = World::of([step("a").deadline(600)]);
    saga.tick_to(10).asleep_to(650).outage(640).room_for_all().reply("a", not_sent());
    saga.run_to(675).reply("a", not_sent()).expect("started: a executing");
}

#[test]
fn an_extension_moves_the_time_too_in_which_a_service_must_be_reached() {
    let mut saga = World::of([step("a")]);
    saga.ask(Ask::Extend("a", 300)).room_for_all().tick_to(100).room_for_all();
    saga.reply("a", not_sent()).expect("started: a executing");
}

#[test]
fn an_outage_makes_no_undo_slow() {
    let mut saga = World::of([step("a"), step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    saga.room_for_all().asleep_to(50).outage(40).tick_to(99).expect_attention([]);
    saga.tick_to(100).expect_attention(["undo a UndoSlow"]);
}

#[test]
fn a_deadline_that_passes_in_a_short_wait_for_room_moves_all_the_same() {
    let mut saga = World::of([step("a").within(60)]);
    saga.room_for_all().asleep_to(58).pass_millis(500).reply("a", transient()).pass_millis(1_600);
    saga.tick().room_for_all().expect_sent(["a", "a #2"]).tick().expect("started: a executing");
}
