//! The list's conditions as they stand in the address: read, judged, and written back.

use amends_core::saga::Status;
use amends_core::{DefinitionName, LockKey, SagaId, Timestamp};
use amends_ports::{Cursor, SagaFilter};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands unencoded in a query of ours.
const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b':').remove(b',').remove(b'/');

/// Most conditions of one kind.
const CONDITIONS_MAX: usize = 20;
/// Most bytes of one condition.
const CONDITION_BYTES_MAX: usize = 300;

/// The conditions as written, and what they mean.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) filter: SagaFilter,
    /// As written: `definition`, `label`, `key`, `from`, `before`, `q`.
    pub(crate) definition: String,
    pub(crate) label: String,
    pub(crate) key: String,
    pub(crate) from: String,
    pub(crate) before: String,
    pub(crate) prefix: String,
    /// Rows after this one.
    pub(crate) cursor: Option<Cursor>,
    /// Rows from this one on, and how many newer ones there are.
    pub(crate) top: Option<Cursor>,
    /// What could not be understood, and so was left out.
    pub(crate) faults: Vec<String>,
}

impl Conditions {
    /// Reads the pairs of a query. Empty values, as forms send them, say nothing.
    pub(crate) fn read(pairs: &[(String, String)]) -> Self {
        let mut conditions = Self::default();
        for (name, value) in pairs {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            let read = if value.len() > CONDITION_BYTES_MAX {
                Err(format!("it is longer than {CONDITION_BYTES_MAX} bytes"))
            } else {
                conditions.take(name, value)
            };
            if let Err(why) = read {
                conditions.faults.push(format!("“{name}” was left out: {why}."));
            }
        }
        conditions
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "status" => {
                for word in value.split(',').take(CONDITIONS_MAX) {
                    let status: Status = word.parse().map_err(|error| format!("{error}"))?;
                    if !self.filter.statuses.contains(&status) {
                        self.filter.statuses.push(status);
                    }
                }
            }
            "definition" => {
                value.clone_into(&mut self.definition);
                let name = DefinitionName::new(value).map_err(|error| format!("it {error}"))?;
                self.filter.definition = Some(name);
            }
            "label" => {
                if self.filter.labels.len() >= CONDITIONS_MAX {
                    return Err(format!("there are more than {CONDITIONS_MAX}"));
                }
                value.clone_into(&mut self.label);
                let (label, value) = value
                    .split_once([':', '='])
                    .ok_or("write name:value, for example tenant:acme")?;
                self.filter.labels.push((label.trim().to_owned(), value.trim().to_owned()));
            }
            "key" => {
                value.clone_into(&mut self.key);
                let key = LockKey::new(value).map_err(|error| format!("it {error}"))?;
                self.filter.lock_key = Some(key);
            }
            "from" => {
                value.clone_into(&mut self.from);
                self.filter.created_from = Some(time(value)?);
            }
            "before" => {
                value.clone_into(&mut self.before);
                self.filter.created_before = Some(time(value)?);
            }
            "q" => {
                value.clone_into(&mut self.prefix);
                SagaId::new(value).map_err(|error| format!("it {error}"))?;
                self.filter.id_prefix = Some(value.to_owned());
            }
            "cursor" => self.cursor = Some(Cursor::decode(value).map_err(|e| format!("it {e}"))?),
            "top" => self.top = Some(Cursor::decode(value).map_err(|e| format!("it {e}"))?),
            _ => return Err("the list has no such condition".to_owned()),
        }
        Ok(())
    }

    /// The id that somebody typed, if what was typed may be a whole one.
    pub(crate) fn typed_id(&self) -> Option<SagaId> {
        let is_plain = self.cursor.is_none() && self.top.is_none();
        self.filter.id_prefix.as_ref().filter(|_| is_plain).and_then(|id| SagaId::new(id).ok())
    }

    /// Whether anything but statuses narrows the list.
    pub(crate) fn is_narrowed(&self) -> bool {
        let filter = &self.filter;
        filter.definition.is_some()
            || !filter.labels.is_empty()
            || filter.lock_key.is_some()
            || filter.created_from.is_some()
            || filter.created_before.is_some()
    }

    /// The address of the list with these conditions, with other statuses.
    pub(crate) fn with_statuses(&self, statuses: &[Status]) -> String {
        self.address(statuses, None)
    }

    /// The address of the page that follows `cursor`.
    pub(crate) fn page_after(&self, cursor: &Cursor) -> String {
        self.address(&self.filter.statuses, Some(("cursor", cursor)))
    }

    /// The address of the same rows from `top` on, as the page asks for them again.
    pub(crate) fn page_from(&self, top: &Cursor) -> String {
        self.address(&self.filter.statuses, Some(("top", top)))
    }

    /// The address of the first page.
    pub(crate) fn first_page(&self) -> String {
        self.address(&self.filter.statuses, None)
    }

    /// The conditions one by one, in words, each with the address of the list without it.
    pub(crate) fn tags(&self) -> Vec<(String, String)> {
        let mut tags = Vec::new();
        let mut tag = |words: String, without: &dyn Fn(&mut Self)| {
            let mut rest = self.clone();
            without(&mut rest);
            tags.push((words, rest.first_page()));
        };
        if let Some(name) = &self.filter.definition {
            tag(format!("definition {name}"), &|rest| rest.filter.definition = None);
        }
        for (index, (name, value)) in self.filter.labels.iter().enumerate() {
            tag(format!("label {name}:{value}"), &|rest| drop(rest.filter.labels.remove(index)));
        }
        if let Some(key) = &self.filter.lock_key {
            tag(format!("lock key {key}"), &|rest| rest.filter.lock_key = None);
        }
        if self.filter.created_from.is_some() {
            tag(format!("from {} UTC", self.from), &|rest| rest.filter.created_from = None);
        }
        if self.filter.created_before.is_some() {
            tag(format!("before {} UTC", self.before), &|rest| rest.filter.created_before = None);
        }
        if let Some(prefix) = &self.filter.id_prefix {
            tag(format!("id begins with {prefix}"), &|rest| rest.filter.id_prefix = None);
        }
        tags
    }

    fn address(&self, statuses: &[Status], place: Option<(&str, &Cursor)>) -> String {
        let filter = &self.filter;
        let words: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        let mut pairs = vec![("status", words.join(","))];
        pairs.push((
            "definition",
            filter.definition.as_ref().map_or_else(String::new, ToString::to_string),
        ));
        pairs
            .extend(filter.labels.iter().map(|(name, value)| ("label", format!("{name}:{value}"))));
        pairs.push(("key", filter.lock_key.as_ref().map_or_else(String::new, ToString::to_string)));
        pairs.push(("from", filter.created_from.map_or_else(String::new, |_| self.from.clone())));
        pairs.push((
            "before",
            filter.created_before.map_or_else(String::new, |_| self.before.clone()),
        ));
        pairs.push(("q", filter.id_prefix.clone().unwrap_or_default()));
        pairs.extend(place.map(|(name, cursor)| (name, cursor.encode())));
        let query: Vec<String> = pairs
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", query_text(&value)))
            .collect();
        if query.is_empty() {
            return "/console/sagas".to_owned();
        }
        format!("/console/sagas?{}", query.join("&"))
    }
}

