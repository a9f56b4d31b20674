//! How the engine says no, as problems: the one place where its errors get codes.

use amends_core::Refusal;
use amends_engine::{AskError, DeployError, ReplyError, StartError, Unavailable};
use amends_store::CatalogError;

use crate::problem::{Code, Problem};

impl From<Unavailable> for Problem {
    fn from(why: Unavailable) -> Self {
        let detail = why.to_string();
        match why {
            Unavailable::Overloaded { retry_after_secs } => {
                Self::new(Code::Overloaded, detail).retry_after(retry_after_secs)
            }
            Unavailable::CatalogBehind { retry_after_secs } => {
                Self::new(Code::CatalogBehind, detail).retry_after(retry_after_secs)
            }
            Unavailable::JournalFailed(_) => Self::new(Code::JournalFailed, detail),
            Unavailable::CatalogFailed(_) => Self::new(Code::CatalogFailed, detail),
            Unavailable::Unreadable(_) => Self::new(Code::Unreadable, detail),
            Unavailable::Stopped => Self::new(
                Code::Stopping,
                "the engine has stopped: nothing was done, try again when the server is back",
            ),
        }
    }
}

impl From<StartError> for Problem {
    fn from(why: StartError) -> Self {
        let detail = why.to_string();
        match why {
            StartError::UnknownType { .. } => Self::new(
                Code::UnknownSagaType,
                format!("{detail}; GET /v1/definitions lists the types there are"),
            ),
            StartError::UnknownVersion { .. } => Self::new(Code::UnknownVersion, detail),
            StartError::Retired(_) => Self::new(
                Code::Retired,
                format!(
                    "{detail}; to start one, put its file back among the server's --definitions, \
                     or POST it to /v1/definitions"
                ),
            ),
            StartError::Choreographed(_) => Self::new(Code::Choreographed, detail),
            StartError::BadData(_) => Self::new(Code::BadData, detail),
            StartError::TooLarge { .. } => Self::new(Code::TooLarge, detail),
            StartError::IdempotencyConflict { saga_id } => {
                Self::new(Code::IdempotencyConflict, detail).about(saga_id)
            }
            StartError::KeyInUse { saga_id } => Self::new(
                Code::KeyInUse,
                format!("{detail}; look at that one, or wait for its end"),
            )
            .about(saga_id),
            StartError::Unavailable(why) => why.into(),
        }
    }
}

impl From<AskError> for Problem {
    fn from(why: AskError) -> Self {
        let detail = why.to_string();
        match why {
            AskError::NoSuchSaga(saga) => no_such_saga(&saga.to_string()),
            AskError::NoSuchStep(_) => Self::new(
                Code::NoSuchStep,
                format!("{detail}; GET the saga to see the names of its steps"),
            ),
            AskError::Moved { seq } => Self::new(Code::Moved, detail).at_seq(seq),
            AskError::Refused(refusal) => Self::new(refusal_code(refusal), detail),
            AskError::DoesNotFit(_) => Self::new(Code::VerbDoesNotFit, detail),
            AskError::Unavailable(why) => why.into(),
        }
    }
}

impl From<ReplyError> for Problem {
    fn from(why: ReplyError) -> Self {
        let detail = why.to_string();
        match why {
            ReplyError::MadeUp(_) => Self::new(Code::MadeUpReply, detail),
            ReplyError::ForeignService { .. } => Self::new(Code::ForeignService, detail),
            ReplyError::Unavailable(why) => why.into(),
        }
    }
}

impl From<CatalogError> for Problem {
    fn from(why: CatalogError) -> Self {
        let code = match why {
            CatalogError::Malformed { .. } => Code::BadQuery,
            _ => Code::CatalogFailed,
        };
        Self::new(code, why.to_string())
    }
}

impl From<DeployError> for Problem {
    fn from(why: DeployError) -> Self {
        let (detail, diff) = (why.to_string(), why.difference());
        match why {
            DeployError::Conflict { .. } => {
                let detail = format!("{detail}; diff shows the places: - exists, + came");
                Self::new(Code::DefinitionConflict, detail).with_diff(diff)
            }
            DeployError::Twice(_) => Self::new(Code::DefinitionConflict, detail),
            DeployError::Catalog(why) => why.into(),
        }
    }
}

