//! Clients that share a session, and a schedule that decides whose call comes next.

use std::collections::BTreeMap;
use std::time::Duration;

use auth_core::{
    AuthError, AuthService, Clock, Engine, Generation, IdempotencyKey, Refreshed, RequestContext,
    SessionId, Timestamp,
};
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::gate::{Call, Progress};
use super::model::{Branch, GRACE, Model, Try};
use super::script::{Act, CLIENTS, HONEST};
use super::world::{World, start};

/// Plays a script on a session of its own, and checks everything that happens.
pub(crate) async fn play(world: &mut World, script: &[Act]) -> Result<(), TestCaseError> {
    world.clock.set(start());
    let (session, token) = world.log_in().await;
    let begun = world.store.find_session(session).await.unwrap().unwrap();
    let engine = world.engine.clone();
    let mut play = Play {
        model: Model::new(begun.created_at, begun.expires_at),
        engine: &engine,
        world,
        session,
        tokens: vec![token],
        replaced_at: BTreeMap::new(),
        held: [Some(0), None, None],
        running: Vec::new(),
        acknowledged: false,
        excused: false,
        has_lost: false,
    };
    for act in script {
        play.act(act).await?;
    }
    play.end().await
}

type Outcome = Result<Refreshed, AuthError>;

/// A use case under way.
struct Run<'a> {
    client: usize,
    kind: RunKind,
    future: BoxFuture<'a, Outcome>,
    next: Call,
    /// What it must get, as far as that is decided.
    branch: Option<Branch>,
    heard: bool,
    /// Whether its use is still to be noted.
    must_touch: bool,
    /// Whether the end of the session had been acknowledged before it began.
    began_too_late: bool,
    /// The generation at which the session was found last.
    found_at: usize,
}

enum RunKind {
    Refresh(Try),
    LogOut,
}

struct Play<'a> {
    world: &'a mut World,
    engine: &'a Engine,
    session: SessionId,
    model: Model,
    /// The refresh tokens by their generations.
    tokens: Vec<String>,
    /// When each of them was replaced.
    replaced_at: BTreeMap<usize, Timestamp>,
    /// The generation of the token that each client holds.
    held: [Option<usize>; CLIENTS],
    running: Vec<Run<'a>>,
    /// Whether somebody knows that the session has ended.
    acknowledged: bool,
    /// Whether there is a reason to end the session: a copy, a logout, a retry after the grace.
    excused: bool,
    /// Whether the database has lost rotations.
    has_lost: bool,
}

impl<'a> Play<'a> {
    async fn act(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match *act {
            Act::Refresh { client, key, heard } => self.refresh(client, key, heard).await?,
            Act::LogOut { client } => self.log_out(client).await?,
            Act::Step(index) if !self.running.is_empty() => {
                self.step(index % self.running.len()).await?;
            }
            Act::Step(_) => {}
            Act::Finish => self.finish().await?,
            Act::Copy { from, to } => {
                self.excused |= self.held[from].is_some() && from != to;
                self.held[to] = self.held[from];
            }
            Act::Lose { rotations } => self.lose(rotations),
            Act::Wait(time) => self.world.clock.set(self.world.clock.now() + time),
        }
        Ok(())
    }

    /// What the client has got that logs in, and the row knows nothing of.
    fn lose(&mut self, rotations: usize) {
        let is_busy = self.running.iter().any(|run| run.client == HONEST);
        if is_busy || self.held[HONEST].is_none() {
            return;
        }
        let now = self.world.clock.now();
        for _ in 0..rotations {
            let replaced = self.tokens.len() - 1;
            self.replaced_at.entry(replaced).or_insert(now);
            let generation = u32::try_from(self.tokens.len()).unwrap();
            let token = self
                .world
                .mint
                .refresh_token(self.session, Generation::new(generation));
            self.tokens.push(token.expose().to_owned());
        }
        self.held[HONEST] = Some(self.tokens.len() - 1);
        self.has_lost = true;
        self.world.count("rotations were lost");
    }

