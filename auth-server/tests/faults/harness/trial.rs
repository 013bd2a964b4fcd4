//! Servers under a steady load while something happens to their database (S19.2).

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::acts::Clients;
use super::client::{Client, Told};
use super::database::Subject;
use super::ledger::{Act, Balance, Kind, Ledger};
use super::poll;
use super::site::Site;
use crate::support::{PASSWORD, Server};

/// Clients at work at once.
const CLIENTS: usize = 6;

/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(100);

/// Users with a session, one for each act.
const SUBJECTS: usize = 2_000;

/// How long the servers may need to work again when the fault is over.
pub const RECOVERY: Duration = Duration::from_secs(10);

/// A little longer, so that it can be said by how much that is missed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest that a request may take: 3 s for a connection, 10 s for a statement, and some more
/// since the machine is busy.
pub const LIMIT: Duration = Duration::from_secs(15);

/// How long a fault lasts that holds requests up: if they waited for its end, that would be seen.
pub const LASTING: Duration = Duration::from_secs(20);

/// For so long all must be well before the fault, and again afterwards.
const CALM: Duration = Duration::from_secs(1);

/// Each round of a client asks for one of these.
const ROUND: [Request; 8] = [
    Request::Act(Kind::Logout),
    Request::Login,
    Request::Act(Kind::Rotation),
    Request::Me,
    Request::Act(Kind::RoleChange),
    Request::Act(Kind::Logout),
    Request::Refresh,
    Request::Act(Kind::RevocationOfAll),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Request {
    Act(Kind),
    Login,
    Refresh,
    Me,
}

/// An answer of the load.
struct Seen {
    request: Request,
    begun: Instant,
    told: Told,
}

/// What a trial has shown.
pub struct Verdict {
    pub balance: Balance,
    /// Refresh tokens that are good although they were logged out.
    accepted: usize,
    /// Sessions whose newest refresh token is refused.
    cut_off: usize,
    /// How often which answer came, by status and code.
    answers: BTreeMap<String, usize>,
    /// Answers that are neither a success nor 503, with what was asked.
    wrong: BTreeSet<String>,
    slowest: Duration,
    /// From the end of the fault to the start of the last request that failed; `None` if all was
    /// not well again while it was waited for.
    recovered_after: Option<Duration>,
}

impl Verdict {
    /// Fails unless the fault was felt, was answered 503 within the limit and nothing else, and
    /// was over in time; and unless everything acknowledged is there.
    #[track_caller]
    pub fn is_clean(&self) {
        let mut faults = self.faults();
        if self.refusals() == 0 {
            faults.push("the fault was not felt".to_owned());
        }
        assert!(faults.is_empty(), "{faults:#?}\n{self}");
    }

    /// Fails as [`is_clean`](Self::is_clean), but the fault need not have been felt.
    #[track_caller]
    pub fn is_harmless(&self) {
        let faults = self.faults();
        assert!(faults.is_empty(), "{faults:#?}\n{self}");
    }

    pub fn is_recovered(&self) -> bool {
        self.recovered_after.is_some()
    }

    /// How many requests were answered 503.
    pub fn refusals(&self) -> usize {
        let refusals = self.answers.iter();
        refusals
            .filter(|(answer, _)| answer.starts_with("503"))
            .map(|(_, count)| count)
            .sum()
    }

    /// What must not be.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.wrong.is_empty() {
            faults.push(format!("other answers than 503: {:?}", self.wrong));
        }
        if self.slowest > LIMIT {
            faults.push(format!("an answer took {:?}", self.slowest));
        }
        if self.recovered_after.is_none_or(|after| after > RECOVERY) {
            faults.push("the servers do not work again in time".to_owned());
        }
        // What may be lost was taken out before.
        let lost = self.balance.lost.len();
        if lost > 0 {
            faults.push(format!("{lost} acknowledged acts are lost"));
        }
        if self.accepted > 0 {
            faults.push(format!(
                "{} logged-out refresh tokens are good",
                self.accepted
            ));
        }
        if self.cut_off > 0 {
            let cut_off = self.cut_off;
            faults.push(format!("{cut_off} newest refresh tokens are refused"));
        }
        faults
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "answers: {:?}", self.answers)?;
        writeln!(f, "the slowest took {:.1?}", self.slowest)?;
        match self.recovered_after {
            Some(after) => writeln!(f, "recovered {after:.1?} after the fault")?,
            None => writeln!(f, "not recovered {PATIENCE:?} after the fault")?,
        }
        write!(f, "{}", self.balance)
    }
}

