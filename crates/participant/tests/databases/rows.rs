//! Every row of the two tables of `docs/guard.md`, through a database.

use amends_participant::Answer;

use crate::bed::{
    Bed, Gate, RESULT, Saga, Tested, Work, code_of, completed, on_each_database, refused,
};

on_each_database! {
    a_duplicate_is_told_the_first_answer
    a_later_round_of_a_completed_action_is_told_the_first_answer
    a_refusal_has_no_effect_and_is_told_again
    a_later_round_asks_anew_after_a_refusal
    a_compensation_undoes_what_was_done_once
    a_second_round_of_a_compensation_undoes_nothing_again
    a_compensation_that_comes_first_leaves_a_tombstone
    a_second_round_undoes_what_came_to_light
    a_refused_step_has_nothing_to_undo_and_never_runs_again
    an_effect_without_a_record_is_undone_by_the_commands_result
    other_bytes_under_the_same_key_are_no_duplicate
    steps_and_sagas_do_not_meet
    another_error_stores_nothing
    an_undo_that_fails_is_not_done
}

pub(crate) async fn a_duplicate_is_told_the_first_answer<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    for _ in 0..3 {
        assert_eq!(bed.tell(&saga.action()).await, completed());
    }
    assert_eq!(bed.effects(saga).await, (1, 0));
}

pub(crate) async fn a_later_round_of_a_completed_action_is_told_the_first_answer<D: Tested>(
    bed: &Bed<D>,
) {
    let saga = Saga::new();
    bed.tell(&saga.action()).await;
    let other = Work { amount: 9, ..Work::default() };
    assert_eq!(bed.tell(&saga.action_of(2, other)).await, completed());
    assert_eq!(bed.effects(saga).await, (1, 0));
}

pub(crate) async fn a_refusal_has_no_effect_and_is_told_again<D: Tested>(bed: &Bed<D>) {
    let gate = Gate::standing_open();
    let bed = bed.behind(&gate).await;
    let saga = Saga::new();
    let asked = saga.action_that("refuse");
    for _ in 0..3 {
        assert_eq!(bed.tell(&asked).await, refused(1));
    }
    assert_eq!(bed.effects(saga).await, (0, 0));
    assert_eq!(gate.at_work.available_permits(), 1, "a duplicate runs no handler");
}

pub(crate) async fn a_later_round_asks_anew_after_a_refusal<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    let first = saga.action_that("refuse");
    let again = |round| Work { amount: i64::from(round), end: "refuse".to_owned() };
    assert_eq!(bed.tell(&first).await, refused(1));
    assert_eq!(bed.tell(&saga.action_of(2, again(2))).await, refused(2));
    assert_eq!(bed.tell(&first).await, refused(2), "the answer of a later round stands");
    assert_eq!(
        bed.tell(&saga.action_of(3, Work { amount: 5, ..Work::default() })).await,
        completed()
    );
    assert_eq!(bed.tell(&first).await, completed());
    assert_eq!(bed.effects(saga).await, (1, 0));
}

pub(crate) async fn a_compensation_undoes_what_was_done_once<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    bed.tell(&saga.action()).await;
    for _ in 0..3 {
        assert_eq!(bed.tell(&saga.undo()).await, Answer::Undone(true));
    }
    assert_eq!(
        bed.tell(&saga.action()).await,
        completed(),
        "its first answer, also after the undo"
    );
    assert_eq!(bed.effects(saga).await, (1, 1));
}

pub(crate) async fn a_second_round_of_a_compensation_undoes_nothing_again<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    bed.tell(&saga.action()).await;
    bed.tell(&saga.undo()).await;
    let second = saga.undo_of(2, Some(RESULT.as_bytes()));
    assert_eq!(bed.tell(&second).await, Answer::Undone(true));
    assert_eq!(bed.effects(saga).await, (1, 1));
}

pub(crate) async fn a_compensation_that_comes_first_leaves_a_tombstone<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    for _ in 0..2 {
        assert_eq!(bed.tell(&saga.undo()).await, Answer::Undone(false));
    }
    for round in [1, 2] {
        let late = bed.tell(&saga.action_of(round, Work::default())).await;
        assert_eq!((late.status(), code_of(&late).as_str()), (422, "ALREADY_UNDONE"));
    }
    assert_eq!(bed.effects(saga).await, (0, 0));
}

/// The first round met no record; by the second there is one, as after the repair of a service.
pub(crate) async fn a_second_round_undoes_what_came_to_light<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    bed.tell(&saga.undo()).await;
    let id = saga.0;
    let sql = format!(
        "UPDATE amends_guard SET state = 'completed', reply = '{RESULT}' \
         WHERE saga_id = '{id}' AND direction = 'action'"
    );
    assert_eq!(D::run(&bed.pool, sql).await.unwrap(), 1);
    assert_eq!(bed.tell(&saga.undo()).await, Answer::Undone(false), "the first round again");
    let second = saga.undo_of(2, Some(RESULT.as_bytes()));
    assert_eq!(bed.tell(&second).await, Answer::Undone(true));
    assert_eq!(bed.tell(&second).await, Answer::Undone(true));
    assert_eq!(bed.effects(saga).await, (0, 1));
}