    async fn refresh(
        &mut self,
        client: usize,
        key: Option<u8>,
        heard: bool,
    ) -> Result<(), TestCaseError> {
        let is_busy = self.running.iter().any(|run| run.client == client);
        let Some(generation) = self.held[client].filter(|_| client != HONEST || !is_busy) else {
            return Ok(());
        };
        let now = self.world.clock.now();
        if let Some(&replaced) = self.replaced_at.get(&generation) {
            self.excused |= now.saturating_since(replaced) >= GRACE;
        }
        if self.has_lost && generation + 1 < self.tokens.len() {
            self.world.count("a token of before the loss was used");
        }
        let refresh = Try {
            generation,
            key: key.map(|key| format!("{key}-{generation}")),
            at: now,
        };
        let mut context = RequestContext::default();
        context.idempotency_key = refresh.key.as_deref().and_then(IdempotencyKey::parse);
        let (engine, token) = (self.engine, self.tokens[generation].clone());
        let future = async move { engine.refresh(&token, &context).await };
        self.begin(client, RunKind::Refresh(refresh), Box::pin(future), heard)
            .await
    }

    async fn log_out(&mut self, client: usize) -> Result<(), TestCaseError> {
        let Some(generation) = self.held[client] else {
            return Ok(());
        };
        self.excused = true;
        let (engine, token) = (self.engine, self.tokens[generation].clone());
        let future = async move {
            let context = RequestContext::default();
            engine.log_out(&token, &context).await?;
            // A refusal stands for the success of a logout, which has no tokens to give.
            Err(AuthError::TokenRevoked)
        };
        self.begin(client, RunKind::LogOut, Box::pin(future), false)
            .await
    }

    async fn begin(
        &mut self,
        client: usize,
        kind: RunKind,
        mut future: BoxFuture<'a, Outcome>,
        heard: bool,
    ) -> Result<(), TestCaseError> {
        let Progress::At(next) = self.world.gate.begin(&mut future).await else {
            return Err(TestCaseError::fail("it never asked the store"));
        };
        self.running.push(Run {
            client,
            kind,
            future,
            next,
            branch: None,
            heard,
            must_touch: false,
            began_too_late: self.acknowledged,
            found_at: 0,
        });
        Ok(())
    }

    /// Does the next call of one use case: in the model first, then in the store.
    async fn step(&mut self, index: usize) -> Result<(), TestCaseError> {
        let run = &mut self.running[index];
        match (&run.kind, run.next) {
            (RunKind::Refresh(refresh), Call::Rotate) => {
                run.branch = self.model.rotate(refresh);
                if run.branch.is_some() {
                    let replaced = self.replaced_at.entry(refresh.generation);
                    replaced.or_insert(refresh.at);
                }
            }
            (RunKind::Refresh(refresh), Call::Find) => {
                run.branch = self.model.judge(refresh);
                let answered = run.branch.is_some_and(|branch| branch.code().is_none());
                run.must_touch = answered && self.model.is_use_due(refresh.at);
                if run.branch == Some(Branch::Revoked) && !run.began_too_late {
                    self.world.count("a revocation overtook a refresh");
                }
                run.found_at = self.model.generation;
                let is_ahead = refresh.generation > self.model.generation;
                let is_last = refresh.generation == self.tokens.len() - 1;
                // After a loss the row may have moved up to the token between the two calls.
                if is_last && !is_ahead && !self.has_lost && run.branch.is_none() {
                    return Err(TestCaseError::fail("the current token did not rotate"));
                }
            }
            (RunKind::Refresh(refresh), Call::Follow) => {
                run.branch = self.model.follow(refresh, run.found_at);
                if run.branch.is_some() {
                    let replaced = self.replaced_at.entry(refresh.generation);
                    replaced.or_insert(refresh.at);
                }
            }
            (RunKind::Refresh(refresh), Call::Touch) => {
                prop_assert!(run.must_touch, "noted too often");
                run.must_touch = false;
                self.model.touch(refresh.at);
                self.world.count("a use was noted");
            }
            (_, Call::Revoke) => self.model.revoked = true,
            (RunKind::LogOut, call) => {
                return Err(TestCaseError::fail(format!("a logout called {call:?}")));
            }
        }
        match self.world.gate.step(&mut self.running[index].future).await {
            Progress::At(call) => {
                self.running[index].next = call;
                Ok(())
            }
            Progress::Done(outcome) => {
                let run = self.running.swap_remove(index);
                self.check(&run, outcome)
            }
        }
    }

