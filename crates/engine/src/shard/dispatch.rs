//! From a command that is owed to one that leaves: a place in its service's lane, the durable fact
//! of its sending, and its bytes.

use std::sync::Arc;
use std::time::Duration;

use amends_core::event::Event;
use amends_core::saga::Sendings;
use amends_core::{Direction, Input, Millis, RunRef, SagaId, decide, effects, rules};
use amends_transport::{Outgoing, Patience, Ticket};
use amends_wire::{ActionOutcome, CommandBody, CommandId, Undo};

use super::Desk;
use super::batch::Effect;
use super::lane::{Sign, Waiting};
use super::live::{Live, Place};
use crate::convert;
use crate::deployed::{Binding, Deployed};
use crate::mutant::{Mutant, mutated};

/// How long an exchange is kept open past its step's deadline, for an answer that comes late.
const KEPT_OPEN_PAST_DEADLINE: Millis = Millis::secs(30);

impl Desk {
    /// Sends what is owed and has room; the rest waits in its lane. Says whether anything moved.
    pub fn dispatch_owed(
        &mut self,
        live: &mut Live,
        deployed: &Arc<Deployed>,
        facts: &mut Vec<Event>,
    ) -> bool {
        let now = self.now;
        let owed: Vec<_> = effects::owed(&deployed.definition, &live.saga)
            .filter(|owed| owed.from <= now && live.place(owed.run, owed.direction).is_none())
            .filter(|owed| owed.direction == Direction::Action || !mutated(Mutant::NeverSendUndos))
            .collect();
        let mut moved = false;
        for owed in owed {
            let (run, direction) = (owed.run, owed.direction);
            let Some(binding) = deployed.binding(run.step, direction) else {
                let moment = self.moment();
                let input = Input::Unbound { run };
                let _ = decide(&deployed.definition, live.saga_mut(), moment, input, facts);
                continue;
            };
            if self.lane(binding.lane).take(now) {
                moved |= self.send(live, deployed, &binding, run, direction, facts);
            } else {
                let waiting = Waiting { saga: live.id(), run, direction };
                self.lane(binding.lane).wait(waiting);
                live.places.push(Place { run, direction, lane: binding.lane, attempt: None });
            }
        }
        moved
    }

    /// Does this command still wait for room? One that is owed no more is forgotten.
    pub fn still_waits(&self, live: &mut Live, waiting: Waiting) -> bool {
        let Waiting { run, direction, .. } = waiting;
        let owed = rules::owed_from(&live.deployed.definition, &live.saga, run, direction);
        if owed.is_none_or(|from| from > self.now) {
            live.places.retain(|place| !is_waiting(place, waiting));
        }
        live.places.iter().any(|place| is_waiting(place, waiting))
    }

    /// Serves a command that waited: a place is taken for it in this lane.
    pub fn serve(&mut self, live: &mut Live, waiting: Waiting, lane: usize) {
        let Waiting { run, direction, .. } = waiting;
        live.places.retain(|place| !is_waiting(place, waiting));
        let deployed = Arc::clone(&live.deployed);
        // Its binding may have changed while it waited.
        let bound = deployed.binding(run.step, direction).filter(|binding| binding.lane == lane);
        let Some(binding) = bound else {
            self.lane(lane).give_back();
            return self.nudge(live);
        };
        self.move_on(live, |desk, live, facts| {
            desk.send(live, &deployed, &binding, run, direction, facts);
        });
    }

    /// Takes the fact of a sending down, and its bytes along for when it is durable.
    fn send(
        &mut self,
        live: &mut Live,
        deployed: &Arc<Deployed>,
        binding: &Arc<Binding>,
        run: RunRef,
        direction: Direction,
        facts: &mut Vec<Event>,
    ) -> bool {
        let input = Input::Room { run, direction, terms: binding.terms };
        let moment = self.moment();
        let decided = decide(&deployed.definition, live.saga_mut(), moment, input, facts);
        let sendings = live.saga.run(run).and_then(|state| state.sendings(direction));
        let open = sendings.and_then(|sendings| sendings.open);
        let (Ok(()), Some(open)) = (decided, open) else {
            self.lane(binding.lane).give_back();
            return false;
        };
        let attempt = Some(open.number);
        live.places.push(Place { run, direction, lane: binding.lane, attempt });
        match outgoing(self, live, deployed, binding, run, direction) {
            Ok(outgoing) => self.pending.effect(Effect::Send {
                transport: Arc::clone(&binding.transport),
                outgoing: Box::new(outgoing),
            }),
            Err(why) => self.unsendable(live, run, direction, &why),
        }
        true
    }

    /// Sends once more what was out before a crash, which only a mistake does.
    pub fn send_again(&mut self, live: &Live, run: RunRef, direction: Direction) {
        let deployed = &live.deployed;
        let Some(binding) = deployed.binding(run.step, direction) else { return };
        if let Ok(outgoing) = outgoing(self, live, deployed, &binding, run, direction) {
            self.pending.effect(Effect::Send {
                transport: Arc::clone(&binding.transport),
                outgoing: Box::new(outgoing),
            });
        }
    }

    /// A command whose bytes cannot be made does not leave: an answer like any other.
    fn unsendable(&mut self, live: &Live, run: RunRef, direction: Direction, why: &str) {
        let Some(ticket) = ticket(live, run, direction) else { return };
        tracing::error!(saga_id = %live.id(), why, "a command could not be made");
        self.replies.end(ticket, amends_wire::Outcome::not_sent(why));
    }

