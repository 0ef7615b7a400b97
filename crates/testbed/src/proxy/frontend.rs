//! What a client of PostgreSQL says, read far enough to see its commits.
//!
//! Messages pass through in any pieces they come in; of each the first bytes are looked at. Nothing
//! is kept but the texts of prepared statements and of those of the open transaction, all bounded.
//!
//! Source: PostgreSQL's manual, "Frontend/Backend Protocol", message formats.

use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of a message that are looked at, with its type and length.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Longest message that PostgreSQL takes.
const MESSAGE_BYTES_MAX: u32 = 1 << 30;
/// Prepared statements, and portals, of one connection.
const NAMES_MAX: usize = 1024;
/// Statements that are remembered of one transaction.
const STATEMENTS_MAX: usize = 64;

/// This is not the protocol, or too much to remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Foreign;

/// A part of what the client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Nothing special.
    Plain(Vec<u8>),
    /// The message, or the beginning of the message, at which the server commits.
    Commit(Commit),
}

/// A commit that is about to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) bytes: Vec<u8>,
    /// What the transaction consists of, as far as it is remembered.
    pub(super) statements: Vec<Arc<str>>,
    /// Number of the answer that tells of it: the server says so often that it is ready.
    pub(super) answer: u64,
}

/// Reads what one client says, after the bytes that [`Frontend::new`] is given.
#[derive(Debug)]
pub(super) struct Frontend {
    head: Vec<u8>,
    /// Bytes of the present message that nobody looks at.
    skip: usize,
    statements: HashMap<Vec<u8>, Arc<str>>,
    portals: HashMap<Vec<u8>, Arc<str>>,
    in_transaction: bool,
    /// Number of the answer to what began it.
    begun: u64,
    /// Statements run since the last commit.
    run: Vec<Arc<str>>,
    /// Whether what was run since the last sync writes.
    writes: bool,
    /// Times that the server has to say that it is ready; once after the login.
    answers: u64,
}

impl Frontend {
    /// A reader for a client whose startup message goes on for `rest` bytes.
    pub(super) fn new(rest: usize) -> Self {
        Self {
            head: Vec::new(),
            skip: rest,
            statements: HashMap::new(),
            portals: HashMap::new(),
            in_transaction: false,
            begun: 0,
            run: Vec::new(),
            writes: false,
            answers: 1,
        }
    }

    /// Takes further bytes. `idle_at` is the number of the server's newest answer if that said that
    /// no transaction is open.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        idle_at: Option<u64>,
    ) -> Result<Vec<Piece>, Foreign> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passing = bytes.split_off(..self.skip.min(bytes.len())).ok_or(Foreign)?;
                self.skip -= passing.len();
                push(&mut pieces, passing.to_vec());
                continue;
            }
            let wanted = self.head_bytes()?;
            let missing = wanted - self.head.len();
            self.head.extend(bytes.split_off(..missing.min(bytes.len())).ok_or(Foreign)?);
            if self.head.len() < wanted || self.head_bytes()? > wanted {
                continue;
            }
            if idle_at.is_some_and(|answer| answer >= self.begun) {
                self.in_transaction = false;
            }
            let head = std::mem::take(&mut self.head);
            self.skip = message_bytes(&head)? - head.len();
            match self.look(&head)? {
                Some(answer) => {
                    let statements = std::mem::take(&mut self.run);
                    pieces.push(Piece::Commit(Commit { bytes: head, statements, answer }));
                }
                None => push(&mut pieces, head),
            }
        }
        Ok(pieces)
    }

    /// Bytes to gather of the present message, as far as that is known by now.
    fn head_bytes(&self) -> Result<usize, Foreign> {
        if self.head.len() < 5 {
            return Ok(5);
        }
        Ok(message_bytes(&self.head)?.min(HEAD_BYTES_MAX))
    }

    /// Looks at the beginning of a message; if the server commits there, answers the number of the
    /// answer that will tell.
    fn look(&mut self, head: &[u8]) -> Result<Option<u64>, Foreign> {
        let (Some(kind), Some(body)) = (head.first(), head.get(5..)) else { return Err(Foreign) };
        let commit = match kind {
            b'Q' => {
                self.answers += 1;
                let sql: Arc<str> = String::from_utf8_lossy(text(body).0).into();
                let does_commit = sql.split(';').filter(|part| !part.trim().is_empty()).fold(
                    false,
                    |commits, part| {
                        let is_end = self.run(&sql, part, self.answers);
                        let is_alone = !self.in_transaction && std::mem::take(&mut self.writes);
                        commits || is_end || is_alone
                    },
                );
                does_commit.then_some(self.answers)
            }
            b'P' => {
                let (name, rest) = text(body);
                let sql = String::from_utf8_lossy(text(rest).0).into();
                remember(&mut self.statements, name, sql)?;
                None
            }
            b'B' => {
                let (portal, rest) = text(body);
                // One that it does not know was refused, or prepared by SQL.
                let sql = self.statements.get(text(rest).0).cloned().unwrap_or_default();
                remember(&mut self.portals, portal, sql)?;
                None
            }
            b'C' => {
                let (kind, name) = (body.first(), text(body.get(1..).unwrap_or_default()).0);
                let names =
                    if kind == Some(&b'S') { &mut self.statements } else { &mut self.portals };
                names.remove(name);
                None
            }
            b'E' => {
                let sql = self.portals.get(text(body).0).cloned().unwrap_or_default();
                // The answer comes at the sync.
                let answer = self.answers + 1;
                self.run(&sql, &sql, answer).then_some(answer)
            }
            b'S' => {
                self.answers += 1;
                let commits = std::mem::take(&mut self.writes) && !self.in_transaction;
                commits.then_some(self.answers)
            }
            b'F' => {
                self.answers += 1;
                None
            }
            _ => None,
        };
        Ok(commit)
    }

    /// Notes that a part of `sql` is run, which this answer is for; says whether it ends a transaction by a commit.
    fn run(&mut self, sql: &Arc<str>, part: &str, answer: u64) -> bool {
        match Kind::of(part) {
            Kind::Begin => {
                self.in_transaction = true;
                self.begun = answer;
                self.run.clear();
                return false;
            }
            Kind::Commit => {
                self.in_transaction = false;
                self.writes = false;
                return true;
            }
            Kind::Rollback => {
                self.in_transaction = false;
                self.writes = false;
                self.run.clear();
                return false;
            }
            Kind::Write => self.writes = true,
            Kind::Other => {}
        }
        let is_new = self.run.last().is_none_or(|last| !Arc::ptr_eq(last, sql));
        if !self.in_transaction && !self.writes {
            self.run.clear();
        } else if is_new && self.run.len() < STATEMENTS_MAX {
            self.run.push(Arc::clone(sql));
        }
        false
    }
}