    async fn finish(&mut self) -> Result<(), TestCaseError> {
        while !self.running.is_empty() {
            self.step(0).await?;
        }
        Ok(())
    }

    fn check(&mut self, run: &Run<'_>, outcome: Outcome) -> Result<(), TestCaseError> {
        let RunKind::Refresh(refresh) = &run.kind else {
            prop_assert_eq!(outcome.unwrap_err().code(), "token_revoked");
            self.acknowledged = true;
            self.world.count("logged out");
            return Ok(());
        };
        let branch = run.branch;
        let Some(branch) = branch else {
            return Err(TestCaseError::fail(format!("no verdict on {refresh:?}")));
        };
        prop_assert!(!run.must_touch, "a use was not noted");
        self.world.count(format!("{branch:?}"));
        let code = outcome.as_ref().err().map(AuthError::code);
        prop_assert_eq!(code, branch.code(), "{:?} {:?}", branch, refresh);
        let Ok(refreshed) = outcome else {
            // Whoever is told so may rely on it.
            self.acknowledged |= code == Some("token_revoked");
            return Ok(());
        };
        prop_assert!(!run.began_too_late, "a refresh after an acknowledged end");
        prop_assert!(
            refresh.at < self.model.expires_at,
            "a refresh after the end"
        );
        let access = refreshed.access_token.expose();
        let principal = self.world.verifier.verify(access);
        let session = principal.map(|principal| principal.session_id);
        let session = session.map_err(|error| error.code());
        // A token that a revocation has overtaken is good for nothing.
        let expected = match self.model.revoked {
            true => Err("token_revoked"),
            false => Ok(self.session),
        };
        // It is as old as the question to the store: who waited for the answer may get a dead one.
        let age = self.world.clock.now().saturating_since(refresh.at);
        let is_dead = session == Err("token_expired") && age >= Duration::from_secs(285);
        prop_assert!(
            is_dead || session == expected,
            "the access token: {session:?}"
        );
        let Some(token) = refreshed.refresh_token else {
            return Err(TestCaseError::fail("no next token"));
        };
        let next = refresh.generation + 1;
        if next == self.tokens.len() {
            prop_assert!(
                matches!(branch, Branch::Rotated | Branch::Followed),
                "a token out of nothing: {:?}",
                branch
            );
            self.tokens.push(token.expose().to_owned());
        }
        let successor = self.tokens.get(next).map(String::as_str);
        prop_assert_eq!(successor, Some(token.expose()), "two successors");
        if run.heard {
            self.held[run.client] = self.held[run.client].max(Some(next));
        }
        Ok(())
    }

    /// Brings everything to its end and looks at what is left.
    async fn end(mut self) -> Result<(), TestCaseError> {
        self.finish().await?;
        let found = self.world.store.find_session(self.session).await;
        let found = found.unwrap().unwrap();
        prop_assert_eq!(found.generation.number() as usize, self.model.generation);
        match self.has_lost {
            false => prop_assert_eq!(self.tokens.len(), self.model.generation + 1),
            true => prop_assert!(self.tokens.len() > self.model.generation),
        }
        prop_assert_eq!(found.rotated_at, self.model.rotated_at);
        prop_assert_eq!(found.last_used_at(), self.model.used_at);
        prop_assert_eq!(found.rotation_key.is_some(), self.model.key.is_some());
        prop_assert_eq!(found.revoked_at.is_some(), self.model.revoked);
        prop_assert_eq!(found.expires_at, self.model.expires_at);
        prop_assert!(
            !self.model.revoked || self.excused,
            "an honest client lost its session"
        );
        // Whatever has happened, the last token is good exactly while the session is.
        self.held[HONEST] = Some(self.model.generation);
        self.refresh(HONEST, None, true).await?;
        self.finish().await
    }
}
