//! Every data folder that a release has left opens, and every saga in it comes to its end.

use std::collections::BTreeSet;
use std::fs;

use amends_core::saga::{Reason, Status};
use amends_engine::{REASON_BITS, words};
use amends_folders::{
    Deed, ENDINGS, Formats, Manifest, RELEASED, VERSION, formats, judge, manifest, place, sums,
    unpack, versions,
};

async fn judged(version: &str, ending: &str, manifest: &Manifest) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    unpack(&place().join(version).join(ending), folder.path()).unwrap();
    judge(folder.path(), manifest).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_folder_opens_and_every_saga_in_it_ends_as_it_must() {
    let mut sagas = 0;
    for version in versions().unwrap() {
        let manifest = manifest(&version).unwrap();
        for ending in ENDINGS {
            let wrong = judged(&version, ending, &manifest).await;
            assert!(wrong.is_empty(), "{version}, {ending}:\n{}", wrong.join("\n"));
            sagas += manifest.sagas.len();
        }
    }
    assert!(sagas > 0);
    println!(
        "{sagas} sagas of folders of {} versions ended as they must",
        versions().unwrap().len()
    );
}

#[test]
fn this_version_has_a_folder() {
    let versions = versions().unwrap();
    let hint = "make it with `cargo xtask folder` and check it in (docs/formats.md)";
    assert!(versions.iter().any(|version| version == VERSION), "none of {VERSION}: {hint}");
    assert_eq!(manifest(VERSION).unwrap().version, VERSION);
}

#[test]
fn what_a_release_has_left_never_changes() {
    let mut now = String::new();
    for version in versions().unwrap() {
        now += &sums(&place().join(version)).unwrap();
    }
    let then = fs::read_to_string(place().join(RELEASED)).unwrap();
    assert_eq!(now, then, "a folder is not the one that was checked in with its release");
}

/// An older binary looks at the folder's number and at nothing else, so nothing in a folder may be
/// new under an old number: not the form of the bytes, and not one event, field or code.
#[test]
fn the_number_of_the_folder_speaks_for_every_format_in_it() {
    let now = formats();
    for version in versions().unwrap() {
        let then = manifest(&version).unwrap().formats;
        assert!(then.folder <= now.folder, "{version} wrote a newer format than this tree");
        let hint = "raise FORMAT of crates/store-sqlite, as docs/formats.md says";
        assert!(speaks_for(&then, &now), "{now:?} is not {then:?} of {version}: {hint}");
    }
}

fn speaks_for(then: &Formats, now: &Formats) -> bool {
    then.folder != now.folder || then == now
}

#[test]
fn a_new_event_under_the_old_number_is_noticed() {
    let (then, mut now) = (formats(), formats());
    now.vocabulary_sha256 = "another".to_owned();
    assert!(!speaks_for(&then, &now));
    now.folder += 1;
    assert!(speaks_for(&then, &now));
}

