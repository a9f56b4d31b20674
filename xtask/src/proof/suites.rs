//! What tests show, where the test itself has the mistake built in.

/// A test that springs mistakes.
pub(crate) struct Suite {
    pub(crate) law: &'static str,
    pub(crate) file: &'static str,
    pub(crate) test: &'static str,
    /// Over how much.
    pub(crate) over: &'static str,
    /// The file that lists the mistakes which the test springs, each by its name there.
    pub(crate) list: &'static str,
    /// Those that break this law: the name in the list, and what it is.
    pub(crate) mistakes: &'static [(&'static str, &'static str)],
}

const CRASHES: &str = "crates/engine/tests/crash_consistency/mutants.rs";
const DRAWN: &str = "crates/invariants/tests/mistakes.rs";
const FOLDERS: &str = "folders/tests/released.rs";
const GUARD: &str = "crates/participant/src/guard/mistake.rs";
const KIT: &str = "crates/participant/tests/databases/mistakes.rs";
const SECRETS: &str = "crates/amends/tests/command_line/secrets.rs";
const STORES: &str = "crates/store/tests/mistakes/main.rs";
const STORE_MISTAKES: &str = "crates/store/tests/mistakes/mistake.rs";
const TORN: &str = "crates/store-sqlite/tests/crash.rs";
const TRANSPORTS: &str = "crates/transport/tests/mistakes/main.rs";

const BEHAVIOURS: &str = "the behaviours of the store suite and its differential";
const CASES: &str = "the cases of the transport suite, on two transports";
const DRAWN_SAGAS: &str = "up to 4 000 drawn sagas, after every input";
const EVERYWHERE: &str = "the log at trace, metrics, events, every answer, the data folder";
const FOLDER: &str = "every saga of a released folder";

