//! How a saga type itself is reached by message: what is asked of its sagas, and what is told of them.

use crate::file::decode::record;

record! {
    /// How a saga type is reached by message: starts, cancels and signals in, what became of them
    /// and of the sagas out.
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
    #[schemars(extend("required" = ["commands", "replies"]))]
    KafkaPlace("a mapping with `commands` and `replies`") {
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
    #[schemars(extend("required" = ["commands", "replies"]))]
    RabbitPlace("a mapping with `exchange`, `commands` and `replies`") {
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
    #[schemars(extend("required" = ["stream", "commands", "replies"]))]
    NatsPlace("a mapping with `stream`, `commands` and `replies`") {
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
    #[schemars(extend("required" = ["commands", "replies"]))]
    SqsPlace("a mapping with `commands` and `replies`") {
        /// The queue of what is asked: starts, cancels, signals.
        commands: String,
        /// The queue of the answers.
        replies: String,
        /// The queue of events; none are published when not said.
        events: String,
    }
}
