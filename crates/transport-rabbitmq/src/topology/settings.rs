//! The settings of what is there, and what of them is weaker than the promise that a confirmed
//! message is not lost.
//!
//! AMQP does not show them. But what is declared again is compared with what is there, and the
//! server says of the first setting that differs what it is: so it is declared as we would have
//! made it, then with what we have learned, until nothing differs. What a policy sets, and how many
//! machines hold a queue, it does not say.

use std::collections::BTreeMap;

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ExchangeKind};

use super::{Thing, ThingKind, is};
use crate::server::words;

/// How many settings there are, and then some: of each one is told at a time.
const DIFFERENCES_MAX: usize = 24;

/// An end gives a message back as often as its disk is full, and it must not be given up for that.
const DELIVERIES_FEW: i64 = 1_000;

/// What differs from how we would have made it: by name what it is, `None` where it is not set.
type Differences = BTreeMap<String, Option<String>>;

/// What of something that is there is too weak.
pub(super) async fn weaknesses(
    connection: &Connection,
    thing: &Thing,
) -> Result<Vec<String>, lapin::Error> {
    let what = thing.what();
    let (differences, unseen) = differences(connection, thing).await?;
    let weak = match &thing.kind {
        ThingKind::Exchange(_) => of_exchange(&differences),
        ThingKind::Queue { .. } => of_queue(&differences, true),
        ThingKind::DeadLetters => of_queue(&differences, false),
        // How long events stay is whoever's who made it.
        ThingKind::Events(_) => Vec::new(),
    };
    let mut weak: Vec<_> = weak.into_iter().map(|why| format!("{what}: {why}")).collect();
    weak.extend(unseen.map(|why| format!("{what}: its settings could not be looked at ({why})")));
    Ok(weak)
}

/// Asks until nothing differs; or says why there is no more to learn.
async fn differences(
    connection: &Connection,
    thing: &Thing,
) -> Result<(Differences, Option<String>), lapin::Error> {
    let mut asked = Asked::for_what_we_make(thing);
    let mut differences = Differences::new();
    for _ in 0..DIFFERENCES_MAX {
        let said = match asked.ask(connection, thing).await {
            Ok(()) => return Ok((differences, None)),
            Err(error) if is(&error, &AMQPSoftError::PRECONDITIONFAILED) => words(&error),
            Err(error) if is(&error, &AMQPSoftError::ACCESSREFUSED) => {
                return Ok((differences, Some(words(&error))));
            }
            Err(error) => return Err(error),
        };
        let Some((name, current)) = difference(&said) else {
            return Ok((differences, Some(said)));
        };
        let is_news = asked.learn(&name, current.as_ref());
        differences.insert(name, current.map(|current| current.text));
        if !is_news {
            return Ok((differences, Some(said)));
        }
    }
    Ok((differences, Some("too many differ".to_owned())))
}

/// A declaration, with what has been learned so far.
struct Asked {
    durable: bool,
    auto_delete: bool,
    internal: bool,
    kind: String,
    arguments: FieldTable,
}

impl Asked {
    fn for_what_we_make(thing: &Thing) -> Self {
        let (kind, arguments) = match &thing.kind {
            ThingKind::Exchange(kind) => ((*kind).to_owned(), FieldTable::default()),
            _ => (String::new(), thing.arguments()),
        };
        Self { durable: true, auto_delete: false, internal: false, kind, arguments }
    }

    async fn ask(&self, connection: &Connection, thing: &Thing) -> Result<(), lapin::Error> {
        let channel = connection.create_channel().await?;
        let (name, arguments) = (thing.name.as_str().into(), self.arguments.clone());
        let Self { durable, auto_delete, internal, .. } = *self;
        if let ThingKind::Exchange(_) = thing.kind {
            let kind = ExchangeKind::Custom(self.kind.clone());
            let options = ExchangeDeclareOptions {
                durable,
                auto_delete,
                internal,
                ..ExchangeDeclareOptions::default()
            };
            return channel.exchange_declare(name, kind, options, arguments).await;
        }
        let options =
            QueueDeclareOptions { durable, auto_delete, ..QueueDeclareOptions::default() };
        channel.queue_declare(name, options, arguments).await.map(drop)
    }

