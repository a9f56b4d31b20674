//! The test's side: it waits for commands, says what becomes of them, and looks at the saga.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::Duration;

use amends_core::definition::{Definition, Jitter};
use amends_core::saga::State;
use amends_core::{Payload, SagaId, Time, effects};
use amends_definition::{Compiled, Saga, Severity, Surroundings, check, render};
use amends_engine::{Ask, Deployment, Engine, Handle, Options, SagaVerb, Start};
use amends_store::memory::Disk;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::answer::Answer;
use super::script::{Command, Script};
use super::story::Story;
use crate::embed::View;

/// The longest that a saga is waited for: longer than any definition makes one wait at a time.
const LONGEST: Duration = Duration::from_secs(40 * 24 * 3600);

/// All that can happen at once has happened when this time has passed: the clock moves on only when
/// everything else is at rest.
const AT_REST: Duration = Duration::from_millis(1);

/// One saga, played step by step.
///
/// Every method that expects something panics with the story so far where it does not come. It may
/// be called from any test, also from an asynchronous one.
#[must_use = "a rehearsal without an expectation tests nothing"]
pub struct Rehearsal {
    compiled: Compiled,
    running: Option<Running>,
    /// Sent, and not expected yet.
    sent: VecDeque<Command>,
    /// Expected, and not answered for good.
    unanswered: Vec<Command>,
    story: Story,
}

/// A command that was expected, and waits for what becomes of it.
#[must_use = "a command must be answered, or fail"]
pub struct Expected {
    rehearsal: Rehearsal,
    command: Command,
}

struct Running {
    runtime: Option<Runtime>,
    engine: Option<Engine>,
    handle: Handle,
    saga: SagaId,
    began: Instant,
    commands: mpsc::Receiver<Command>,
}

impl Rehearsal {
    /// Of a saga built in Rust.
    ///
    /// # Panics
    /// Where the saga is not well-formed, with every finding.
    #[track_caller]
    pub fn of(saga: Saga) -> Self {
        match saga.build() {
            Ok(compiled) => Self::of_compiled(compiled),
            Err(error) => panic!("{error}"),
        }
    }

    /// Of a definition file's text. Its expressions may read no environment and no other file.
    ///
    /// # Panics
    /// Where it cannot run, with every finding.
    #[track_caller]
    pub fn of_file(text: &str) -> Self {
        let checked = check(text.as_bytes(), "the definition", &Surroundings::none());
        match checked.compiled.clone().filter(|_| checked.count(Severity::Error) == 0) {
            Some(compiled) => Self::of_compiled(compiled),
            None => panic!("{}", render(&checked, false)),
        }
    }

    /// Of a definition that was checked already.
    pub fn of_compiled(compiled: Compiled) -> Self {
        let compiled = without_chance(compiled);
        let (sent, unanswered) = Default::default();
        Self { compiled, running: None, sent, unanswered, story: Story::default() }
    }

    /// The names of the steps that send commands, in order.
    pub fn steps(&self) -> Vec<String> {
        let steps = self.compiled.definition.steps().iter();
        steps.filter(|step| step.action().is_some()).map(|step| step.name.to_string()).collect()
    }

    /// The names of the steps that are undone when the saga fails, in order.
    pub fn undone_steps(&self) -> Vec<String> {
        let steps = self.compiled.definition.steps().iter();
        steps
            .filter(|step| step.compensation().is_some())
            .map(|step| step.name.to_string())
            .collect()
    }

    /// Starts the saga with this data.
    ///
    /// # Panics
    /// Where it is not taken, or the rehearsal has begun already.
    #[track_caller]
    pub fn given(mut self, data: Value) -> Self {
        assert!(self.running.is_none(), "the saga has its data already:\n{}", self.story);
        for step in self.compiled.definition.steps() {
            for command in [step.action(), step.compensation()].into_iter().flatten() {
                let service = &command.service;
                assert!(
                    self.compiled.bindings.get(service).is_some(),
                    "the fence of {service} is not said: add `.service({service:?}, Fence::…)` to \
                     the saga, or the service to the file"
                );
            }
        }
        self.story.tell(Duration::ZERO, format!("given {data}"));
        match start(self.compiled.clone(), &data) {
            Ok(running) => self.running = Some(running),
            Err(why) => panic!("the saga was not started: {why}\n{}", self.story),
        }
        self
    }

    /// Waits for a command of this name, `Service.Command`, however long that takes the saga. Others
    /// that are sent at the same time, by steps side by side, may be expected after it.
    ///
    /// # Panics
    /// Where another command is sent instead, or the saga ends without it.
    #[track_caller]
    pub fn expect_command(mut self, name: &str) -> Expected {
        match self.wait_for(name) {
            Ok(command) => Expected { rehearsal: self, command },
            Err(instead) => self.fail(&format!("the command {name}"), &instead),
        }
    }

