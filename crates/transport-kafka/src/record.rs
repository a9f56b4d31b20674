//! A message as it lies in a topic.

use std::sync::atomic::{AtomicU32, Ordering};

use amends_transport::Brought;
use amends_wire::envelope::open;
use bytes::Bytes;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, OwnedHeaders};

use crate::native;
use crate::waiting::Line;

/// A message that an end holds.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// In which assignment of its partition it came.
    pub(crate) assignment: u64,
    pub(crate) key: Option<Bytes>,
    pub(crate) body: Bytes,
    headers: Vec<(String, String)>,
    /// As they came, for where it is put aside.
    as_they_came: Option<OwnedHeaders>,
    /// Kafka does not count: this is how often this end was brought it.
    deliveries: AtomicU32,
}

impl Record {
    pub(crate) fn of(message: &BorrowedMessage<'_>, assignment: u64) -> Self {
        // A value that is no text says nothing to us.
        let text = |(name, value)| Some((name, String::from_utf8(value).ok()?));
        Self {
            partition: message.partition(),
            offset: message.offset(),
            assignment,
            key: message.key().map(Bytes::copy_from_slice),
            body: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
            headers: native::headers(message).into_iter().filter_map(text).collect(),
            as_they_came: message.headers().map(BorrowedHeaders::detach),
            deliveries: AtomicU32::new(0),
        }
    }

    /// Out of its envelope, to be told of once more.
    pub(crate) fn brought(&self) -> Brought {
        let (headers, body) = open(self.headers.iter().cloned(), &self.body);
        let deliveries = self.deliveries.load(Ordering::Relaxed).saturating_add(1);
        Brought { headers, body, deliveries }
    }

    /// It was told of.
    pub(crate) fn count(&self) {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
    }

    /// Where it waits.
    pub(crate) fn line(&self) -> Line {
        Line { partition: self.partition, of: self.key.clone().ok_or(self.offset) }
    }

    /// Its headers, as they came.
    pub(crate) fn headers(&self) -> OwnedHeaders {
        self.as_they_came.clone().unwrap_or_default()
    }
}
