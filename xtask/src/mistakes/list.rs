//! The mistakes, as data. Each is one that somebody could make in good faith, in the line that
//! keeps the law; those of the machine, the engine and the store are built into their own crates,
//! where the explorer, the simulator and the suites spring them.

use super::Mistake;

pub(crate) const MISTAKES: &[Mistake] = &[
    Mistake {
        law: "S10",
        name: "an action after its tombstone is carried out",
        file: "examples/services/src/guard.rs",
        was: "    if dead {",
        is: "    if false && dead {",
        package: "amends-example-services",
        test_file: "examples/services/tests/services.rs",
        test: "a_late_success_after_its_undo_is_refused",
    },
    Mistake {
        law: "S15",
        name: "a reply address that nobody signed is believed",
        file: "crates/wire/src/token.rs",
        was: "mac.verify_slice(tag).map_err(|_| TokenError::Forged)?;",
        is: "let _ = mac.verify_slice(tag);",
        package: "amends-wire",
        test_file: "crates/wire/src/token.rs",
        test: "another_installations_token_is_forged",
    },
    Mistake {
        law: "S19",
        name: "a saga follows the newest version of its definition",
        file: "crates/engine/src/deployed.rs",
        was: "types.get(name)?.versions.get(&version).cloned()",
        is: "types.get(name)?.versions.range(version..).last().map(|(_, newest)| newest.clone())",
        package: "amends-engine",
        test_file: "crates/engine/tests/time.rs",
        test: "a_saga_stays_with_the_version_it_was_started_with",
    },
    Mistake {
        law: "S23",
        name: "watchers are told before the journal holds it",
        file: "crates/engine/src/shard/work.rs",
        was: "self.pending.effect(Effect::Publish(Transition {",
        is: "self.shared.publish((|published| published)(Transition {",
        package: "amends-engine",
        test_file: "crates/engine/tests/transitions.rs",
        test: "nothing_is_told_that_the_journal_does_not_hold",
    },
    Mistake {
        law: "L5",
        name: "a recovery sends all that is owed at once",
        file: "crates/engine/src/shard.rs",
        was: "let paced = self.now < self.paced_until",
        is: "let paced = self.now.0 == 0",
        package: "amends-engine",
        test_file: "crates/engine/tests/recovery.rs",
        test: "what_is_owed_after_a_start_is_sent_at_a_pace_that_doubles_while_answers_come",
    },
];