    /// Expects that nothing is sent now.
    #[track_caller]
    pub fn expect_no_command(mut self) -> Self {
        self.come_to_rest();
        match self.sent.front() {
            Some(sent) => {
                let instead = format!("{} was sent", sent.name());
                self.fail("no command", &instead)
            }
            None => self,
        }
    }

    /// Plays a participant for as long as its command of this name is sent: each sending is handed to
    /// `role`, until another command is sent, the saga ends, or it needs a person.
    #[track_caller]
    pub fn play(mut self, name: &str, mut role: impl FnMut(Expected) -> Self) -> Self {
        self = role(self.expect_command(name));
        while !self.view().needs_attention() {
            match self.wait_for(name) {
                Ok(command) => self = role(Expected { rehearsal: self, command }),
                Err(_) => break,
            }
        }
        self
    }

    /// Plays every participant until the saga has ended, needs a person, or nothing more happens by
    /// itself.
    #[track_caller]
    pub fn answer_all(mut self, mut answer: impl FnMut(&Command) -> Answer) -> Self {
        loop {
            self.come_to_rest();
            let command = match self.sent.pop_front() {
                Some(command) => command,
                None if self.view().needs_attention() || !self.wait_for_any() => return self,
                None => continue,
            };
            self.tell_sent(&command);
            let answer = answer(&command);
            self = Expected { rehearsal: self, command }.answer(answer);
        }
    }

    /// Lets time pass.
    #[track_caller]
    pub fn after(mut self, time: Duration) -> Self {
        self.running().on(async |_| tokio::time::sleep(time).await);
        self.gather();
        self
    }

    /// Tells the saga something that a step of it waits for, or will wait for.
    ///
    /// # Panics
    /// Where no step waits for it.
    #[track_caller]
    pub fn signal(self, name: &str, body: Value) -> Self {
        let line = format!("the signal {name}: {body}");
        let body = Payload::from(body.to_string().as_str());
        self.ask(Ask::Signal { name: name.into(), body }, line)
    }

    /// Cancels the saga.
    ///
    /// # Panics
    /// Where that is not possible any more.
    #[track_caller]
    pub fn cancel(self, reason: &str) -> Self {
        let ask =
            Ask::Verb { verb: SagaVerb::Cancel, by: "the test".into(), reason: reason.into() };
        self.ask(ask, format!("cancelled: {reason}"))
    }

    /// Expects that the saga cannot be cancelled any more.
    #[track_caller]
    pub fn expect_too_late_to_cancel(mut self) -> Self {
        let verb = SagaVerb::Cancel;
        let ask = Ask::Verb { verb, by: "the test".into(), reason: "too late?".into() };
        match self.asked(ask) {
            Err(_) => self,
            Ok(()) => self.fail("that a cancel comes too late", "the saga was cancelled"),
        }
    }

    /// Brings the answer to a command that was left without one.
    ///
    /// # Panics
    /// Where none of this name was.
    #[track_caller]
    pub fn late_answer(mut self, name: &str, answer: Answer) -> Self {
        let found = self.unanswered.iter().rposition(|command| command.name() == name);
        let Some(command) = found.map(|at| self.unanswered.remove(at)) else {
            let instead = format!("no {name} waits for an answer");
            self.fail("that a late answer can come", &instead)
        };
        self.tell(format!("← {}, late: {}", command.name(), answer.words));
        command.replies.end(command.outgoing.ticket, answer.outcome);
        self.come_to_rest();
        self
    }

    /// Expects that the saga comes to its end with all done, and that no command is left over.
    #[track_caller]
    pub fn expect_completed(self) -> View {
        self.expect_end("completed", |view| view.completed() && view.clean())
    }

    /// Expects that the saga comes to its end with all undone that was done, and that no command is
    /// left over.
    #[track_caller]
    pub fn expect_rolled_back(self) -> View {
        self.expect_end("failed, rolled back", |view| view.state() == State::Failed && view.clean())
    }

    /// Expects that the saga needs a person, as it is now or will be when nothing is answered.
    #[track_caller]
    pub fn expect_attention(mut self) -> View {
        loop {
            self.come_to_rest();
            let view = self.view();
            if view.needs_attention() {
                return view;
            }
            let Some(leap) = self.next_leap() else {
                self.fail("that it needs a person", &words(&view))
            };
            self = self.after(leap);
        }
    }