/// The folder of this version has a saga in every state, with every status, need and exception.
#[test]
fn the_folder_has_sagas_in_every_state() {
    let manifest = manifest(VERSION).unwrap();
    let mut found = BTreeSet::new();
    for saga in &manifest.sagas {
        let Some(stood) = &saga.stood else {
            found.insert("unreadable".to_owned());
            continue;
        };
        found.insert(stood.state.clone());
        if stood.paused {
            found.insert(format!("paused {}", stood.state));
        }
        let first = |text: &String| text.split(' ').next().unwrap().to_owned();
        found.extend(stood.attention.iter().map(first));
        found.extend(stood.exceptions.iter().chain(&saga.end.exceptions).map(first));
        found.extend(stood.steps.values().map(|status| format!("step {status}")));
        let second = saga.asked.iter().any(|asked| asked.key.ends_with("/2"));
        found.extend(second.then(|| "second round".to_owned()));
        found.insert(format!("{} version {}", saga.start.saga_type, saga.start.version));
    }
    // What is only observed needs a broker, and none is there where a folder is made: its facts stand in the
    // golden events, and come back after a restart in the engine's own tests.
    let coordinated = |reason: &Reason| *reason != Reason::Unheard;
    let mut wanted: BTreeSet<String> = REASON_BITS
        .iter()
        .filter(|(reason, _)| coordinated(reason))
        .map(|(reason, _)| words::reason(*reason).to_owned())
        .chain(
            // A step that waits has no run yet, and one that is skipped has none.
            [
                Status::Executing,
                Status::Completed,
                Status::Failed,
                Status::Unknown,
                Status::Compensating,
                Status::Compensated,
            ]
            .map(|status| format!("step {}", words::status(status))),
        )
        .collect();
    let rest = "started,pending,compensating,completed,failed,unreadable,paused pending,\
                paused compensating,unproven,skipped,by_hand,second round,Order version 1,\
                Order version 2,Transfer version 1,Trip version 1,Errand version 1,\
                Letter version 1,Rush version 1";
    wanted.extend(rest.split(',').map(str::to_owned));
    let missing: Vec<_> = wanted.difference(&found).collect();
    assert!(missing.is_empty(), "there is no saga with {missing:?} among {found:?}");
    assert!(!manifest.audit.is_empty() && !manifest.orphans.is_empty());
}

fn of<'a>(manifest: &'a mut Manifest, name: &str) -> &'a mut amends_folders::Listed {
    manifest.sagas.iter_mut().find(|saga| saga.name == name).unwrap()
}

/// A manifest that says something else than what the folder holds is a mistake that the judge must
/// see: each change here is one that a careless engine would make the other way round.
#[tokio::test(start_paused = true)]
async fn the_judge_sees_what_is_not_as_it_must_be() {
    type Change = fn(&mut Manifest);
    let changes: &[(&str, Change)] = &[
        ("refused-after-pivot: its end", |m| {
            of(m, "refused-after-pivot").end.state = "failed".to_owned();
        }),
        ("came with two bodies", |m| {
            of(m, "compensating").asked.iter_mut().for_each(|a| a.body_sha256 = String::new());
        }),
        ("follows attempt", |m| {
            of(m, "backing-off").asked.iter_mut().for_each(|asked| asked.attempt += 1);
        }),
        ("started: how it stood", |m| {
            of(m, "started").stood.as_mut().unwrap().steps.clear();
        }),
        ("second-version: its definition", |m| of(m, "second-version").start.version = 1),
        ("is a conflict", |m| of(m, "completed").saga_id = of(m, "rolled-back").saga_id.clone()),
        ("and did", |m| {
            let effects = &mut of(m, "completed").effects;
            effects.get_mut("charge").unwrap().done = 2;
        }),
        ("its audit", |m| drop(m.audit.pop())),
        ("its orphans", |m| m.orphans.clear()),
        ("its definitions", |m| m.definitions[0].2 = String::new()),
        ("paused: its end", |m| of(m, "paused").deeds.clear()),
        ("contradicted: its end", |m| {
            let deeds = &mut of(m, "contradicted").deeds;
            deeds.retain(|deed| !matches!(deed, Deed::Acknowledge(_)));
        }),
    ];
    // All that touch sagas of their own at once: a judgement plays hours.
    let (of_its_own, rest): (Vec<_>, Vec<_>) =
        changes.iter().partition(|(sign, _)| *sign == "is a conflict");
    for together in [of_its_own, rest] {
        let mut manifest = manifest(VERSION).unwrap();
        together.iter().for_each(|(_, change)| change(&mut manifest));
        let wrong = judged(VERSION, "killed", &manifest).await;
        for (sign, _) in together {
            assert!(wrong.iter().any(|what| what.contains(sign)), "{sign} is not seen: {wrong:?}");
        }
    }
    println!("{} changes were seen", changes.len());
}
