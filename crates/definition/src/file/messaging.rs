//! How a saga type itself is reached by message: what is asked of its sagas, and what is told of them.

use serde_json::{Value as Json, json};

use crate::file::decode::record;

/// What a place is for: something is asked there and answered, or events go out, or both.
fn asked_or_told() -> Json {
    json!([{ "required": ["commands", "replies"] }, { "required": ["events"] }])
}

record! {
    /// How a saga type is reached by message: starts, cancels and signals in, what became of them
    /// and of the sagas out; or its events out alone.
    MessagingFile("a mapping with one broker") {
        /// Over Kafka.
        kafka: KafkaPlace,
        /// Over RabbitMQ.
        rabbitmq: RabbitPlace,
        /// Over NATS JetStream.
        nats: NatsPlace,
        /// Over SQS.
        sqs: SqsPlace,
        /// Whether every transition is published; the ends of sagas alone when not said.
        transitions: bool,
        /// Signs what is published, and what is asked must be signed with it: `env.NAME`.
        #[schemars(regex(pattern = "^env\\.[A-Za-z_][A-Za-z0-9_]*$"))]
        secret: String,
    }
}

record! {
    /// Over Kafka.
    #[schemars(extend("anyOf" = asked_or_told()))]
    KafkaPlace("a mapping with `commands` and `replies`, or with `events`") {
        /// The topic of what is asked: starts, cancels, signals.
        commands: String,
        /// The topic of the answers.
        replies: String,
        /// The topic of events; none are published when not said.
        events: String,
    }
}

record! {
    /// Over RabbitMQ.
    #[schemars(extend("anyOf" = asked_or_told()))]
    RabbitPlace("a mapping with `exchange`, `commands` and `replies`, or with `events`") {
        /// The exchange; the default exchange when not said.
        exchange: String,
        /// The routing key of what is asked: starts, cancels, signals.
        commands: String,
        /// The queue of the answers.
        replies: String,
        /// What stands before the names of events, as a routing key; none are published when not said.
        events: String,
    }
}

record! {
    /// Over NATS JetStream.
    #[schemars(extend("required" = ["stream"], "anyOf" = asked_or_told()))]
    NatsPlace("a mapping with `stream`, and with `commands` and `replies`, or with `events`") {
        /// The stream that holds both subjects.
        stream: String,
        /// The subject of what is asked: starts, cancels, signals.
        commands: String,
        /// The subject of the answers.
        replies: String,
        /// What stands before the names of events, as a subject; none are published when not said.
        events: String,
    }
}

record! {
    /// Over SQS.
    #[schemars(extend("anyOf" = asked_or_told()))]
    SqsPlace("a mapping with `commands` and `replies`, or with `events`") {
        /// The queue of what is asked: starts, cancels, signals.
        commands: String,
        /// The queue of the answers.
        replies: String,
        /// The queue of events; none are published when not said.
        events: String,
    }
}
