//! The statements of one page of the list of sagas.
//!
//! Each names the index that it reads, and joins in the order in which it is written (`CROSS JOIN`);
//! a plus before a column keeps other indexes away. So the plan is that of [`Lead`], whatever the
//! planner knows of the tables.

use amends_core::saga::Status;
use amends_ports::{Cursor, SagaFilter};
use sqlx::{QueryBuilder, Sqlite};

use super::row::summary_columns;
use crate::lead::{COUNTED_MAX, Lead, Until, ids, statuses, until};

type Sql = QueryBuilder<Sqlite>;

/// A page that is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'f> {
    pub(super) filter: &'f SagaFilter,
    pub(super) after: Option<&'f Cursor>,
    /// Rows.
    pub(super) limit: i64,
}

/// An index in the order of time, and what its columns before the time must be.
#[derive(Debug)]
struct Key<'f> {
    /// The table, with its index.
    source: &'static str,
    /// What the table is called in it: `s` is the saga itself.
    row: &'static str,
    columns: Vec<(&'static str, &'f str)>,
}

impl<'f> Asked<'f> {
    /// How many rows each of these finds, and when the oldest was created that was counted.
    pub(super) fn count(&self, leads: &[Lead]) -> Sql {
        let mut sql = Sql::new("");
        for (index, lead) in leads.iter().enumerate() {
            sql.push(if index == 0 { "" } else { " UNION ALL " });
            sql.push(format_args!("SELECT {index}, count(*), min(c.created_us) FROM ("));
            sql.push("SELECT u.created_us FROM (");
            for (index, key) in self.keys(*lead).iter().enumerate() {
                sql.push(if index == 0 { "" } else { " UNION ALL " });
                sql.push(format_args!(
                    "SELECT * FROM (SELECT {}.created_us FROM {}",
                    key.row, key.source
                ));
                self.push_range(&mut sql, key);
                sql.push(format_args!(" ORDER BY {}.created_us DESC LIMIT ", key.row));
                sql.push_bind(COUNTED_MAX + 1).push(")");
            }
            sql.push(") AS u ORDER BY u.created_us DESC LIMIT ").push_bind(COUNTED_MAX + 1);
            sql.push(") AS c");
        }
        sql
    }

    /// The rows, led by one condition: one statement a status, each as many as the page has.
    pub(super) fn page(&self, lead: Lead) -> Vec<Sql> {
        match lead {
            Lead::Id => vec![self.by_id()],
            Lead::Label(_) | Lead::LockKey => {
                self.keys(lead).iter().map(|key| self.of_table(key, lead)).collect()
            }
            Lead::Definition | Lead::Statuses | Lead::Created => {
                self.keys(lead).iter().map(|key| self.of_saga(key, lead)).collect()
            }
        }
    }

    pub(super) fn is_by_id(&self) -> bool {
        self.filter.id_prefix.is_some()
    }

