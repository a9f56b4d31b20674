//! A channel that notes what it brings, and publishes one in ten twice, as a relay does that dies too soon.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_transport::{Channel, ChannelError, Message, Received, Tag};
use futures_util::future::BoxFuture;

use crate::order::STEPS;

/// One of so many is published twice.
const TWICE_EVERY: u64 = 10;

/// See the module.
pub struct Doubling {
    inner: Arc<dyn Channel>,
    brought: Mutex<File>,
    published: AtomicU64,
}

impl Doubling {
    /// Notes a byte for each message in this service's file.
    pub fn over(inner: Arc<dyn Channel>, folder: &Path, short: &str) -> io::Result<Self> {
        let brought = folder.join(format!("{short}.brought"));
        let brought = File::options().create(true).append(true).open(brought)?;
        Ok(Self { inner, brought: Mutex::new(brought), published: AtomicU64::new(0) })
    }
}

/// How many were brought to all services.
pub fn brought(folder: &Path) -> u64 {
    let bytes = |short| std::fs::metadata(folder.join(format!("{short}.brought")));
    STEPS.iter().map(|step| bytes(step.short).map_or(0, |file| file.len())).sum()
}

impl Channel for Doubling {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        Box::pin(async {
            let received = self.inner.receive().await?;
            let noted = self.brought.lock().unwrap().write_all(b".");
            noted.map_err(|error| ChannelError::Away(error.to_string()))?;
            Ok(received)
        })
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.inner.acknowledge(tag)
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.inner.give_back(tag, after)
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        self.inner.dead_letter(tag, reason)
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async move {
            if self.published.fetch_add(1, Ordering::Relaxed).is_multiple_of(TWICE_EVERY) {
                // A broker that drops what it has seen must not see that it is the same.
                let id = format!("{}-twice", message.id);
                self.inner.publish(&Message { id, ..message.clone() }).await?;
            }
            self.inner.publish(message).await
        })
    }

    fn is_there(&self) -> bool {
        self.inner.is_there()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