/// What a statement does to the transaction.
enum Kind {
    Begin,
    Commit,
    Rollback,
    Write,
    Other,
}

impl Kind {
    fn of(sql: &str) -> Self {
        let upper = sql.to_ascii_uppercase();
        let words = upper.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            ["BEGIN" | "START", ..] => Self::Begin,
            ["COMMIT" | "END", ..] => Self::Commit,
            ["ROLLBACK", "TO", ..] | ["ROLLBACK", "WORK" | "TRANSACTION", "TO", ..] => Self::Other,
            ["ROLLBACK" | "ABORT", ..] => Self::Rollback,
            ["CREATE" | "ALTER" | "DROP" | "TRUNCATE", ..] => Self::Write,
            words if words.iter().any(|word| matches!(*word, "INSERT" | "DELETE" | "MERGE")) => {
                Self::Write
            }
            // Not `FOR UPDATE`, `FOR NO KEY UPDATE`.
            ["UPDATE", ..] => Self::Write,
            words => {
                let is_write =
                    |pair: &[&str]| pair[1] == "UPDATE" && !matches!(pair[0], "FOR" | "KEY");
                if words.windows(2).any(is_write) { Self::Write } else { Self::Other }
            }
        }
    }
}

/// Bytes of the message that begins with these, with its type.
pub(super) fn message_bytes(head: &[u8]) -> Result<usize, Foreign> {
    let length = head.get(1..5).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes);
    let length = length.filter(|length| (4..=MESSAGE_BYTES_MAX).contains(length));
    length.and_then(|length| usize::try_from(length + 1).ok()).ok_or(Foreign)
}

