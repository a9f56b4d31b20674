//! A service: who owns it, what it promises, and how it is reached.

use crate::file::decode::record;
use crate::file::{FenceWord, Named, NotFoundWord};

record! {
    /// A service: who owns it, what it promises, and how it is reached.
    ServiceFile("a mapping") {
        /// The team that answers for it.
        owner: String,
        /// How an unknown outcome is made harmless before the undo.
        fence: FenceWord,
        /// Whether the fields of `data` also stand at the top level of a command; true when not said.
        flat: bool,
        /// What a 404 on an undo means.
        not_found: NotFoundWord,
        /// A condition in `${ … }` over `response`: true makes the answer a refusal.
        refused_when: String,
        /// What is special about single commands.
        commands: Named<CommandFile>,
        /// Reached over HTTP.
        http: HttpFile,
        /// Reached over Kafka.
        kafka: KafkaFile,
        /// Reached over RabbitMQ.
        rabbitmq: RabbitFile,
        /// Reached over NATS JetStream.
        nats: NatsFile,
        /// Reached over SQS.
        sqs: SqsFile,
    }
}

record! {
    /// What is special about a command.
    CommandFile("a mapping with `path`") {
        /// Where it is posted to, behind the service's url; `/<Command>` when not said.
        path: String,
    }
}

record! {
    /// Reached over HTTP.
    #[schemars(extend("required" = ["url"]))]
    HttpFile("a mapping with `url`") {
        /// The address, which may hold `${ env.NAME }`.
        url: String,
        /// The signing secret: `env.NAME`.
        #[schemars(regex(pattern = "^env\\.[A-Za-z_][A-Za-z0-9_]*$"))]
        secret: String,
    }
}

record! {
    /// Reached over Kafka.
    #[schemars(extend("required" = ["commands", "replies"]))]
    KafkaFile("a mapping with `commands` and `replies`") {
        /// The topic of its commands.
        commands: String,
        /// The topic of its replies.
        replies: String,
        /// The signing secret: `env.NAME`.
        #[schemars(regex(pattern = "^env\\.[A-Za-z_][A-Za-z0-9_]*$"))]
        secret: String,
    }
}

record! {
    /// Reached over RabbitMQ.
    #[schemars(extend("required" = ["commands", "replies"]))]
    RabbitFile("a mapping with `exchange`, `commands` and `replies`") {
        /// The exchange; the default exchange when not said.
        exchange: String,
        /// The routing key of its commands.
        commands: String,
        /// The queue of its replies.
        replies: String,
        /// The signing secret: `env.NAME`.
        #[schemars(regex(pattern = "^env\\.[A-Za-z_][A-Za-z0-9_]*$"))]
        secret: String,
    }
}

record! {
    /// Reached over NATS JetStream.
    #[schemars(extend("required" = ["stream", "commands", "replies"]))]
    NatsFile("a mapping with `stream`, `commands` and `replies`") {
        /// The stream that holds both subjects.
        stream: String,
        /// The subject of its commands.
        commands: String,
        /// The subject of its replies.
        replies: String,
        /// The signing secret: `env.NAME`.
        #[schemars(regex(pattern = "^env\\.[A-Za-z_][A-Za-z0-9_]*$"))]
        secret: String,
    }
}

record! {
    /// Reached over SQS.
    #[schemars(extend("required" = ["commands", "replies"]))]
    SqsFile("a mapping with `commands` and `replies`") {
        /// The queue of its commands, by name or url.
        commands: String,
        /// The queue of its replies, by name or url.
        replies: String,
        /// The signing secret: `env.NAME`.
        #[schemars(regex(pattern = "^env\\.[A-Za-z_][A-Za-z0-9_]*$"))]
        secret: String,
    }
}
