//! Each rule broken on purpose is found, alone; a participant that keeps them all passes.

use super::{SECRET, SECRET_ENV, conformance, start, with_verdict};
use crate::breach::Breach;
use crate::each;
use crate::manner::Manner;
use crate::participant::{Breaks, Fence, Participant};

const SIGNED: [&str; 2] = ["--secret", "env.CONFORMANCE_SECRET"];

#[track_caller]
fn kept(tried: &Participant, fence: Fence, more: &[&str], not_tried: &[&str]) {
    let (code, report) = conformance(tried, fence, more);
    assert_eq!(with_verdict(&report, "broken"), [""; 0], "{report:#}");
    assert_eq!(with_verdict(&report, "not_tried"), not_tried, "{report:#}");
    assert_eq!(report["unfinished"], serde_json::json!([]));
    assert_eq!(code, 0, "{report:#}");
}

#[test]
fn a_participant_that_keeps_every_rule_passes() {
    assert_eq!(SIGNED[1], format!("env.{SECRET_ENV}"));
    let signed = Participant::signed(Breaks::Nothing, SECRET);
    kept(&signed, Fence::Barrier, &SIGNED, &["accepted", "second_round"]);
    let settles = Participant::start(Fence::Settle, Breaks::Nothing);
    kept(&settles, Fence::Settle, &[], &["accepted", "tombstone", "signature"]);
}

#[test]
fn a_participant_that_answers_by_callback_passes() {
    let manners = [Manner::Callback, Manner::UndosByCallback, Manner::Once];
    each(&manners, |&manner| {
        let tried = Participant::answering(manner, Fence::Barrier, Breaks::Nothing);
        kept(&tried, Fence::Barrier, &[], &["second_round", "signature"]);
    });
}

#[track_caller]
fn check(tried: &Participant, fence: Fence, breaks: Breaks, more: &[&str], rule: &str) {
    let (code, report) = conformance(tried, fence, more);
    assert_eq!(with_verdict(&report, "broken"), [rule], "{breaks:?}: {report:#}");
    assert_eq!(code, 1);
    let broken = &report["broken"][0];
    for words in ["what", "words", "place", "fix", "in_production"] {
        assert!(!broken[words].as_str().unwrap().is_empty(), "{broken:#}");
    }
    assert!(!broken["exchanges"].as_array().unwrap().is_empty(), "{broken:#}");
}

/// Only what could be taken for this one: this participant is slow.
const ALIKE: [&str; 2] = ["--only", "at_once,crash_after,many"];

#[test]
fn each_rule_of_a_rehearsal_that_is_broken_is_found_alone() {
    let cases = [
        (Fence::Barrier, Breaks::Repeat, &[][..], "repeat"),
        (Fence::Barrier, Breaks::AtOnce, &ALIKE[..], "at_once"),
        (Fence::Barrier, Breaks::Refusal, &[][..], "refusal"),
        (Fence::Barrier, Breaks::Undo, &["--only", "crash_after,duplicate"][..], "undo"),
        (Fence::Barrier, Breaks::BlindUndo, &[][..], "blind_undo"),
        (Fence::Barrier, Breaks::UndoRepeat, &[][..], "undo_repeat"),
        (Fence::Barrier, Breaks::UndoAtOnce, &ALIKE[..], "undo_at_once"),
        (Fence::Barrier, Breaks::UndoFirst, &[][..], "undo_first"),
        (Fence::Barrier, Breaks::Tombstone, &[][..], "tombstone"),
        (Fence::Settle, Breaks::SecondRound, &[][..], "second_round"),
        (Fence::Barrier, Breaks::AfterUndo, &[][..], "after_undo"),
        (Fence::Barrier, Breaks::UnknownCommand, &[][..], "unknown_command"),
        (Fence::Barrier, Breaks::Garbage, &[][..], "garbage"),
    ];
    each(&cases, |&(fence, breaks, more, rule)| {
        check(&Participant::start(fence, breaks), fence, breaks, more, rule);
    });
}

#[test]
fn each_rule_of_talks_that_is_broken_is_found_alone() {
    let cases = [
        (Breaks::Breach(Breach::UnknownUndo), "unknown_undo"),
        (Breaks::Breach(Breach::ForeignCommand), "foreign_command"),
        (Breaks::HoldsAgainst, "foreign_command"),
        (Breaks::Breach(Breach::Without("saga_id")), "incomplete"),
        (Breaks::Breach(Breach::Without("step_name")), "incomplete"),
        (Breaks::Breach(Breach::Without("direction")), "incomplete"),
        (Breaks::Breach(Breach::Without("idempotency_key")), "incomplete"),
        (Breaks::Breach(Breach::ForeignKey), "foreign_key"),
        (Breaks::Breach(Breach::TooLarge), "too_large"),
        (Breaks::KeyReused, "key_reused"),
        (Breaks::KeyReusedByRefusing, "key_reused"),
        (Breaks::WrongTypes, "wrong_types"),
        (Breaks::Additions, "additions"),
        (Breaks::NewRound, "new_round"),
        (Breaks::OtherSteps, "other_steps"),
        (Breaks::OtherStepsByCase, "other_steps"),
    ];
    each(&cases, |&(breaks, rule)| check(&start(breaks), Fence::Barrier, breaks, &[], rule));
}

#[test]
fn what_is_not_signed_rightly_and_carried_out_is_found() {
    each(&[Breach::Unsigned, Breach::Forged, Breach::Stale], |&breach| {
        let breaks = Breaks::Breach(breach);
        let tried = Participant::signed(breaks, SECRET);
        check(&tried, Fence::Barrier, breaks, &SIGNED, "signature");
    });
}

#[test]
fn a_participant_that_stops_answering_is_found_with_what_it_was_asked() {
    let (code, report) = conformance(&start(Breaks::StopsAtRepeat), Fence::Barrier, &[]);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(report["stopped"][0]["service"], "Tried", "{report:#}");
    assert!(!report["stopped"][0]["unanswered"].as_array().unwrap().is_empty(), "{report:#}");
}