/// A cursor just before `row`, so that a page after it begins with `row`.
pub(crate) fn cursor_before(created_at: Timestamp) -> Option<Cursor> {
    // Newest first, and for rows of the same moment by id: no row stands between this and it.
    let saga_id = SagaId::new("0").ok()?;
    Some(Cursor { created_at: Timestamp(created_at.0.saturating_add(1)), saga_id })
}

/// `text` as it stands in a query.
pub(crate) fn query_text(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

/// RFC 3339, or what a `datetime-local` field gives, in UTC.
fn time(text: &str) -> Result<Timestamp, String> {
    let is_short = text.len() == 16;
    let candidates = [text.to_owned(), format!("{text}{}", if is_short { ":00Z" } else { "Z" })];
    candidates
        .iter()
        .find_map(|text| Timestamp::parse(text).ok())
        .ok_or_else(|| format!("{text:?} is not a time such as 2026-11-22T13:06"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Conditions {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Conditions::read(&pairs)
    }

    #[test]
    fn an_address_reads_back_as_it_was_written() {
        let conditions = read(&[
            ("status", "running,suspended"),
            ("definition", "place-order"),
            ("label", "tenant:a b&c"),
            ("key", "sku:42"),
            ("from", "2026-11-22T13:06"),
            ("before", ""),
            ("q", "order-"),
        ]);
        assert!(conditions.faults.is_empty(), "{:?}", conditions.faults);
        assert_eq!(
            conditions.first_page(),
            "/console/sagas?status=running,suspended&definition=place-order\
             &label=tenant:a%20b%26c&key=sku:42&from=2026-11-22T13:06&q=order-"
        );
        assert_eq!(conditions.filter.created_from, Timestamp::parse("2026-11-22T13:06:00Z").ok());
        let without = &conditions.tags()[1].1;
        assert!(!without.contains("label"), "{without}");
    }

    #[test]
    fn what_is_not_understood_is_said_and_left_out() {
        let conditions = read(&[
            ("status", "'; drop table"),
            ("definition", "a/b"),
            ("label", "x"),
            ("from", "yesterday"),
            ("cursor", "zz"),
            ("colour", "red"),
        ]);
        assert_eq!(conditions.faults.len(), 6);
        assert_eq!(conditions.filter, SagaFilter::default());
        assert_eq!(conditions.first_page(), "/console/sagas");
    }
}
