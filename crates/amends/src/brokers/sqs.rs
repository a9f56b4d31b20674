//! Places at Amazon SQS.

use amends_transport_sqs::{Place, Server};

super::place_at!(amends_transport_sqs);

/// The place that is described.
pub(super) fn place(at: &str, [commands, replies]: [&String; 2], events: Option<String>) -> At {
    let place = Place { commands: commands.clone(), replies: replies.clone(), events };
    At { server: Server::new(at), place }
}