    /// Takes in what a setting is; `false` where that cannot be said, or was not believed.
    fn learn(&mut self, name: &str, current: Option<&Current>) -> bool {
        let text = current.map(|current| current.text.as_str());
        let set = |flag: &mut bool| std::mem::replace(flag, text == Some("true")) != *flag;
        match name {
            "durable" => set(&mut self.durable),
            "auto_delete" => set(&mut self.auto_delete),
            "internal" => set(&mut self.internal),
            "type" => {
                let kind = text.unwrap_or_default().to_owned();
                std::mem::replace(&mut self.kind, kind) != self.kind
            }
            _ => {
                let value = match current.map(Current::value) {
                    None => None,
                    Some(Some(value)) => Some(value),
                    Some(None) => return false,
                };
                self.set(name, value)
            }
        }
    }

    fn set(&mut self, name: &str, value: Option<AMQPValue>) -> bool {
        let mut arguments = self.arguments.inner().clone();
        let before = match &value {
            Some(value) => arguments.insert(name.into(), value.clone()),
            None => arguments.remove(name),
        };
        self.arguments = arguments.into();
        before != value
    }
}

/// A setting as the server tells it.
#[derive(Debug, PartialEq)]
struct Current {
    text: String,
    kind: String,
}

impl Current {
    fn value(&self) -> Option<AMQPValue> {
        match &*self.kind {
            "longstr" | "shortstr" => Some(AMQPValue::LongString(self.text.as_str().into())),
            "bool" => Some(AMQPValue::Boolean(self.text == "true")),
            // Where both sides say something it tells no type.
            "" => Some(match self.text.parse() {
                Ok(number) => AMQPValue::LongLongInt(number),
                Err(_) => AMQPValue::LongString(self.text.as_str().into()),
            }),
            _ => self.text.parse().ok().map(AMQPValue::LongLongInt),
        }
    }
}

/// The setting that differs, and what it is, of `inequivalent arg 'x-max-length' for queue 'q' in
/// vhost '/': received none but current is the value '10' of type 'signedint'`.
fn difference(said: &str) -> Option<(String, Option<Current>)> {
    let (_, rest) = said.split_once("inequivalent arg '")?;
    let (name, _) = rest.split_once('\'')?;
    let (_, current) = said.rsplit_once(" but current is ")?;
    let current = match current.strip_prefix("the value '") {
        _ if current == "none" => None,
        Some(typed) => {
            let (text, kind) = typed.rsplit_once("' of type '")?;
            let kind = kind.strip_suffix('\'')?;
            Some(Current { text: text.to_owned(), kind: kind.to_owned() })
        }
        None => {
            let text = current.strip_prefix('\'')?.strip_suffix('\'')?;
            Some(Current { text: text.to_owned(), kind: String::new() })
        }
    };
    Some((name.to_owned(), current))
}

fn of_exchange(differences: &Differences) -> Vec<String> {
    let is = |name: &str| differences.get(name).and_then(Option::as_deref);
    let mut weak = Vec::new();
    if is("durable") == Some("false") {
        weak.push("it is gone when the server starts again: make it durable".to_owned());
    }
    if is("auto_delete") == Some("true") {
        weak.push("it goes with its last queue: turn auto_delete off".to_owned());
    }
    if is("internal") == Some("true") {
        weak.push("nobody may publish to it: turn internal off".to_owned());
    }
    if let Some(kind) = is("type").filter(|kind| !["direct", "topic"].contains(kind)) {
        weak.push(format!(
            "its type is {kind}, which does not go by the routing key alone, so commands may come \
             to the queue of replies: make it direct, or topic"
        ));
    }
    weak
}

