//! The plan of a run: which fault comes when, drawn from a seed and from nothing else.
//!
//! Three tracks run side by side: the server's, the participants', the network's. Each deals its
//! faults from a shuffled deck, so that every kind has come once before any comes twice more often
//! than it should.

use std::fmt;

use crate::dice::Dice;
use crate::stage::proxy::Fault;

/// A kind of fault, counted when it has struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `kill -9` of the server.
    Kill,
    /// The server is told to stop, and is started again.
    Restart,
    /// SIGSTOP of the server, too short for an outage.
    Freeze,
    /// SIGSTOP of the server for more than five seconds.
    Outage,
    ClockForward,
    ClockBack,
    FullDisk,
    ParticipantKill,
    ParticipantFreeze,
    Network(Fault),
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "server killed",
            Self::Restart => "server restarted in order",
            Self::Freeze => "server frozen",
            Self::Outage => "server frozen for over 5 s",
            Self::ClockForward => "server's clock forward",
            Self::ClockBack => "server's clock back",
            Self::FullDisk => "disk full",
            Self::ParticipantKill => "participant killed",
            Self::ParticipantFreeze => "participant frozen",
            Self::Network(fault) => fault.name(),
        }
    }
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Kill {
        down_ms: u64,
        /// And again so soon, while it starts.
        again_us: Option<u64>,
    },
    Restart {
        down_ms: u64,
    },
    Freeze {
        for_ms: u64,
    },
    /// The clock jumps, and the server is killed so that it reads it at its start.
    Jump {
        secs: i64,
        with_kill: bool,
    },
    FillDisk,
    /// Of the participant in this place.
    KillParticipant {
        place: usize,
        down_ms: u64,
    },
    FreezeParticipant {
        place: usize,
        for_ms: u64,
    },
    /// At the proxy in this place, for so long, and until it has struck.
    Storm {
        place: usize,
        fault: Fault,
        percent: u64,
        for_ms: u64,
    },
}

impl Act {
    pub fn kind(self) -> Kind {
        match self {
            Self::Kill { .. } => Kind::Kill,
            Self::Restart { .. } => Kind::Restart,
            Self::Freeze { for_ms } if for_ms > OUTAGE_MS => Kind::Outage,
            Self::Freeze { .. } => Kind::Freeze,
            Self::Jump { secs, .. } if secs > 0 => Kind::ClockForward,
            Self::Jump { .. } => Kind::ClockBack,
            Self::FillDisk => Kind::FullDisk,
            Self::KillParticipant { .. } => Kind::ParticipantKill,
            Self::FreezeParticipant { .. } => Kind::ParticipantFreeze,
            Self::Storm { fault, .. } => Kind::Network(fault),
        }
    }

    /// About how long it takes on a machine that is not busy, for a plan of a given length.
    fn lasts_ms(self) -> u64 {
        match self {
            Self::Kill { down_ms, .. } | Self::Restart { down_ms } => down_ms + RESTART_MS,
            Self::Jump { .. } => RESTART_MS,
            Self::FillDisk => FULL_MS,
            Self::KillParticipant { down_ms: ms, .. }
            | Self::Freeze { for_ms: ms }
            | Self::FreezeParticipant { for_ms: ms, .. }
            | Self::Storm { for_ms: ms, .. } => ms,
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Kill { down_ms, again_us: None } => {
                write!(f, "kill -9 of the server, down for {down_ms} ms")
            }
            Self::Kill { down_ms, again_us: Some(us) } => {
                write!(f, "kill -9 of the server, down for {down_ms} ms, and again after {us} µs")
            }
            Self::Restart { down_ms } => {
                write!(f, "SIGTERM to the server, down for {down_ms} ms")
            }
            Self::Freeze { for_ms } => write!(f, "SIGSTOP to the server for {for_ms} ms"),
            Self::Jump { secs, with_kill } => {
                let then = if with_kill { ", and kill -9" } else { "" };
                write!(f, "the server's clock jumps by {secs:+} s{then}")
            }
            Self::FillDisk => write!(f, "the disk is full until the server has said so"),
            Self::KillParticipant { place, down_ms } => {
                write!(f, "kill -9 of participant {place}, down for {down_ms} ms")
            }
            Self::FreezeParticipant { place, for_ms } => {
                write!(f, "SIGSTOP to participant {place} for {for_ms} ms")
            }
            Self::Storm { place, fault, percent, for_ms } => {
                write!(f, "{} at proxy {place}, {percent} in 100, for {for_ms} ms", fault.name())
            }
        }
    }
}

/// A pause, and what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub after_ms: u64,
    pub act: Act,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub server: Vec<Step>,
    pub participants: Vec<Step>,
    pub network: Vec<Step>,
}

/// From where on a stop of the server is an outage: semantics.md section 5, and some more.
const OUTAGE_MS: u64 = 5_200;

/// About how long the server takes to be ready again.
const RESTART_MS: u64 = 150;

/// About how long a full disk takes to be noticed, and its end too.
const FULL_MS: u64 = 6_000;

/// How many participants there are, and one proxy more.
const PARTICIPANTS: u64 = 8;

/// What a stage has.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    pub clock: bool,
    pub disk: bool,
}