pub(super) const SUITES: &[Suite] = &[
    Suite {
        law: "S14",
        file: CRASHES,
        test: "a_store_that_forgets_the_owners_of_shards_is_caught_by_a_restart",
        over: "a death after every 5th act of a story",
        list: CRASHES,
        mistakes: &[("ForgetsTheOwners", "keep in memory alone who owns a shard")],
    },
    Suite {
        law: "S14",
        file: CRASHES,
        test: "a_store_that_takes_what_a_replaced_owner_writes_is_caught",
        over: "every 5th act of a story",
        list: CRASHES,
        mistakes: &[("TakesStaleOwners", "take what a replaced owner writes")],
    },
    Suite {
        law: "S18",
        file: CRASHES,
        test: "a_store_that_skips_the_sync_is_caught_by_a_power_cut",
        over: "a power cut after every 5th act of a story",
        list: CRASHES,
        mistakes: &[("SkipsTheSync", "commit without syncing")],
    },
    Suite {
        law: "S18",
        file: CRASHES,
        test: "a_store_that_acknowledges_before_the_sync_is_caught_by_a_crash",
        over: "a death after every 5th act of a story",
        list: CRASHES,
        mistakes: &[("AcknowledgesBeforeTheSync", "answer a group before it is written")],
    },
    Suite {
        law: "S18",
        file: CRASHES,
        test: "a_store_that_takes_a_full_disk_for_written_is_caught",
        over: "a full disk at every 5th operation of a story",
        list: CRASHES,
        mistakes: &[("TakesFullForWritten", "answer a group for which there was no room")],
    },
    Suite {
        law: "S18",
        file: CRASHES,
        test: "a_store_that_takes_a_failed_sync_for_written_is_caught",
        over: "a failure at every 5th sync of a story",
        list: CRASHES,
        mistakes: &[("TakesFailedSyncsForWritten", "answer a group whose sync failed")],
    },
    Suite {
        law: "L6",
        file: CRASHES,
        test: "a_store_that_writes_on_after_a_failed_sync_is_caught",
        over: "a failure at every 5th sync of a story",
        list: CRASHES,
        mistakes: &[("GoesOnAfterFailedSyncs", "write on after a failed sync")],
    },
    Suite {
        law: "S20",
        file: TORN,
        test: "stores_that_ignore_checksums_or_keep_torn_tails_are_caught",
        over: "1 test",
        list: TORN,
        mistakes: &[
            ("IgnoresTheChecksum", "take a record whose checksum does not fit"),
            ("KeepsTheTornTail", "leave a record that is not whole"),
        ],
    },
    Suite {
        law: "S14",
        file: STORES,
        test: "every_mistake_is_caught",
        over: BEHAVIOURS,
        list: STORE_MISTAKES,
        mistakes: &[
            ("IgnoresTheEpoch", "take what a replaced owner writes"),
            ("GivesAnEpochTwice", "give two owners the same epoch"),
        ],
    },
    Suite {
        law: "S16",
        file: STORES,
        test: "every_mistake_is_caught",
        over: BEHAVIOURS,
        list: STORE_MISTAKES,
        mistakes: &[
            ("ForgetsClaimsAtReopening", "forget at a reopening who holds a key"),
            ("TakesWhatARepeatBrings", "answer a refused repeat as if it were taken"),
        ],
    },
    Suite {
        law: "S20",
        file: STORES,
        test: "every_mistake_is_caught",
        over: BEHAVIOURS,
        list: STORE_MISTAKES,
        mistakes: &[
            ("LosesTheLastRecord", "lose the last record at a reopening"),
            ("ForgetsAnEntry", "forget the last entry of a batch of several"),
            ("TakesAnIncompleteCheckpoint", "answer an incomplete checkpoint as if it were taken"),
        ],
    },
    Suite {
        law: "S22",
        file: STORES,
        test: "every_mistake_is_caught",
        over: BEHAVIOURS,
        list: STORE_MISTAKES,
        mistakes: &[
            ("OrdersTimersById", "order timers by saga and not by time"),
            ("MissesTheMoment", "leave out what is due at the very moment"),
        ],
    },
    Suite {
        law: "S18",
        file: TRANSPORTS,
        test: "every_mistake_is_caught",
        over: CASES,
        list: TRANSPORTS,
        mistakes: &[("AcknowledgesBeforeHandingOver", "acknowledge a reply before it is durable")],
    },
    Suite {
        law: "S4",
        file: TRANSPORTS,
        test: "every_mistake_is_caught",
        over: CASES,
        list: TRANSPORTS,
        mistakes: &[("ChangesTheBody", "change a space in the body")],
    },
    Suite {
        law: "S4",
        file: FOLDERS,
        test: "the_judge_sees_what_is_not_as_it_must_be",
        over: FOLDER,
        list: FOLDERS,
        mistakes: &[("came with two bodies", "another body under a key")],
    },
    Suite {
        law: "S17",
        file: FOLDERS,
        test: "the_judge_sees_what_is_not_as_it_must_be",
        over: FOLDER,
        list: FOLDERS,
        mistakes: &[
            ("how it stood", "another state at the stop"),
            ("follows attempt", "attempts counted anew"),
        ],
    },
    Suite {
        law: "S19",
        file: FOLDERS,
        test: "the_judge_sees_what_is_not_as_it_must_be",
        over: FOLDER,
        list: FOLDERS,
        mistakes: &[
            ("second-version: its definition", "another version than the pinned one"),
            ("its definitions", "another hash"),
        ],
    },
    Suite {
        law: "S2",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[("UnknownIsDone", "complete what may not have happened")],
    },
    Suite {
        law: "S4",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[("OtherBytes", "a late success changes the bytes of an undo")],
    },
    Suite {
        law: "S6",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[("NoTombstone", "undo at once where there is no tombstone")],
    },
    Suite {
        law: "S7",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[("UndoOfRefused", "undo what was refused for certain")],
    },
    Suite {
        law: "S8",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[
            ("UndoOnlyCompleted", "undo only the steps known completed"),
            ("UndoBeforeAcknowledgement", "the next undo before the last acknowledgement"),
        ],
    },
    Suite {
        law: "S11",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[("CancelInFlightPivot", "take a cancel while the pivot is in flight")],
    },
    Suite {
        law: "S12",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[("ForwardAfterTurn", "a first command after the decision")],
    },
    Suite {
        law: "S15",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[("ForgedTaken", "an answer to what was never sent is taken")],
    },
    Suite {
        law: "S16",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[
            ("AnswerCountsTwice", "an answer heard twice counts twice"),
            ("CountAnswers", "count answers to call a refusal settled"),
        ],
    },
    Suite {
        law: "S17",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[("FactUnwritten", "a change without its fact")],
    },
    Suite {
        law: "S21",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[("AttentionDoubled", "an attention doubled")],
    },
    Suite {
        law: "S22",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[
            ("DeadlineEarlier", "an outage moves a deadline earlier"),
            ("TimerEarly", "a timer a second early"),
            ("TimerOverlooked", "no timer for the saga's own deadline"),
        ],
    },
    Suite {
        law: "L1",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[("UnfencedDoubtForgotten", "a doubt without a fence is forgotten")],
    },
    Suite {
        law: "L3",
        file: DRAWN,
        test: "what_a_saga_alone_can_tell_of_is_caught_by_its_law",
        over: DRAWN_SAGAS,
        list: DRAWN,
        mistakes: &[
            ("UndoTriedOnce", "an undo is never sent again"),
            ("UnknownPivotTurns", "a pivot whose unknown turns the saga"),
        ],
    },
    Suite {
        law: "S9",
        file: KIT,
        test: "each_mistake_is_caught_on_postgres",
        over: "the cases of the guard of the kit",
        list: GUARD,
        mistakes: &[("UndoOfNothing", "a compensation undoes what never ran")],
    },
    Suite {
        law: "S10",
        file: KIT,
        test: "each_mistake_is_caught_on_postgres",
        over: "the cases of the guard of the kit",
        list: GUARD,
        mistakes: &[
            ("NoTombstone", "an action runs though its compensation came first"),
            ("RefusalIsNoTombstone", "a step that was refused and undone runs in a later round"),
        ],
    },
    Suite {
        law: "S4",
        file: KIT,
        test: "each_mistake_is_caught_on_postgres",
        over: "the cases of the guard of the kit",
        list: GUARD,
        mistakes: &[
            ("ResultForgotten", "an action runs again though it is done"),
            ("BytesIgnored", "other bytes under the same key pass for a duplicate"),
            ("UndoneAgain", "a compensation runs again in its second round"),
        ],
    },
    Suite {
        law: "S9",
        file: KIT,
        test: "each_mistake_is_caught_on_mariadb",
        over: "the cases of the guard of the kit",
        list: GUARD,
        mistakes: &[("UndoOfNothing", "a compensation undoes what never ran")],
    },
    Suite {
        law: "S10",
        file: KIT,
        test: "each_mistake_is_caught_on_mariadb",
        over: "the cases of the guard of the kit",
        list: GUARD,
        mistakes: &[
            ("NoTombstone", "an action runs though its compensation came first"),
            ("RefusalIsNoTombstone", "a step that was refused and undone runs in a later round"),
        ],
    },
    Suite {
        law: "S4",
        file: KIT,
        test: "each_mistake_is_caught_on_mariadb",
        over: "the cases of the guard of the kit",
        list: GUARD,
        mistakes: &[
            ("ResultForgotten", "an action runs again though it is done"),
            ("BytesIgnored", "other bytes under the same key pass for a duplicate"),
            ("UndoneAgain", "a compensation runs again in its second round"),
        ],
    },
    Suite {
        law: "S9",
        file: KIT,
        test: "each_mistake_is_caught_on_sqlite",
        over: "the cases of the guard of the kit",
        list: GUARD,
        mistakes: &[("UndoOfNothing", "a compensation undoes what never ran")],
    },
    Suite {
        law: "S10",
        file: KIT,
        test: "each_mistake_is_caught_on_sqlite",
        over: "the cases of the guard of the kit",
        list: GUARD,
        mistakes: &[
            ("NoTombstone", "an action runs though its compensation came first"),
            ("RefusalIsNoTombstone", "a step that was refused and undone runs in a later round"),
        ],
    },
    Suite {
        law: "S4",
        file: KIT,
        test: "each_mistake_is_caught_on_sqlite",
        over: "the cases of the guard of the kit",
        list: GUARD,
        mistakes: &[
            ("ResultForgotten", "an action runs again though it is done"),
            ("BytesIgnored", "other bytes under the same key pass for a duplicate"),
            ("UndoneAgain", "a compensation runs again in its second round"),
        ],
    },
    Suite {
        law: "S24",
        file: SECRETS,
        test: "no_secret_comes_out_of_a_server_that_logs_all_in_json",
        over: EVERYWHERE,
        list: SECRETS,
        mistakes: &[],
    },
    Suite {
        law: "S24",
        file: SECRETS,
        test: "no_secret_comes_out_of_a_server_that_logs_all_as_text",
        over: "the same, with the log as text",
        list: SECRETS,
        mistakes: &[],
    },
    Suite {
        law: "S24",
        file: SECRETS,
        test: "every_mistake_that_lets_a_secret_out_is_seen",
        over: EVERYWHERE,
        list: SECRETS,
        mistakes: &[
            ("KeepsEchoes", "keep a credential that a participant echoes"),
            ("KeepsQuotes", "keep what a participant quotes in a callback"),
            (
                "ForgetsSigningSecrets",
                "look for what was sent, and not for the secret that it was signed with",
            ),
            ("ShowsRedacted", "show a viewer what the definition redacts"),
            ("LogsStarts", "log what a saga is started with"),
            ("MetersKeys", "tell business keys beside the metrics"),
            ("NamesListeners", "begin a stream of events with the token of who listens"),
        ],
    },
];
