//! A command's body around data that may be anything, and the same in a structured envelope.

use amends_wire::envelope::Sending;
use amends_wire::{
    ActionOutcome, CommandBody, CommandId, Direction, SagaId, Undo, idempotency_key, json,
};

use super::Target;

pub(super) const TARGET: Target =
    Target {
        name: "command", what: "data → the bytes of a command and its envelope", run, seeds
    };

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = crate::kept::seeds_from(&["crates/wire/golden"], ".json");
    let texts = ["{}", " null ", "{\"saga_id\":1,\"x\":{\"y\":[1.50e400]}}", "{\"\\u0064ata\":1}"];
    seeds.extend(texts.iter().map(|text| text.as_bytes().to_vec()));
    seeds
}

fn run(data: &[u8]) {
    let sound = json::check(data).is_ok();
    let step = format!("s{}", String::from_utf8_lossy(&data[..data.len().min(8)]));
    for (flat, compensation) in [(true, false), (false, false), (true, true)] {
        let undo = Undo {
            action_round: 1,
            outcome: ActionOutcome::Completed,
            original_result: Some(data),
        };
        let body = CommandBody {
            saga_id: SagaId(7),
            saga_type: "A",
            step_name: &step,
            command: "S.Do",
            round: 2,
            data,
            flat,
            undo: compensation.then_some(undo),
        };
        let rendered = body.render();
        assert_eq!(rendered.is_ok(), sound, "data that is no JSON must not be copied");
        let Ok(rendered) = rendered else { continue };
        assert_eq!(body.render(), Ok(rendered.clone()), "S4: the same command, other bytes");
        let members = json::members(&rendered).expect("it is JSON").expect("it is an object");
        let value = |name: &str| {
            let mut named = members.iter().filter(|m| m.name().as_deref() == Some(name));
            let first = named.next().map(|member| member.value);
            assert!(named.next().is_none(), "the body says {name} twice");
            first
        };
        assert_eq!(value("data"), Some(data.trim_ascii()), "the data is copied as it is");
        let direction = if compensation { Direction::Compensation } else { Direction::Action };
        let key = idempotency_key(SagaId(7), &step, direction, 2);
        let said = value("idempotency_key").expect("it has a key");
        assert_eq!(serde_json::from_slice::<String>(said).ok().as_deref(), Some(&*key));
        let command =
            CommandId { saga_id: SagaId(7), step_name: step.clone(), direction, round: 2 };
        let envelope = Sending {
            command: &command,
            command_name: "S.Do",
            saga_type: &step,
            attempt: 3,
            deadline_unix_ms: data.len() as u64,
            causation_id: None,
            traceparent: None,
        }
        .structured(&rendered);
        assert_eq!(json::check(&envelope), Ok(()), "an envelope that is no JSON");
    }
}
