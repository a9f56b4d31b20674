//! The plan of a run: everything that its seed decides before the first thing happens.

use std::sync::Arc;

use amends_core::definition::Fence;
use amends_core::{Definition, Millis};
use amends_definition::Compiled;

use crate::chance::Chance;
use crate::shapes;

/// How long some services postpone every undo, at least: dead letters are given up after some 310 s.
const UNDOS_POSTPONED_MS: u64 = 400_000;

/// The plan of one seed.
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Who carries commands out.
    pub services: Vec<Service>,
    /// What is started.
    pub types: Vec<SagaType>,
    /// How many sagas are started.
    pub sagas: u64,
    /// How long things go wrong, in milliseconds.
    pub faults_ms: u64,
    /// What goes wrong with the engine and the disk, and how often.
    pub troubles: Troubles,
    /// How many commands a second a service gets after a start of the engine.
    pub recovery_rate: u32,
    /// How many commands a service may have open.
    pub window: usize,
}

/// A saga type in its versions, of which the second comes into service in the middle of the run.
pub struct SagaType {
    /// Its name.
    pub name: Arc<str>,
    /// Its versions, the first first.
    pub versions: Vec<Compiled>,
}

impl SagaType {
    /// What the machine runs of a version.
    pub fn definition(&self, version: u32) -> Option<&Arc<Definition>> {
        self.versions.get(version.checked_sub(1)? as usize).map(|compiled| &compiled.definition)
    }
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: Arc<str>,
    /// What it promises.
    pub fence: Option<Fence>,
    /// Whether it answers by message rather than in the exchange.
    pub by_message: bool,
    /// Whether it breaks its promise now and then.
    pub lies: bool,
    /// How it does things, each so many times in a thousand.
    pub habits: Habits,
    /// When it is away, from and until, and whether its connections are refused then rather than
    /// left unanswered.
    pub away: Vec<(u64, u64, bool)>,
    /// Until when it says "not now" to every undo.
    pub undoes_from: u64,
}

/// What a service does now and then, and what happens on the way to it and back: so many times in a
/// thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// It says a definite no.
    pub refuses: u64,
    /// It says "not now".
    pub postpones: u64,
    /// It accepts, and answers later.
    pub accepts: u64,
    /// It takes longer than anybody waits.
    pub is_slow: u64,
    /// It does not say whether there was something to undo.
    pub says_little: u64,
    /// The connection is refused.
    pub unreachable: u64,
    /// The command is lost on its way.
    pub command_lost: u64,
    /// The answer is lost on its way.
    pub answer_lost: u64,
    /// A command or a callback comes twice.
    pub doubled: u64,
    /// Somebody in between answers "not now".
    pub proxied: u64,
}

/// What goes wrong with the engine and its disk: so many times in a thousand, at each occasion.
#[derive(Clone, Copy, Debug)]
pub struct Troubles {
    /// How long an engine lives at most before something ends it, in milliseconds.
    pub life_ms: u64,
    /// Its process is gone at once.
    pub crash: u64,
    /// It is stopped in order.
    pub stop: u64,
    /// Another takes its shards while it goes on.
    pub replaced: u64,
    /// Nothing of it runs for a while.
    pub frozen: u64,
    /// It dies on its way up.
    pub crash_in_recovery: u64,
    /// A sync fails.
    pub sync_fails: u64,
    /// The journal finds no room.
    pub journal_full: u64,
    /// The catalog finds no room.
    pub catalog_full: u64,
    /// The disk is slow.
    pub slow_disk: u64,
    /// Somebody sets the wall clock.
    pub clock_jumps: u64,
    /// A bit of the journal flips.
    pub bit_flips: u64,
}

