//! The tags of events, and the order in which their fields stand. A tag is given once; 0 is none.

use amends_core::Event;

use super::error::Problem;
use super::field::{Field, Maybe};
use super::group::{ACT, COMMAND, EXCEPTED, FAULT, RUN, SAID, STARTED, TERMS, TURNED_FOR, WHY_NEW};
use super::id::*;
use super::reader::Reader;
use super::writer::Writer;

macro_rules! events {
    (
        unnamed { $($whole_tag:literal $whole:ident($content:expr))+ }
        named { $($tag:literal $name:ident { $($member:ident: $field:expr),+ $(,)? })+ }
    ) => {
        pub(super) fn write(event: &Event, w: &mut Writer<'_>) {
            match event {
                $(Event::$whole(content) => {
                    w.byte($whole_tag);
                    $content.put(content, w);
                })+
                $(Event::$name { $($member),+ } => {
                    w.byte($tag);
                    $($field.put($member, w);)+
                })+
            }
            w.end_event();
        }

        pub(super) fn read(r: &mut Reader<'_>) -> Result<Event, Problem> {
            let event = match r.byte()? {
                $($whole_tag => {
                    r.begin_event(stringify!($whole))?;
                    Event::$whole($content.get(r)?)
                })+
                $($tag => {
                    r.begin_event(stringify!($name))?;
                    Event::$name { $($member: $field.get(r)?),+ }
                })+
                0 => return Err(Problem::Damaged("there is no event with tag 0")),
                tag => return Err(Problem::NewerEvent { tag }),
            };
            r.end_event()?;
            Ok(event)
        }

        /// Every tag with its event's name, for the tests that leave none out.
        #[cfg(test)]
        pub(super) const TAGS: &[(u8, &str)] = &[
            $(($whole_tag, stringify!($whole)),)+
            $(($tag, stringify!($name)),)+
        ];
    };
}

events! {
    unnamed {
        1 Started(STARTED)
        23 Paused(ACT)
        24 Resumed(ACT)
        33 Excepted(EXCEPTED)
    }
    named {
        2 Readied { step: STEP, deadline: DEADLINE, for_each: FOR_EACH, inputs: INPUTS }
        3 Skipped { step: STEP, for_each: FOR_EACH }
        4 ExpressionFailed { step: STEP, failed: FAILED, fault: FAULT }
        5 Sent {
            command: COMMAND,
            attempt: ATTEMPT,
            until: UNTIL,
            deadline: Maybe(DEADLINE),
            terms: TERMS,
        }
        6 NotSent { command: COMMAND, attempt: ATTEMPT, next_at: NEXT_AT, fault: FAULT }
        7 Accepted { command: COMMAND, attempt: ATTEMPT, until: UNTIL }
        8 AttemptEnded {
            command: COMMAND,
            attempt: ATTEMPT,
            ending: ENDING,
            next_at: NEXT_AT,
            fault: Maybe(FAULT),
        }
        9 ContractBroken { run: RUN, note: NOTE }
        10 UnboundFound { run: RUN }
        11 Completed { run: RUN, result: RESULT }
        12 Refused {
            run: RUN,
            attempt: Maybe(ANSWERED),
            settled: SETTLED,
            leaves: LEAVES,
            next_at: NEXT_AT,
            fault: FAULT,
        }
        13 GivenUp { run: RUN, unreachable: UNREACHABLE }
        14 Overdue { run: RUN }
        15 RoundOpened { command: COMMAND, next_at: NEXT_AT, why: WHY_NEW }
        16 UndoAcknowledged { run: RUN, undone: Maybe(UNDONE) }
        17 DeadLettered { run: RUN, redrives: REDRIVES, next_at: NEXT_AT }
        18 Poisoned { run: RUN, next_at: NEXT_AT }
        19 SignalReceived { name: SIGNAL, body: BODY }
        20 SignalRefused { step: STEP, fault: FAULT }
        21 Turned { cause: TURNED_FOR }
        22 Ended { state: STATE }
        25 OutageEnded { lasted: LASTED }
        26 Extended { run: Maybe(RUN), deadline: DEADLINE, act: ACT }
        27 RetriedByHand { run: RUN, direction: DIRECTION, act: ACT }
        28 ActionResolved { run: RUN, result: Maybe(RESULT), act: ACT }
        29 ActionSkipped { run: RUN, act: ACT }
        30 UndoSettledByHand { run: RUN, skipped: SKIPPED, act: ACT }
        31 AttentionRaised { run: Maybe(RUN), direction: DIRECTION, reason: ATTENTION }
        32 AttentionCleared {
            run: Maybe(RUN),
            direction: DIRECTION,
            reason: ATTENTION,
            act: Maybe(ACT),
        }
        34 Proven { run: RUN, reason: EXCEPTION }
        35 DeadlineMoved { deadline: DEADLINE }
        36 Heard {
            said: SAID,
            by: BY,
            said_at: SAID_AT,
            result: Maybe(RESULT),
            fault: Maybe(FAULT),
            cause: Maybe(TURNED_FOR),
        }
        37 EndAsked { cause: TURNED_FOR }
    }
}
