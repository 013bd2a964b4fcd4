//! The embedded database, beside SQLite alone with the statements that the server sends.

use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

use auth_core::testing::TokenMint;
use auth_core::{Generation, SessionId};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use uuid::Uuid;

use super::refresh::ROTATION;
use super::{World, enter};
use crate::Outcome;
use crate::contest::{Contest, row};
use crate::effort::SOME;
use crate::report::{Figure, Goal, Section};
use crate::sample::{Latencies, Sample};
use crate::scripts::{LogOut, Refresh, Rotate, Supply};
use crate::site::{Node, mint, prepare, variables};
use crate::statements::{Act, request};

/// The sessions of a connection that rotates.
const SHARE: usize = 100;

const ACTS: [(&str, &str, f64); 3] = [
    ("refresh", "refreshes", 0.7),
    ("refresh with rotation", "refreshes with rotation", 2.0),
    ("logout", "logouts", 0.7),
];

pub(super) fn measure(world: &World) -> Outcome<Section> {
    let effort = &world.effort;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("auth.sqlite3");
    let variables = variables(&format!("sqlite://{}", file.display()));
    prepare(&variables)?;
    let embedded = RefCell::new(Embedded::open(&file)?);
    let sent = Sent::read(&variables, &mut embedded.borrow_mut())?;
    let node = Node::start(&variables, &[]);
    let rotating = Node::start(&variables, &[ROTATION]);
    let plan = effort.plan(node.address()?, node.processes());
    let rotating_plan = effort.plan(rotating.address()?, rotating.processes());
    let sessions = embedded
        .borrow_mut()
        .add_sessions(usize::try_from(effort.sessions)?)?;
    let tokens = Supply::new(embedded.borrow().tokens(&sessions));

    let [(refresh, ..), (rotate, ..), (log_out, ..)] = ACTS;
    let bare = |act: &str| format!("{act}, SQLite alone");
    let mut contest = Contest::default();
    enter(&mut contest, refresh, SOME, &plan, |_| {
        Ok(Refresh {
            tokens: tokens.clone(),
        })
    });
    contest.enter(&bare(refresh), None, || {
        let mut ids = sessions.iter().cycle();
        embedded.borrow().repeat(effort.duration, || {
            let id = ids.next().ok_or("no session")?;
            sent.refresh
                .iter()
                .map(|text| sent.bound(text, *id, 0))
                .collect()
        })
    });
    enter(&mut contest, rotate, SOME, &rotating_plan, |_| {
        let mut embedded = embedded.borrow_mut();
        let sessions = embedded.add_sessions(SHARE)?;
        Ok(Rotate::new(embedded.tokens(&sessions)))
    });
    contest.enter(&bare(rotate), None, || {
        let sessions = embedded.borrow_mut().add_sessions(SHARE)?;
        let mut turns =
            (0..).flat_map(|generation| sessions.iter().map(move |id| (*id, generation)));
        embedded.borrow().repeat(effort.duration, || {
            let (id, generation) = turns.next().ok_or("no session")?;
            sent.rotate
                .iter()
                .map(|text| sent.bound(text, id, generation))
                .collect()
        })
    });
    let mut ends = Supply::new([]);
    let shared = &embedded;
    enter(&mut contest, log_out, SOME, &plan, move |number| {
        if number == 0 {
            let mut embedded = shared.borrow_mut();
            let sessions = embedded.add_sessions(usize::try_from(effort.logouts)?)?;
            ends = Supply::new(embedded.tokens(&sessions));
        }
        Ok(LogOut {
            tokens: ends.clone(),
        })
    });
    contest.enter(&bare(log_out), None, || {
        let sessions = embedded
            .borrow_mut()
            .add_sessions(usize::try_from(effort.logouts)?)?;
        let mut ids = sessions.iter();
        embedded.borrow().repeat(effort.duration, || {
            let id = ids.next().ok_or("all sessions have ended")?;
            sent.log_out
                .iter()
                .map(|text| sent.bound(text, *id, 0))
                .collect()
        })
    });
    let rows = contest.run(effort.rounds)?;
    let figures = ACTS.map(|(act, plural, goal)| {
        let beside = row(&rows, &bare(act), None)?;
        let what = format!("{plural} on SQLite, beside SQLite alone");
        let ours = row(&rows, act, Some(SOME))?;
        Ok(Figure::ratio(
            "P18",
            &what,
            ours,
            beside,
            Goal::AtLeast(goal),
        ))
    });
    let figures = figures.into_iter().collect::<Outcome<_>>()?;
    Ok(Section {
        title: "SQLite".to_owned(),
        rows,
        figures,
        ..Section::default()
    })
}

/// A statement and its values.
type Bound<'a> = (&'a str, Vec<Value>);

/// The database's file, for what the benchmark itself does in it.
struct Embedded {
    connection: Connection,
    mint: TokenMint,
    user: Vec<u8>,
}

impl Embedded {
    fn open(file: &Path) -> Outcome<Self> {
        let connection = Connection::open(file)?;
        // As the server has it: a commit waits for the disk.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.busy_timeout(Duration::from_secs(10))?;
        let user = connection.query_row("SELECT id FROM auth_users", [], |row| row.get(0))?;
        Ok(Self {
            connection,
            mint: mint()?,
            user,
        })
    }

