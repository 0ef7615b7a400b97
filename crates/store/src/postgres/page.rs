//! The statements of one page of the list of sagas.
//!
//! Each has one plan, whatever the planner believes of the tables. The rows are put in order by all
//! columns of the index that leads ([`Lead`]), of which no other index gives the order; what its
//! first column must be is asked by `= ANY`, since after `=` the planner leaves the column out of the
//! order. All other conditions are `(…) IS TRUE`, which no index answers. What is found by label or
//! lock key is looked up by id behind `OFFSET 0`, which the planner does not look through. The
//! connections read tables by index and don't sort where they need not ([`super::connect`]).

use amends_core::saga::Status;
use amends_core::{DefinitionName, LockKey};
use amends_ports::{Cursor, SagaFilter};
use sqlx::{Postgres, QueryBuilder};

use super::Time;
use super::list::summary_columns;
use crate::lead::{COUNTED_MAX, Lead, Until, ids, statuses, until};

type Sql = QueryBuilder<Postgres>;

/// A page that is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'f> {
    pub(super) filter: &'f SagaFilter,
    pub(super) after: Option<&'f Cursor>,
    /// Rows.
    pub(super) limit: i64,
}

/// An index in the order of time.
#[derive(Debug)]
struct Key<'f> {
    table: &'static str,
    columns: Columns<'f>,
}

/// What the columns of an index before the time must be.
#[derive(Debug)]
enum Columns<'f> {
    /// In a table that has no other index.
    These(Vec<(&'static str, &'f str)>),
    /// In `saga`.
    Definition(&'f str),
    Status(Status),
    /// Sagas of a release before the tables of labels and lock keys: few or none.
    Unlisted,
    /// There are none.
    None,
}

impl Columns<'_> {
    /// Conditions of the index and its first column, both on a row named `k`.
    fn push(&self, sql: &mut Sql) {
        sql.push(" WHERE true");
        match self {
            Self::These(columns) => {
                for (column, value) in columns {
                    sql.push(format_args!(" AND k.{column} = ")).push_bind((*value).to_owned());
                }
            }
            Self::Definition(name) => {
                sql.push(" AND k.definition_name = ANY (ARRAY[");
                sql.push_bind((*name).to_owned()).push("])");
            }
            Self::Status(status) => {
                sql.push(" AND k.status <> 'completed' AND k.status = ANY (ARRAY[");
                sql.push_bind(status.as_str()).push("])");
            }
            Self::Unlisted => {
                sql.push(" AND NOT k.listed AND (k.labels IS NOT NULL OR k.lock_keys IS NOT NULL)");
            }
            Self::None => {}
        }
    }

    /// The column that an order begins with; none where it is the same everywhere.
    fn first(&self) -> Option<&'static str> {
        match self {
            Self::Definition(_) => Some("definition_name"),
            Self::Status(_) => Some("status"),
            Self::Unlisted => Some("listed"),
            Self::These(_) | Self::None => None,
        }
    }
}

impl<'f> Asked<'f> {
    /// How many rows each of these finds, and when the oldest was created that was counted.
    pub(super) fn count(&self, leads: &[Lead]) -> Sql {
        let mut sql = Sql::new("");
        for (index, lead) in leads.iter().enumerate() {
            sql.push(if index == 0 { "" } else { " UNION ALL " });
            sql.push(format_args!("SELECT {index}, count(*), min(c.created_at) FROM ("));
            sql.push("SELECT u.created_at FROM (");
            for (index, key) in self.keys(*lead).iter().enumerate() {
                sql.push(if index == 0 { "(" } else { " UNION ALL (" });
                sql.push(format_args!("SELECT k.created_at FROM {} k", key.table));
                self.push_range(&mut sql, key);
                push_order(&mut sql, key, &["created_at"]);
                sql.push(" LIMIT ").push_bind(COUNTED_MAX + 1).push(")");
            }
            sql.push(") u ORDER BY u.created_at DESC LIMIT ").push_bind(COUNTED_MAX + 1);
            sql.push(") c");
        }
        sql
    }

