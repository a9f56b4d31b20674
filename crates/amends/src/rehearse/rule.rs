//! The rules that a participant keeps, each with its place in `semantics.md`, what breaking it does
//! in production, and what mends it.

mod talks;

/// A rule of the participant's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Its answers are those of the protocol.
    Answers,
    /// What it says that it will answer later it answers.
    Accepted,
    /// A repeated action is answered as at first.
    Repeat,
    /// Two copies at the same time are one.
    AtOnce,
    /// A refusal stays.
    Refusal,
    /// The undo of what was done is acknowledged.
    Undo,
    /// What was done is undone also by an undo that carries no result.
    BlindUndo,
    /// A repeated undo is acknowledged again.
    UndoRepeat,
    /// Two copies of an undo at the same time are one.
    UndoAtOnce,
    /// An undo of what never ran succeeds.
    UndoFirst,
    /// After an undo that came first the action is refused.
    Tombstone,
    /// A second round, for what the first did not find, is acknowledged.
    SecondRound,
    /// An action repeated after its undo is not done anew.
    AfterUndo,
    /// A command that is not known is refused as the caller's mistake.
    UnknownCommand,
    /// A body that is no command is refused as the caller's mistake.
    Garbage,
    /// An undo that is not known is told apart from one with nothing to undo.
    UnknownUndo,
    /// A command of another service is not carried out.
    ForeignCommand,
    /// A command that is not signed is not carried out.
    Signature,
    /// A command that lacks a field is not carried out.
    Incomplete,
    /// A command with a key of something else is not carried out.
    ForeignKey,
    /// A body without end is not read.
    TooLarge,
    /// A key is for one body.
    KeyReused,
    /// Data of a wrong type is refused.
    WrongTypes,
    /// What is not known does not matter.
    Additions,
    /// A new round of a refused action asks anew.
    NewRound,
    /// Steps of one saga are kept apart.
    OtherSteps,
}

/// What is said of a rule.
pub struct Words {
    /// Its name for `--only`, and in JSON.
    pub id: &'static str,
    /// What it is called in the table.
    pub short: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// Its place in `semantics.md`, or on the page that is named.
    pub place: &'static str,
    /// What happens in production where it is broken.
    pub consequence: &'static str,
    /// What mends it.
    pub fix: &'static str,
}

