//! A definition as an AsyncAPI 3 document: which messages go over which queue, who sends them, and
//! what is in them. Of what goes over HTTP the document says nothing.
//!
//! It describes amends: what amends sends is `send`, what it takes is `receive`.

mod message;

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use crate::compile::{Broker, Compiled, Messaging, Queues, Transport};
use message::{Envelope, Shape};

/// The version of AsyncAPI that documents are written in.
const ASYNCAPI: &str = "3.0.0";

/// The document; `None` where nothing of the definition goes over a broker.
pub fn asyncapi(compiled: &Compiled) -> Option<Json> {
    let mut document = Document::default();
    for (service, binding) in &compiled.bindings.0 {
        let Some(Transport::Broker(broker, queues)) = &binding.transport else { continue };
        document.service(compiled, service, binding.flat, Protocol::of(broker), queues);
    }
    if let Some(messaging) = &compiled.messaging {
        document.saga_type(compiled, messaging);
    }
    document.finish(compiled)
}

/// How messages go over a broker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Protocol {
    Kafka,
    RabbitMq,
    Nats,
    Sqs,
}

impl Protocol {
    const fn of(broker: &Broker) -> Self {
        match broker {
            Broker::Kafka => Self::Kafka,
            Broker::RabbitMq { .. } => Self::RabbitMq,
            Broker::Nats { .. } => Self::Nats,
            Broker::Sqs => Self::Sqs,
        }
    }

    /// Its name here, AsyncAPI's word for its protocol, and where one is on a laptop.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Kafka => ("kafka", "kafka", "localhost:9092"),
            Self::RabbitMq => ("rabbitmq", "amqp", "localhost:5672"),
            Self::Nats => ("nats", "nats", "localhost:4222"),
            Self::Sqs => ("sqs", "sqs", "localhost:4566"),
        }
    }

    /// How CloudEvents are carried there.
    const fn envelope(self) -> Envelope {
        match self {
            Self::Kafka => Envelope::Headers("ce_"),
            Self::Nats => Envelope::Headers("ce-"),
            Self::RabbitMq | Self::Sqs => Envelope::Structured,
        }
    }

    /// Are its events told apart by where they are published, and not by their type alone?
    const fn has_addresses(self) -> bool {
        matches!(self, Self::Nats | Self::RabbitMq)
    }
}

#[derive(Default)]
struct Document {
    brokers: BTreeSet<Protocol>,
    channels: Map<String, Json>,
    operations: Map<String, Json>,
    messages: Map<String, Json>,
}

impl Document {
    fn service(
        &mut self,
        compiled: &Compiled,
        service: &str,
        flat: bool,
        broker: Protocol,
        queues: &Queues,
    ) {
        let envelope = broker.envelope();
        let (mut sent, mut answers) = (Vec::new(), BTreeSet::new());
        for ix in compiled.definition.indices() {
            let step = compiled.definition.step(ix);
            let own_input = compiled.expressions.has_input(ix);
            let action = step.action().map(|command| (command, "action"));
            let undo = step.compensation().map(|command| (command, "compensation"));
            for (command, direction) in [action, undo].into_iter().flatten() {
                if *command.service != *service {
                    continue;
                }
                // A compensation carries what its action was given.
                let schema = compiled.data_schema.as_ref().filter(|_| !own_input);
                let data = schema.map_or_else(|| json!({}), |schema| schema.schema().clone());
                let shape = message::command(compiled, step, command, direction, data, flat);
                sent.push(self.message(service, shape, envelope));
                answers.insert(direction);
            }
        }
        if sent.is_empty() {
            return;
        }
        let mut replies: Vec<String> = answers
            .into_iter()
            .flat_map(message::replies)
            .map(|shape| self.message("", shape, envelope))
            .collect();
        replies.sort();
        let commands = format!("{service}.commands");
        let answered = format!("{service}.replies");
        self.channel(&commands, &queues.commands, broker, &sent);
        self.channel(&answered, &queues.replies, broker, &replies);
        for key in &sent {
            let reply = json!({
                "channel": channel(&answered),
                "messages": messages(&answered, &replies),
            });
            self.operations.insert(
                key.clone(),
                json!({
                    "action": "send",
                    "channel": channel(&commands),
                    "messages": messages(&commands, std::slice::from_ref(key)),
                    "reply": reply,
                }),
            );
        }
        self.operations.insert(
            answered.clone(),
            json!({ "action": "receive", "channel": channel(&answered) }),
        );
    }

    fn saga_type(&mut self, compiled: &Compiled, messaging: &Messaging) {
        let broker = Protocol::of(&messaging.broker);
        if let Some(queues) = &messaging.queues {
            self.asked(compiled, broker, queues);
        }
        if let Some(events) = &messaging.events {
            self.told(compiled, messaging.transitions, broker, events);
        }
    }

