//! How an undo is asked again and again: its policy, the redriver's five, poison (section 5,
//! compensation).

use amends_core::Millis;
use amends_core::input::Outcome;

use crate::shapes::{Spec, step};
use crate::world::*;

/// `a` is done, `b` was refused, the undo of `a` is asked.
fn undoing(a: Spec) -> World {
    let mut saga = World::of([a, step("b")]);
    saga.room_for_all().reply("a", completed("1")).room_for_all().reply("b", refused("NO"));
    saga.room_for_all().sent_clear();
    saga
}

#[test]
fn an_undo_that_did_not_leave_comes_no_nearer_to_a_dead_letter() {
    let mut saga = undoing(step("a").undo_attempts(2));
    for _ in 0..20 {
        let next = saga.seconds() + 8;
        saga.reply("undo a", not_sent()).run_to(next);
    }
    saga.expect_attention(["undo a UndoSlow"]).reply("undo a", unknown());
    let next = saga.seconds() + 8;
    saga.run_to(next).expect_attention(["undo a UndoSlow"]).reply("undo a", unknown());
    saga.expect_attention(["undo a CompensationFailed"]);
}

#[test]
fn a_redrive_that_did_not_leave_is_none_of_the_five_and_keeps_the_pace() {
    let mut saga = undoing(step("a").undo_attempts(1));
    saga.reply("undo a", unknown());
    let mut at = 0;
    for (n, pause) in (2..).step_by(2).zip([10, 20, 40, 80, 160]) {
        at += pause;
        saga.run_to(at).expect_sent([&format!("undo a #{n}")]).reply("undo a", not_sent());
        saga.run_to(at + pause - 1).expect_sent([]);
        at += pause;
        saga.run_to(at).expect_sent([&format!("undo a #{}", n + 1)]);
        saga.expect_attention(["undo a CompensationFailed"]).reply("undo a", unknown());
    }
    saga.expect_attention(["undo a Poison"]);
}

#[test]
fn poison_that_did_not_leave_rests_for_an_hour_too() {
    let mut saga = undoing(step("a").undo_attempts(1));
    saga.reply("undo a", unknown()).run_to(1_000).expect_attention(["undo a Poison"]);
    saga.run_to(10_000).sent_clear();
    let next = saga.saga.run(saga.target("undo a").0).and_then(|run| {
        let sendings = run.undo.as_ref()?.sendings.as_ref()?;
        Some(sendings.next_at.0 / 1_000 - 1_000)
    });
    let at = next.expect("it waits");
    saga.run_to(at).reply("undo a", not_sent()).sent_clear().run_to(at + 3_599).expect_sent([]);
    saga.run_to(at + 3_600).reply("undo a", undone()).expect_attention([]);
}

#[test]
fn an_accepted_undo_is_waited_for_as_long_as_its_step_says() {
    for (a, waits) in [(step("a"), 30), (step("a").accepted_timeout(300), 300)] {
        let mut saga = undoing(a);
        saga.reply("undo a", accepted()).run_to(waits - 1).expect_sent([]).run_to(waits + 1);
        saga.expect_sent(["undo a #2"]);
    }
}

#[test]
fn an_undo_that_is_told_when_to_come_back_does_so_and_no_sooner_than_by_its_policy() {
    for (asked_for, comes_at) in [(100, 100), (0, 1)] {
        let mut saga = undoing(step("a"));
        let retry_after = Some(Millis::secs(asked_for));
        let later = Outcome::Transient { fault: fault("429"), named: true, retry_after };
        saga.reply("undo a", later).run_to(comes_at - 1).expect_sent([]).run_to(comes_at);
        saga.expect_sent(["undo a #2"]);
    }
}

#[test]
fn a_paused_saga_redrives_nothing() {
    let mut saga = undoing(step("a").undo_attempts(1));
    saga.reply("undo a", unknown()).ask(Ask::Pause).run_to(1_000).expect_sent([]);
    saga.expect_attention(["undo a CompensationFailed"]).ask(Ask::Resume).room_for_all();
    saga.expect_sent(["undo a #2"]);
}

#[test]
fn an_undo_whose_only_attempt_an_outage_cut_off_is_sent_once_more_before_it_is_a_dead_letter() {
    let mut saga = undoing(step("a").undo_attempts(1));
    saga.asleep_to(600).outage(600).tick().expect_attention([]).run_to(608);
    saga.expect_sent(["undo a #2"]).expect_attention([]).reply("undo a", unknown());
    saga.expect_attention(["undo a CompensationFailed"]);
}

#[test]
fn an_undo_in_whose_only_attempt_the_saga_was_paused_is_sent_once_more() {
    let mut saga = undoing(step("a").undo_attempts(1));
    saga.ask(Ask::Pause).run_to(600).ask(Ask::Resume).tick().expect_attention([]).run_to(608);
    saga.expect_sent(["undo a #2"]).reply("undo a", undone()).expect_attention([]);
}

#[test]
fn an_answer_that_an_outage_did_not_keep_away_counts() {
    let mut saga = undoing(step("a").undo_attempts(1));
    saga.asleep_to(20).outage(20).reply("undo a", transient());
    saga.expect_attention(["undo a CompensationFailed"]);
}

#[test]
fn an_undo_that_a_crash_lost_is_sent_again_whatever_its_policy_says() {
    let mut saga = undoing(step("a").undo_attempts(1));
    saga.restarted().lost("undo a").expect_attention([]).run_to(8).expect_sent(["undo a #2"]);
    // It counts as sent, so the new attempt is the last one.
    saga.reply("undo a", unknown()).expect_attention(["undo a CompensationFailed"]);
}

#[test]
fn a_redrive_that_a_crash_or_an_outage_cut_off_is_none_of_the_five_and_keeps_the_pace() {
    let cut_off: [fn(&mut World); 2] = [
        |saga| {
            saga.restarted().lost("undo a");
        },
        |saga| {
            let at = saga.seconds() + 40;
            saga.asleep_to(at).outage(40).tick();
        },
    ];
    for cut_off in cut_off {
        let mut saga = undoing(step("a").undo_attempts(1));
        saga.reply("undo a", unknown());
        for (n, pause) in (2..).step_by(2).zip([10, 20, 40, 80, 160]) {
            let at = saga.seconds() + pause;
            saga.run_to(at).expect_sent([&format!("undo a #{n}")]);
            cut_off(&mut saga);
            let at = saga.seconds() + pause;
            saga.run_to(at - 1).expect_sent([]).run_to(at);
            saga.expect_sent([&format!("undo a #{}", n + 1)]);
            saga.expect_attention(["undo a CompensationFailed"]).reply("undo a", unknown());
        }
        saga.expect_attention(["undo a Poison"]);
    }
}
