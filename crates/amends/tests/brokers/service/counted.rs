//! Every delivery to a service, noted before anything is done about it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_transport::{Channel, ChannelError, Message, Received, Tag};
use amends_wire::{Headers, SendingId};
use futures_util::future::BoxFuture;

/// A channel that writes a line for each message it brings. A line is one write, so a kill leaves
/// it whole or out.
pub struct Counted {
    inner: Arc<dyn Channel>,
    lines: Mutex<File>,
}

impl Counted {
    pub fn over(inner: Arc<dyn Channel>, file: &Path) -> io::Result<Self> {
        let lines = File::options().create(true).append(true).open(file)?;
        Ok(Self { inner, lines: Mutex::new(lines) })
    }
}

impl Channel for Counted {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        Box::pin(async move {
            let received = self.inner.receive().await?;
            let line = format!("{}\n", received.value("ce-id").unwrap_or("none"));
            let written = self.lines.lock().unwrap().write_all(line.as_bytes());
            written.map_err(|error| ChannelError::Away(error.to_string()))?;
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
        self.inner.publish(message)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

/// What was brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Different commands.
    pub commands: u64,
    /// Sendings of a command that was sent before: by an engine that had heard no answer in time.
    pub sent_again: u64,
    /// The same sending once more: by the broker.
    pub brought_again: u64,
}

impl Deliveries {
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        Self::of(&text)
    }

    fn of(text: &str) -> Result<Self, String> {
        let mut sendings: BTreeMap<&str, BTreeMap<u32, u64>> = BTreeMap::new();
        for line in text.lines() {
            SendingId::parse(line).ok_or_else(|| format!("{line:?} is no sending"))?;
            let (command, attempt) = line.rsplit_once(':').unwrap_or((line, "1"));
            let attempt = attempt.parse().map_err(|_| format!("{line:?} has no attempt"))?;
            *sendings.entry(command).or_default().entry(attempt).or_default() += 1;
        }
        let mut deliveries = Self::default();
        for attempts in sendings.values() {
            deliveries.commands += 1;
            deliveries.sent_again += attempts.len() as u64 - 1;
            deliveries.brought_again += attempts.values().map(|times| times - 1).sum::<u64>();
        }
        Ok(deliveries)
    }

    pub const fn and(self, other: Self) -> Self {
        Self {
            commands: self.commands + other.commands,
            sent_again: self.sent_again + other.sent_again,
            brought_again: self.brought_again + other.brought_again,
        }
    }
}

/// Duplicates are told apart by who made them.
pub fn deliveries_are_counted() -> Result<(), libtest_mimic::Failed> {
    let key = "01900000-0000-7000-8000-000000000001/process_payment/action";
    let text = format!("{key}:1\n{key}:1\n{key}:2\n{key}:1\n");
    let counted = Deliveries::of(&text)?;
    let expected = Deliveries { commands: 1, sent_again: 1, brought_again: 2 };
    if counted == expected && Deliveries::of("none\n").is_err() {
        return Ok(());
    }
    Err(format!("{counted:?}").into())
}
