//! What a status means: the table of *Outcomes of an attempt*, as one pure function.

use amends_core::definition::{Completion, OutcomeOverride};
use amends_core::saga::OutcomeKind;

/// Reads `status`: the step's own reading goes first, then the participant's, then the table.
///
/// *Pending* needs a step that completes later: elsewhere a 202 is a success, and a reading that
/// says pending is passed over.
pub fn classify(
    status: u16,
    completion: Completion,
    participant: &[OutcomeOverride],
    step: &[OutcomeOverride],
) -> OutcomeKind {
    let later = matches!(completion, Completion::Callback | Completion::Poll { .. });
    let own = |list: &[OutcomeOverride]| {
        let found = list.iter().find(|own| own.status == status).map(|own| own.outcome);
        found.filter(|outcome| later || *outcome != OutcomeKind::Pending)
    };
    own(step).or_else(|| own(participant)).unwrap_or_else(|| by_default(status, later))
}

const fn by_default(status: u16, completes_later: bool) -> OutcomeKind {
    match status {
        202 if completes_later => OutcomeKind::Pending,
        200..=299 => OutcomeKind::Succeeded,
        408 | 425 | 429 | 500..=599 => OutcomeKind::Retryable,
        400..=499 => OutcomeKind::Refused,
        // Redirects are never followed, and the rest is no final answer.
        _ => OutcomeKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::time::Duration;

    use super::*;

    /// Every status from 100 to 599, neighbours of one outcome joined.
    fn table(completion: Completion, participant: &[OutcomeOverride]) -> String {
        let mut rows: Vec<(u16, u16, OutcomeKind)> = Vec::new();
        for status in 100..=599 {
            let outcome = classify(status, completion, participant, &[]);
            match rows.last_mut() {
                Some((_, last, same)) if *same == outcome => *last = status,
                _ => rows.push((status, status, outcome)),
            }
        }
        rows.iter().fold(String::new(), |mut text, (first, last, outcome)| {
            writeln!(text, "{first}-{last} {outcome}").unwrap();
            text
        })
    }

    #[test]
    fn every_status_has_its_outcome() {
        let expected = "\
            100-199 unknown\n200-299 succeeded\n300-399 unknown\n400-407 refused\n\
            408-408 retryable\n409-424 refused\n425-425 retryable\n426-428 refused\n\
            429-429 retryable\n430-499 refused\n500-599 retryable\n";
        assert_eq!(table(Completion::Answer, &[]), expected);
        let later = expected
            .replace("200-299 succeeded", "200-201 succeeded\n202-202 pending\n203-299 succeeded");
        assert_eq!(table(Completion::Callback, &[]), later);
        let poll = Completion::Poll { interval: Duration::from_secs(1) };
        assert_eq!(table(poll, &[]), later);
    }

    #[test]
    fn a_step_overrides_its_participant_which_overrides_the_table() {
        let reads = |status, outcome| OutcomeOverride { status, outcome };
        let participant = [reads(404, OutcomeKind::Succeeded), reads(409, OutcomeKind::Retryable)];
        let step = [reads(404, OutcomeKind::Unknown), reads(200, OutcomeKind::Pending)];
        let read = |status| classify(status, Completion::Answer, &participant, &step);
        assert_eq!(read(404), OutcomeKind::Unknown);
        assert_eq!(read(409), OutcomeKind::Retryable);
        assert_eq!(read(410), OutcomeKind::Refused);
        assert_eq!(read(200), OutcomeKind::Succeeded, "nothing here can complete it later");
    }
}