/// There is no saga under this name.
pub fn no_such_saga(id: &str) -> Problem {
    Problem::new(
        Code::NoSuchSaga,
        format!("there is no saga {id}: it never was, or it was deleted after its retention"),
    )
}

const fn refusal_code(refusal: Refusal) -> Code {
    match refusal {
        Refusal::NoSuchStep => Code::NoSuchStep,
        Refusal::NeverSent | Refusal::NoSuchAttempt | Refusal::NotOwed => Code::NotOwed,
        Refusal::TooLate => Code::TooLate,
        Refusal::Ended => Code::Ended,
        Refusal::AlreadyCompensating => Code::AlreadyCompensating,
        Refusal::AlreadyPaused => Code::AlreadyPaused,
        Refusal::NotPaused => Code::NotPaused,
        Refusal::UnknownSignal => Code::UnknownSignal,
        Refusal::SignalTaken => Code::SignalTaken,
        Refusal::VerbDoesNotFit => Code::VerbDoesNotFit,
        Refusal::AttemptInFlight => Code::AttemptInFlight,
        Refusal::NotLater => Code::NotLater,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_core::SagaId;
    use axum::http::header::RETRY_AFTER;
    use axum::response::IntoResponse;

    #[test]
    fn the_engine_says_no_with_a_status_a_code_and_when_to_come_back() {
        let full = CatalogError::Full { what: "disk".to_owned() };
        let cases: [(Problem, u16, &str, Option<&str>); 10] = [
            (Unavailable::Overloaded { retry_after_secs: 3 }.into(), 429, "overloaded", Some("3")),
            (
                Unavailable::CatalogBehind { retry_after_secs: 9 }.into(),
                429,
                "catalog_behind",
                Some("9"),
            ),
            (Unavailable::JournalFailed("full".into()).into(), 503, "journal_failed", None),
            (Unavailable::CatalogFailed("gone".into()).into(), 503, "catalog_failed", None),
            (Unavailable::Stopped.into(), 503, "stopping", None),
            (StartError::Retired("Order".into()).into(), 409, "retired", None),
            (StartError::TooLarge { bytes: 2, bytes_max: 1 }.into(), 413, "too_large", None),
            (AskError::Refused(Refusal::AttemptInFlight).into(), 409, "attempt_in_flight", None),
            (AskError::Refused(Refusal::TooLate).into(), 409, "too_late", None),
            (DeployError::Catalog(full).into(), 503, "catalog_failed", None),
        ];
        for (problem, status, code, retry_after) in cases {
            assert_eq!(problem.code(), code);
            let response = problem.into_response();
            assert_eq!(response.status(), status, "{code}");
            let said = response.headers().get(RETRY_AFTER).map(|said| said.to_str().unwrap());
            assert_eq!(said, retry_after, "{code}");
        }
    }

    /// Over a broker the engine itself says them.
    #[test]
    fn the_codes_are_those_of_every_other_way() {
        let taken = StartError::KeyInUse { saga_id: SagaId(7) };
        assert_eq!(Problem::from(taken.clone()).code(), taken.code());
        let gone = StartError::Retired("Order".into());
        assert_eq!(Problem::from(gone.clone()).code(), gone.code());
        let none = AskError::NoSuchSaga(SagaId(7));
        assert_eq!(Problem::from(none.clone()).code(), none.code());
        for refusal in [
            Refusal::NoSuchStep,
            Refusal::NeverSent,
            Refusal::TooLate,
            Refusal::Ended,
            Refusal::AlreadyCompensating,
            Refusal::AlreadyPaused,
            Refusal::NotPaused,
            Refusal::UnknownSignal,
            Refusal::SignalTaken,
            Refusal::VerbDoesNotFit,
            Refusal::AttemptInFlight,
            Refusal::NotLater,
        ] {
            let refused = AskError::Refused(refusal);
            assert_eq!(Problem::from(refused.clone()).code(), refused.code());
        }
    }

    #[test]
    fn a_conflict_names_the_other_saga() {
        let saga_id = SagaId(7);
        for why in [StartError::IdempotencyConflict { saga_id }, StartError::KeyInUse { saga_id }] {
            let written = serde_json::to_value(Problem::from(why)).unwrap();
            assert_eq!(written["saga_id"], saga_id.to_string());
        }
    }
}
