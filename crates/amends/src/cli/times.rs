//! Instants as people read them: UTC where they stand for good, and from now where they pass.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `2026-01-31 23:59:58 UTC` of RFC 3339.
pub fn utc(text: &str) -> String {
    format!("{} UTC", seconds(text))
}

/// The same where a head says that it is UTC.
pub fn seconds(text: &str) -> String {
    const SECONDS_END: usize = 19;
    text.get(..SECONDS_END).unwrap_or(text).replace('T', " ")
}

/// `2026-01-31 23:59 UTC`, for what is days away.
pub fn minute(text: &str) -> String {
    const MINUTE_END: usize = 16;
    format!("{} UTC", text.get(..MINUTE_END).unwrap_or(text).replace('T', " "))
}

/// `3 min ago`.
pub fn ago(text: &str, now: OffsetDateTime) -> String {
    match at(text) {
        // A server's clock may be ahead of ours.
        Some(at) => format!("{} ago", roughly((now - at).whole_seconds().max(0))),
        None => text.to_owned(),
    }
}

/// `in 40 s`, or `now` when it is due.
pub fn until(text: &str, now: OffsetDateTime) -> String {
    match at(text).map(|at| (at - now).whole_milliseconds()) {
        Some(..=0) => "now".to_owned(),
        // What has begun counts: nothing is ever due in 0 s.
        Some(ms) => format!("in {}", roughly(i64::try_from((ms + 999) / 1_000).unwrap_or(0))),
        None => text.to_owned(),
    }
}

/// How long from one instant to another.
pub fn took(from: &str, to: &str) -> Option<String> {
    let ms = (at(to)? - at(from)?).whole_milliseconds();
    Some(match ms {
        ..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms / 1_000 % 60),
        _ => format!("{} h {} min", ms / 3_600_000, ms / 60_000 % 60),
    })
}

/// In the largest unit that is there twice, or in seconds.
fn roughly(secs: i64) -> String {
    match secs {
        ..120 => format!("{secs} s"),
        120..7_200 => format!("{} min", secs / 60),
        7_200..172_800 => format!("{} h", secs / 3_600),
        _ => format!("{} d", secs / 86_400),
    }
}

fn at(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_at_a_glance() {
        let from = "2026-01-01T00:00:00.000Z";
        for (to, expected) in [
            ("2026-01-01T00:00:00.012Z", "12 ms"),
            ("2026-01-01T00:00:01.250Z", "1.2 s"),
            ("2026-01-01T00:02:05.000Z", "2 min 5 s"),
            ("2026-01-02T01:30:00.000Z", "25 h 30 min"),
        ] {
            assert_eq!(took(from, to).unwrap(), expected);
        }
    }

    #[test]
    fn what_passes_is_counted_from_now() {
        let now = at("2026-01-03T00:00:00Z").unwrap();
        for (text, past, coming) in [
            ("2026-01-02T23:59:01.5Z", "58 s ago", "now"),
            ("2026-01-02T23:57:00Z", "3 min ago", "now"),
            ("2026-01-01T00:00:00Z", "2 d ago", "now"),
            ("2026-01-03T00:00:00.2Z", "0 s ago", "in 1 s"),
            ("2026-01-03T05:00:00Z", "0 s ago", "in 5 h"),
            ("soon", "soon", "soon"),
        ] {
            assert_eq!((ago(text, now), until(text, now)), (past.to_owned(), coming.to_owned()));
        }
        assert_eq!(utc("2026-01-31T23:59:58.123Z"), "2026-01-31 23:59:58 UTC");
        assert_eq!(minute("2026-01-31T23:59:58.123Z"), "2026-01-31 23:59 UTC");
    }
}
