//! The three things that are done with many at once.

use std::time::Duration;

use amends_transport::ChannelError;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry,
};

use super::{Act, not_told};
use crate::letter::Letter;
use crate::queue::Queue;
use crate::words::{meaning, meaning_of_one};

type Outcomes = Result<Vec<Result<(), ChannelError>>, ChannelError>;

/// Letters are put into a queue.
pub(crate) struct Sending {
    pub(crate) client: Client,
    pub(crate) queue: Queue,
}

impl Act for Sending {
    type Entry = Letter;

    fn bytes(&self, letter: &Letter) -> usize {
        letter.bytes()
    }

    /// A request holds what one message may, at least, and a small queue's is enough.
    fn bytes_max(&self) -> usize {
        self.queue.bytes_max
    }

    async fn ask(&self, letters: &[Letter]) -> Outcomes {
        let entry = |(id, letter): (usize, &Letter)| {
            let Letter { body, headers, group, id: known } = letter.clone();
            let headers = Some(headers).filter(|headers| !headers.is_empty());
            let entry = SendMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .message_body(body)
                .set_message_attributes(headers);
            if self.queue.is_fifo {
                entry.message_group_id(group).message_deduplication_id(known).build()
            } else {
                entry.build()
            }
        };
        let entries = letters.iter().enumerate().map(entry).collect::<Result<_, _>>();
        let request = self.client.send_message_batch().queue_url(&self.queue.url);
        let told = request.set_entries(Some(entries.map_err(unsaid)?)).send().await;
        let told = told.map_err(|error| meaning(&error))?;
        let kept = told.successful().iter().map(|one| one.id());
        Ok(outcomes(letters.len(), kept, told.failed()))
    }
}

/// Messages that were taken are deleted.
pub(crate) struct Deleting {
    pub(crate) client: Client,
    pub(crate) url: String,
}

impl Act for Deleting {
    /// The receipt of its delivery.
    type Entry = String;

    fn bytes(&self, _: &String) -> usize {
        0
    }

    fn bytes_max(&self) -> usize {
        usize::MAX
    }

    async fn ask(&self, receipts: &[String]) -> Outcomes {
        let entry = |(id, receipt): (usize, &String)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .receipt_handle(receipt)
                .build()
        };
        let entries = receipts.iter().enumerate().map(entry).collect::<Result<_, _>>();
        let request = self.client.delete_message_batch().queue_url(&self.url);
        let told = request.set_entries(Some(entries.map_err(unsaid)?)).send().await;
        let told = told.map_err(|error| about_the_queue(meaning(&error)))?;
        let done = told.successful().iter().map(|one| one.id());
        Ok(of_receipts(outcomes(receipts.len(), done, told.failed())))
    }
}

/// Messages that were taken are hidden from others for a time, from now on.
pub(crate) struct Hiding {
    pub(crate) client: Client,
    pub(crate) url: String,
}

impl Act for Hiding {
    /// The receipt of its delivery, and for how long.
    type Entry = (String, Duration);

    fn bytes(&self, _: &(String, Duration)) -> usize {
        0
    }

    fn bytes_max(&self) -> usize {
        usize::MAX
    }

    async fn ask(&self, hidden: &[(String, Duration)]) -> Outcomes {
        let entry = |(id, (receipt, time)): (usize, &(String, Duration))| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(id.to_string())
                .receipt_handle(receipt)
                .visibility_timeout(seconds(*time))
                .build()
        };
        let entries = hidden.iter().enumerate().map(entry).collect::<Result<_, _>>();
        let request = self.client.change_message_visibility_batch().queue_url(&self.url);
        let told = request.set_entries(Some(entries.map_err(unsaid)?)).send().await;
        let told = told.map_err(|error| about_the_queue(meaning(&error)))?;
        let done = told.successful().iter().map(|one| one.id());
        Ok(of_receipts(outcomes(hidden.len(), done, told.failed())))
    }
}

/// Whole ones, and no fewer than said.
pub(crate) fn seconds(time: Duration) -> i32 {
    let whole = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    i32::try_from(whole).unwrap_or(i32::MAX)
}

fn outcomes<'a>(
    asked: usize,
    done: impl Iterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
) -> Vec<Result<(), ChannelError>> {
    let mut outcomes = vec![Err(not_told()); asked];
    let failed = failed.iter().map(|one| (one.id(), Err(meaning_of_one(one))));
    for (id, outcome) in done.map(|id| (id, Ok(()))).chain(failed) {
        if let Some(at) = id.parse().ok().and_then(|at: usize| outcomes.get_mut(at)) {
            *at = outcome;
        }
    }
    outcomes
}

/// A receipt that is not known any more, or too old: the message comes again, or is gone.
fn of_receipts(outcomes: Vec<Result<(), ChannelError>>) -> Vec<Result<(), ChannelError>> {
    let one = |outcome| match outcome {
        Err(ChannelError::Refused(why)) => {
            tracing::debug!("a message is not held any more: {why}");
            Ok(())
        }
        other => other,
    };
    outcomes.into_iter().map(one).collect()
}

/// There is no message that could be refused.
fn about_the_queue(error: ChannelError) -> ChannelError {
    match error {
        ChannelError::Refused(why) => ChannelError::Away(why),
        other => other,
    }
}

/// Nothing that a request needs was left out.
fn unsaid(error: BuildError) -> ChannelError {
    ChannelError::Refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_never_shortened() {
        for (ms, whole) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(seconds(Duration::from_millis(ms)), whole);
        }
        assert_eq!(seconds(Duration::MAX), i32::MAX);
    }

    #[test]
    fn each_entry_has_its_outcome_and_one_that_is_not_named_is_unknown() {
        let failed = BatchResultErrorEntry::builder().id("2").code("InvalidMessageContents");
        let failed = failed.sender_fault(true).build().unwrap();
        let told = outcomes(4, ["3", "0", "9"].into_iter(), &[failed]);
        assert!(told[0].is_ok() && told[3].is_ok());
        assert!(matches!(told[1], Err(ChannelError::Unknown(_))));
        assert!(matches!(told[2], Err(ChannelError::Refused(_))));
        let told = of_receipts(told);
        assert!(told[2].is_ok() && told[1].is_err(), "an old receipt is no error");
    }
}
