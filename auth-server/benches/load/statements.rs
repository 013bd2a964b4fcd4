//! The statements that the server sends, as PostgreSQL's own log tells them, turned into scripts of
//! pgbench: whatever the server sends tomorrow, pgbench sends the same.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use auth_core::{Generation, SessionId};
use sqlx::{AssertSqlSafe, Either, Executor as _, SqlSafeStr as _, Statement as _, TypeInfo as _};
use uuid::Uuid;

use crate::Outcome;
use crate::site::{Database, Node, Site};
use crate::support::Server;

/// A request of which the statement is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Refresh,
    Rotate,
    LogOut,
}

/// A statement with the values of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    text: String,
    values: Vec<Option<String>>,
}

/// What the server sends for an act, as pgbench is to send it.
///
/// `:n` is the number of the session in its series, `:g` its generation, `:i` counts what a client
/// has sent.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) statement: String,
    /// The values that are the same for every request.
    pub(crate) constants: Vec<(String, String)>,
}

/// Has a node with these variables do something twice, and reads what it sent.
///
/// What differs between the two is what differs from request to request: the session, its
/// generation, and the ids that are made for each.
pub(crate) fn script(
    site: &mut Site,
    log: &Path,
    act: Act,
    series: &str,
    more: &[(&str, &str)],
) -> Outcome<Script> {
    let sessions = format!("seen-{series}");
    site.add_sessions(&sessions, 2)?;
    let ids = site.database.session_ids(&sessions, 2)?;
    let [first, second] = ids[..] else {
        return Err("there are not two sessions".into());
    };
    let node = logged_node(site, more)?;
    let (second, generation) = match act {
        Act::Rotate => (first, Generation::new(1)),
        Act::Refresh | Act::LogOut => (second, Generation::FIRST),
    };
    let requests = [(first, Generation::FIRST), (second, generation)];
    let mut sent = Vec::new();
    for (session, generation) in requests {
        let before = fs::read(log)?.len();
        let token = site.mint.refresh_token(session, generation);
        request(node.server(), act, token.expose())?;
        sent.push(of_session(&since(log, before)?, session)?);
    }
    let [once, again] = &sent[..] else {
        return Err("nothing was sent".into());
    };
    if once.text != again.text || once.values.len() != again.values.len() {
        return Err(format!("two requests sent different statements: {once:?}, {again:?}").into());
    }
    let types = parameter_types(&mut site.database, &once.text)?;
    Writer {
        series,
        session: first,
        once,
        again,
    }
    .write(&types)
}

/// Starts a node of whose statements PostgreSQL's log tells, and of no other's.
pub(crate) fn logged_node(site: &Site, more: &[(&str, &str)]) -> Outcome<Node> {
    let url = site
        .variables
        .iter()
        .find(|(name, _)| *name == "DATABASE_URL");
    let (_, url) = url.ok_or("a site without a database")?;
    let url = format!("{url}&options[log_statement]=all");
    let mut all = vec![("DATABASE_URL", url.as_str())];
    all.extend(more);
    Ok(site.start_node(&all))
}

/// Counts the statements that come while something is done.
pub(crate) fn count(log: &Path, act: impl FnOnce() -> Outcome<()>) -> Outcome<usize> {
    let before = fs::read(log)?.len();
    act()?;
    let lines = since(log, before)?;
    let is_statement = |line: &&str| line.starts_with("LOG:  ");
    Ok(lines.lines().filter(is_statement).count())
}

/// What was written after the first so many bytes.
fn since(log: &Path, before: usize) -> Outcome<String> {
    let log = fs::read(log)?;
    Ok(String::from_utf8_lossy(log.get(before..).unwrap_or_default()).into_owned())
}

/// Does something once.
pub(crate) fn request(server: &Server, act: Act, token: &str) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(async {
        match act {
            Act::Refresh | Act::Rotate => server.refresh(token).await,
            Act::LogOut => server.log_out(token).await,
        }
    });
    match answer.status.as_u16() {
        200 => Ok(()),
        _ => Err(format!("unexpected answer: {answer:?}").into()),
    }
}

/// The one statement that was sent about a session.
fn of_session(log: &str, session: SessionId) -> Outcome<Sent> {
    let id = session.to_string();
    let mut about: Vec<Sent> = read(log)
        .into_iter()
        .filter(|sent| {
            sent.values
                .iter()
                .flatten()
                .any(|value| value.contains(&id))
        })
        .collect();
    match (about.pop(), about.is_empty()) {
        (Some(sent), true) => Ok(sent),
        _ => Err(format!("not one statement about the session:\n{log}").into()),
    }
}