impl Plan {
    /// `kill -9` of the server and nothing else, so many times.
    pub fn of_kills(times: u64, dice: &Dice) -> Self {
        let mut dice = dice.split(1);
        let server = (0..times).map(|_| kill(&mut dice)).collect();
        Self { server, ..Self::default() }
    }

    /// Every kind there is, one deck on each track.
    pub fn of_each(scope: Scope, dice: &Dice) -> Self {
        Self::drawn(scope, dice, |_, decks| decks < 1)
    }

    /// For so long, about, and until the server was killed so many times.
    pub fn of_length(ms: u64, kills: u64, scope: Scope, dice: &Dice) -> Self {
        Self::drawn(scope, dice, |track, decks| {
            let lasts: u64 = track.iter().map(|step| step.after_ms + step.act.lasts_ms()).sum();
            let killed = track.iter().filter(|step| step.act.kind() == Kind::Kill).count() as u64;
            let is_server = track.iter().any(|step| step.act.kind() == Kind::Kill);
            decks < 1 || lasts < ms || (is_server && killed < kills)
        })
    }

    fn drawn(scope: Scope, dice: &Dice, goes_on: impl Fn(&[Step], u64) -> bool) -> Self {
        let track = |number: u64, deck: &dyn Fn(&mut Dice) -> Vec<Step>| {
            let (mut dice, mut track, mut decks) = (dice.split(number), Vec::new(), 0);
            while goes_on(&track, decks) {
                let deck = deck(&mut dice);
                track.extend(dice.shuffled(deck));
                decks += 1;
            }
            track
        };
        Self {
            server: track(1, &|dice| server_deck(scope, dice)),
            participants: track(2, &participants_deck),
            network: track(3, &network_deck),
        }
    }

    /// The kinds that it has.
    pub fn kinds(&self) -> std::collections::BTreeSet<Kind> {
        self.steps().map(|step| step.act.kind()).collect()
    }

    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.server.iter().chain(&self.participants).chain(&self.network)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tracks = [
            ("server", &self.server),
            ("participants", &self.participants),
            ("network", &self.network),
        ];
        for (name, track) in tracks {
            for Step { after_ms, act } in track {
                writeln!(f, "{name}: after {after_ms} ms {act}")?;
            }
        }
        Ok(())
    }
}

/// Most deaths come under load, some while it starts, some at once after it answered for the first
/// time; some lives are long enough for checkpoints, and some downtimes for an outage that moves
/// deadlines.
fn kill(dice: &mut Dice) -> Step {
    let after_ms = match dice.below(100) {
        0..10 => dice.below(2_500),
        10..15 => 0,
        _ => dice.below(500),
    };
    let down_ms = match dice.below(100) {
        0 => OUTAGE_MS + 300,
        1..6 => dice.below(800),
        _ => dice.below(20),
    };
    let again_us = dice.percent(15).then(|| dice.below(60_000));
    Step { after_ms, act: Act::Kill { down_ms, again_us } }
}

/// Mostly kills.
fn server_deck(scope: Scope, dice: &mut Dice) -> Vec<Step> {
    let mut deck: Vec<Step> = (0..12).map(|_| kill(dice)).collect();
    let mut add = |act| {
        let after_ms = dice.below(800);
        deck.push(Step { after_ms, act });
    };
    add(Act::Freeze { for_ms: OUTAGE_MS + 300 });
    add(Act::Restart { down_ms: 0 });
    add(Act::Restart { down_ms: 50 });
    for for_ms in [30, 200, 600, 1_500] {
        add(Act::Freeze { for_ms });
    }
    if scope.clock {
        add(Act::Jump { secs: 4_000, with_kill: true });
        add(Act::Jump { secs: -4_000, with_kill: true });
        add(Act::Jump { secs: 30, with_kill: false });
        add(Act::Jump { secs: -30, with_kill: true });
    }
    if scope.disk {
        add(Act::FillDisk);
    }
    deck
}

fn participants_deck(dice: &mut Dice) -> Vec<Step> {
    let mut step = |act: fn(usize, u64) -> Act, most_ms: u64| {
        let after_ms = dice.below(1_500);
        let place = usize::try_from(dice.below(PARTICIPANTS)).unwrap_or(0);
        Step { after_ms, act: act(place, dice.below(most_ms)) }
    };
    vec![
        step(|place, down_ms| Act::KillParticipant { place, down_ms }, 50),
        step(|place, down_ms| Act::KillParticipant { place, down_ms }, 50),
        step(|place, down_ms| Act::KillParticipant { place, down_ms }, 3_000),
        step(|place, for_ms| Act::FreezeParticipant { place, for_ms }, 1_000),
        step(|place, for_ms| Act::FreezeParticipant { place, for_ms }, 4_000),
    ]
}

fn network_deck(dice: &mut Dice) -> Vec<Step> {
    let storm = |fault: Fault| {
        let place = usize::try_from(dice.below(PARTICIPANTS + 1)).unwrap_or(0);
        let (percent, for_ms) = (20 + dice.below(60), 300 + dice.below(1_500));
        Step { after_ms: dice.below(300), act: Act::Storm { place, fault, percent, for_ms } }
    };
    Fault::ALL.into_iter().map(storm).collect()
}
