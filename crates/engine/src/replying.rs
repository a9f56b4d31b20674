//! Replies that come by themselves: from a callback or a message to the shard of their saga.

use std::sync::{Arc, Weak};

use amends_core::SagaId;
use amends_transport::{Delivery, Receipt as Delivered, Replies};
use tokio::sync::{mpsc, oneshot};

use crate::convert;
use crate::engine::Shared;
use crate::request::{Receipt, ReplyError, ReplyIn, Unavailable};
use crate::shard::message::Callback;

/// Where transports bring replies that come by message.
pub fn replies(shared: &Arc<Shared>) -> Replies {
    let engine: Weak<Shared> = Arc::downgrade(shared);
    Replies::new(move |delivery| {
        let Some(saga) = saga_of(&delivery) else { return nobodys(delivery) };
        // Without its engine, or its shard, a receipt is dropped unsent: it is brought again.
        if let Some(shared) = engine.upgrade() {
            let _ = shared.shard_of(saga).deliveries.send(delivery);
        }
    })
}

/// Whose it is; none where a reply by name names no saga.
pub fn saga_of(delivery: &Delivery) -> Option<SagaId> {
    match delivery {
        Delivery::Ended { ticket, .. } => Some(SagaId(ticket.saga_id)),
        Delivery::Replied { reply, .. } => reply.saga_id.map(convert::saga_id_in),
    }
}

/// Tells whoever brought a reply that nobody here has ever sent for it.
pub fn nobodys(delivery: Delivery) {
    if let Delivery::Replied { receipt: Some(receipt), .. } = delivery {
        let _ = receipt.send(Delivered::NoSuchSaga); // a transport that is gone asks no more
    }
}

/// See [`Handle::reply`](crate::Handle::reply).
pub async fn reply(shared: &Arc<Shared>, reply_in: ReplyIn) -> Result<Receipt, ReplyError> {
    let made_up = |why: &str| ReplyError::MadeUp(why.to_owned());
    let named = reply_in.token.as_ref().map(|token| token.saga_id);
    let said = reply_in.reply.saga_id;
    if let (Some(named), Some(said)) = (named, said)
        && named != said
    {
        return Err(made_up("the body names another saga than its reply address"));
    }
    let saga = named.or(said).ok_or_else(|| made_up("it names no saga"))?;
    let saga = convert::saga_id_in(saga);
    let (reply, answer) = oneshot::channel();
    let callback = Callback { saga, reply_in, reply };
    shared.shard_of(saga).callbacks.try_send(callback).map_err(|error| match error {
        mpsc::error::TrySendError::Full(_) => Unavailable::Overloaded { retry_after_secs: 1 },
        mpsc::error::TrySendError::Closed(_) => shared.stopped(),
    })?;
    answer.await.map_err(|_| shared.stopped())?
}
