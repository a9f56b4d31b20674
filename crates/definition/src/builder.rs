//! Definitions written in Rust: the builder writes the file and has it checked, so that both ways
//! compile to the same thing.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::check::{Checked, check};
use crate::compile::Compiled;
use crate::finding::Finding;
use crate::render::render;
use crate::surroundings::Surroundings;

use amends_core::definition::{Fence, Kind};

/// A definition under construction.
///
/// ```
/// use amends_definition::Saga;
/// let saga = Saga::named("OrderFulfillment")
///     .step("reserve_inventory", |s| {
///         s.action("InventoryService.ReserveItems")
///             .compensation("InventoryService.ReleaseReservation")
///     })
///     .step("process_payment", |s| {
///         s.action("PaymentService.ProcessPayment").compensation("PaymentService.RefundPayment")
///     })
///     .build()
///     .expect("a well-formed saga");
/// assert_eq!(saga.definition.steps().len(), 2);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a saga does nothing before `build`"]
pub struct Saga {
    file: Map<String, Json>,
    steps: Vec<Json>,
    services: Map<String, Json>,
}

/// Why a definition could not be built: what the checker found, in the file the builder wrote.
#[derive(Debug)]
pub struct BuildError {
    checked: Box<Checked>,
}

impl BuildError {
    pub(crate) fn of(checked: Checked) -> Self {
        Self { checked: Box::new(checked) }
    }

    /// Every finding, also those that are no errors.
    pub fn findings(&self) -> &[Finding] {
        &self.checked.findings
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render(&self.checked, false))
    }
}

impl std::error::Error for BuildError {}

impl Saga {
    /// A saga type of that name.
    pub fn named(name: &str) -> Self {
        let file = Map::from_iter([("saga".to_owned(), json!(name))]);
        Self { file, steps: Vec::new(), services: Map::new() }
    }

    /// The version its content is pinned under; left out, a changed definition gets the next.
    pub fn version(self, version: u32) -> Self {
        self.set("version", json!(version))
    }

    /// An expression over the data, such as `${ data.order_id }`.
    pub fn business_key(self, expression: &str) -> Self {
        self.set("business_key", json!(expression))
    }

    /// How long a saga may take.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.set("deadline", duration(deadline))
    }

    /// What starts' data must look like.
    pub fn data_schema(self, schema: Json) -> Self {
        self.set("data", json!({ "schema": schema }))
    }

    /// How long one attempt is waited for, in steps that do not say.
    pub fn default_timeout(self, timeout: Duration) -> Self {
        self.default("timeout", duration(timeout))
    }

    /// How long a step may take over all its attempts, in steps that do not say.
    pub fn default_deadline(self, deadline: Duration) -> Self {
        self.default("deadline", duration(deadline))
    }

    /// Any other key of the file, as the file has it: `key("alerts", …)`. `steps` and `services`
    /// are written by their own methods.
    pub fn key(self, key: &str, value: Json) -> Self {
        self.set(key, value)
    }

    /// A service with its fence; how it is reached is bound by the program.
    pub fn service(mut self, name: &str, fence: Fence) -> Self {
        self.services.insert(name.to_owned(), json!({ "fence": fence_word(fence) }));
        self
    }

    /// The next step: it waits for the step or group before it.
    pub fn step(mut self, name: &str, step: impl FnOnce(StepBuilder) -> StepBuilder) -> Self {
        self.steps.push(step(StepBuilder::named(name)).into_json());
        self
    }

    /// The next step, which waits for a signal. What follows when it does not come must be said.
    pub fn signal(mut self, name: &str, step: impl FnOnce(SignalBuilder) -> SignalBuilder) -> Self {
        self.steps.push(step(SignalBuilder::named(name)).into_json());
        self
    }

    /// Steps that run side by side.
    pub fn parallel(mut self, group: impl FnOnce(GroupBuilder) -> GroupBuilder) -> Self {
        self.steps.push(json!({ "parallel": group(GroupBuilder::default()).steps }));
        self
    }

    /// Checks and compiles it.
    pub fn build(self) -> Result<Compiled, BuildError> {
        self.build_in(&Surroundings::none())
    }

    /// Checks and compiles it, where expressions use environment variables.
    pub fn build_in(self, surroundings: &Surroundings<'_>) -> Result<Compiled, BuildError> {
        let name = self.file.get("saga").and_then(Json::as_str).unwrap_or_default();
        let path = format!("{name} (built in Rust)");
        let mut checked = check(self.to_file().as_bytes(), &path, surroundings);
        checked.compiled.take().ok_or_else(|| BuildError { checked: Box::new(checked) })
    }

    /// The definition file this builds, as JSON.
    pub fn to_file(&self) -> String {
        let mut file = self.file.clone();
        file.insert("steps".to_owned(), Json::Array(self.steps.clone()));
        if !self.services.is_empty() {
            file.insert("services".to_owned(), Json::Object(self.services.clone()));
        }
        let mut text = format!("{:#}", Json::Object(file));
        text.push('\n');
        text
    }

    fn set(mut self, key: &str, value: Json) -> Self {
        self.file.insert(key.to_owned(), value);
        self
    }

    fn default(mut self, key: &str, value: Json) -> Self {
        let defaults = self.file.entry("defaults").or_insert_with(|| json!({}));
        defaults[key] = value;
        self
    }
}

/// The steps of a parallel group.
#[derive(Clone, Debug, Default)]
pub struct GroupBuilder {
    steps: Vec<Json>,
}