    /// The saga as it is now.
    ///
    /// # Panics
    /// Before [`given`](Self::given).
    #[track_caller]
    pub fn view(&self) -> View {
        let saga = self.running().saga;
        let seen = self.running().on(async |handle| handle.get(saga).await);
        match seen {
            Ok(Some(snapshot)) => View::of(snapshot),
            other => panic!("the saga cannot be seen: {other:?}\n{}", self.story),
        }
    }

    #[track_caller]
    fn state(&self) -> State {
        self.view().state()
    }

    #[track_caller]
    fn expect_end(mut self, what: &str, is_it: impl Fn(&View) -> bool) -> View {
        self.come_to_rest();
        if !self.state().ended() && self.sent.is_empty() {
            self.wait_for_any();
            self.come_to_rest();
        }
        if let Some(sent) = self.sent.front() {
            let instead = format!("{} was sent, and nobody expected it", sent.name());
            self.fail(&format!("the saga {what}"), &instead);
        }
        let view = self.view();
        if !is_it(&view) {
            self.fail(&format!("the saga {what}"), &words(&view));
        }
        view
    }

    #[track_caller]
    fn ask(mut self, ask: Ask, line: String) -> Self {
        match self.asked(ask) {
            Ok(()) => self.tell(line),
            Err(why) => self.fail(&line, &why),
        }
        self.come_to_rest();
        self
    }

    #[track_caller]
    fn asked(&mut self, ask: Ask) -> Result<(), String> {
        let saga = self.running().saga;
        let asked = self.running().on(async |handle| handle.ask(saga, ask, None).await);
        asked.map(drop).map_err(|error| error.to_string())
    }

    /// The next command of this name; the error says what came instead.
    #[track_caller]
    fn wait_for(&mut self, name: &str) -> Result<Command, String> {
        loop {
            self.come_to_rest();
            if let Some(at) = self.sent.iter().position(|command| command.name() == name) {
                let command = self.sent.remove(at).ok_or("it is gone")?;
                self.tell_sent(&command);
                return Ok(command);
            }
            if let Some(other) = self.sent.front() {
                return Err(format!("{} was sent", other.name()));
            }
            if !self.wait_for_any() {
                return Err(words(&self.view()));
            }
        }
    }

    /// Waits until a command is sent; `false` where the saga ends first, or nothing is to come by
    /// itself. Time leaps from one of the saga's timers to the next.
    #[track_caller]
    fn wait_for_any(&mut self) -> bool {
        while self.sent.is_empty() {
            let Some(leap) = self.next_leap() else { return false };
            self.running().on(async |_| tokio::time::sleep(leap).await);
            self.gather();
        }
        true
    }

    /// How long it is until something happens by itself; `None` where nothing does.
    #[track_caller]
    fn next_leap(&self) -> Option<Duration> {
        let (view, passed) = (self.view(), self.now());
        let saga = &view.snapshot().saga;
        if saga.state.ended() || passed > LONGEST {
            return None;
        }
        let definition = &self.compiled.definition;
        let now = Time(saga.created_at.0 + u64::try_from(passed.as_millis()).unwrap_or(0));
        let due = effects::next_due(definition, saga, now);
        // What is owed already waits for its service's circuit, which looks again every second.
        let owed = effects::owed(definition, saga).any(|owed| owed.from <= now);
        let leap = due.map(|due| Duration::from_millis(due.since(now).0) + AT_REST);
        let circuit = owed.then_some(Duration::from_secs(1));
        leap.into_iter().chain(circuit).min()
    }

    /// Lets everything happen that happens at once.
    #[track_caller]
    fn come_to_rest(&mut self) {
        self.running().on(async |_| tokio::time::sleep(AT_REST).await);
        self.gather();
    }

    #[track_caller]
    fn gather(&mut self) {
        let sent: Vec<Command> = self.running().commands.try_iter().collect();
        self.sent.extend(sent);
    }

    #[track_caller]
    fn tell_sent(&mut self, command: &Command) {
        let attempt = match command.attempt() {
            1 => String::new(),
            n => format!(", attempt {n}"),
        };
        self.tell(format!("→ {} ({}{attempt})", command.name(), command.step()));
    }

    #[track_caller]
    fn tell(&mut self, line: impl Into<String>) {
        let now = self.now();
        self.story.tell(now, line);
    }

    #[track_caller]
    fn now(&self) -> Duration {
        let began = self.running().began;
        self.running().on(async |_| began.elapsed())
    }

    #[track_caller]
    fn running(&self) -> &Running {
        match &self.running {
            Some(running) => running,
            None => panic!("say with `given` what the saga is started with"),
        }
    }

    #[track_caller]
    fn fail(&self, expected: &str, instead: &str) -> ! {
        panic!("expected {expected}, but {instead}. The story so far:\n{}", self.story)
    }
}

