//! A queue, as it is.

use std::collections::HashMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Setting;

use crate::place::is_fifo;
use crate::words::{is_missing, words};

/// The largest message that there is; older queues, and some of what speaks SQS elsewhere, take a
/// quarter of that.
const BYTES_MAX: usize = 1024 * 1024;

/// As long as a queue keeps a message at most: 14 days. It is deleted then, taken or not.
pub(crate) const KEPT_S_MAX: u64 = 14 * 24 * 60 * 60;

/// As often as a queue brings a message at most where it is to be given up at all.
const BROUGHT_MAX: u64 = 1000;

/// A queue that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) url: String,
    /// Whether it keeps order, and knows ids.
    pub(crate) is_fifo: bool,
    /// The largest message that it takes.
    pub(crate) bytes_max: usize,
}

/// What it is set to; nothing where we may not see it.
#[derive(Default)]
pub(crate) struct Settings(HashMap<Setting, String>);

impl Queue {
    /// With what it is set to.
    pub(crate) fn new(said: &str, url: String, settings: &Settings) -> Self {
        let bytes_max = settings.number(&Setting::MaximumMessageSize);
        let bytes_max = bytes_max.and_then(|bytes| usize::try_from(bytes).ok());
        Self { url, is_fifo: is_fifo(said), bytes_max: bytes_max.unwrap_or(BYTES_MAX) }
    }
}

impl Settings {
    /// What the service says of it; `None` where there is no such queue.
    pub(crate) async fn of(client: &Client, url: &str) -> Result<Option<Self>, String> {
        let asked = client.get_queue_attributes().queue_url(url).attribute_names(Setting::All);
        match asked.send().await {
            Ok(told) => Ok(Some(Self(told.attributes.unwrap_or_default()))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(words(&error)),
        }
    }

    fn number(&self, setting: &Setting) -> Option<u64> {
        self.0.get(setting)?.parse().ok()
    }

    /// What is weaker than the promise that a confirmed message is not lost, each with what to set.
    pub(crate) fn weaknesses(&self) -> Vec<String> {
        let mut weak = Vec::new();
        if let Some(kept) = self.number(&Setting::MessageRetentionPeriod)
            && kept < KEPT_S_MAX
        {
            weak.push(format!(
                "messages go after {} h whether they were taken or not: set MessageRetentionPeriod \
                 to {KEPT_S_MAX}",
                kept / 3600
            ));
        }
        if let Some(times) = self.given_up_after()
            && times < BROUGHT_MAX
        {
            weak.push(format!(
                "it gives a message up after {times} deliveries, and each pause before another try \
                 counts as one: take its RedrivePolicy away, or set maxReceiveCount to {BROUGHT_MAX}"
            ));
        }
        if let Some(bytes) = self.number(&Setting::MaximumMessageSize)
            && bytes < BYTES_MAX as u64
        {
            weak.push(format!(
                "it takes messages of {bytes} bytes at most: set MaximumMessageSize to {BYTES_MAX}"
            ));
        }
        weak
    }

    /// JSON, of which one number matters; some write it as text.
    fn given_up_after(&self) -> Option<u64> {
        let policy = self.0.get(&Setting::RedrivePolicy)?;
        let (_, after) = policy.split_once("\"maxReceiveCount\"")?;
        let digits = after.trim_start_matches(|c: char| !c.is_ascii_digit());
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(said: &[(Setting, &str)]) -> Settings {
        Settings(said.iter().map(|(name, value)| (name.clone(), (*value).to_owned())).collect())
    }

    #[test]
    fn weak_settings_are_named_with_what_to_set() {
        let policy = r#"{"deadLetterTargetArn": "arn:aws:sqs:r:1:d", "maxReceiveCount":"5"}"#;
        let weak = settings(&[
            (Setting::MessageRetentionPeriod, "345600"),
            (Setting::RedrivePolicy, policy),
            (Setting::MaximumMessageSize, "262144"),
        ]);
        let weak = weak.weaknesses();
        for (what, (why, set)) in weak.iter().zip([
            ("after 96 h", "MessageRetentionPeriod to 1209600"),
            ("after 5 deliveries", "maxReceiveCount to 1000"),
            ("of 262144 bytes", "MaximumMessageSize to 1048576"),
        ]) {
            assert!(what.contains(why) && what.contains(set), "{what}");
        }
        assert_eq!(weak.len(), 3);
        let strong = settings(&[
            (Setting::MessageRetentionPeriod, "1209600"),
            (Setting::RedrivePolicy, "{\"maxReceiveCount\":1000}"),
            (Setting::MaximumMessageSize, "1048576"),
        ]);
        assert_eq!(strong.weaknesses(), [""; 0]);
        assert_eq!(Settings::default().weaknesses(), [""; 0], "nothing is known");
    }

    #[test]
    fn a_queue_takes_what_it_says() {
        let said = settings(&[(Setting::MaximumMessageSize, "262144")]);
        let queue = Queue::new("desk.fifo", "u".to_owned(), &said);
        assert_eq!((queue.is_fifo, queue.bytes_max), (true, 262_144));
        assert_eq!(Queue::new("desk", "u".to_owned(), &Settings::default()).bytes_max, BYTES_MAX);
    }
}
