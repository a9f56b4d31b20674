//! Every line of the two tables.

use super::*;

const OURS: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];
const MARK: &str = "ours";

fn asked(round: u16) -> Asked<'static> {
    Asked { round: NonZeroU16::new(round).unwrap(), body_sha256: &OURS, mark: MARK }
}

fn row(state: State, round: u16) -> Row {
    let reply = match state {
        State::Claimed => Some(MARK.to_owned()),
        State::Tombstone => None,
        state => Some(format!("\"{}\"", state.as_str())),
    };
    Row { round, body_sha256: OURS, state, reply }
}

fn other_bytes(state: State, round: u16) -> Row {
    Row { body_sha256: OTHER, ..row(state, round) }
}

#[test]
fn an_action_runs_once_and_is_answered_the_same_in_every_round() {
    assert_eq!(action(&row(State::Claimed, 1), asked(1)), Action::Run);
    let stored = Action::Completed("\"completed\"".to_owned());
    assert_eq!(action(&row(State::Completed, 1), asked(1)), stored);
    assert_eq!(action(&other_bytes(State::Completed, 1), asked(2)), stored);
    assert_eq!(action(&other_bytes(State::Completed, 2), asked(1)), stored);
}

#[test]
fn a_refusal_stays_until_a_later_round_asks_anew() {
    let stored = Action::Refused("\"refused\"".to_owned());
    assert_eq!(action(&row(State::Refused, 1), asked(1)), stored);
    assert_eq!(action(&other_bytes(State::Refused, 2), asked(1)), stored);
    assert_eq!(action(&other_bytes(State::Refused, 1), asked(2)), Action::Run);
}

#[test]
fn after_a_tombstone_no_action_runs_whatever_its_round() {
    for round in [1, 2, 3] {
        let found = other_bytes(State::Tombstone, 2);
        assert_eq!(action(&found, asked(round)), Action::AlreadyUndone);
    }
}

#[test]
fn a_refusal_that_was_undone_is_said_again_in_every_round() {
    let found = Row { reply: Some("\"no\"".to_owned()), ..row(State::Tombstone, 1) };
    let stored = Action::Refused("\"no\"".to_owned());
    assert_eq!(action(&found, asked(1)), stored);
    let found = Row { body_sha256: OTHER, ..found };
    assert_eq!(action(&found, asked(2)), stored);
    assert_eq!(action(&found, asked(1)), Action::KeyReused);
}

#[test]
fn the_same_round_with_other_bytes_is_a_broken_sender() {
    for state in [State::Completed, State::Refused] {
        assert_eq!(action(&other_bytes(state, 2), asked(2)), Action::KeyReused, "{state:?}");
    }
    let fresh = row(State::Claimed, 2);
    for state in [State::Undone, State::Nothing] {
        let found = compensation(&other_bytes(state, 2), &fresh, asked(2), true);
        assert_eq!(found, Compensation::KeyReused, "{state:?}");
    }
}

#[test]
fn a_compensation_is_idempotent_across_rounds() {
    for round in [1, 2] {
        let own =
            Row { body_sha256: if round == 1 { OURS } else { OTHER }, ..row(State::Undone, 1) };
        let found = compensation(&own, &row(State::Completed, 1), asked(round), true);
        assert_eq!(found, Compensation::Again { undone: true });
    }
}

#[test]
fn what_to_undo_is_told_by_the_actions_row() {
    let expected = [
        (State::Completed, Compensation::Run("\"completed\"".to_owned())),
        (State::Refused, Compensation::Nothing),
        (State::Tombstone, Compensation::Nothing),
        (State::Claimed, Compensation::Nothing),
    ];
    for (state, then) in expected {
        let first = compensation(&row(State::Claimed, 2), &row(state, 1), asked(2), false);
        assert_eq!(first, then, "{state:?}");
        let second = compensation(&other_bytes(State::Nothing, 1), &row(state, 1), asked(2), false);
        assert_eq!(second, then, "{state:?} in a second round");
        let again = compensation(&row(State::Nothing, 2), &row(state, 1), asked(2), true);
        assert_eq!(again, Compensation::Again { undone: false }, "{state:?} again");
        let late = compensation(&other_bytes(State::Nothing, 3), &row(state, 1), asked(2), true);
        assert_eq!(late, Compensation::Again { undone: false }, "{state:?} late");
    }
}

#[test]
fn an_effect_without_a_record_is_undone_when_the_command_says_that_it_was() {
    let fresh = row(State::Claimed, 1);
    assert_eq!(compensation(&fresh, &fresh, asked(1), true), Compensation::RunUnrecorded);
    let tombstone = row(State::Tombstone, 1);
    assert_eq!(compensation(&fresh, &tombstone, asked(1), true), Compensation::Nothing);
}

#[test]
fn a_claim_that_was_left_behind_is_not_taken_for_a_new_row() {
    let fresh = row(State::Claimed, 1);
    for mark in [None, Some("another's".to_owned())] {
        let left = Row { reply: mark, ..row(State::Claimed, 1) };
        for completed in [false, true] {
            assert_eq!(action(&left, asked(1)), Action::LeftBehind);
            let own = compensation(&left, &fresh, asked(1), completed);
            assert_eq!(own, Compensation::LeftBehind);
            let of_action = compensation(&fresh, &left, asked(1), completed);
            assert_eq!(of_action, Compensation::LeftBehind);
        }
    }
}

#[test]
fn what_was_not_carried_out_becomes_a_tombstone() {
    assert_eq!(tombstone(State::Claimed), State::Tombstone);
    assert_eq!(tombstone(State::Refused), State::Tombstone);
    assert_eq!(tombstone(State::Completed), State::Completed);
}

#[test]
fn states_have_one_name_each() {
    for state in State::ALL {
        assert_eq!(State::named(state.as_str()), Some(state));
    }
    assert_eq!(State::named("done"), None);
}
