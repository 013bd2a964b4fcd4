//! Requests that are broken off, beside acts that are acknowledged (S19.1).

use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use rand::RngExt as _;
use serde_json::json;
use tokio::task::JoinSet;

use super::acts::{Clients, OTHER_PASSWORD};
use super::broken_off::{BrokenOff, request};
use super::client::Client;
use super::database::{Database, Subject};
use super::ledger::{Balance, Kind, Ledger};
use super::site::Site;
use crate::support::{PASSWORD, Server};

/// Requests that are broken off in each round.
pub const BROKEN_OFF: usize = 10;

/// Logouts in each round, beside one other act.
const LOGOUTS: usize = 3;

/// Twice what a server's pool has today: if connections or permits were gone, not all would be
/// answered.
const AT_ONCE: usize = 32;

/// How long what a client left behind may take to end by itself: a few milliseconds, usually.
const PATIENCE: Duration = Duration::from_secs(5);

/// After so many rounds it is asked whether the server still has all that it began with.
const ROUNDS_BETWEEN_CHECKS: usize = 10;

/// So many rounds follow the first with a fault, so that the ledger says what it costs.
const ROUNDS_AFTER_A_FAULT: usize = 10;

/// The acts beside the logouts take turns.
const TURNS: [Kind; 7] = [
    Kind::Registration,
    Kind::Rotation,
    Kind::RoleChange,
    Kind::PasswordChange,
    Kind::Rotation,
    Kind::RevocationOfAll,
    Kind::PasswordReset,
];

/// How a storm has ended.
pub struct Outcome {
    pub broken_off: usize,
    pub balance: Balance,
    /// What must not be.
    pub faults: Vec<String>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "after {} broken-off requests:", self.broken_off)?;
        write!(f, "{}", self.balance)?;
        for fault in &self.faults {
            writeln!(f, "fault: {fault}")?;
        }
        Ok(())
    }
}

struct Storm<'a> {
    site: &'a Site,
    server: &'a Server,
    client: Client,
    clients: Clients<'a>,
    ledger: &'a Ledger,
    observer: Database,
    noise: Noise,
    faults: Vec<String>,
}

/// Runs a storm of so many rounds, or a few rounds longer than until the first fault. Then the server
/// is killed, and everything acknowledged is looked up again.
pub async fn run(site: &Site, rounds: usize) -> Outcome {
    let ledger = Ledger::default();
    let server = site.start(&[]);
    let mut observer = site.connect().await;
    let noise = Noise {
        subjects: observer.add_subjects("noise", 4).await,
    };
    let mut storm = Storm {
        site,
        client: site.client(&server),
        server: &server,
        clients: Clients::new(site, &ledger),
        ledger: &ledger,
        observer,
        noise,
        faults: Vec::new(),
    };
    let mut broken_off = 0;
    let mut last = rounds;
    for round in 0..rounds {
        broken_off += BROKEN_OFF;
        storm.round(round).await;
        if round % ROUNDS_BETWEEN_CHECKS == ROUNDS_BETWEEN_CHECKS - 1 || round + 1 == rounds {
            storm.check_that_nothing_is_taken().await;
        }
        if !storm.faults.is_empty() {
            last = last.min(round + ROUNDS_AFTER_A_FAULT);
        }
        if round >= last {
            break;
        }
    }
    storm.check_that_logouts_count().await;
    let mut faults = storm.faults;
    // What was not committed is gone with the connections.
    server.kill();
    let balance = ledger.settle(&site.url, 0).await;
    if !balance.lost.is_empty() {
        let lost = balance.lost.len();
        faults.push(format!("{lost} acknowledged acts are lost for ever"));
    }
    Outcome {
        broken_off,
        balance,
        faults,
    }
}

