//! `Retry-After`: seconds or a date (RFC 9110, section 10.2.3).

use std::time::Duration;

use amends_core::Timestamp;
use http::HeaderMap;
use http::header::RETRY_AFTER;

/// Longest wish that is passed on; a retry policy bounds it further.
const MAX: Duration = Duration::from_hours(24);

/// How long the participant asked to wait, from `now` on; nothing if it cannot be read.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wish = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_or(MAX, Duration::from_secs)
    } else {
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Timestamp(date.as_microsecond()).since(now)
    };
    Some(wish.min(MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_dates_and_nonsense() {
        let now = Timestamp::parse("1994-11-06T08:49:07Z").unwrap();
        for (text, secs) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("999999999", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers, now), secs.map(Duration::from_secs), "{text:?}");
        }
    }
}