/// A site with users, and servers on it.
pub struct Trial<'a> {
    site: &'a Site,
    servers: &'a [Server],
    /// Where everything acknowledged must be in the end.
    settled_at: String,
    ledger: Ledger,
    subjects: Vec<Subject>,
    next: Cell<usize>,
}

impl<'a> Trial<'a> {
    pub async fn prepare(site: &'a Site, servers: &'a [Server]) -> Self {
        Self::prepare_with(site, servers, SUBJECTS).await
    }

    /// With fewer users, where there is no space for more.
    pub async fn prepare_with(site: &'a Site, servers: &'a [Server], subjects: usize) -> Self {
        let subjects = site.connect().await.add_subjects("act", subjects).await;
        Self {
            site,
            servers,
            settled_at: site.url.clone(),
            ledger: Ledger::default(),
            subjects,
            next: Cell::new(1),
        }
    }

    /// Looks for what was acknowledged in another database than the site's.
    pub fn settled_at(mut self, url: String) -> Self {
        self.settled_at = url;
        self
    }

    pub fn clients(&self) -> Clients<'_> {
        Clients::new(self.site, &self.ledger)
    }

    /// How many refresh tokens that were logged out are not refused: of those sessions whose
    /// logout the database has.
    async fn accepted(&self, balance: &Balance) -> usize {
        let client = self.site.client(&self.servers[0]);
        let is_lost = |session| {
            let mut lost = balance.lost.iter();
            lost.any(
                |entry| matches!(&entry.act, Act::Logout { session: lost, .. } if *lost == session),
            )
        };
        let mut accepted = 0;
        for entry in self.ledger.entries() {
            match entry.act {
                Act::Logout { session, token } if !is_lost(session) => {
                    let body = json!({"refresh_token": token});
                    let told = client.post("/api/auth/token/refresh/", &body).await;
                    accepted += usize::from(told.status != 401);
                }
                _ => {}
            }
        }
        accepted
    }

    /// How many newest refresh tokens are refused, whether or not the database has lost rotations.
    async fn cut_off(&self) -> usize {
        let client = self.site.client(&self.servers[0]);
        let mut newest = BTreeMap::new();
        for entry in self.ledger.entries() {
            if let Act::Rotation {
                session,
                newest: token,
                ..
            } = entry.act
            {
                newest.insert(session, token);
            }
        }
        let mut cut_off = 0;
        for token in newest.into_values() {
            let body = json!({"refresh_token": token});
            let told = client.post("/api/auth/token/refresh/", &body).await;
            cut_off += usize::from(!told.is_success());
        }
        cut_off
    }

    /// Keeps the servers busy until all is well, while the fault goes on and until all is well
    /// again; the fault is over when its future is.
    pub async fn run(&self, clients: &Clients<'_>, fault: impl Future<Output = ()>) -> Verdict {
        let is_over = Cell::new(false);
        let seen = std::cell::RefCell::new(Vec::new());
        let load = join_all((0..CLIENTS).map(|number| {
            let (is_over, seen) = (&is_over, &seen);
            async move {
                let server = &self.servers[number % self.servers.len()];
                let client = self.site.client(server);
                let mut turn = number;
                while !is_over.get() {
                    let request = ROUND[turn % ROUND.len()];
                    turn += 1;
                    let begun = Instant::now();
                    let told = self.ask(clients, &client, request).await;
                    seen.borrow_mut().push(Seen {
                        request,
                        begun,
                        told,
                    });
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }));
        let script = async {
            let calm = |since: Instant| is_calm(&seen.borrow(), since);
            let started = Instant::now();
            let is_well = poll::until(RECOVERY, async || calm(started).then_some(())).await;
            if is_well.is_none() {
                let seen = seen.borrow();
                let answers: BTreeSet<_> = seen.iter().map(|seen| seen.told.summary()).collect();
                panic!("all is not well before the fault: {answers:?}");
            }
            fault.await;
            let ended = Instant::now();
            let has_recovered = poll::until(PATIENCE, async || calm(ended).then_some(())).await;
            is_over.set(true);
            (ended, has_recovered.is_some())
        };
        let (_, (ended, has_recovered)) = tokio::join!(load, script);
        let seen = seen.into_inner();
        let failures = seen.iter().filter(|seen| !seen.told.is_success());
        let last_failure = failures.map(|seen| seen.begun).max().unwrap_or(ended);
        let mut answers: BTreeMap<String, usize> = BTreeMap::new();
        let mut wrong = BTreeSet::new();
        for Seen { request, told, .. } in &seen {
            *answers.entry(told.summary()).or_default() += 1;
            if !told.is_success() && told.status != 503 {
                wrong.insert(format!("{request:?}: {}", told.summary()));
            }
        }
        let mut balance = self.ledger.settle(&self.settled_at, 0).await;
        // A rotation may be lost, but its token must work.
        balance
            .lost
            .retain(|entry| entry.act.kind() != Kind::Rotation);
        let (accepted, cut_off) = if has_recovered {
            (self.accepted(&balance).await, self.cut_off().await)
        } else {
            (0, 0)
        };
        Verdict {
            accepted,
            cut_off,
            balance,
            answers,
            wrong,
            slowest: seen
                .iter()
                .map(|seen| seen.told.took)
                .max()
                .unwrap_or_default(),
            recovered_after: has_recovered.then(|| last_failure.saturating_duration_since(ended)),
        }
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    async fn ask(&self, clients: &Clients<'_>, client: &Client, request: Request) -> Told {
        // What promises nothing can be asked for by one and the same.
        let subject = &self.subjects[0];
        match request {
            Request::Act(kind) => clients.perform(client, kind, self.subject()).await,
            Request::Login => {
                let body = json!({"username": subject.name, "password": PASSWORD});
                client.post("/api/auth/token/", &body).await
            }
            Request::Refresh => {
                let token = self.site.refresh_token(subject.session);
                let body = json!({"refresh_token": token});
                client.post("/api/auth/token/refresh/", &body).await
            }
            Request::Me => {
                let bearer = self.site.access_token(subject);
                client
                    .ask(Method::GET, "/api/auth/me/", Some(&bearer), None)
                    .await
            }
        }
    }

    /// One to whom nothing was done yet.
    pub fn subject(&self) -> &Subject {
        let next = self.next.get();
        self.next.set(next + 1);
        self.subjects.get(next).expect("there are enough users")
    }
}

/// Whether every kind of request that began after a moment was answered well for a while.
fn is_calm(seen: &[Seen], since: Instant) -> bool {
    let Some(from) = Instant::now().checked_sub(CALM) else {
        return false;
    };
    let recent: Vec<_> = seen
        .iter()
        .filter(|seen| seen.begun >= from.max(since))
        .collect();
    let kinds: BTreeSet<_> = recent.iter().map(|seen| seen.request).collect();
    from >= since
        && kinds.len() == BTreeSet::from(ROUND).len()
        && recent.iter().all(|seen| seen.told.is_success())
}

/// Waits until a server says that it is ready, or that it is not.
pub async fn readiness_becomes(client: &Client, status: u16, patience: Duration) -> bool {
    let look = async || (client.get("/readyz").await.status == status).then_some(());
    poll::until(patience, look).await.is_some()
}