impl Expected {
    /// Looks at the command's data.
    pub fn carrying(self, look: impl FnOnce(&Value)) -> Self {
        look(&self.command.data());
        self
    }

    /// Looks at the whole command.
    pub fn checked(self, look: impl FnOnce(&Command)) -> Self {
        look(&self.command);
        self
    }

    /// Answers it.
    #[track_caller]
    pub fn answer(self, answer: Answer) -> Rehearsal {
        let Self { mut rehearsal, command } = self;
        rehearsal.tell(format!("← {}: {}", command.name(), answer.words));
        let (ticket, replies) = (command.outgoing.ticket, command.replies.clone());
        let outcome = match answer.outcome {
            // An undo cannot be refused: on its way it becomes a "not now".
            amends_wire::Outcome::Refused { error } => {
                amends_wire::Outcome::refused(ticket.direction, error)
            }
            amends_wire::Outcome::Accepted => {
                rehearsal.unanswered.push(command);
                amends_wire::Outcome::Accepted
            }
            other => other,
        };
        replies.end(ticket, outcome);
        rehearsal.come_to_rest();
        rehearsal
    }

    /// Never answers it: its attempt times out. Its answer may still come, with
    /// [`late_answer`](Rehearsal::late_answer).
    #[track_caller]
    pub fn times_out(self) -> Rehearsal {
        let Self { mut rehearsal, command } = self;
        rehearsal.tell(format!("← {}: nothing", command.name()));
        rehearsal.unanswered.push(command);
        rehearsal
    }
}

impl Running {
    /// Runs something on the rehearsal's runtime. On a thread of its own: the test may be one of
    /// another runtime, which must not be blocked by ours.
    #[track_caller]
    fn on<T: Send>(&self, work: impl AsyncFnOnce(&Handle) -> T + Send) -> T {
        let Some(runtime) = &self.runtime else { panic!("the rehearsal is over") };
        let handle = &self.handle;
        on(runtime, || work(handle))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.take();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[track_caller]
fn on<F: Future<Output = T>, T: Send>(runtime: &Runtime, work: impl FnOnce() -> F + Send) -> T {
    let played = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(work())).join());
    played.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn start(compiled: Compiled, data: &Value) -> Result<Running, String> {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let (script, commands) = Script::new();
    let saga_type = std::sync::Arc::clone(compiled.definition.saga_type());
    let start = Start {
        saga_type,
        version: None,
        data: data.to_string().into(),
        idempotency_key: None,
        wait: None,
    };
    let started = on(&runtime, async || {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let binder = std::sync::Arc::new(script);
        let engine = Engine::start(Options::default(), Disk::new().open(), binder).await;
        let engine = engine.map_err(|error| words(&error))?;
        let handle = engine.handle();
        let deployed = handle.deploy(vec![Deployment { compiled }]).await;
        deployed.map_err(|error| words(&error))?;
        let began = Instant::now();
        let started = handle.start(start).await.map_err(|error| words(&error))?;
        Ok::<_, String>((engine, handle, started.snapshot.saga.id, began))
    });
    let (engine, handle, saga, began) = started?;
    let (runtime, engine) = (Some(runtime), Some(engine));
    Ok(Running { runtime, engine, handle, saga, began, commands })
}

/// The same test is the same every time: no pause is left to chance.
fn without_chance(compiled: Compiled) -> Compiled {
    let definition = &compiled.definition;
    let steps = definition.steps().iter().cloned().map(|mut step| {
        step.retry.backoff.jitter = Jitter::None;
        step.undo.backoff.jitter = Jitter::None;
        step
    });
    let name = std::sync::Arc::clone(definition.saga_type());
    let steady =
        Definition::new(name, definition.version(), definition.deadline(), steps.collect());
    // The order is that of a definition, so it is well-formed.
    let definition = steady.map_or_else(|_| std::sync::Arc::clone(definition), std::sync::Arc::new);
    Compiled { definition, ..compiled }
}

/// Where a saga stands.
fn words(view: &View) -> String {
    let saga = &view.snapshot().saga;
    let state = amends_engine::words::state(saga.state);
    let reasons: Vec<String> =
        saga.attention.iter().map(|attention| format!("{:?}", attention.reason)).collect();
    let exceptions: Vec<String> =
        saga.exceptions.iter().map(|exception| format!("{:?}", exception.reason)).collect();
    let mut words = format!("the saga is {state}");
    for (list, what) in [(reasons, "attention"), (exceptions, "exceptions")] {
        if !list.is_empty() {
            words += &format!(", {what}: {}", list.join(", "));
        }
    }
    words
}
