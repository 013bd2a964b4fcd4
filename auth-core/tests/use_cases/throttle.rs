//! Guessing slows down.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use auth_core::store::Store;
use auth_core::{
    Account, AuthError, AuthService, Login, LoginThrottle, Password, RequestContext, TokenPair,
};

use crate::support::on_each_store;
use crate::world::{PASSWORD, World, code};
use crate::{MINUTE, futures};

const PATIENCE: Duration = Duration::from_secs(30);

const WRONG: &str = "a wrong password";

fn home() -> Option<IpAddr> {
    Some([192, 0, 2, 7].into())
}

fn away() -> Option<IpAddr> {
    Some([198, 51, 100, 9].into())
}

async fn log_in(
    world: &World,
    client: Option<IpAddr>,
    name: &str,
    password: &str,
) -> Result<TokenPair, AuthError> {
    let mut context = RequestContext::default();
    context.client = client;
    let login = Login::new(name, Password::new(password));
    world.engine.log_in(login, &context).await
}

/// Guesses until there is a wait; gives how often that was.
async fn guess(world: &World, client: Option<IpAddr>, name: &str) -> usize {
    let mut guesses = 0;
    loop {
        match code(log_in(world, client, name, WRONG).await) {
            "invalid_credentials" => guesses += 1,
            refused => {
                assert_eq!(refused, "too_many_attempts");
                return guesses;
            }
        }
    }
}

async fn s5_1_a_host_sets_how_many_logins_may_fail(store: Arc<dyn Store>) {
    let tries = |number| NonZeroU32::new(number).unwrap();
    let throttled =
        |throttle| World::with(Arc::clone(&store), |it| it.with_login_throttle(throttle));
    let world = throttled(LoginThrottle::default().with_account_tries(tries(3)));
    assert_eq!(guess(&world, None, "alice").await, 3);
    let world = throttled(LoginThrottle::default().with_account_tries(tries(1000)));
    assert_eq!(
        guess(&world, None, "bob").await,
        100,
        "as many as NIST allows"
    );
    let world = throttled(LoginThrottle::default().with_network_tries(tries(4)));
    assert_eq!(guess(&world, home(), "carol").await, 4);
}

async fn s5_1_s5_5_after_ten_failures_even_the_right_password_waits(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    assert_eq!(guess(&world, None, "alice").await, 10);
    for seconds in [30, 60, 120, 240, 480, 900, 900] {
        let Err(AuthError::TooManyAttempts { retry_after, .. }) =
            log_in(&world, None, "alice", PASSWORD).await
        else {
            panic!("no wait of {seconds} s");
        };
        assert_eq!(retry_after, Duration::from_secs(seconds));
        world.clock.advance(retry_after);
        let guess = log_in(&world, None, "ALICE", WRONG).await;
        assert_eq!(code(guess), "invalid_credentials");
    }
    world.clock.advance(MINUTE * 15);
    let login = log_in(&world, None, "alice", PASSWORD).await;
    assert_eq!(code(login), "success");
    assert_eq!(guess(&world, None, "alice").await, 10, "all is forgotten");
}

async fn s4_4_unknown_names_wait_after_as_many_tries(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    for name in ["alice", "nobody", "", "no name at all \u{0}"] {
        assert_eq!(guess(&world, None, name).await, 10, "{name:?}");
    }
    world.register_verified("bob").await;
    for (client, name) in [(home(), "bob"), (away(), "nobody else")] {
        assert_eq!(guess(&world, client, name).await, 10, "{name:?}");
    }
}

async fn s5_2_an_attack_does_not_lock_the_owner_out(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    world.register_verified("bob").await;
    assert_eq!(
        code(log_in(&world, home(), "alice", PASSWORD).await),
        "success"
    );
    guess(&world, away(), "alice").await;
    // The owner at home, and everybody else.
    assert_eq!(
        code(log_in(&world, home(), "alice", PASSWORD).await),
        "success"
    );
    assert_eq!(
        code(log_in(&world, away(), "bob", PASSWORD).await),
        "success"
    );
    // The owner's budget is small: guessing ends at home, too.
    guess(&world, away(), "alice").await;
    assert_eq!(guess(&world, home(), "alice").await, 5);
    // After a month home is as strange as any place.
    world.clock.advance(MINUTE * 60 * 24 * 31);
    guess(&world, away(), "alice").await;
    let login = log_in(&world, home(), "alice", PASSWORD).await;
    assert_eq!(code(login), "too_many_attempts");
}

