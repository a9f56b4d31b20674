//! The ids of fields. An id is given once and has one meaning in every event; 0 ends an event.

use std::sync::Arc;

use amends_core::definition::Fence;
use amends_core::event::Ending;
use amends_core::saga::{ExceptionReason, Reason, State, Status};
use amends_core::{Direction, Millis, Payload, SagaId, StepIx, Time};

use super::field::{Always, Flag, Inputs, Unless, always, flag, inputs, unless};

macro_rules! ids {
    ($($name:ident: $kind:ty = $made:expr;)+) => {
        $(pub(super) const $name: $kind = $made;)+

        /// Every id, for the test that none is given twice.
        #[cfg(test)]
        pub(super) const ALL: &[u8] = &[$($name.id),+];
    };
}

ids! {
    // Which command of which step.
    STEP: Always<StepIx> = always(1);
    RUN_NUMBER: Unless<u8> = unless(2, 0);
    DIRECTION: Unless<Direction> = unless(3, Direction::Action);
    ROUND: Unless<u32> = unless(4, 1);
    ATTEMPT: Unless<u32> = unless(5, 1);
    ANSWERED: Always<u32> = always(6);

    // When.
    UNTIL: Always<Time> = always(7);
    DEADLINE: Always<Time> = always(8);
    NEXT_AT: Always<Time> = always(9);
    LASTED: Always<Millis> = always(10);

    // What became of it.
    INPUTS: Inputs = inputs(11);
    FOR_EACH: Flag = flag(12);
    FENCE: Always<Fence> = always(13);
    FLAT: Flag = flag(14);
    ENDING: Always<Ending> = always(15);
    RESULT: Always<Payload> = always(16);
    SETTLED: Flag = flag(17);
    LEAVES: Always<Status> = always(18);
    FAILED: Flag = flag(19);
    UNREACHABLE: Flag = flag(20);
    UNDONE: Always<bool> = always(21);
    REDRIVES: Unless<u32> = unless(22, 0);
    NEW_ROUND: Always<u8> = always(23);
    BODY: Always<Payload> = always(24);
    SKIPPED: Flag = flag(25);

    // In words.
    FAULT_MESSAGE: Always<Arc<str>> = always(26);
    FAULT_CODE: Always<Arc<str>> = always(27);
    NOTE: Always<Arc<str>> = always(28);
    BY: Always<Arc<str>> = always(29);
    BECAUSE: Always<Arc<str>> = always(30);
    SIGNAL: Always<Arc<str>> = always(31);

    // Of the saga as a whole.
    CAUSE: Always<u8> = always(32);
    STATE: Always<State> = always(33);
    ATTENTION: Always<Reason> = always(34);
    EXCEPTION: Always<ExceptionReason> = always(35);
    SAGA_ID: Always<SagaId> = always(36);
    SAGA_TYPE: Always<Arc<str>> = always(37);
    VERSION: Always<u32> = always(38);
    HASH: Always<[u8; 32]> = always(39);
    STEPS: Always<u8> = always(40);
    DATA: Always<Payload> = always(41);
    BUSINESS_KEY: Always<Arc<str>> = always(42);

    // Of a saga that its services run among themselves.
    CHOREOGRAPHED: Flag = flag(43);
    WORD: Always<u8> = always(44);
    SAID_AT: Always<Time> = always(45);
}
