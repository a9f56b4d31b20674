//! A command that the service does not have: its path is answered 404 as often as it is asked. That is
//! a mistake in the name or the address, and tells nothing of the service's rules.

use amends_wire::Outcome;

use super::exchange::{Circumstance, Exchange};

/// The first exchange about such a command. One that is answered otherwise only once is there; and of an
/// undo that never had anything to undo a 404 may be the service's way to say so.
pub fn absent(log: &[Exchange]) -> Option<&Exchange> {
    let mut plain = log.iter().filter(|said| is_plain(said));
    plain.find(|said| {
        let mut same = log.iter().filter(|other| is_plain(other) && other.request == said.request);
        same.all(is_answered_404)
    })
}

/// The service's own command, where there is something for it to do.
const fn is_plain(said: &Exchange) -> bool {
    matches!(
        said.circumstance,
        Circumstance::Action
            | Circumstance::AtOnce
            | Circumstance::Undo
            | Circumstance::BlindUndo
            | Circumstance::UndoRepeat
            | Circumstance::UndoAtOnce
    )
}

/// With a 404 that the protocol gives no meaning: another may be a refusal, or an undo of nothing.
fn is_answered_404(said: &Exchange) -> bool {
    let status = said.seen.as_ref().map(|seen| seen.status);
    status == Some(404) && matches!(said.outcome, Outcome::Unknown { .. })
}