impl Storm<'_> {
    async fn round(&mut self, round: usize) {
        let settled = self.ledger.len();
        let series = format!("act-{round}");
        let subjects = self.observer.add_subjects(&series, LOGOUTS + 1).await;

        let address = self.server.socket_address().to_owned();
        let mut broken = JoinSet::new();
        for _ in 0..BROKEN_OFF {
            let one = BrokenOff::at_random(self.noise.request(self.site));
            let address = address.clone();
            broken.spawn(async move { one.run(&address).await });
        }
        let acts = subjects.iter().enumerate().map(|(number, subject)| {
            let kind = if number < LOGOUTS {
                Kind::Logout
            } else {
                TURNS[round % TURNS.len()]
            };
            let after = Duration::from_micros(rand::rng().random_range(0..50_000));
            let (client, clients) = (&self.client, &self.clients);
            async move {
                tokio::time::sleep(after).await;
                (kind, clients.perform(client, kind, subject).await)
            }
        });
        let answers = join_all(acts).await;
        for (kind, told) in answers {
            if !told.is_success() {
                let (summary, took) = (told.summary(), told.took);
                self.faults.push(format!(
                    "round {round}: a {kind:?} was answered {summary} after {took:?}: {}",
                    told.body
                ));
            }
        }
        // Those that stall are let go when all the others are done.
        drop(broken.join_all().await);

        // Once it is known that they stay, they are not waited for again.
        let patience = if self.faults.is_empty() {
            PATIENCE
        } else {
            Duration::ZERO
        };
        let open = self.observer.open_transactions(patience).await;
        if open > 0 {
            self.faults.push(format!(
                "round {round}: {open} transactions stay open although nobody works on them"
            ));
        }
        let balance = self.ledger.settle(&self.site.url, settled).await;
        if !balance.lost.is_empty() {
            self.faults.push(format!(
                "round {round}: a fresh connection does not find {} of {} acknowledged acts",
                balance.lost.len(),
                self.ledger.len() - settled
            ));
        }
    }

    /// Twice as many refreshes as there are connections, and each kind of request, are answered.
    async fn check_that_nothing_is_taken(&mut self) {
        let series = format!("check-{}", self.ledger.len());
        let subjects = self.observer.add_subjects(&series, AT_ONCE).await;
        let refreshes = subjects.iter().map(|subject| {
            let body = json!({"refresh_token": self.site.refresh_token(subject.session)});
            let client = &self.client;
            async move { client.post("/api/auth/token/refresh/", &body).await }
        });
        let mut told = join_all(refreshes).await;
        let bearer = self.site.operator_token();
        for path in [
            "/api/auth/me/",
            "/api/auth/sessions/",
            "/api/admin/users/",
            "/readyz",
        ] {
            let answer = self
                .client
                .ask(reqwest::Method::GET, path, Some(&bearer), None);
            told.push(answer.await);
        }
        let login = json!({"username": subjects[0].name, "password": PASSWORD});
        told.push(self.client.post("/api/auth/token/", &login).await);
        for answer in told {
            if answer.status != 200 || answer.took > PATIENCE {
                let (summary, took) = (answer.summary(), answer.took);
                self.faults
                    .push(format!("after the storm: {summary} after {took:?}"));
            }
        }
    }

    /// What was logged out is refused.
    async fn check_that_logouts_count(&mut self) {
        for entry in self.ledger.entries() {
            let super::ledger::Act::Logout { token, .. } = entry.act else {
                continue;
            };
            let body = json!({"refresh_token": token});
            let told = self.client.post("/api/auth/token/refresh/", &body).await;
            if told.status != 401 {
                let summary = told.summary();
                self.faults
                    .push(format!("a logged-out refresh token was answered {summary}"));
            }
        }
    }
}

/// Users whom nothing is promised to.
struct Noise {
    subjects: Vec<Subject>,
}

impl Noise {
    /// A request of any kind.
    fn request(&self, site: &Site) -> Vec<u8> {
        let [login, password, sessions, admin] = self.subjects.as_slice() else {
            unreachable!("four were added");
        };
        let mut random = rand::rng();
        let nonce: u32 = random.random();
        let post = |path: &str, bearer: Option<&str>, body: serde_json::Value| {
            request("POST", path, bearer, Some(&body.to_string()))
        };
        match random.random_range(0..25) {
            // A login has more transactions than others: it comes more often.
            0..=9 => {
                let body = json!({"username": login.name, "password": PASSWORD});
                post("/api/auth/token/", None, body)
            }
            10 => {
                let body = json!({"username": login.name, "password": "a wrong password"});
                post("/api/auth/token/", None, body)
            }
            11 => {
                let name = format!("noise-{nonce}");
                let email = format!("{name}@example.org");
                let body = json!({"username": name, "password": PASSWORD, "email": email});
                post("/api/register/", Some(&site.operator_token()), body)
            }
            12 | 13 => {
                let body = json!({"refresh_token": site.refresh_token(sessions.session)});
                post("/api/auth/token/refresh/", None, body)
            }
            14 => {
                let body = json!({"refresh_token": site.refresh_token(password.session)});
                post("/api/auth/logout/", None, body)
            }
            15 => post(
                "/api/register/resend/",
                None,
                json!({"email": admin.email()}),
            ),
            16 => {
                let body = json!({"email": login.email()});
                post("/api/auth/password/reset/", None, body)
            }
            17 => {
                let body = json!({"token": "apt_none", "password": OTHER_PASSWORD});
                post("/api/auth/password/reset/confirm/", None, body)
            }
            18 => {
                let body = json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD});
                let bearer = site.access_token(admin);
                post("/api/auth/password/change/", Some(&bearer), body)
            }
            19 => request(
                "GET",
                "/api/admin/users/",
                Some(&site.operator_token()),
                None,
            ),
            20 => {
                let path = format!("/api/admin/users/{}/", admin.user);
                let body = json!({"roles": [format!("noise-{nonce}")]}).to_string();
                request("PATCH", &path, Some(&site.operator_token()), Some(&body))
            }
            21 => request(
                "GET",
                "/api/auth/me/",
                Some(&site.access_token(login)),
                None,
            ),
            22 => request(
                "GET",
                "/api/auth/sessions/",
                Some(&site.access_token(login)),
                None,
            ),
            23 => {
                let body = json!({"keep_current": true});
                post(
                    "/api/auth/logout/all/",
                    Some(&site.access_token(login)),
                    body,
                )
            }
            _ => request(
                "GET",
                "/api/admin/events/",
                Some(&site.operator_token()),
                None,
            ),
        }
    }
}