    /// The rows, led by one condition.
    pub(super) fn page(&self, lead: Lead) -> Sql {
        let mut sql = Sql::new(concat!("SELECT ", summary_columns!(), " FROM ("));
        match lead {
            Lead::Id => self.push_by_id(&mut sql),
            Lead::Label(_) | Lead::LockKey => {
                for key in self.keys(lead) {
                    self.push_listed(&mut sql, &key, lead);
                    sql.push(" UNION ALL ");
                }
                let unlisted = Key { table: "saga", columns: Columns::Unlisted };
                self.push_of_saga(&mut sql, &unlisted, lead);
            }
            Lead::Definition | Lead::Statuses | Lead::Created => {
                for (index, key) in self.keys(lead).iter().enumerate() {
                    sql.push(if index == 0 { "" } else { " UNION ALL " });
                    self.push_of_saga(&mut sql, key, lead);
                }
            }
        }
        sql.push(if self.is_by_id() {
            ") s ORDER BY s.saga_id DESC LIMIT "
        } else {
            ") s ORDER BY s.created_at DESC, s.saga_id DESC LIMIT "
        });
        sql.push_bind(self.limit);
        sql
    }

    fn is_by_id(&self) -> bool {
        self.filter.id_prefix.is_some()
    }

    /// The indexes that a condition leads to, one a status; none for ids.
    fn keys(&self, lead: Lead) -> Vec<Key<'f>> {
        let of_saga = |columns| Key { table: "saga", columns };
        match lead {
            Lead::Label(index) => {
                let (name, value) = &self.filter.labels[index];
                let columns = Columns::These(vec![("name", name), ("value", value)]);
                vec![Key { table: "saga_label", columns }]
            }
            Lead::LockKey => {
                let of_key = |key: &'f LockKey| Key {
                    table: "saga_lock_key",
                    columns: Columns::These(vec![("lock_key", key.as_str())]),
                };
                self.filter.lock_key.iter().map(of_key).collect()
            }
            Lead::Definition => {
                let of_name = |name: &'f DefinitionName| Columns::Definition(name.as_str());
                self.filter.definition.iter().map(|name| of_saga(of_name(name))).collect()
            }
            Lead::Statuses => {
                statuses(self.filter).into_iter().map(|own| of_saga(Columns::Status(own))).collect()
            }
            Lead::Created => vec![of_saga(Columns::None)],
            Lead::Id => Vec::new(),
        }
    }

    /// Sagas whose index is this one, in its order; under a prefix of ids all of them.
    fn push_of_saga(&self, sql: &mut Sql, key: &Key<'_>, lead: Lead) {
        sql.push("(SELECT k.* FROM saga k");
        self.push_range(sql, key);
        self.push_rest(sql, "k", lead);
        push_order(sql, key, &["created_at", "saga_id"]);
        self.push_end(sql);
    }

    /// Sagas that are found in a table of labels or lock keys.
    fn push_listed(&self, sql: &mut Sql, key: &Key<'_>, lead: Lead) {
        sql.push(format_args!("(SELECT s.* FROM {} k CROSS JOIN LATERAL (", key.table));
        sql.push("SELECT s.* FROM saga s WHERE s.saga_id = k.saga_id");
        sql.push(" AND (s.listed AND s.created_at = k.created_at) IS TRUE");
        self.push_rest(sql, "s", lead);
        sql.push(" OFFSET 0) s");
        self.push_range(sql, key);
        push_order(sql, key, &["created_at", "saga_id"]);
        self.push_end(sql);
    }

    /// Ids in descending order.
    fn push_by_id(&self, sql: &mut Sql) {
        sql.push("(SELECT s.* FROM saga s WHERE true");
        self.push_prefix(sql, "s", false);
        self.push_rest(sql, "s", Lead::Id);
        sql.push(" ORDER BY s.saga_id DESC LIMIT ").push_bind(self.limit).push(")");
    }

    /// What is to be sorted by id is read as a whole.
    fn push_end(&self, sql: &mut Sql) {
        if self.is_by_id() {
            sql.push(" OFFSET 0)");
        } else {
            sql.push(" LIMIT ").push_bind(self.limit).push(")");
        }
    }

    /// The part of an index in which the list's times lie.
    fn push_range(&self, sql: &mut Sql, key: &Key<'_>) {
        key.columns.push(sql);
        self.push_times(sql, "k", false);
    }

    /// Every condition but the one that leads, which has its times in its range. A label and a lock
    /// key are asked for again, since the rows that led here may be left of another saga.
    fn push_rest(&self, sql: &mut Sql, row: &str, lead: Lead) {
        let filter = self.filter;
        if !filter.statuses.is_empty() && lead != Lead::Statuses {
            let words: Vec<String> =
                statuses(filter).iter().map(|status| format!("'{}'", status.as_str())).collect();
            sql.push(format_args!(" AND ({row}.status IN ({})) IS TRUE", words.join(", ")));
        }
        if let Some(name) = filter.definition.as_ref().filter(|_| lead != Lead::Definition) {
            sql.push(format_args!(" AND ({row}.definition_name = "));
            sql.push_bind(name.as_str().to_owned()).push(") IS TRUE");
        }
        for (name, value) in &filter.labels {
            sql.push(format_args!(" AND ({row}.labels @> "));
            sql.push_bind(serde_json::json!({ name: value }).to_string()).push("::jsonb) IS TRUE");
        }
        if let Some(key) = &filter.lock_key {
            sql.push(format_args!(" AND ({row}.lock_keys @> ARRAY["));
            sql.push_bind(key.as_str().to_owned()).push("]) IS TRUE");
        }
        if lead == Lead::Id {
            self.push_times(sql, row, true);
        } else {
            self.push_prefix(sql, row, true);
        }
    }

    /// The times, one end on either side: of two the database would begin at any.
    fn push_times(&self, sql: &mut Sql, row: &str, is_filter: bool) {
        let (open, close) = brackets(is_filter);
        if let Some(from) = self.filter.created_from {
            sql.push(format_args!(" AND {open}{row}.created_at >= "));
            sql.push_bind(Time::from(from)).push(close);
        }
        match until(self.filter, self.after) {
            Until::Anything => {}
            Until::Before(before) => {
                sql.push(format_args!(" AND {open}{row}.created_at < "));
                sql.push_bind(Time::from(before)).push(close);
            }
            Until::After(cursor) => {
                sql.push(format_args!(" AND {open}({row}.created_at, {row}.saga_id) < ("));
                sql.push_bind(Time::from(cursor.created_at)).push(", ");
                sql.push_bind(cursor.saga_id.as_str().to_owned()).push(")").push(close);
            }
        }
    }

    /// Ids that begin with the prefix and come after the cursor.
    fn push_prefix(&self, sql: &mut Sql, row: &str, is_filter: bool) {
        let Some((first, end)) = ids(self.filter, self.after) else { return };
        let (open, close) = brackets(is_filter);
        sql.push(format_args!(" AND {open}{row}.saga_id >= ")).push_bind(first);
        sql.push(close).push(format_args!(" AND {open}{row}.saga_id < ")).push_bind(end);
        sql.push(close);
    }
}

/// What stands around a condition: one that no index is to answer is a filter.
fn brackets(is_filter: bool) -> (&'static str, &'static str) {
    if is_filter { ("(", ") IS TRUE") } else { ("", "") }
}

/// By all columns of an index, backwards.
fn push_order(sql: &mut Sql, key: &Key<'_>, then: &[&'static str]) {
    let columns = key.columns.first().into_iter().chain(then.iter().copied());
    let columns: Vec<String> = columns.map(|column| format!("k.{column} DESC")).collect();
    sql.push(format_args!(" ORDER BY {}", columns.join(", ")));
}
