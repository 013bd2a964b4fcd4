//! Claims of the host in access tokens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use auth_core::claims::{ClaimsError, ClaimsHook, ExtraClaims, TokenSubject};
use auth_core::store::Store;
use auth_core::{
    AuthError, AuthService, Clock as _, Principal, Refreshed, RequestContext, TokenPair, UserId,
};
use serde::{Deserialize, Serialize};

use crate::rotating;
use crate::support::on_each_store;
use crate::world::{World, code};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Membership {
    tenant: String,
    permissions: Vec<String>,
}

fn acme() -> Membership {
    Membership {
        tenant: "acme".to_owned(),
        permissions: vec!["notes:read".to_owned(), "notes:write".to_owned()],
    }
}

type Answer = fn() -> Result<ExtraClaims, ClaimsError>;

/// Answers as it is told, and remembers for whom it was asked.
#[derive(Debug)]
struct Scripted {
    answer: Mutex<Answer>,
    asked: Mutex<Vec<TokenSubject>>,
}

impl Scripted {
    fn answering(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            answer: Mutex::new(answer),
            asked: Mutex::default(),
        })
    }

    fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> Vec<TokenSubject> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

#[async_trait]
impl ClaimsHook for Scripted {
    async fn claims(&self, subject: TokenSubject) -> Result<ExtraClaims, ClaimsError> {
        self.asked.lock().unwrap().push(subject);
        let answer = *self.answer.lock().unwrap();
        answer()
    }
}

fn unavailable() -> Result<ExtraClaims, ClaimsError> {
    Err(ClaimsError::unavailable("the directory is away"))
}

fn too_many() -> Result<ExtraClaims, ClaimsError> {
    ExtraClaims::new(&BTreeMap::from([("tenants", vec!["acme"; 500])]))
}

async fn world(store: Arc<dyn Store>, hook: &Arc<Scripted>) -> (World, UserId) {
    let world = World::with(store, |builder| {
        rotating(builder).with_claims_hook(Arc::<Scripted>::clone(hook))
    });
    let id = world.register_verified("alice").await;
    (world, id)
}

async fn refresh(world: &World, tokens: &TokenPair) -> Result<Refreshed, AuthError> {
    let token = tokens.refresh_token.expose();
    let context = RequestContext::default();
    world.engine.refresh(token, &context).await
}

async fn live_sessions(world: &World, user: UserId) -> usize {
    let now = world.clock.now();
    let sessions = world.store.list_sessions(user, now, 10).await;
    sessions.unwrap().len()
}

fn verified(world: &World, token: &str) -> Principal {
    world.engine.access_token_verifier().verify(token).unwrap()
}

async fn the_claims_of_the_host_come_back_typed(store: Arc<dyn Store>) {
    let hook = Scripted::answering(|| ExtraClaims::new(&acme()));
    let (world, id) = world(store, &hook).await;
    let tokens = world.log_in("alice").await.unwrap();
    let caller = verified(&world, tokens.access_token.expose());
    assert_eq!(caller.claims::<Membership>().unwrap(), acme());
    let mut subject = TokenSubject::new(id, caller.session_id);
    subject.email_verified = true;
    assert_eq!(hook.asked(), [subject.clone()]);

    hook.answer(|| {
        let tenant = "globex".to_owned();
        ExtraClaims::new(&Membership { tenant, ..acme() })
    });
    let refreshed = refresh(&world, &tokens).await.unwrap();
    let caller = verified(&world, refreshed.access_token.expose());
    assert_eq!(caller.claims::<Membership>().unwrap().tenant, "globex");
    assert_eq!(hook.asked(), [subject]);
}

async fn a_login_whose_claims_cannot_be_had_leaves_no_session(store: Arc<dyn Store>) {
    let hook = Scripted::answering(unavailable);
    let (world, id) = world(store, &hook).await;
    assert_eq!(code(world.log_in("alice").await), "storage_unavailable");
    hook.answer(|| ExtraClaims::new(&BTreeMap::from([("sub", "somebody else")])));
    let refused = world.log_in("alice").await.unwrap_err();
    assert!(
        matches!(&refused, AuthError::Claims(ClaimsError::Reserved(name)) if name == "sub"),
        "{refused:?}"
    );
    assert_eq!(refused.code(), "internal_error");
    assert_eq!(live_sessions(&world, id).await, 0);

    hook.answer(|| Ok(ExtraClaims::default()));
    // No try was counted, however often.
    for _ in 0..2 {
        world.log_in("alice").await.unwrap();
    }
    assert_eq!(live_sessions(&world, id).await, 2);
}

async fn a_wrong_password_is_refused_before_the_hook_is_asked(store: Arc<dyn Store>) {
    let hook = Scripted::answering(unavailable);
    let (world, _) = world(store, &hook).await;
    let refused = world.log_in_with("alice", "another horse").await;
    assert_eq!(code(refused), "invalid_credentials");
    assert_eq!(hook.asked(), []);
}

async fn a_refresh_whose_claims_cannot_be_had_can_be_tried_again(store: Arc<dyn Store>) {
    let hook = Scripted::answering(|| ExtraClaims::new(&acme()));
    let (world, _) = world(store, &hook).await;
    let tokens = world.log_in("alice").await.unwrap();
    hook.answer(unavailable);
    let refused = refresh(&world, &tokens).await;
    assert_eq!(code(refused), "storage_unavailable");
    hook.answer(|| ExtraClaims::new(&acme()));
    let refreshed = refresh(&world, &tokens).await.unwrap();
    let caller = verified(&world, refreshed.access_token.expose());
    assert_eq!(caller.claims::<Membership>().unwrap(), acme());
    assert!(refreshed.refresh_token.is_some());
}

async fn s6_14_claims_that_make_the_token_too_long_are_told_of(store: Arc<dyn Store>) {
    let hook = Scripted::answering(too_many);
    let (world, id) = world(store, &hook).await;
    let refused = world.log_in("alice").await.unwrap_err();
    assert!(
        matches!(refused, AuthError::Claims(ClaimsError::TooLong(bytes)) if bytes > 4096),
        "{refused:?}"
    );
    assert_eq!(live_sessions(&world, id).await, 0);
}

on_each_store!(
    the_claims_of_the_host_come_back_typed,
    a_login_whose_claims_cannot_be_had_leaves_no_session,
    a_wrong_password_is_refused_before_the_hook_is_asked,
    a_refresh_whose_claims_cannot_be_had_can_be_tried_again,
    s6_14_claims_that_make_the_token_too_long_are_told_of,
);