    /// What a saga type is asked, and what it answers.
    fn asked(&mut self, compiled: &Compiled, broker: Protocol, queues: &Queues) {
        let saga_type = compiled.definition.saga_type();
        let data = compiled.data_schema.as_ref().map_or_else(|| json!({}), |s| s.schema().clone());
        let asked = self.keys(message::requests(saga_type, data), broker);
        let answers = self.keys(message::answers(), broker);
        let (commands, replies) = (format!("{saga_type}.commands"), format!("{saga_type}.replies"));
        self.channel(&commands, &queues.commands, broker, &asked);
        self.channel(&replies, &queues.replies, broker, &answers);
        for key in &asked {
            let reply =
                json!({ "channel": channel(&replies), "messages": messages(&replies, &answers) });
            self.operations.insert(
                key.clone(),
                json!({
                    "action": "receive",
                    "channel": channel(&commands),
                    "messages": messages(&commands, std::slice::from_ref(key)),
                    "reply": reply,
                }),
            );
        }
    }

    /// What is told of its sagas.
    fn told(&mut self, compiled: &Compiled, transitions: bool, broker: Protocol, events: &str) {
        let saga_type = compiled.definition.saga_type();
        let told = self.keys(message::events(saga_type, transitions), broker);
        if !broker.has_addresses() {
            let name = format!("{saga_type}.events");
            self.channel(&name, events, broker, &told);
            let publishing = json!({ "action": "send", "channel": channel(&name) });
            self.operations.insert(name, publishing);
            return;
        }
        for key in &told {
            let address = format!("{events}.{key}");
            self.channel(key, &address, broker, std::slice::from_ref(key));
            let publishing = json!({ "action": "send", "channel": channel(key) });
            self.operations.insert(key.clone(), publishing);
        }
    }

    /// Adds messages that belong to no service, and answers their keys.
    fn keys(&mut self, shapes: Vec<Shape>, broker: Protocol) -> Vec<String> {
        let envelope = broker.envelope();
        shapes.into_iter().map(|shape| self.message("", shape, envelope)).collect()
    }

    /// Adds a message and answers its key. The same shape in another envelope is another message.
    fn message(&mut self, owner: &str, shape: Shape, envelope: Envelope) -> String {
        let name = match owner {
            "" => shape.name.clone(),
            owner => format!("{owner}.{}", shape.name),
        };
        let written = shape.written(envelope);
        let mut key = name.clone();
        // Few brokers, few envelopes.
        let mut another = 1;
        while self.messages.get(&key).is_some_and(|held| *held != written) {
            another += 1;
            key = format!("{name}-{another}");
        }
        self.messages.insert(key.clone(), written);
        key
    }

    fn channel(&mut self, name: &str, address: &str, broker: Protocol, held: &[String]) {
        self.brokers.insert(broker);
        let held: Map<String, Json> = held
            .iter()
            .map(|key| (key.clone(), json!({ "$ref": format!("#/components/messages/{key}") })))
            .collect();
        let (server, ..) = broker.words();
        self.channels.insert(
            name.to_owned(),
            json!({
                "address": address,
                "servers": [{ "$ref": format!("#/servers/{server}") }],
                "messages": held,
            }),
        );
    }

    fn finish(self, compiled: &Compiled) -> Option<Json> {
        if self.channels.is_empty() {
            return None;
        }
        let servers: Map<String, Json> = self
            .brokers
            .iter()
            .map(|broker| {
                let (name, protocol, host) = broker.words();
                let variable = json!({ "default": host, "description": "where the broker is" });
                let server = json!({
                    "host": "{host}",
                    "protocol": protocol,
                    "variables": { "host": variable },
                });
                (name.to_owned(), server)
            })
            .collect();
        let saga_type = compiled.definition.saga_type();
        let version = compiled.said_version.map_or_else(|| "1".to_owned(), |v| v.to_string());
        Some(json!({
            "asyncapi": ASYNCAPI,
            "info": {
                "title": &**saga_type,
                "version": version,
                "description": format!("What amends and the participants of {saga_type} say to each other."),
            },
            "defaultContentType": "application/json",
            "servers": servers,
            "channels": self.channels,
            "operations": self.operations,
            "components": { "messages": self.messages },
        }))
    }
}

fn channel(name: &str) -> Json {
    json!({ "$ref": format!("#/channels/{name}") })
}

fn messages(channel: &str, keys: &[String]) -> Json {
    let one = |key: &String| json!({ "$ref": format!("#/channels/{channel}/messages/{key}") });
    keys.iter().map(one).collect()
}