impl Plan {
    /// Draws a plan.
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::named(seed, "plan");
        let faults_ms = match chance.below(10) {
            0 => chance.between(120_000, 900_000),
            _ => chance.between(15_000, 120_000),
        };
        let services = services(&mut chance, faults_ms);
        let mut shapes = Chance::named(seed, "shapes");
        let types = (0..chance.between(1, 3))
            .map(|number| shapes::saga_type(&mut shapes, number, &services))
            .collect();
        let mut some = |permille| if chance.permille(400) { permille } else { 0 };
        let troubles = Troubles {
            crash: 1000,
            stop: some(300),
            replaced: some(300),
            frozen: some(300),
            crash_in_recovery: some(300),
            sync_fails: some(300),
            journal_full: some(300),
            catalog_full: some(300),
            slow_disk: some(400),
            clock_jumps: some(400),
            bit_flips: some(150),
            life_ms: 0,
        };
        let life_ms = chance.between(3_000, 60_000);
        Self {
            seed,
            services,
            types,
            sagas: chance.between(4, 24),
            faults_ms,
            troubles: Troubles { life_ms, ..troubles },
            recovery_rate: *chance.pick(&[8, 8, 40, 500]),
            window: *chance.pick(&[4, 16, 64]),
        }
    }

    /// A digest of all that it says: where it differs, the seed means something else.
    pub fn digest(&self) -> String {
        let types = self.types.iter().flat_map(|saga_type| &saga_type.versions);
        let sources: Vec<_> = types.map(|compiled| compiled.hash_hex()).collect();
        let Self { seed, services, sagas, faults_ms, troubles, recovery_rate, window, .. } = self;
        let said = format!(
            "{seed} {services:?} {sources:?} {sagas} {faults_ms} {troubles:?} {recovery_rate} {window}"
        );
        format!("{:08x}", Chance::named(0, &said).below(1 << 32))
    }

    /// The service of that name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| *service.name == *name)
    }

    /// The type of that name.
    pub fn saga_type(&self, name: &str) -> Option<&SagaType> {
        self.types.iter().find(|saga_type| *saga_type.name == *name)
    }

    /// The longest that any saga may take, once nothing goes wrong any more: the sum of all its
    /// deadlines and retries, the redriver's among them, and where one was poisoned the hour after
    /// which it is sent again (L2). The last start of an engine, and the outage before it, have five
    /// minutes.
    pub fn settles_within(&self, poisoned: bool) -> Millis {
        let longest = self.types.iter().flat_map(|t| &t.versions).map(|compiled| {
            let steps = compiled.definition.steps().iter();
            let of_step = |step: &amends_core::definition::Step| {
                let undo = step.undo.timeout.0 + step.undo.backoff.max.0;
                let accepted = step.accepted_timeout.unwrap_or(step.deadline).0;
                2 * step.deadline.0 + accepted + 2 * step.retry.backoff.max.0 + 2 * undo
            };
            steps.map(of_step).sum::<u64>()
        });
        let redriving = Millis::secs(320).0 + if poisoned { Millis::mins(60).0 } else { 0 };
        Millis(longest.max().unwrap_or(0) + redriving + Millis::mins(5).0)
    }
}

fn services(chance: &mut Chance, faults_ms: u64) -> Vec<Service> {
    let fences = [Some(Fence::Barrier), Some(Fence::Settle), None, Some(Fence::None)];
    let liar = chance.permille(120);
    let count = chance.between(2, 4);
    let service = |number: u64| {
        let mut up_to = |permille| if chance.permille(500) { chance.below(permille) } else { 0 };
        let habits = Habits {
            refuses: up_to(300),
            postpones: up_to(400),
            accepts: up_to(300),
            is_slow: up_to(300),
            says_little: up_to(600),
            unreachable: up_to(200),
            command_lost: up_to(200),
            answer_lost: up_to(200),
            doubled: up_to(300),
            proxied: up_to(100),
        };
        let mut away = Vec::new();
        for _ in 0..chance.below(3) {
            let from = chance.below(faults_ms);
            let (long, refused) = (chance.span(20_000, 180_000), chance.permille(500));
            if chance.permille(400) {
                away.push((from, from + long, refused));
            }
        }
        // Longer than an undo is sent again by itself.
        let stays = faults_ms > UNDOS_POSTPONED_MS && chance.permille(500);
        let undoes_from = if stays { chance.between(UNDOS_POSTPONED_MS, faults_ms) } else { 0 };
        Service {
            name: format!("S{number}").into(),
            // The common promise is given more often.
            fence: if chance.permille(300) { fences[0] } else { *chance.pick(&fences) },
            by_message: chance.permille(300),
            lies: liar && number == 0,
            habits,
            away,
            undoes_from,
        }
    };
    (0..count).map(service).collect()
}
