//! What tests show, where the test itself has the mistake built in.

/// A test that springs mistakes.
pub(crate) struct Suite {
    pub(crate) law: &'static str,
    pub(crate) file: &'static str,
    pub(crate) test: &'static str,
    /// Over how much.
    pub(crate) over: &'static str,
    pub(crate) mistakes: &'static str,
}

const CRASHES: &str = "crates/engine/tests/crash_consistency/mutants.rs";
const STORES: &str = "crates/store/tests/mistakes/main.rs";
const TRANSPORTS: &str = "crates/transport/tests/mistakes/main.rs";
const FOLDERS: &str = "folders/tests/released.rs";

pub(super) const SUITES: &[Suite] = &[
    Suite {
        law: "S14",
        file: CRASHES,
        test: "a_store_that_forgets_the_owners_of_shards_is_caught_by_a_restart",
        over: "a death after every 5th act of a story",
        mistakes: "keep in memory alone who owns a shard",
    },
    Suite {
        law: "S14",
        file: CRASHES,
        test: "a_store_that_takes_what_a_replaced_owner_writes_is_caught",
        over: "every 5th act of a story",
        mistakes: "take what a replaced owner writes",
    },
    Suite {
        law: "S18",
        file: CRASHES,
        test: "a_store_that_skips_the_sync_is_caught_by_a_power_cut",
        over: "a power cut after every 5th act of a story",
        mistakes: "commit without syncing",
    },
    Suite {
        law: "S18",
        file: CRASHES,
        test: "a_store_that_acknowledges_before_the_sync_is_caught_by_a_crash",
        over: "a death after every 5th act of a story",
        mistakes: "answer a group before it is written",
    },
    Suite {
        law: "S18",
        file: CRASHES,
        test: "a_store_that_takes_a_full_disk_for_written_is_caught",
        over: "a full disk at every 5th operation of a story",
        mistakes: "answer a group for which there was no room",
    },
    Suite {
        law: "S18",
        file: CRASHES,
        test: "a_store_that_takes_a_failed_sync_for_written_is_caught",
        over: "a failure at every 5th sync of a story",
        mistakes: "answer a group whose sync failed",
    },
    Suite {
        law: "L6",
        file: CRASHES,
        test: "a_store_that_writes_on_after_a_failed_sync_is_caught",
        over: "a failure at every 5th sync of a story",
        mistakes: "write on after a failed sync",
    },
    Suite {
        law: "S20",
        file: "crates/store-sqlite/tests/crash.rs",
        test: "stores_that_ignore_checksums_or_keep_torn_tails_are_caught",
        over: "1 test",
        mistakes: "take a record whose checksum does not fit; leave a record that is not whole",
    },
    Suite {
        law: "S14",
        file: STORES,
        test: "every_mistake_is_caught",
        over: "the behaviours of the store suite and its differential",
        mistakes: "take what a replaced owner writes; give two owners the same epoch",
    },
    Suite {
        law: "S16",
        file: STORES,
        test: "every_mistake_is_caught",
        over: "the behaviours of the store suite and its differential",
        mistakes: "forget at a reopening who holds a key; answer a refused repeat as if it were taken",
    },
    Suite {
        law: "S20",
        file: STORES,
        test: "every_mistake_is_caught",
        over: "the behaviours of the store suite and its differential",
        mistakes: "lose the last record at a reopening; forget the last entry of a batch of several; answer an incomplete checkpoint as if it were taken",
    },
    Suite {
        law: "S22",
        file: STORES,
        test: "every_mistake_is_caught",
        over: "the behaviours of the store suite and its differential",
        mistakes: "order timers by saga and not by time; leave out what is due at the very moment",
    },
    Suite {
        law: "S18",
        file: TRANSPORTS,
        test: "every_mistake_is_caught",
        over: "the cases of the transport suite, on two transports",
        mistakes: "acknowledge a reply before it is durable",
    },
    Suite {
        law: "S4",
        file: TRANSPORTS,
        test: "every_mistake_is_caught",
        over: "the cases of the transport suite, on two transports",
        mistakes: "change a space in the body",
    },
    Suite {
        law: "S4",
        file: FOLDERS,
        test: "the_judge_sees_what_is_not_as_it_must_be",
        over: "every saga of a released folder",
        mistakes: "another body under a key",
    },
    Suite {
        law: "S17",
        file: FOLDERS,
        test: "the_judge_sees_what_is_not_as_it_must_be",
        over: "every saga of a released folder",
        mistakes: "another state at the stop; attempts counted anew",
    },
    Suite {
        law: "S19",
        file: FOLDERS,
        test: "the_judge_sees_what_is_not_as_it_must_be",
        over: "every saga of a released folder",
        mistakes: "another version than the pinned one; another hash",
    },
    Suite {
        law: "S24",
        file: "crates/amends/tests/command_line/secrets.rs",
        test: "no_secret_comes_out_of_a_server_that_logs_all_in_json",
        over: "the log at trace, metrics, events, every answer, the data folder",
        mistakes: "",
    },
    Suite {
        law: "S24",
        file: "crates/amends/tests/command_line/secrets.rs",
        test: "no_secret_comes_out_of_a_server_that_logs_all_as_text",
        over: "the same, with the log as text",
        mistakes: "",
    },
];