/// The bytes before the first zero, and those behind it.
fn text(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

fn remember(
    names: &mut HashMap<Vec<u8>, Arc<str>>,
    name: &[u8],
    sql: Arc<str>,
) -> Result<(), Foreign> {
    names.insert(name.to_vec(), sql);
    if names.len() > NAMES_MAX { Err(Foreign) } else { Ok(()) }
}

/// Adds bytes that are nothing special, to the piece before if that is neither.
fn push(pieces: &mut Vec<Piece>, mut bytes: Vec<u8>) {
    match pieces.last_mut() {
        Some(Piece::Plain(last)) => last.append(&mut bytes),
        Some(Piece::Commit(_)) | None => pieces.push(Piece::Plain(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind], length.to_be_bytes().as_slice(), body].concat()
    }

    fn query(sql: &str) -> Vec<u8> {
        message(b'Q', format!("{sql}\0").as_bytes())
    }

    /// Parse, bind, execute and sync of one statement.
    fn extended(sql: &str) -> Vec<u8> {
        let parse = message(b'P', format!("s\0{sql}\0\0\0").as_bytes());
        let bind = message(b'B', b"\0s\0\0\0\0\0\0\0");
        let execute = message(b'E', b"\0\0\0\0\0");
        [parse, bind, execute, message(b'C', b"P\0"), message(b'S', b"")].concat()
    }

    /// Number of the answer and statements of each commit that is seen.
    fn commits(said: &[Vec<u8>], chunk: usize) -> Vec<(u64, Vec<Arc<str>>)> {
        let said = said.concat();
        let mut frontend = Frontend::new(0);
        let mut passed = Vec::new();
        let mut commits = Vec::new();
        for chunk in said.chunks(chunk) {
            for piece in frontend.feed(chunk, None).unwrap() {
                match piece {
                    Piece::Plain(bytes) => passed.extend(bytes),
                    Piece::Commit(commit) => {
                        passed.extend(commit.bytes);
                        commits.push((commit.answer, commit.statements));
                    }
                }
            }
        }
        assert_eq!(passed, said, "every byte passes, in order");
        commits
    }

    #[test]
    fn a_commit_is_seen_however_it_is_sent_and_split() {
        let insert = "INSERT INTO t VALUES (1)";
        let said = [query("BEGIN"), extended(insert), query("COMMIT")];
        for chunk in [1, 3, 7, 4096] {
            assert_eq!(commits(&said, chunk), [(4, vec![insert.into()])]);
        }
        let said = [query("begin"), extended(insert), extended("commit")];
        assert_eq!(commits(&said, 4096), [(4, vec![insert.into()])]);
    }

    #[test]
    fn a_write_outside_of_a_transaction_commits_and_a_read_does_not() {
        let update = "WITH x AS (SELECT 1) UPDATE t SET n = 1";
        assert_eq!(commits(&[extended(update)], 5), [(2, vec![update.into()])]);
        assert_eq!(commits(&[query(update)], 5), [(2, vec![update.into()])]);
        assert_eq!(commits(&[extended("SELECT n FROM t FOR NO KEY UPDATE")], 5), []);
        let parse_only = message(b'P', format!("s\0{update}\0\0\0").as_bytes());
        assert_eq!(commits(&[parse_only, message(b'S', b"")], 5), []);
    }

    #[test]
    fn what_is_rolled_back_is_no_commit() {
        let said = [query("BEGIN"), extended("DELETE FROM t"), query("ROLLBACK")];
        assert_eq!(commits(&said, 64), []);
        let said = [query("BEGIN"), query("ROLLBACK TO SAVEPOINT a"), extended("DELETE FROM t")];
        assert_eq!(commits(&said, 64), []);
    }

    #[test]
    fn several_statements_in_one_message_are_seen() {
        let sql = "BEGIN; INSERT INTO t VALUES (1); COMMIT;";
        assert_eq!(commits(&[query(sql)], 64), [(2, vec![sql.into()])]);
    }

    #[test]
    fn the_servers_word_on_the_transaction_counts() {
        let mut frontend = Frontend::new(0);
        frontend.feed(&query("BEGIN"), None).unwrap();
        let insert = query("INSERT INTO t VALUES (1)");
        let pieces = frontend.feed(&insert, Some(2)).unwrap();
        assert!(matches!(pieces.as_slice(), [Piece::Commit(commit)] if commit.answer == 3));

        // What was said before the transaction began says nothing about it.
        frontend.feed(&extended("BEGIN"), Some(3)).unwrap();
        let pieces = frontend.feed(&extended("DELETE FROM t"), Some(3)).unwrap();
        assert!(matches!(pieces.as_slice(), [Piece::Plain(_)]));
    }

    #[test]
    fn a_long_message_passes_without_being_kept() {
        let sql = format!("INSERT INTO t VALUES ('{}')", "x".repeat(1 << 20));
        let seen = commits(&[query(&sql), query("SELECT 1")], 16_384);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].1[0].len() < HEAD_BYTES_MAX);
    }

    #[test]
    fn what_is_not_the_protocol_is_refused() {
        assert!(Frontend::new(0).feed(&[b'Q', 0, 0, 0, 0], None).is_err());
        let mut frontend = Frontend::new(0);
        let parses = |n: usize| message(b'P', format!("s{n}\0SELECT 1\0\0\0").as_bytes());
        assert!((0..NAMES_MAX).all(|n| frontend.feed(&parses(n), None).is_ok()));
        assert!(frontend.feed(&parses(NAMES_MAX), None).is_err());
    }
}