async fn s5_3_one_password_over_many_names_is_stopped_by_the_network(store: Arc<dyn Store>) {
    let world = World::new(store);
    let host = |host: u16| Some(format!("2001:db8:0:1::{host:x}").parse().unwrap());
    let mut admitted = 0;
    for number in 0..200_u16 {
        let guess = log_in(&world, host(number), &format!("user{number}"), WRONG).await;
        admitted += usize::from(code(guess) == "invalid_credentials");
    }
    assert_eq!(admitted, 100, "from a whole /64");
    let elsewhere = Some("2001:db8:0:2::1".parse().unwrap());
    let guess = log_in(&world, elsewhere, "user", WRONG).await;
    assert_eq!(code(guess), "invalid_credentials");
}

async fn s5_5_a_success_does_not_reset_the_network(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("mallory").await;
    let mut admitted = 0;
    for number in 0..150 {
        let guess = log_in(&world, away(), &format!("user{number}"), WRONG).await;
        admitted += usize::from(code(guess) == "invalid_credentials");
        let _ = log_in(&world, away(), "mallory", PASSWORD).await;
    }
    assert_eq!(admitted, 100);
}

async fn s5_6_of_a_hundred_guesses_at_once_ten_are_hashed(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    let outcomes = futures(100, || log_in(&world, away(), "alice", WRONG)).await;
    let codes: Vec<_> = outcomes.into_iter().map(code).collect();
    let count = |expected| codes.iter().filter(|code| **code == expected).count();
    assert_eq!(count("invalid_credentials"), 10);
    assert_eq!(count("too_many_attempts"), 90);
}

async fn good_logins_at_once_do_not_stand_in_each_others_way(store: Arc<dyn Store>) {
    let world = World::new(store);
    for round in 0..5 {
        let name = format!("user{round}");
        world.register_verified(&name).await;
        for _ in 0..3 {
            let outcomes = futures(8, || log_in(&world, home(), &name, PASSWORD)).await;
            for outcome in outcomes {
                assert_eq!(code(outcome), "success");
            }
        }
    }
}

async fn an_unverified_address_is_no_failed_guess(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register("alice").await.unwrap();
    for _ in 0..20 {
        let refused = log_in(&world, home(), "alice", PASSWORD).await;
        assert_eq!(code(refused), "email_not_verified");
    }
}

/// The client hangs up at each point of a login, more often than a password may be wrong.
async fn fault_b12_a_login_that_is_broken_off_is_no_failed_guess(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    for polls in 0..60 {
        {
            let mut login = pin!(log_in(&world, home(), "alice", PASSWORD));
            for _ in 0..polls {
                if futures_util::poll!(login.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // What is given back may be under way.
        let good = async {
            while code(log_in(&world, home(), "alice", PASSWORD).await) != "success" {
                tokio::task::yield_now().await;
            }
        };
        if polls % 12 == 11 {
            tokio::time::timeout(PATIENCE, good).await.unwrap();
        }
    }
    assert_eq!(guess(&world, home(), "alice").await, 10 + 5);
}

/// Whoever reads the mails is the owner, whatever others have guessed.
async fn fault_b11_a_reset_by_mail_opens_the_account(store: Arc<dyn Store>) {
    let world = World::new(store);
    world.register_verified("alice").await;
    guess(&world, away(), "alice").await;
    let refused = log_in(&world, home(), "alice", PASSWORD).await;
    assert_eq!(code(refused), "too_many_attempts");
    let context = RequestContext::default();
    let engine = &world.engine;
    let asked = engine.request_password_reset("alice@example.org", &context);
    asked.await.unwrap();
    let token = world.mailed_token().await;
    let reset = engine.reset_password(&token, Password::new("another battery horse"), &context);
    reset.await.unwrap();
    let login = log_in(&world, home(), "alice", "another battery horse").await;
    assert_eq!(code(login), "success");
}

on_each_store!(
    fault_b12_a_login_that_is_broken_off_is_no_failed_guess,
    fault_b11_a_reset_by_mail_opens_the_account,
    s5_1_a_host_sets_how_many_logins_may_fail,
    s5_1_s5_5_after_ten_failures_even_the_right_password_waits,
    s4_4_unknown_names_wait_after_as_many_tries,
    s5_2_an_attack_does_not_lock_the_owner_out,
    s5_3_one_password_over_many_names_is_stopped_by_the_network,
    s5_5_a_success_does_not_reset_the_network,
    s5_6_of_a_hundred_guesses_at_once_ten_are_hashed,
    good_logins_at_once_do_not_stand_in_each_others_way,
    an_unverified_address_is_no_failed_guess,
);