impl Rule {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 26] = [
        Self::Answers,
        Self::Accepted,
        Self::Repeat,
        Self::AtOnce,
        Self::Refusal,
        Self::Undo,
        Self::BlindUndo,
        Self::UndoRepeat,
        Self::UndoAtOnce,
        Self::UndoFirst,
        Self::Tombstone,
        Self::SecondRound,
        Self::AfterUndo,
        Self::UnknownCommand,
        Self::Garbage,
        Self::UnknownUndo,
        Self::ForeignCommand,
        Self::Signature,
        Self::Incomplete,
        Self::ForeignKey,
        Self::TooLarge,
        Self::KeyReused,
        Self::WrongTypes,
        Self::Additions,
        Self::NewRound,
        Self::OtherSteps,
    ];

    /// How many of them a rehearsal tries; a service that is held to them by itself is held to all.
    pub const OF_REHEARSALS: usize = 18;

    /// What is said of it.
    pub const fn words(self) -> Words {
        match self {
            Self::Answers => Words {
                id: "answers",
                short: "answers as the protocol says",
                rule: "an action is answered with its result as JSON (2xx) or a refusal (409, 422)",
                place: "section 5, outcomes",
                consequence: "the engine cannot tell what happened: it asks again until the \
                              deadline, then undoes what may have worked",
                fix: "answer 2xx with the result as JSON, 409 or 422 with {\"error\": …} for a \
                      refusal, and 503 only where nothing has happened yet",
            },
            Self::Accepted => Words {
                id: "accepted",
                short: "answers what it has accepted",
                rule: "what is accepted (202) is answered by a callback to the Amends-Reply-To that \
                       came with it, each time that it is accepted",
                place: "section 5, accepted",
                consequence: "the saga waits until the step's accepted_timeout (unsaid: its \
                              deadline), for an answer that never comes",
                fix: "post the answer, {\"type\": \"SagaStepCompleted\", …}, to the address until it \
                      is taken (202); answer a repeat of what is done with 2xx, or with 202 and the \
                      callback again. For slow work give --patience, for a service on another \
                      machine or in a container --listen and --reply-url",
            },
            Self::Repeat => Words {
                id: "repeat",
                short: "repeats its first answer",
                rule: "a repeated action is answered with its first answer and done once",
                place: "S4, S16",
                consequence: "a lost answer has the step done twice: charged twice, shipped twice",
                fix: "store the answer under the idempotency key in the same transaction as the \
                      effect, and answer a known key from there",
            },
            Self::AtOnce => Words {
                id: "at_once",
                short: "two copies at once are one",
                rule: "two copies of an action at the same time are one effect and one answer",
                place: "S4, S16",
                consequence: "a message that is delivered twice at the same moment has the step \
                              done twice",
                fix: "have the database decide who is first: a unique index on the idempotency \
                      key, written in the transaction of the effect; the loser reads the stored \
                      answer, or says 409 with code IN_PROGRESS",
            },
            Self::Refusal => Words {
                id: "refusal",
                short: "a refusal stays",
                rule: "an action that was refused is refused again, whatever has changed since",
                place: "section 5, refused",
                consequence: "the engine has gone on as if nothing was done, and a late copy of \
                              the command does it: nobody will ever undo that",
                fix: "store the refusal under the idempotency key, as you store a result",
            },
            Self::Undo => Words {
                id: "undo",
                short: "acknowledges its undo",
                rule: "the undo of a completed step is acknowledged, and not as nothing to undo",
                place: "section 5, compensation; S1",
                consequence: "the rollback stops here: the undo becomes a dead letter that a \
                              person has to look after, and what was done stays done",
                fix: "find what was done by (saga_id, step_name), undo it and answer 2xx with \
                      {\"undone\": true}; never refuse an undo",
            },
            Self::BlindUndo => Words {
                id: "blind_undo",
                short: "undoes without the result",
                rule: "an undo that carries no original_result undoes what ran all the same, and \
                       says so: {\"undone\": true}",
                place: "section 5, late success; S13",
                consequence: "where the answer of the action was lost nobody knows its result: \
                              the undo finds nothing, and the effect stays",
                fix: "look what was done up in your own record by (saga_id, step_name); take \
                      original_result for a convenience only",
            },
            Self::UndoRepeat => Words {
                id: "undo_repeat",
                short: "repeats an undo's answer",
                rule: "a repeated undo is acknowledged again as it was at first",
                place: "S4, S16",
                consequence: "a lost acknowledgement has it undone twice (refunded twice), or has \
                              the saga wait for ever for an undo that was done long ago",
                fix: "store the undo's answer under its own idempotency key, in the transaction \
                      of the undo",
            },
            Self::UndoAtOnce => Words {
                id: "undo_at_once",
                short: "two undos at once are one",
                rule: "two copies of an undo at the same time are both acknowledged, and one undo",
                place: "S4, S16",
                consequence: "an undo that is delivered twice at the same moment is done twice, \
                              or not acknowledged",
                fix: "have a unique index on the undo's idempotency key decide who is first, in \
                      the transaction of the undo",
            },
            Self::UndoFirst => Words {
                id: "undo_first",
                short: "an undo of nothing succeeds",
                rule: "an undo of what never ran succeeds and changes nothing",
                place: "S9",
                consequence: "a command that was lost on its way blocks the whole rollback, or \
                              money is given back that was never taken",
                fix: "where nothing is found, answer 2xx with {\"undone\": false}, and change \
                      nothing but for the tombstone",
            },
            Self::Tombstone => Words {
                id: "tombstone",
                short: "refuses what was undone before",
                rule: "after an undo that came first the action is refused, each time (barrier)",
                place: "S10",
                consequence: "a command that was held up on its way is done after the saga has \
                              ended: the order is cancelled and the card is charged",
                fix: "when an undo finds nothing, store a tombstone (saga_id, step_name) in the \
                      same transaction, and refuse (422) an action that finds one",
            },
            Self::SecondRound => Words {
                id: "second_round",
                short: "acknowledges a second round",
                rule: "an undo with a new key (…/compensation/2), for what ran after the first, is \
                       acknowledged, and not as nothing to undo",
                place: "section 5, late success; S13",
                consequence: "an action that was done after its undo is never undone",
                fix: "store answers under the idempotency key, not under (saga_id, step_name): a \
                      second round is a new command",
            },
            Self::AfterUndo => Words {
                id: "after_undo",
                short: "does nothing anew after its undo",
                rule: "an action repeated after its undo gets its first answer (barrier, none: or \
                       a refusal), and is not done anew",
                place: "section 5, fences; S4",
                consequence: "a copy of the command that was held up does the step again, after \
                              it was undone, and nobody undoes it again",
                fix: "keep the stored answers when you undo: the undo is a record of its own, not \
                      a deletion",
            },
            Self::UnknownCommand => Words {
                id: "unknown_command",
                short: "refuses an unknown command",
                rule: "a command that the service does not have is answered 4xx",
                place: "definition-and-wire, HTTP",
                consequence: "a misspelt command counts as done (2xx), or is tried again without \
                              end (5xx), and nobody hears of the mistake",
                fix: "answer 404 for a path that you do not serve",
            },
            Self::Garbage => Words {
                id: "garbage",
                short: "refuses a body that is none",
                rule: "a body that is no command is answered 4xx",
                place: "definition-and-wire, HTTP",
                consequence: "a broken message counts as done (2xx), or is tried again without \
                              end (5xx)",
                fix: "answer 400 for a body that cannot be read, before anything is changed",
            },
            Self::UnknownUndo => talks::UNKNOWN_UNDO,
            Self::ForeignCommand => talks::FOREIGN_COMMAND,
            Self::Signature => talks::SIGNATURE,
            Self::Incomplete => talks::INCOMPLETE,
            Self::ForeignKey => talks::FOREIGN_KEY,
            Self::TooLarge => talks::TOO_LARGE,
            Self::KeyReused => talks::KEY_REUSED,
            Self::WrongTypes => talks::WRONG_TYPES,
            Self::Additions => talks::ADDITIONS,
            Self::NewRound => talks::NEW_ROUND,
            Self::OtherSteps => talks::OTHER_STEPS,
        }
    }
}