impl GroupBuilder {
    /// One of the steps.
    #[must_use]
    pub fn step(mut self, name: &str, step: impl FnOnce(StepBuilder) -> StepBuilder) -> Self {
        self.steps.push(step(StepBuilder::named(name)).into_json());
        self
    }

    /// One that waits for a signal.
    #[must_use]
    pub fn signal(mut self, name: &str, step: impl FnOnce(SignalBuilder) -> SignalBuilder) -> Self {
        self.steps.push(step(SignalBuilder::named(name)).into_json());
        self
    }
}

/// Methods that each set one key.
macro_rules! keys {
    ($( $(#[$meta:meta])* $method:ident($argument:ident: $type:ty) => $key:literal = $value:expr; )*) => { $(
        $(#[$meta])*
        #[must_use]
        pub fn $method(mut self, $argument: $type) -> Self {
            self.keys.insert($key.to_owned(), $value);
            self
        }
    )* };
}
pub(crate) use keys;

/// A step under construction.
#[derive(Clone, Debug)]
pub struct StepBuilder {
    keys: Map<String, Json>,
}

impl StepBuilder {
    fn named(name: &str) -> Self {
        Self { keys: Map::from_iter([("name".to_owned(), json!(name))]) }
    }

    keys! {
        /// The command that does it: `Service.Command`.
        action(command: &str) => "action" = json!(command);
        /// The command that undoes it: `Service.Command`.
        compensation(command: &str) => "compensation" = json!(command);
        /// What its failure means for the saga.
        kind(kind: Kind) => "kind" = json!(kind_word(kind));
        /// What the command carries instead of the saga's data; texts may hold `${ … }`.
        input(input: Json) => "input" = input;
        /// Fields that are kept out of sight.
        redact(fields: &[&str]) => "redact" = json!(fields);
        /// A condition in `${ … }`.
        when(expression: &str) => "when" = json!(expression);
        /// A list in `${ … }`: one run an item.
        for_each(expression: &str) => "for_each" = json!(expression);
        /// The steps it waits for, instead of the one before it.
        after(steps: &[&str]) => "after" = json!(steps);
        /// How long one attempt is waited for.
        timeout(timeout: Duration) => "timeout" = duration(timeout);
        /// How long the step may take over all its attempts.
        deadline(deadline: Duration) => "deadline" = duration(deadline);
        /// How long an attempt answered with "accepted" is waited for.
        accepted_timeout(timeout: Duration) => "accepted_timeout" = duration(timeout);
        /// The step's own fence.
        fence(fence: Fence) => "fence" = json!(fence_word(fence));
        /// The most attempts.
        max_attempts(attempts: u32) => "retry" = json!({ "max_attempts": attempts });
    }

    /// Any other key of the file's step, as the file has it: `key("sla", json!({"breach": "2h"}))`.
    #[must_use]
    pub fn key(mut self, key: &str, value: Json) -> Self {
        self.keys.insert(key.to_owned(), value);
        self
    }

    /// It only reads: there is nothing to undo.
    #[must_use]
    pub fn reads_only(self) -> Self {
        self.compensation("none")
    }

    /// Which failure codes are final and which pass.
    #[must_use]
    pub fn failures(mut self, permanent: &[&str], transient: &[&str]) -> Self {
        let codes = json!({ "permanent": permanent, "transient": transient });
        self.keys.insert("failures".to_owned(), codes);
        self
    }

    fn into_json(self) -> Json {
        Json::Object(self.keys)
    }
}

/// A step that waits for a signal, under construction.
#[derive(Clone, Debug)]
pub struct SignalBuilder {
    keys: Map<String, Json>,
}

impl SignalBuilder {
    fn named(name: &str) -> Self {
        // A step waits for the signal of its own name unless another is said.
        let own = [("name".to_owned(), json!(name)), ("signal".to_owned(), json!(name))];
        Self { keys: Map::from_iter(own) }
    }

    keys! {
        /// The signal's name, when it is not the step's.
        signal(name: &str) => "signal" = json!(name);
        /// A condition in `${ … }` over `signal`: true turns the saga.
        refuse_when(expression: &str) => "refuse_when" = json!(expression);
        /// The steps it waits for, instead of the one before it.
        after(steps: &[&str]) => "after" = json!(steps);
    }

    /// When it does not come in this time, the step fails.
    #[must_use]
    pub fn or_refuse_after(mut self, deadline: Duration) -> Self {
        self.keys.insert("deadline".to_owned(), duration(deadline));
        self.keys.insert("on_deadline".to_owned(), json!("refuse"));
        self
    }

    /// When it does not come in this time, the saga goes on with this value.
    #[must_use]
    pub fn or_continue_after(mut self, deadline: Duration, value: Json) -> Self {
        self.keys.insert("deadline".to_owned(), duration(deadline));
        self.keys.insert("on_deadline".to_owned(), json!({ "continue": { "value": value } }));
        self
    }

    fn into_json(self) -> Json {
        Json::Object(self.keys)
    }
}

fn duration(duration: Duration) -> Json {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    json!(amends_core::Millis(millis).to_string())
}

pub(crate) fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Compensatable => "compensatable",
        Kind::Pivot => "pivot",
        Kind::Retriable => "retriable",
        Kind::BestEffort => "best_effort",
    }
}

pub(crate) fn fence_word(fence: Fence) -> &'static str {
    match fence {
        Fence::Barrier => "barrier",
        Fence::Settle => "settle",
        Fence::None => "none",
    }
}