/// Reads a log with an empty prefix: a statement's later lines begin with a tab.
fn read(log: &str) -> Vec<Sent> {
    let mut statements = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(execute) = line.strip_prefix("LOG:  execute ") else {
            continue;
        };
        let Some((_name, first)) = execute.split_once(": ") else {
            continue;
        };
        let mut text = first.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            let _ = write!(text, "\n{}", more.trim_start_matches('\t'));
        }
        let values = lines
            .next_if(|line| line.starts_with("DETAIL:"))
            .map(values)
            .unwrap_or_default();
        statements.push(Sent { text, values });
    }
    statements
}

/// Reads `DETAIL:  parameters: $1 = 'it''s', $2 = NULL`.
fn values(line: &str) -> Vec<Option<String>> {
    let mut rest = line;
    let mut values = Vec::new();
    while let Some((_, after)) = rest.split_once(&format!("${} = ", values.len() + 1)) {
        let Some(quoted) = after.strip_prefix('\'') else {
            values.push(None);
            rest = after;
            continue;
        };
        let mut value = String::new();
        let mut parts = quoted.split('\'');
        let mut read = 0;
        // Two quotes stand for one: an empty part between them.
        while let Some(part) = parts.next() {
            value.push_str(part);
            read += part.len() + 1;
            if quoted
                .get(read..)
                .is_none_or(|rest| !rest.starts_with('\''))
            {
                break;
            }
            value.push('\'');
            read += 1;
            parts.next();
        }
        values.push(Some(value));
        rest = quoted.get(read..).unwrap_or_default();
    }
    values
}

fn parameter_types(database: &mut Database, statement: &str) -> Outcome<Vec<String>> {
    let statement = AssertSqlSafe(statement.to_owned());
    database.with(async |connection| {
        let statement = connection.prepare(statement.into_sql_str()).await?;
        let types = match statement.parameters() {
            Some(Either::Left(types)) => types.iter().map(|ty| ty.name().to_owned()).collect(),
            _ => Vec::new(),
        };
        Ok::<_, sqlx::Error>(types)
    })
}

/// Writes pgbench's script from two requests.
struct Writer<'a> {
    series: &'a str,
    session: SessionId,
    once: &'a Sent,
    again: &'a Sent,
}

impl Writer<'_> {
    fn write(&self, types: &[String]) -> Outcome<Script> {
        let mut statement = self.once.text.clone();
        let mut constants = Vec::new();
        let values = self.once.values.iter().zip(&self.again.values).zip(types);
        // From the last, so that `$1` is not taken for the beginning of `$10`.
        for (place, ((once, again), ty)) in values.enumerate().collect::<Vec<_>>().into_iter().rev()
        {
            let name = format!("p{}", place + 1);
            let expression = match (once, again) {
                (Some(once), Some(again)) => self.expression(&name, once, again),
                _ => "NULL".to_owned(),
            };
            if let Some(value) = once
                .as_ref()
                .filter(|_| expression.contains(&format!(":{name}")))
            {
                constants.push((name, value.clone()));
            }
            statement =
                statement.replace(&format!("${}", place + 1), &format!("({expression})::{ty}"));
        }
        if !statement.contains(":n") {
            return Err(format!("the statement names no session: {statement}").into());
        }
        Ok(Script {
            // pgbench takes a line for a statement.
            statement: statement.replace('\n', " "),
            constants,
        })
    }

    /// What stands for a value: itself, unless it is another one for each request.
    fn expression(&self, name: &str, once: &str, again: &str) -> String {
        if let (Ok(first), Ok(second)) = (once.parse::<i64>(), again.parse::<i64>())
            && second == first + 1
        {
            return format!("{first} + :g::int");
        }
        let ids: Vec<(usize, Uuid)> = ids(once).into_iter().enumerate().collect();
        let mut expression = format!(":{name}::text");
        for (place, id) in ids {
            let text = id.to_string();
            let made = if id == self.session.as_uuid() {
                format!("md5('{}' || :n::text)::uuid", self.series)
            } else if again.contains(&text) {
                continue;
            } else if id.get_version_num() == 7 {
                // In the order of time, so that an index grows at its end.
                "('ffffffff' || lpad(to_hex(:i::bigint), 12, '0') \
                  || lpad(to_hex(:client_id::bigint), 12, '0'))::uuid"
                    .to_owned()
            } else {
                format!("md5('{name}-{place}-' || :client_id::text || '-' || :i::text)::uuid")
            };
            if once == text {
                return made;
            }
            expression = format!("replace({expression}, '{text}', ({made})::text)");
        }
        expression
    }
}

/// The ids in a text.
fn ids(text: &str) -> Vec<Uuid> {
    const LENGTH: usize = 36;
    let starts = 0..text.len();
    let ids = starts.filter_map(|start| Uuid::try_parse(text.get(start..start + LENGTH)?).ok());
    let mut ids: Vec<Uuid> = ids.collect();
    ids.dedup();
    ids
}
