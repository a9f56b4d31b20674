//! Whether a participant has a handler for each of its reactions, and none for what is no reaction.

use amends_choreography::free::Service;
use amends_wire::Direction;

use crate::database::Database;
use crate::participant::Participant;

/// What follows the service's name in the rows of its reactions.
pub(super) const ROWS_MARK: &str = "/free";

/// The longest name of a service, which the mark has to follow, in bytes.
const SERVICE_BYTES_MAX: usize = 64 - ROWS_MARK.len();

/// A participant that does not fit the choreography in which it is to take part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It is in none of the reactions.
    #[error(
        "{choreography} has no reaction of {service}: its services are {}; see the participant's name",
        services.join(", ")
    )]
    NoReactions {
        /// The participant.
        service: String,
        /// The choreography.
        choreography: String,
        /// Those that have some.
        services: Vec<String>,
    },
    /// Its handlers are not those of its reactions.
    #[error("{service} does not fit {choreography}: {}", words(missing, unknown))]
    Handlers {
        /// The participant.
        service: String,
        /// The choreography.
        choreography: String,
        /// What it has no handler for: `the action ReserveInventory, on OrderCreated`.
        missing: Vec<String>,
        /// Handlers of what is no reaction of its own: `a reaction on OrderCreatd`.
        unknown: Vec<String>,
    },
    /// The row of a run has no room for it.
    #[error(
        "the name of {0} has over {SERVICE_BYTES_MAX} bytes, which is the longest that reactions are kept under"
    )]
    LongName(String),
}

fn words(missing: &[String], unknown: &[String]) -> String {
    let mut words = Vec::new();
    if !missing.is_empty() {
        words.push(format!("it has no handler for {}", missing.join(", nor for ")));
    }
    if !unknown.is_empty() {
        words.push(format!("it has a handler for {}", unknown.join(", and for ")));
    }
    words.join("; ")
}

/// The service if the participant can carry out its reactions. `unknown` are handlers that were given for
/// what it has not.
pub(super) fn fit<D: Database>(
    participant: &Participant<D>,
    service: Service,
    unknown: &[String],
) -> Result<Service, Misfit> {
    let (name, choreography) = (service.name().to_owned(), service.of().name().to_owned());
    if name.len() > SERVICE_BYTES_MAX {
        return Err(Misfit::LongName(name));
    }
    if service.reactions().next().is_none() {
        let services = service.of().services().into_iter().map(str::to_owned).collect();
        return Err(Misfit::NoReactions { service: name, choreography, services });
    }
    let (actions, undos) =
        (participant.commands(Direction::Action), participant.commands(Direction::Compensation));
    let mut missing = Vec::new();
    for (action, undo) in service.commands() {
        if !actions.contains(&action) {
            missing.push(format!("the action {action}"));
        }
        if let Some(undo) = undo.filter(|undo| !undos.contains(undo)) {
            missing.push(format!("the compensation {undo}"));
        }
    }
    if missing.is_empty() && unknown.is_empty() {
        return Ok(service);
    }
    Err(Misfit::Handlers { service: name, choreography, missing, unknown: unknown.to_vec() })
}