pub(crate) async fn a_refused_step_has_nothing_to_undo_and_never_runs_again<D: Tested>(
    bed: &Bed<D>,
) {
    let saga = Saga::new();
    let asked = saga.action_that("refuse");
    bed.tell(&asked).await;
    assert_eq!(bed.tell(&saga.undo()).await, Answer::Undone(false));
    assert_eq!(bed.tell(&asked).await, refused(1), "its first answer, also after the undo");
    let later = saga.action_of(2, Work { amount: 5, ..Work::default() });
    assert_eq!(bed.tell(&later).await, refused(1), "a later round comes too late");
    assert_eq!(bed.effects(saga).await, (0, 0));
}

pub(crate) async fn an_effect_without_a_record_is_undone_by_the_commands_result<D: Tested>(
    bed: &Bed<D>,
) {
    let saga = Saga::new();
    let undo = saga.undo_of(1, Some(br#"{"amount":8,"attempt":1}"#));
    assert_eq!(bed.tell(&undo).await, Answer::Undone(true));
    assert_eq!(bed.tell(&undo).await, Answer::Undone(true));
    let undone = D::amounts(&bed.pool, &saga.0.to_string(), "compensation").await.unwrap();
    assert_eq!(undone, [8]);
    assert_eq!(code_of(&bed.tell(&saga.action()).await), "ALREADY_UNDONE");
    assert_eq!(bed.effects(saga).await, (0, 1));
}

pub(crate) async fn other_bytes_under_the_same_key_are_no_duplicate<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    bed.tell(&saga.action()).await;
    let other = bed.tell(&saga.action_of(1, Work { amount: 6, ..Work::default() })).await;
    assert_eq!((other.status(), code_of(&other).as_str()), (400, "KEY_REUSED"));
    bed.tell(&saga.undo()).await;
    let other = bed.tell(&saga.undo_of(1, Some(RESULT.as_bytes()))).await;
    assert_eq!((other.status(), code_of(&other).as_str()), (400, "KEY_REUSED"));
    assert_eq!(bed.tell(&saga.action()).await, completed());
    assert_eq!(bed.tell(&saga.undo()).await, Answer::Undone(true));
    let refusing = Saga::new();
    bed.tell(&refusing.action_that("refuse")).await;
    assert_eq!(code_of(&bed.tell(&refusing.action()).await), "KEY_REUSED");
    assert_eq!(bed.effects(saga).await, (1, 1));
    assert_eq!(bed.effects(refusing).await, (0, 0));
}

pub(crate) async fn steps_and_sagas_do_not_meet<D: Tested>(bed: &Bed<D>) {
    let (one, other) = (Saga::new(), Saga::new());
    bed.tell(&one.undo()).await;
    assert_eq!(bed.tell(&other.action()).await, completed());
    // Names that differ in case, or in what some collations take for nothing.
    let body = String::from_utf8(one.action().to_vec()).unwrap();
    for name in ["Step", "st\u{e9}p", "ste\u{301}p", "step.0", "st'ep\\"] {
        let quoted = serde_json::to_string(name).unwrap();
        let quoted = &quoted[1..quoted.len() - 1];
        let body = body.replace("\"step\"", &format!("\"{quoted}\""));
        let body = body.replace("/step/", &format!("/{quoted}/"));
        assert_eq!(bed.tell(&body.clone().into()).await, completed(), "{name}");
        assert_eq!(bed.tell(&body.into()).await, completed(), "{name}");
    }
    assert_eq!(bed.effects(one).await, (5, 0));
}

pub(crate) async fn another_error_stores_nothing<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    for end in ["fail", "panic"] {
        let answer = bed.tell(&saga.action_that(end)).await;
        assert_eq!((answer.status(), code_of(&answer).as_str()), (503, "HANDLER_FAILED"));
        assert!(!answer.body().contains("db-7"), "the error's text stays in the log");
    }
    assert_eq!(bed.effects(saga).await, (0, 0));
    assert_eq!(bed.tell(&saga.action()).await, completed(), "nothing is stored of a failure");
    assert_eq!(bed.effects(saga).await, (1, 0));
}

pub(crate) async fn an_undo_that_fails_is_not_done<D: Tested>(bed: &Bed<D>) {
    let saga = Saga::new();
    bed.tell(&saga.action()).await;
    let failing = saga.undo_with(1, None, br#"{"amount":5,"end":"fail to undo"}"#);
    assert_eq!(bed.tell(&failing).await.status(), 503);
    assert_eq!(bed.effects(saga).await, (1, 0));
    assert_eq!(bed.tell(&saga.undo()).await, Answer::Undone(true));
    assert_eq!(bed.effects(saga).await, (1, 1));
}