    fn add_sessions(&mut self, count: usize) -> Outcome<Vec<SessionId>> {
        let now = micros_now()?;
        let expires_at = now + 14 * 86_400 * 1_000_000;
        let sessions: Vec<_> = (0..count).map(|_| SessionId::generate()).collect();
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare(
                "INSERT INTO auth_sessions (id, user_id, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4)",
            )?;
            for session in &sessions {
                let id = session.as_uuid();
                insert.execute(params![id.as_bytes(), self.user, now, expires_at])?;
            }
        }
        transaction.commit()?;
        Ok(sessions)
    }

    fn tokens(&self, sessions: &[SessionId]) -> Vec<String> {
        let token = |id: &SessionId| self.mint.refresh_token(*id, Generation::FIRST);
        let tokens = sessions.iter().map(token);
        tokens.map(|token| token.expose().to_owned()).collect()
    }

    /// Runs statements again and again for so long; several make one transaction.
    fn repeat<'a>(
        &self,
        duration: Duration,
        mut next: impl FnMut() -> Outcome<Vec<Bound<'a>>>,
    ) -> Outcome<Sample> {
        let mut latencies = Latencies::default();
        let started = Instant::now();
        while started.elapsed() < duration {
            let statements = next()?;
            let began = Instant::now();
            if statements.len() > 1 {
                self.connection.execute_batch("BEGIN IMMEDIATE")?;
            }
            for (text, values) in &statements {
                let mut statement = self.connection.prepare_cached(text)?;
                let mut rows = statement.query(params_from_iter(values))?;
                let mut count = 0;
                while rows.next()?.is_some() {
                    count += 1;
                }
                if text.contains("RETURNING") && count != 1 {
                    return Err(format!("nothing was done by {text}").into());
                }
            }
            if statements.len() > 1 {
                self.connection.execute_batch("COMMIT")?;
            }
            latencies.record(began.elapsed());
        }
        Ok(Sample::new(
            latencies,
            started.elapsed().as_secs_f64(),
            None,
        ))
    }
}

fn micros_now() -> Outcome<i64> {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed()?;
    Ok(i64::try_from(now.as_micros())?)
}

/// What the server sends for each act, as sqlx logs it.
struct Sent {
    refresh: Vec<String>,
    rotate: Vec<String>,
    log_out: Vec<String>,
    now: i64,
    /// The values of the event that a logout leaves.
    event: [Value; 6],
}

impl Sent {
    fn read(variables: &[(&str, String)], embedded: &mut Embedded) -> Outcome<Self> {
        let sessions = embedded.add_sessions(3)?;
        let tokens = embedded.tokens(&sessions);
        let [refresh, rotate, log_out] = &tokens[..] else {
            return Err("there are not three sessions".into());
        };
        let refresh = statements(variables, Act::Refresh, refresh)?;
        let rotate = statements(variables, Act::Rotate, rotate)?;
        let log_out = statements(variables, Act::LogOut, log_out)?;
        let event = embedded.connection.query_row(
            "SELECT id, at, kind, user_id, request_id, event FROM auth_events
             WHERE kind = 'logged_out'",
            [],
            |row| {
                Ok([
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                ])
            },
        )?;
        Ok(Self {
            refresh,
            rotate,
            log_out,
            now: micros_now()?,
            event,
        })
    }
}

impl Sent {
    /// A statement with the values that the server would send; fails if it is not the statement
    /// that this benchmark knows.
    fn bound<'a>(&self, text: &'a str, id: SessionId, generation: i64) -> Outcome<Bound<'a>> {
        let id = Value::Blob(id.as_uuid().as_bytes().to_vec());
        let now = Value::Integer(self.now);
        let values = if text.starts_with("SELECT") {
            vec![id]
        } else if text.contains("SET generation") {
            let [from, to] = [generation, generation + 1].map(Value::Integer);
            vec![id, from, to, now, Value::Null, Value::Null]
        } else if text.contains("SET revoked_at") {
            vec![id, now, Value::Text("logout".to_owned())]
        } else if text.starts_with("INSERT INTO auth_revocations") {
            let (issued_before, epoch) = (Value::Null, Value::Null);
            vec![
                Value::Text("session".to_owned()),
                id,
                issued_before,
                epoch,
                now,
            ]
        } else if text.starts_with("INSERT INTO auth_events") {
            let mut values = self.event.to_vec();
            if let [event_id, _, _, _, request_id, _] = &mut values[..] {
                *event_id = Value::Blob(Uuid::now_v7().as_bytes().to_vec());
                *request_id = Value::Text(Uuid::new_v4().to_string());
            }
            values
        } else {
            return Err(format!("a statement that this benchmark does not know: {text}").into());
        };
        Ok((text, values))
    }
}

/// What the server sends for one request, as the log of its driver tells.
fn statements(variables: &[(&str, String)], act: Act, token: &str) -> Outcome<Vec<String>> {
    let rotation = if act == Act::Rotate { "on" } else { "off" };
    let more = [
        ("AUTH_LOG", "info,sqlx::query=debug"),
        ("AUTH_REFRESH_ROTATION", rotation),
    ];
    let node = Node::start(variables, &more);
    request(node.server(), act, token)?;
    let log = node.stop()?;
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    // What the workers of the node do is in no request's span.
    let ours = events.filter(|event| event.get("span").is_some());
    let texts = ours.filter_map(|event| {
        let text = event.get("db.statement")?.as_str()?.trim();
        let summary = event.get("summary")?.as_str()?;
        Some(if text.is_empty() { summary } else { text }.to_owned())
    });
    // The first request of a connection opens it.
    Ok(texts.filter(|text| !text.starts_with("PRAGMA")).collect())
}
