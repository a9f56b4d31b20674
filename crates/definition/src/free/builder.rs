//! Free choreographies written in Rust: the builder writes the file and has it checked and explored, so
//! that both ways are found wrong in the same words.

use amends_core::definition::{Fence, Kind};
use serde_json::{Map, Value as Json, json};

use super::Reactions;
use crate::builder::{BuildError, fence_word, keys, kind_word};
use crate::check::{Checked, Document};
use crate::finding::Severity;
use crate::surroundings::Surroundings;

/// A free choreography under construction. A program whose services react to each other's events has
/// its reactions analysed in a unit test:
///
/// ```
/// use amends_definition::FreeChoreography;
/// let order = FreeChoreography::named("OrderFulfillment")
///     .starts_with("OrderCreated")
///     .ends_with("OrderFulfilled", "OrderFailed")
///     .on("OrderCreated", |r| {
///         r.action("InventoryService.ReserveInventory")
///             .compensation("InventoryService.ReleaseInventory")
///             .then("InventoryReserved")
///             .on_failure("OrderFailed")
///     })
///     .on("InventoryReserved", |r| {
///         r.action("PaymentService.ProcessPayment")
///             .then("OrderFulfilled")
///             .on_failure("PaymentFailed")
///     })
///     .on("PaymentFailed", |r| r.undo("InventoryService.ReserveInventory").then("OrderFailed"))
///     .build()
///     .expect("every failure undoes what was done");
/// assert_eq!(order.len(), 3);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a choreography is not analysed before `build`"]
pub struct FreeChoreography {
    file: Map<String, Json>,
    events: Map<String, Json>,
    services: Map<String, Json>,
    reactions: Vec<Json>,
}

impl FreeChoreography {
    /// A choreography of that name.
    pub fn named(name: &str) -> Self {
        Self {
            file: Map::from_iter([("choreography".to_owned(), json!(name))]),
            events: Map::new(),
            services: Map::new(),
            reactions: Vec::new(),
        }
    }

    /// The event that starts it.
    pub fn starts_with(mut self, event: &str) -> Self {
        self.file.insert("starts_with".to_owned(), json!(event));
        self
    }

    /// The events that end it, one way or the other.
    pub fn ends_with(mut self, done: &str, undone: &str) -> Self {
        let ends = json!({ "done": done, "undone": undone });
        self.file.insert("ends_with".to_owned(), ends);
        self
    }

    /// The fields that an event adds to what those before it carry.
    pub fn event(mut self, name: &str, fields: &[&str]) -> Self {
        self.events.insert(name.to_owned(), json!(fields));
        self
    }

    /// A service with its fence. Where one is said, all are.
    pub fn service(mut self, name: &str, fence: Fence) -> Self {
        self.services.insert(name.to_owned(), json!({ "fence": fence_word(fence) }));
        self
    }

    /// What is done when this event comes.
    pub fn on(
        self,
        event: &str,
        reaction: impl FnOnce(ReactionBuilder) -> ReactionBuilder,
    ) -> Self {
        self.reaction(json!(event), reaction)
    }

    /// What is done when all of these events have come.
    pub fn on_all(
        self,
        events: &[&str],
        reaction: impl FnOnce(ReactionBuilder) -> ReactionBuilder,
    ) -> Self {
        self.reaction(json!(events), reaction)
    }

    /// What is done when the first of these events comes.
    pub fn on_any(
        self,
        events: &[&str],
        reaction: impl FnOnce(ReactionBuilder) -> ReactionBuilder,
    ) -> Self {
        self.reaction(json!({ "any_of": events }), reaction)
    }

    /// Has its reactions taken through every order, as far as a check goes.
    ///
    /// # Errors
    ///
    /// What was found, in the file that this builds, when any of it is an error.
    pub fn build(self) -> Result<Reactions, BuildError> {
        let name = self.file.get("choreography").and_then(Json::as_str).unwrap_or_default();
        let path = format!("{name} (built in Rust)");
        match Document::check(self.to_file().as_bytes(), &path, &Surroundings::none()) {
            Document::Free(Checked { findings, compiled: Some(reactions), .. })
                if findings.iter().all(|finding| finding.severity != Severity::Error) =>
            {
                Ok(reactions)
            }
            Document::Free(Checked { findings, source, .. }) => {
                Err(BuildError::of(Checked { findings, compiled: None, source }))
            }
            Document::Saga(checked) => Err(BuildError::of(checked)),
        }
    }

    /// The file this builds, as JSON.
    pub fn to_file(&self) -> String {
        let mut file = self.file.clone();
        file.insert("reactions".to_owned(), Json::Array(self.reactions.clone()));
        for (key, of) in [("events", &self.events), ("services", &self.services)] {
            if !of.is_empty() {
                file.insert(key.to_owned(), Json::Object(of.clone()));
            }
        }
        let mut text = format!("{:#}", Json::Object(file));
        text.push('\n');
        text
    }

    fn reaction(
        mut self,
        on: Json,
        reaction: impl FnOnce(ReactionBuilder) -> ReactionBuilder,
    ) -> Self {
        let keys = Map::from_iter([("on".to_owned(), on)]);
        self.reactions.push(Json::Object(reaction(ReactionBuilder { keys }).keys));
        self
    }
}

/// A reaction under construction.
#[derive(Clone, Debug)]
pub struct ReactionBuilder {
    keys: Map<String, Json>,
}

impl ReactionBuilder {
    keys! {
        /// The command that is carried out: `Service.Command`.
        action(command: &str) => "action" = json!(command);
        /// The command that undoes the action: `Service.Command`.
        compensation(command: &str) => "compensation" = json!(command);
        /// What the action's failure means.
        kind(kind: Kind) => "kind" = json!(kind_word(kind));
        /// The action that is undone.
        undo(action: &str) => "undo" = json!(action);
        /// The fields that it needs of what the event carries.
        reads(fields: &[&str]) => "reads" = json!(fields);
        /// The event that it says when the action fails.
        on_failure(event: &str) => "on_failure" = json!(event);
        /// The service that says it, where no command names one.
        by(service: &str) => "by" = json!(service);
    }

    /// An event that it says when that is done; each call adds one.
    #[must_use]
    pub fn then(mut self, event: &str) -> Self {
        let then = self.keys.entry("then").or_insert_with(|| json!([]));
        if let Json::Array(events) = then {
            events.push(json!(event));
        }
        self
    }

    /// The action only reads: there is nothing to undo.
    #[must_use]
    pub fn reads_only(self) -> Self {
        self.compensation("none")
    }
}