    /// Frees the places of attempts that are no longer waited for. What an answer says about its
    /// service counts for its own place only.
    pub fn free_places(&mut self, live: &mut Live, sign: Option<((RunRef, Direction), Sign)>) {
        let (saga, definition) = (&live.saga, &live.deployed.definition);
        let mut freed = Vec::new();
        live.places.retain(|place| {
            let Some(attempt) = place.attempt else { return true };
            let open = saga
                .run(place.run)
                .and_then(|run| run.sendings(place.direction))
                .and_then(|sendings| sendings.open);
            let out = open.is_some_and(|open| open.number == attempt && !open.accepted)
                && (mutated(Mutant::HoldPlaces)
                    || effects::waited_for(definition, saga, place.run, place.direction));
            if !out {
                let own = sign.filter(|(of, _)| *of == (place.run, place.direction));
                freed.push((place.lane, own.map(|(_, sign)| sign)));
            }
            out
        });
        let now = self.now;
        for (lane, sign) in freed {
            self.lane(lane).over(sign, now);
        }
    }
}

fn is_waiting(place: &Place, waiting: Waiting) -> bool {
    (place.run, place.direction) == (waiting.run, waiting.direction) && place.attempt.is_none()
}

fn ticket(live: &Live, run: RunRef, direction: Direction) -> Option<Ticket> {
    let sendings = live.saga.run(run)?.sendings(direction)?;
    Some(Ticket {
        saga_id: live.id().0,
        step: run.step.0,
        run: run.run,
        direction: convert::direction_out(direction),
        round: if mutated(Mutant::OneKeyForAllRounds) {
            1
        } else {
            convert::round_out(sendings.round)
        },
        attempt: sendings.attempts,
    })
}

fn outgoing(
    desk: &Desk,
    live: &Live,
    deployed: &Arc<Deployed>,
    binding: &Arc<Binding>,
    run: RunRef,
    direction: Direction,
) -> Result<Outgoing, String> {
    let saga = &live.saga;
    let ticket = ticket(live, run, direction).ok_or("nothing was sent")?;
    let state = saga.run(run).ok_or("the run is gone")?;
    let sendings = state.sendings(direction).ok_or("nothing was sent")?;
    let open = sendings.open.ok_or("no attempt is open")?;
    let names = deployed.names(run.step);
    let command = names.command(direction).ok_or("the step has no such command")?;
    let step_name = deployed.run_name(saga, run);
    let body = CommandBody {
        saga_id: convert::saga_id_out(saga.id),
        saga_type: &saga.pinned.saga_type,
        step_name: &step_name,
        command,
        round: ticket.round,
        data: data(live, run, sendings),
        flat: sendings.terms.flat,
        undo: undo(live, run, direction),
    };
    let timeout = open.until.since(open.sent_at);
    let deadline = match direction {
        Direction::Action => state.deadline.max(open.until),
        Direction::Compensation => open.until,
    };
    let keep_open_for = deadline.since(desk.now).0 + KEPT_OPEN_PAST_DEADLINE.0;
    Ok(Outgoing {
        ticket,
        service: Arc::clone(&binding.service),
        command: Arc::clone(command),
        saga_type: Arc::clone(&saga.pinned.saga_type),
        body: body.render().map_err(|error| error.to_string())?,
        deadline_unix_ms: deadline.0,
        patience: Patience {
            timeout: Duration::from_millis(timeout.0),
            keep_open_for: Duration::from_millis(keep_open_for),
        },
        another_sending_open: !sendings.unresolved.is_only(open.number),
        // Whoever answers by message needs no address, and it is a credential.
        reply_to: (!binding.answers_by_message)
            .then(|| reply_to(desk, saga.id, &step_name, direction, ticket.round))
            .flatten(),
        causation_id: Some(format!("{}/{}", saga.id, saga.seq)),
        traceparent: None,
        codes: Arc::clone(&names.codes),
        step_name,
    })
}

/// What the command carries: what an operator gave it, its own input, or the saga's data.
fn data<'a>(live: &'a Live, run: RunRef, sendings: &'a Sendings) -> &'a [u8] {
    let input = live.saga.run(run).and_then(|state| {
        // An edited action's body is what its undo is about, too.
        let edited = state.action.as_ref().and_then(|action| action.body.as_ref());
        edited.or(state.input.as_ref())
    });
    sendings.body.as_ref().or(input).unwrap_or(&live.saga.data).bytes()
}

fn undo<'a>(live: &'a Live, run: RunRef, direction: Direction) -> Option<Undo<'a>> {
    if direction == Direction::Action {
        return None;
    }
    let state = live.saga.run(run)?;
    let original = state.undo.as_ref()?.original_result.as_ref();
    let action_round = state.action.as_ref().map_or(1, |action| action.round);
    // What was known at the round's intent, not what has been heard since: the bytes are fixed.
    let outcome = match original {
        Some(_) => ActionOutcome::Completed,
        None => ActionOutcome::Unknown,
    };
    Some(Undo {
        action_round: convert::round_out(action_round),
        outcome,
        original_result: original.map(amends_core::Payload::bytes),
    })
}

fn reply_to(
    desk: &Desk,
    saga_id: SagaId,
    step_name: &str,
    direction: Direction,
    round: u16,
) -> Option<String> {
    let options = &desk.shared.options;
    let (url, key) = (options.public_url.as_ref()?, options.token_key.as_ref()?);
    let command = CommandId {
        saga_id: convert::saga_id_out(saga_id),
        step_name: step_name.to_owned(),
        direction: convert::direction_out(direction),
        round,
    };
    Some(format!("{url}/v1/replies/{}", key.issue(&command)))
}

/// What an outcome says about the health of the service, for its circuit.
pub fn sign(outcome: &amends_core::input::Outcome) -> Sign {
    use amends_core::input::Outcome;
    match outcome {
        Outcome::NotSent(_) | Outcome::Unknown { .. } => Sign::Failed,
        _ => Sign::Answered,
    }
}
