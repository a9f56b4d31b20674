//! What an error means, and in words.

use std::borrow::Cow;
use std::error::Error;

use amends_transport::ChannelError;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::BatchResultErrorEntry;

/// How much of what the service says is shown.
const SAID_CHARS_MAX: usize = 400;

/// What to do where nobody says who we are.
const WHO_WE_ARE: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the \
                          machine or the container a role";

/// Where in the client something failed; what it was comes after it.
const SAYS_NOTHING: [&str; 4] = ["dispatch failure", "io error", "other", "timeout"];

/// What is about the message, or about a queue that is not there. Everything else that the service
/// says no to may be mended without it: a login, a right, a key, a quota.
const REFUSALS: &[&str] = &[
    "AWS.SimpleQueueService.BatchRequestTooLong",
    "AWS.SimpleQueueService.NonExistentQueue",
    "BatchRequestTooLong",
    "InvalidAddress",
    "InvalidAttributeValue",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "MissingParameter",
    "QueueDoesNotExist",
    "UnsupportedOperation",
];

/// What the service says of a queue that is not there.
const NO_QUEUE: &[&str] = &["QueueDoesNotExist", "NonExistentQueue"];

/// What the service says when it has too much to do.
const THROTTLED: &[&str] = &[
    "KMS.ThrottlingException",
    "KmsThrottled",
    "OverLimit",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

/// An error of the client's.
pub(crate) type Failure<E> = SdkError<E>;

/// What it means for what was to be done.
pub(crate) fn meaning<E>(error: &Failure<E>) -> ChannelError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let why = words(error);
    match error {
        SdkError::ConstructionFailure(_) => ChannelError::Away(why),
        SdkError::ServiceError(told) => {
            let status = told.raw().status().as_u16();
            of_code(&code(error).unwrap_or_default(), status, why)
        }
        SdkError::DispatchFailure(_) if nothing_left(error) => ChannelError::Away(why),
        _ => ChannelError::Unknown(why),
    }
}

/// Whether the service says that there is no such queue.
pub(crate) fn is_missing<E>(error: &Failure<E>) -> bool
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let is = |code: Cow<'_, str>| NO_QUEUE.iter().any(|no| code.ends_with(no));
    code(error).is_some_and(is)
}

/// Whether the service says that there is such a queue, set otherwise.
pub(crate) fn is_there_already<E>(error: &Failure<E>) -> bool
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let is = |code: Cow<'_, str>| ["QueueAlreadyExists", "QueueNameExists"].contains(&&*code);
    code(error).is_some_and(is)
}

/// Whether the service says that we may not.
pub(crate) fn is_denied<E>(error: &Failure<E>) -> bool
where
    E: ProvideErrorMetadata + Error + 'static,
{
    code(error).is_some_and(|code| code.contains("AccessDenied"))
}

/// The same of one message among others.
pub(crate) fn meaning_of_one(failed: &BatchResultErrorEntry) -> ChannelError {
    let why = said(failed.code(), failed.message());
    let status = if failed.sender_fault() { 400 } else { 500 };
    of_code(failed.code(), status, why)
}

fn of_code(code: &str, status: u16, why: String) -> ChannelError {
    const TOO_MANY: u16 = 429;
    if THROTTLED.contains(&code) || status == TOO_MANY {
        ChannelError::Away(why)
    } else if status >= 500 {
        // It broke down, before or after it had kept the message; also where it says that it is
        // unavailable.
        ChannelError::Unknown(why)
    } else if REFUSALS.contains(&code) {
        ChannelError::Refused(why)
    } else {
        ChannelError::Away(why)
    }
}

/// Whether it failed before a byte of the request was on its way.
fn nothing_left(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| {
        let connecting = error.downcast_ref::<hyper_util::client::legacy::Error>();
        connecting.is_some_and(hyper_util::client::legacy::Error::is_connect)
            || error.is::<CredentialsError>()
    })
}

/// What the service says, or the client.
pub(crate) fn words<E>(error: &Failure<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let SdkError::ServiceError(told) = error {
        let message = error.message().map(Cow::Borrowed).or_else(|| in_xml(told.raw(), "Message"));
        return match code(error) {
            Some(code) => said(&code, message.as_deref()),
            None => format!("it answers with HTTP status {}", told.raw().status().as_u16()),
        };
    }
    if let Some(none) = chain(error).find(|part| part.is::<CredentialsError>()) {
        let why = in_a_line(chain(none));
        return shortened(&format!("no credentials could be had: {why}; {WHO_WE_ARE}"));
    }
    shortened(&in_a_line(chain(error).filter(|part| !SAYS_NOTHING.contains(&&*part.to_string()))))
}

fn in_a_line<'a>(parts: impl Iterator<Item = &'a (dyn Error + 'static)>) -> String {
    let mut words: Vec<String> = Vec::new();
    for part in parts {
        let part = first_line(&part.to_string()).to_owned();
        // Some say what the next one does.
        if !words.iter().any(|before| before.contains(&part)) {
            words.push(part);
        }
    }
    words.join(": ")
}

fn code<E>(error: &Failure<E>) -> Option<Cow<'_, str>>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(told) => {
            error.code().map(Cow::Borrowed).or_else(|| in_xml(told.raw(), "Code"))
        }
        _ => None,
    }
}

/// Not everyone that speaks SQS says no in JSON.
fn in_xml<'a>(raw: &'a HttpResponse, name: &str) -> Option<Cow<'a, str>> {
    let text = std::str::from_utf8(raw.body().bytes()?).ok()?;
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    let (inside, _) = after.split_once("</")?;
    Some(Cow::Borrowed(inside))
}

fn said(code: &str, message: Option<&str>) -> String {
    match message.map(first_line).filter(|message| !message.is_empty()) {
        Some(message) => shortened(&format!("{code}: {message}")),
        None => code.to_owned(),
    }
}

/// A signature that is not right is told with the whole of what was signed, a session's token
/// included, in the lines that follow.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim()
}

fn shortened(text: &str) -> String {
    text.chars().take(SAID_CHARS_MAX).collect()
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(code: &str, sender_fault: bool) -> ChannelError {
        let failed = BatchResultErrorEntry::builder()
            .id("0")
            .code(code)
            .sender_fault(sender_fault)
            .message("why\n\nThe Canonical String was x-amz-security-token:s3cr3t")
            .build();
        meaning_of_one(&failed.unwrap())
    }

    #[test]
    fn what_is_about_the_message_is_refused_and_what_is_about_us_passes() {
        let why = |code: &str| format!("{code}: why");
        for code in ["InvalidMessageContents", "AWS.SimpleQueueService.NonExistentQueue"] {
            assert_eq!(one(code, true), ChannelError::Refused(why(code)));
        }
        for code in ["AccessDenied", "ExpiredToken", "SignatureDoesNotMatch", "KmsDisabled"] {
            assert_eq!(one(code, true), ChannelError::Away(why(code)));
        }
        assert_eq!(one("RequestThrottled", false), ChannelError::Away(why("RequestThrottled")));
        for code in ["InternalError", "ServiceUnavailable"] {
            assert_eq!(one(code, false), ChannelError::Unknown(why(code)));
        }
    }
}
