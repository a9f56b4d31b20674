//! Replies that come by themselves: from a callback to the shard of their saga.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::convert;
use crate::engine::Shared;
use crate::request::{Receipt, ReplyError, ReplyIn, Unavailable};
use crate::shard::message::Callback;

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
