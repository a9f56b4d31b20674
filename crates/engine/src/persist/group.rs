//! The machine's types that are more than one field, in the order in which their fields stand.

use amends_core::RunRef;
use amends_core::choreography::Said;
use amends_core::event::{CommandRef, NewRound, Started};
use amends_core::saga::{Act, Cause, Exception, Fault, Pinned, Terms};

use super::error::Problem;
use super::field::{Field, Fields, Group, LedBy, Maybe, group};
use super::id::*;
use super::reader::Reader;
use super::writer::Writer;

macro_rules! groups {
    ($($name:ident = $type:ident { $($member:ident: $field:expr),+ $(,)? })+) => {$(
        pub(super) const $name: Group<$type> = group();

        impl Fields for $type {
            fn put_fields(&self, w: &mut Writer<'_>) {
                let Self { $($member),+ } = self;
                $($field.put($member, w);)+
            }
            fn get_fields(r: &mut Reader<'_>) -> Result<Self, Problem> {
                Ok(Self { $($member: $field.get(r)?),+ })
            }
        }
    )+};
}

groups! {
    STARTED = Started {
        saga_id: SAGA_ID,
        pinned: PINNED,
        steps: STEPS,
        data: DATA,
        business_key: Maybe(BUSINESS_KEY),
        deadline: Maybe(DEADLINE),
        choreographed: CHOREOGRAPHED,
    }
    PINNED = Pinned { saga_type: SAGA_TYPE, version: VERSION, hash: HASH }
    RUN = RunRef { step: STEP, run: RUN_NUMBER }
    COMMAND = CommandRef { run: RUN, direction: DIRECTION, round: ROUND }
    TERMS = Terms { fence: Maybe(FENCE), flat: FLAT }
    FAULT = Fault { message: FAULT_MESSAGE, code: Maybe(FAULT_CODE) }
    ACT = Act { by: BY, reason: BECAUSE }
    EXCEPTED = Exception { run: RUN, reason: EXCEPTION, note: NOTE }
}

impl LedBy for RunRef {
    const FIRST_ID: u8 = STEP.id;
}

impl LedBy for Fault {
    const FIRST_ID: u8 = FAULT_MESSAGE.id;
}

impl LedBy for Act {
    const FIRST_ID: u8 = BY.id;
}

pub(super) const TURNED_FOR: Group<Cause> = group();

/// 1 a step, with its run; 2 cancelled, with the act; 3 the saga's deadline.
impl Fields for Cause {
    fn put_fields(&self, w: &mut Writer<'_>) {
        match self {
            Self::Step(run) => {
                CAUSE.put(&1, w);
                RUN.put(run, w);
            }
            Self::Cancelled(act) => {
                CAUSE.put(&2, w);
                ACT.put(act, w);
            }
            Self::Deadline => CAUSE.put(&3, w),
        }
    }
    fn get_fields(r: &mut Reader<'_>) -> Result<Self, Problem> {
        match CAUSE.get(r)? {
            1 => RUN.get(r).map(Self::Step),
            2 => ACT.get(r).map(Self::Cancelled),
            3 => Ok(Self::Deadline),
            code => Err(r.unknown_code("cause", code)),
        }
    }
}

impl LedBy for Cause {
    const FIRST_ID: u8 = CAUSE.id;
}

pub(super) const SAID: Group<Said> = group();

/// 1 started; of a step: 2 completed, 3 skipped, 4 never run, 5 compensated; 6 failed.
impl Fields for Said {
    fn put_fields(&self, w: &mut Writer<'_>) {
        let code = match self {
            Self::Started => 1,
            Self::Completed(_) => 2,
            Self::Skipped(_) => 3,
            Self::NeverRan(_) => 4,
            Self::Compensated(_) => 5,
            Self::Failed => 6,
        };
        WORD.put(&code, w);
        if let Some(step) = self.step() {
            STEP.put(&step, w);
        }
    }
    fn get_fields(r: &mut Reader<'_>) -> Result<Self, Problem> {
        match WORD.get(r)? {
            1 => Ok(Self::Started),
            2 => STEP.get(r).map(Self::Completed),
            3 => STEP.get(r).map(Self::Skipped),
            4 => STEP.get(r).map(Self::NeverRan),
            5 => STEP.get(r).map(Self::Compensated),
            6 => Ok(Self::Failed),
            code => Err(r.unknown_code("word", code)),
        }
    }
}

pub(super) const WHY_NEW: Group<NewRound> = group();

/// 1 refused; 2 a late success; 3 edited, with the body and the act.
impl Fields for NewRound {
    fn put_fields(&self, w: &mut Writer<'_>) {
        match self {
            Self::Refused => NEW_ROUND.put(&1, w),
            Self::LateSuccess => NEW_ROUND.put(&2, w),
            Self::Edited { body, act } => {
                NEW_ROUND.put(&3, w);
                BODY.put(body, w);
                ACT.put(act, w);
            }
        }
    }
    fn get_fields(r: &mut Reader<'_>) -> Result<Self, Problem> {
        match NEW_ROUND.get(r)? {
            1 => Ok(Self::Refused),
            2 => Ok(Self::LateSuccess),
            3 => Ok(Self::Edited { body: BODY.get(r)?, act: ACT.get(r)? }),
            code => Err(r.unknown_code("reason for a new round", code)),
        }
    }
}
