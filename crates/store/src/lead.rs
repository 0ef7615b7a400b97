//! Which condition of a filter leads a page: what fits it is read in order from its own index, and
//! the other conditions are asked of each saga that is found.
//!
//! Decided here and not by the databases' planners, which go by statistics that may be of last week
//! or of an empty table. A condition that is alone leads. Of several the rarest does, as far as a
//! count that stops early can tell.

use std::collections::BTreeSet;

use amends_core::Timestamp;
use amends_core::saga::Status;
use amends_ports::{Cursor, SagaFilter};

/// Rows of a condition that are counted at most. As many are read as a whole where they have to be
/// sorted.
pub(crate) const COUNTED_MAX: i64 = 1_000;

/// A condition by whose index sagas are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lead {
    /// The label at this index of the filter.
    Label(usize),
    /// The lock key.
    LockKey,
    /// The definition.
    Definition,
    /// The statuses: one read a status.
    Statuses,
    /// The time of creation, with or without bounds.
    Created,
    /// The beginning of the id.
    Id,
}

/// The end of what a list shows, in the order of time.
pub(crate) enum Until<'f> {
    Anything,
    Before(Timestamp),
    After(&'f Cursor),
}

/// Where a page in the order of time begins: of the cursor and the filter's end what is farther. One
/// end only: of two on one side the database would begin at either.
pub(crate) fn until<'f>(filter: &SagaFilter, after: Option<&'f Cursor>) -> Until<'f> {
    match (after.filter(|_| filter.id_prefix.is_none()), filter.created_before) {
        (Some(cursor), Some(before)) if before <= cursor.created_at => Until::Before(before),
        (Some(cursor), _) => Until::After(cursor),
        (None, Some(before)) => Until::Before(before),
        (None, None) => Until::Anything,
    }
}

/// The ids that a page under a prefix may show: the first, and the one before which the last is. Ids
/// are ASCII: every one that begins with the prefix is before the prefix and the last character.
pub(crate) fn ids(filter: &SagaFilter, after: Option<&Cursor>) -> Option<(String, String)> {
    let prefix = filter.id_prefix.as_ref()?;
    let end = format!("{prefix}\u{10FFFF}");
    let end = match after.map(|cursor| cursor.saga_id.as_str()) {
        Some(last) if last < end.as_str() => last.to_owned(),
        _ => end,
    };
    Some((prefix.clone(), end))
}

/// What was counted of a condition, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) lead: Lead,
    /// Rows; more than [`COUNTED_MAX`] means any number above it.
    pub(crate) rows: i64,
    /// When the oldest of them was created, in microseconds; none without rows.
    pub(crate) oldest_us: Option<i64>,
}

/// What can lead a page of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Leads {
    /// This does.
    One(Lead),
    /// The rarest of these; which that is has to be counted.
    Count(Vec<Lead>),
}

impl Leads {
    /// Of a filter, in a store where these statuses have an index.
    pub(crate) fn of(filter: &SagaFilter, is_indexed: impl Fn(Status) -> bool) -> Self {
        let is_led_by = |index: &usize| !filter.labels[..*index].contains(&filter.labels[*index]);
        let mut leads: Vec<Lead> =
            (0..filter.labels.len()).filter(is_led_by).map(Lead::Label).collect();
        leads.extend(filter.lock_key.iter().map(|_| Lead::LockKey));
        leads.extend(filter.definition.iter().map(|_| Lead::Definition));
        let statuses = &filter.statuses;
        if !statuses.is_empty() && statuses.iter().all(|status| is_indexed(*status)) {
            leads.push(Lead::Statuses);
        }
        if filter.id_prefix.is_some() {
            let has_times = filter.created_from.is_some() || filter.created_before.is_some();
            leads.extend(has_times.then_some(Lead::Created));
            return if leads.is_empty() { Self::One(Lead::Id) } else { Self::Count(leads) };
        }
        match leads[..] {
            [] => Self::One(Lead::Created),
            [only] => Self::One(only),
            _ => Self::Count(leads),
        }
    }
}

