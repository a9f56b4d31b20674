//! A reply that came by itself is acknowledged when it is durable, and no sooner (S18).

use amends_wire::ReplyKind;

use super::stage::{Stage, action, says};
use super::{SERVICE, Said, Subject};
use crate::contract::{Delivery, Receipt};

/// A receipt that is dropped unsent says that the reply is lost: it comes again, and names the same
/// command and the service on whose channel it came. Once it is durable it comes no more.
pub async fn a_reply_is_brought_again_until_it_is_durable(subject: &dyn Subject) {
    if subject.capabilities().own_exchange {
        return;
    }
    let mut stage = Stage::new(subject, says(Said::Completed(None))).await;
    stage.send(action(1, b"{}"));
    for receipt in [None, None, Some(Receipt::Durable)] {
        let Delivery::Replied { reply, from, receipt: told } = stage.delivered().await else {
            panic!("without an exchange of its own a sending is answered by name");
        };
        assert_eq!(from.as_deref(), Some(SERVICE));
        assert_eq!(reply.kind, ReplyKind::StepCompleted);
        assert_eq!(reply.saga_id.map(|saga| saga.0), Some(1));
        assert_eq!(reply.step_name.as_deref(), Some("step"));
        let told = told.expect("a reply by message wants a receipt");
        if let Some(receipt) = receipt {
            let _ = told.send(receipt); // the transport may be closing
        }
    }
    assert_eq!(stage.rest().await, []);
}