    /// The indexes that a condition leads to, one a status; none for ids.
    fn keys(&self, lead: Lead) -> Vec<Key<'f>> {
        match lead {
            Lead::Label(index) => {
                let (name, value) = &self.filter.labels[index];
                let columns = vec![("name", name.as_str()), ("value", value.as_str())];
                vec![Key { source: "saga_label AS k", row: "k", columns }]
            }
            Lead::LockKey => {
                let key = self.filter.lock_key.iter().map(|key| ("lock_key", key.as_str()));
                vec![Key { source: "saga_lock_key AS k", row: "k", columns: key.collect() }]
            }
            Lead::Definition => {
                let name = self.filter.definition.iter();
                let columns = name.map(|name| ("definition_name", name.as_str())).collect();
                vec![Key { source: "saga AS s INDEXED BY saga_of_definition", row: "s", columns }]
            }
            Lead::Statuses => {
                let key = |status: Status| Key {
                    source: "saga AS s INDEXED BY saga_of_status",
                    row: "s",
                    columns: vec![("status", status.as_str())],
                };
                statuses(self.filter).into_iter().map(key).collect()
            }
            Lead::Created => {
                let source = "saga AS s INDEXED BY saga_created";
                vec![Key { source, row: "s", columns: Vec::new() }]
            }
            Lead::Id => Vec::new(),
        }
    }

    /// Sagas whose index is this one.
    fn of_saga(&self, key: &Key<'_>, lead: Lead) -> Sql {
        let mut sql = Sql::new(concat!("SELECT ", summary_columns!(), " FROM "));
        sql.push(key.source);
        self.push_range(&mut sql, key);
        self.push_rest(&mut sql, lead);
        self.push_end(&mut sql, key.row);
        sql
    }

    /// Sagas that are found in a table of labels or lock keys.
    fn of_table(&self, key: &Key<'_>, lead: Lead) -> Sql {
        let mut sql = Sql::new(concat!("SELECT ", summary_columns!(), " FROM "));
        sql.push(key.source).push(
            " CROSS JOIN saga AS s INDEXED BY sqlite_autoindex_saga_1 ON s.saga_id = k.saga_id",
        );
        self.push_range(&mut sql, key);
        sql.push(" AND +s.created_us = k.created_us");
        self.push_rest(&mut sql, lead);
        self.push_end(&mut sql, key.row);
        sql
    }

    /// Ids in descending order.
    fn by_id(&self) -> Sql {
        let mut sql = Sql::new(concat!(
            "SELECT ",
            summary_columns!(),
            " FROM saga AS s INDEXED BY sqlite_autoindex_saga_1 WHERE true"
        ));
        self.push_prefix(&mut sql, "s.");
        self.push_times(&mut sql, "+s.");
        self.push_rest(&mut sql, Lead::Id);
        sql.push(" ORDER BY s.saga_id DESC LIMIT ").push_bind(self.limit);
        sql
    }

    fn push_end(&self, sql: &mut Sql, row: &str) {
        if self.is_by_id() {
            sql.push(" ORDER BY +s.saga_id DESC LIMIT ");
        } else {
            sql.push(format_args!(" ORDER BY {row}.created_us DESC, {row}.saga_id DESC LIMIT "));
        }
        sql.push_bind(self.limit);
    }

    /// The part of an index in which the list's times lie.
    fn push_range(&self, sql: &mut Sql, key: &Key<'_>) {
        sql.push(" WHERE true");
        for (column, value) in &key.columns {
            sql.push(format_args!(" AND {}.{column} = ", key.row));
            sql.push_bind((*value).to_owned());
        }
        self.push_times(sql, &format!("{}.", key.row));
    }

    /// Times, and in the order of time the place of the cursor.
    fn push_times(&self, sql: &mut Sql, row: &str) {
        if let Some(from) = self.filter.created_from {
            sql.push(format_args!(" AND {row}created_us >= ")).push_bind(from.0);
        }
        match until(self.filter, self.after) {
            Until::Anything => {}
            Until::Before(before) => {
                sql.push(format_args!(" AND {row}created_us < ")).push_bind(before.0);
            }
            Until::After(cursor) => {
                sql.push(format_args!(" AND ({row}created_us, {row}saga_id) < ("));
                sql.push_bind(cursor.created_at.0).push(", ");
                sql.push_bind(cursor.saga_id.as_str().to_owned()).push(")");
            }
        }
    }

    /// Every condition but the one that leads.
    fn push_rest(&self, sql: &mut Sql, lead: Lead) {
        let filter = self.filter;
        if !filter.statuses.is_empty() && lead != Lead::Statuses {
            let words: Vec<String> =
                statuses(filter).iter().map(|status| format!("'{}'", status.as_str())).collect();
            sql.push(format_args!(" AND +s.status IN ({})", words.join(", ")));
        }
        if let Some(name) = filter.definition.as_ref().filter(|_| lead != Lead::Definition) {
            sql.push(" AND +s.definition_name = ").push_bind(name.as_str().to_owned());
        }
        for (index, (name, value)) in filter.labels.iter().enumerate() {
            if lead != Lead::Label(index) {
                push_is_in(sql, "saga_label", &[("name", name), ("value", value)]);
            }
        }
        if let Some(key) = filter.lock_key.as_ref().filter(|_| lead != Lead::LockKey) {
            push_is_in(sql, "saga_lock_key", &[("lock_key", key.as_str())]);
        }
        if lead != Lead::Id {
            self.push_prefix(sql, "+s.");
        }
    }

    /// Ids that begin with the prefix and come after the cursor.
    fn push_prefix(&self, sql: &mut Sql, row: &str) {
        let Some((first, end)) = ids(self.filter, self.after) else { return };
        sql.push(format_args!(" AND {row}saga_id >= ")).push_bind(first);
        sql.push(format_args!(" AND {row}saga_id < ")).push_bind(end);
    }
}

/// Asks for the saga's own row in a table of labels or lock keys: as a value, of which no join can
/// be made.
fn push_is_in(sql: &mut Sql, table: &str, columns: &[(&str, &str)]) {
    sql.push(format_args!(" AND (SELECT true FROM {table} AS o WHERE true"));
    for (column, value) in columns {
        sql.push(format_args!(" AND o.{column} = ")).push_bind((*value).to_owned());
    }
    sql.push(" AND o.created_us = s.created_us AND o.saga_id = s.saga_id)");
}
