//! A channel that may not be there yet: connected in the background, as often as it takes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::channel::{Channel, ChannelError, Message, Received, Tag};

/// After the first try that failed; twice as long after each other one.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// The longest pause between two tries: a person who has started the broker does not want to wait longer.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(10);

/// Connects; says in words why not.
pub type Connect = Box<dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Channel>, String>> + Send>;

/// See the module. Until it is connected it publishes nothing, and says why.
pub struct Later {
    state: watch::Receiver<State>,
    connecting: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Clone)]
enum State {
    NotYet(String),
    There(Arc<dyn Channel>),
}

impl Later {
    /// Connects on this runtime. `what` names it in the log.
    pub fn new(what: &str, connect: Connect, runtime: &Handle) -> Self {
        let (told, state) = watch::channel(State::NotYet("it is being connected".to_owned()));
        let what = what.to_owned();
        let connecting = runtime.spawn(async move {
            let mut pause = AGAIN_AFTER;
            loop {
                match connect().await {
                    Ok(channel) => {
                        tracing::info!("{what}: connected");
                        told.send_replace(State::There(channel));
                        return;
                    }
                    Err(why) => {
                        tracing::warn!("{what}: {why}; it is tried again in {pause:?}");
                        told.send_replace(State::NotYet(why));
                    }
                }
                sleep(pause).await;
                pause = (pause * 2).min(AGAIN_AFTER_MAX);
            }
        });
        Self { state, connecting: Mutex::new(Some(connecting)) }
    }

    fn there(&self) -> Result<Arc<dyn Channel>, ChannelError> {
        match &*self.state.borrow() {
            State::There(channel) => Ok(Arc::clone(channel)),
            State::NotYet(why) => Err(ChannelError::Away(why.clone())),
        }
    }

    async fn waited_for(&self) -> Arc<dyn Channel> {
        let mut state = self.state.clone();
        loop {
            if let Ok(channel) = self.there() {
                return channel;
            }
            if state.changed().await.is_err() && self.there().is_err() {
                // It was closed before it was there.
                return std::future::pending().await;
            }
        }
    }

    fn stop(&self) {
        let mut connecting = self.connecting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = connecting.take() {
            task.abort();
        }
    }
}

impl Channel for Later {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        Box::pin(async move { self.waited_for().await.receive().await })
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        Box::pin(async move { self.there()?.acknowledge(tag).await })
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        Box::pin(async move { self.there()?.give_back(tag, after).await })
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move { self.there()?.dead_letter(tag, reason).await })
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move { self.there()?.publish(message).await })
    }

    fn is_there(&self) -> bool {
        self.there().is_ok_and(|channel| channel.is_there())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.stop();
        Box::pin(async move {
            if let Ok(channel) = self.there() {
                channel.close().await;
            }
        })
    }
}

impl Drop for Later {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").field("is_there", &self.there().is_ok()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Kind;
    use crate::in_memory::InMemory;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// On a clock that goes on as soon as all wait.
    #[tokio::test(start_paused = true)]
    async fn it_says_why_it_is_not_there_and_is_there_when_it_can_be() {
        let (broker, tries) = (InMemory::new(), Arc::new(AtomicU32::new(0)));
        let (at, counted) = (broker.clone(), Arc::clone(&tries));
        let connect: Connect = Box::new(move || {
            let tried = counted.fetch_add(1, Ordering::Relaxed);
            let end = at.service();
            Box::pin(async move {
                if tried < 3 { Err(format!("nobody is there, {tried}")) } else { Ok(end) }
            })
        });
        let later = Later::new("test", connect, &Handle::current());
        tokio::task::yield_now().await;
        assert_eq!(
            later.acknowledge(Tag(1)).await.unwrap_err().to_string(),
            "the broker cannot be used: nobody is there, 0"
        );
        broker.put(Kind::Command, "1".into(), Vec::new());
        let received = later.receive().await.unwrap();
        assert_eq!((received.body.as_ref(), tries.load(Ordering::Relaxed)), (&b"1"[..], 4));
        later.acknowledge(received.tag).await.unwrap();
        assert!(broker.is_idle());
        later.close().await;
    }
}