/// The rarest. Of those that are many it is the one whose rows reach back farthest. Under a prefix
/// of ids none that is many, since it would have to be read and sorted as a whole: the ids are read
/// in order then.
pub(crate) fn rarest(filter: &SagaFilter, counted: &[Counted]) -> Lead {
    let is_many = |own: &Counted| own.rows > COUNTED_MAX;
    let few = counted.iter().filter(|own| !is_many(own)).min_by_key(|own| own.rows);
    if let Some(few) = few {
        return few.lead;
    }
    let other = if filter.id_prefix.is_some() { Lead::Id } else { Lead::Created };
    let many = counted.iter().filter(|_| filter.id_prefix.is_none());
    many.min_by_key(|own| own.oldest_us).map_or(other, |own| own.lead)
}

/// The statuses of a filter, each once.
pub(crate) fn statuses(filter: &SagaFilter) -> BTreeSet<Status> {
    filter.statuses.iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use amends_core::{DefinitionName, LockKey, Timestamp};

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn leads(filter: &SagaFilter) -> Leads {
        Leads::of(filter, |status| status != Status::Completed)
    }

    fn counted(lead: Lead, rows: i64, oldest_us: Option<i64>) -> Counted {
        Counted { lead, rows, oldest_us }
    }

    #[test]
    fn a_condition_that_is_alone_leads_and_several_are_counted() {
        let all = SagaFilter::default;
        assert_eq!(leads(&all()), Leads::One(Lead::Created));
        let range = SagaFilter { created_from: Some(Timestamp(1)), ..all() };
        assert_eq!(leads(&range), Leads::One(Lead::Created));
        let twice = SagaFilter { labels: labels(&[("a", "1"), ("a", "1")]), ..all() };
        assert_eq!(leads(&twice), Leads::One(Lead::Label(0)));
        let statuses = vec![Status::Running, Status::Completed];
        let without_index = SagaFilter { statuses, ..twice.clone() };
        assert_eq!(leads(&without_index), Leads::One(Lead::Label(0)));
        let every = SagaFilter {
            labels: labels(&[("a", "1"), ("b", "1")]),
            lock_key: Some(LockKey::new("k").unwrap()),
            definition: Some(DefinitionName::new("d").unwrap()),
            statuses: vec![Status::Running],
            ..range.clone()
        };
        let named =
            vec![Lead::Label(0), Lead::Label(1), Lead::LockKey, Lead::Definition, Lead::Statuses];
        assert_eq!(leads(&every), Leads::Count(named));
        let prefix = Some("p".to_owned());
        assert_eq!(leads(&SagaFilter { id_prefix: prefix.clone(), ..all() }), Leads::One(Lead::Id));
        let prefixed = SagaFilter { id_prefix: prefix, ..range };
        assert_eq!(leads(&prefixed), Leads::Count(vec![Lead::Created]));
    }

    #[test]
    fn the_rarest_leads_and_among_many_the_one_that_reaches_back() {
        let filter = SagaFilter::default();
        let (many, few) = (COUNTED_MAX + 1, COUNTED_MAX);
        let label = counted(Lead::Label(0), many, Some(5));
        let definition = counted(Lead::Definition, many, Some(3));
        let key = counted(Lead::LockKey, few, Some(9));
        let none = counted(Lead::Statuses, 0, None);
        assert_eq!(rarest(&filter, &[label, definition]), Lead::Definition);
        assert_eq!(rarest(&filter, &[label, definition, key]), Lead::LockKey);
        assert_eq!(rarest(&filter, &[label, key, none]), Lead::Statuses);
        let same = counted(Lead::Definition, many, Some(5));
        assert_eq!(rarest(&filter, &[label, same]), Lead::Label(0));
        let prefixed = SagaFilter { id_prefix: Some("p".to_owned()), ..filter };
        assert_eq!(rarest(&prefixed, &[label, definition]), Lead::Id);
        assert_eq!(rarest(&prefixed, &[label, key]), Lead::LockKey);
    }
}