fn of_queue(differences: &Differences, brings: bool) -> Vec<String> {
    let differs = |name: &str| differences.contains_key(name);
    let is = |name: &str| differences.get(name).and_then(Option::as_deref);
    let number = |name: &str| is(name).and_then(|text| text.parse::<i64>().ok());
    let mut weak = Vec::new();
    let mut say = |why: &str| weak.push(why.to_owned());
    if differs("x-queue-type") {
        say("it is no quorum queue: it is kept by one machine, which confirms before other \
             machines have a message, and it does not count how often it brings one; make it with \
             x-queue-type quorum");
    }
    if is("durable") == Some("false") {
        say("it is gone when the server starts again: make it durable");
    }
    if is("auto_delete") == Some("true") {
        say("it goes with whoever reads last: turn auto_delete off");
    }
    if differs("x-message-ttl") {
        say("messages go after its x-message-ttl whether they were taken or not: set none");
    }
    if differs("x-expires") {
        say("it goes when nobody has read for its x-expires: set none");
    }
    let is_bounded = differs("x-max-length") || differs("x-max-length-bytes");
    // What we make says reject-publish, so another way differs.
    let drops = !brings || differs("x-overflow");
    if is_bounded && drops && is("x-overflow") != Some("reject-publish") {
        say("when it is full the oldest message is dropped: set its x-overflow to reject-publish");
    }
    if number("x-quorum-initial-group-size") == Some(1) {
        say("one machine holds it: set its x-quorum-initial-group-size to 3 or more");
    }
    match number("x-delivery-limit") {
        Some(few) if few < DELIVERIES_FEW => weak.push(format!(
            "the server gives a message up after {few} deliveries, whatever the reason: set its \
             x-delivery-limit to {}",
            super::DELIVERIES_MAX
        )),
        None if differs("x-delivery-limit") && !differs("x-queue-type") => weak.push(format!(
            "it says no x-delivery-limit, and from version 4 on the server gives a message up after \
             20 deliveries then: set it to {}",
            super::DELIVERIES_MAX
        )),
        _ => {}
    }
    weak
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_read_from_the_servers_words() {
        let said = |said: &str| difference(&format!("PRECONDITION_FAILED - {said}"));
        let current =
            |text: &str, kind: &str| Some(Current { text: text.to_owned(), kind: kind.to_owned() });
        assert_eq!(
            said(
                "inequivalent arg 'x-queue-type' for queue 'c' in vhost '/': received the value \
                  'quorum' of type 'longstr' but current is none"
            ),
            Some(("x-queue-type".to_owned(), None))
        );
        assert_eq!(
            said(
                "inequivalent arg 'x-max-length' for queue ' but current is ' in vhost '/': \
                  received none but current is the value '10' of type 'signedint'"
            ),
            Some(("x-max-length".to_owned(), current("10", "signedint")))
        );
        assert_eq!(
            said(
                "inequivalent arg 'durable' for queue 't' in vhost '/': received 'true' but \
                  current is 'false'"
            ),
            Some(("durable".to_owned(), current("false", "")))
        );
        assert_eq!(said("queue 'q' in vhost '/' in use"), None);
    }

    fn differing(settings: &[(&str, Option<&str>)]) -> Differences {
        let owned =
            |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(str::to_owned));
        settings.iter().map(owned).collect()
    }

    #[test]
    fn what_may_lose_a_message_is_named_with_what_to_set() {
        for (settings, named) in [
            (("x-queue-type", None), "x-queue-type quorum"),
            (("durable", Some("false")), "make it durable"),
            (("auto_delete", Some("true")), "auto_delete off"),
            (("x-message-ttl", Some("60000")), "x-message-ttl"),
            (("x-expires", Some("60000")), "x-expires"),
            (("x-quorum-initial-group-size", Some("1")), "3 or more"),
            (("x-delivery-limit", Some("5")), "after 5 deliveries"),
            (("x-delivery-limit", None), "20 deliveries"),
        ] {
            let weak = of_queue(&differing(&[settings]), true);
            assert!(weak.len() == 1 && weak[0].contains(named), "{settings:?}: {weak:?}");
        }
    }

    #[test]
    fn a_bound_is_weak_where_it_drops() {
        let bound = ("x-max-length", Some("10"));
        for (settings, is_weak) in [
            (vec![bound], false),
            (vec![bound, ("x-overflow", None)], true),
            (vec![bound, ("x-overflow", Some("drop-head"))], true),
            (vec![("x-overflow", None)], false),
        ] {
            assert_eq!(of_queue(&differing(&settings), true).len(), usize::from(is_weak));
        }
        assert_eq!(of_queue(&differing(&[bound]), false).len(), 1, "we say nothing of that there");
    }

    #[test]
    fn what_is_stronger_or_no_ones_business_is_not_named() {
        let fine = differing(&[
            ("x-delivery-limit", Some("100000")),
            ("x-dead-letter-exchange", Some("their-own")),
            ("x-quorum-initial-group-size", Some("5")),
        ]);
        assert_eq!(of_queue(&fine, true), [""; 0]);
        assert_eq!(of_exchange(&differing(&[("type", Some("topic"))])), [""; 0]);
        assert_eq!(of_exchange(&differing(&[("type", Some("fanout"))])).len(), 1);
    }
}
