//! Tries that may fail: taken, given back, settled by a login, and forgotten.

use std::sync::Arc;
use std::time::Duration;

use super::fixtures::{CROWD, LIFETIME, create, event, hash, now, race};
use crate::Timestamp;
use crate::store::{
    Admission, LoginSettlement, NewSession, NewUser, Store, ThrottleKey, TryBudget,
};

const ACCOUNT: ThrottleKey = ThrottleKey::from_bytes([1; 32]);
const NETWORK: ThrottleKey = ThrottleKey::from_bytes([2; 32]);
const PAIR: ThrottleKey = ThrottleKey::from_bytes([3; 32]);
const SECOND: Duration = Duration::from_secs(1);

fn budget(key: ThrottleKey, tries: u32) -> TryBudget {
    TryBudget::new(key, tries)
}

async fn take(store: &Arc<dyn Store>, budgets: &[TryBudget], at: Timestamp) -> Admission {
    store.take_tries(budgets, at).await.unwrap()
}

/// Takes tries until there are no more; gives how many there were.
async fn exhaust(store: &Arc<dyn Store>, budgets: &[TryBudget], at: Timestamp) -> usize {
    let mut taken = 0;
    while take(store, budgets, at).await == Admission::Admitted {
        taken += 1;
    }
    taken
}

async fn log_in(store: &Arc<dyn Store>, user: &NewUser, settlement: LoginSettlement) -> bool {
    let session = NewSession {
        settlement,
        ..NewSession::new(user.user.id, now(), now() + LIFETIME)
    };
    let begun = store
        .create_session(&session, &user.password_hash, &event())
        .await;
    begun.unwrap().is_some()
}

/// Of many tries at once, exactly those are admitted that the budget has.
pub async fn s5_6_s15_2_of_many_tries_at_once_the_budget_admits_its_number(store: Arc<dyn Store>) {
    let outcomes = race(CROWD, |_| {
        let store = Arc::clone(&store);
        async move {
            let budgets = [budget(ACCOUNT, 10), budget(NETWORK, 100)];
            take(&store, &budgets, now()).await
        }
    })
    .await;
    let admitted = |outcome: &&Admission| **outcome == Admission::Admitted;
    assert_eq!(outcomes.iter().filter(admitted).count(), 10);
}

/// Who wants the same budgets in another order waits for nobody for ever.
pub async fn s5_6_budgets_in_any_order_never_deadlock(store: Arc<dyn Store>) {
    let outcomes = race(CROWD, |index| {
        let store = Arc::clone(&store);
        async move {
            let mut budgets = [budget(ACCOUNT, 1000), budget(NETWORK, 1000)];
            if index % 2 == 0 {
                budgets.reverse();
            }
            take(&store, &budgets, now()).await
        }
    })
    .await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == Admission::Admitted)
    );
}

/// A refusal tells which budget, and until when; and takes nothing out of the others.
pub async fn s5_5_a_refused_try_takes_nothing(store: Arc<dyn Store>) {
    assert_eq!(exhaust(&store, &[budget(ACCOUNT, 3)], now()).await, 3);
    let both = [budget(NETWORK, 4), budget(ACCOUNT, 3)];
    let until = now() + 30 * SECOND;
    for _ in 0..10 {
        let refused = take(&store, &both, now()).await;
        assert_eq!(refused, Admission::refused(ACCOUNT, until));
    }
    assert_eq!(exhaust(&store, &[budget(NETWORK, 4)], now()).await, 4);
}

/// What is counted is there for every node, and ends by itself.
pub async fn s5_1_a_block_ends_by_itself_and_doubles(store: Arc<dyn Store>) {
    let budgets = [budget(ACCOUNT, 2)];
    exhaust(&store, &budgets, now()).await;
    let mut at = now();
    for seconds in [30, 60, 120, 240, 480, 900, 900] {
        let until = at + seconds * SECOND;
        let refused = take(&store, &budgets, until - SECOND).await;
        assert_eq!(refused, Admission::refused(ACCOUNT, until));
        assert_eq!(take(&store, &budgets, until).await, Admission::Admitted);
        at = until;
    }
}

/// Tries that did not fail are given back, with the block that they brought.
pub async fn gives_tries_back(store: Arc<dyn Store>) {
    let budgets = [budget(ACCOUNT, 2), budget(NETWORK, 2)];
    assert_eq!(exhaust(&store, &budgets, now()).await, 2);
    let keys = [ACCOUNT, NETWORK, PAIR];
    store.give_back_tries(&keys, now()).await.unwrap();
    assert_eq!(exhaust(&store, &budgets, now()).await, 1);
}

/// A login forgets the account's failures, gives the network its try back, and makes the pair
/// known; one that begins no session does nothing.
pub async fn s5_5_a_login_settles_what_was_counted(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let both = [budget(ACCOUNT, 3), budget(NETWORK, 3)];
    exhaust(&store, &both, now()).await;
    let known = TryBudget {
        only_if_known: true,
        ..budget(PAIR, 2)
    };
    let settlement = LoginSettlement {
        forgotten: Some(ACCOUNT),
        given_back: vec![NETWORK],
        known: Some((PAIR, now() + 60 * SECOND)),
    };
    let mut other = alice.clone();
    other.password_hash = hash("another");
    assert!(!log_in(&store, &other, settlement.clone()).await);
    assert_eq!(exhaust(&store, &both, now()).await, 0);
    assert_eq!(exhaust(&store, &[known], now()).await, 0);

    assert!(log_in(&store, &alice, settlement).await);
    assert_eq!(exhaust(&store, &[budget(NETWORK, 3)], now()).await, 1);
    assert_eq!(exhaust(&store, &[budget(ACCOUNT, 3)], now()).await, 3);
    assert_eq!(exhaust(&store, &[known], now()).await, 2);
    let later = now() + 60 * SECOND;
    assert_eq!(exhaust(&store, &[known], later).await, 0, "known no longer");
}

/// What says nothing any more goes, no more at once than was asked for.
pub async fn s12_6_removes_tries_that_count_no_longer(store: Arc<dyn Store>) {
    for key in [ACCOUNT, NETWORK, PAIR] {
        let taken = take(&store, &[budget(key, 10)], now()).await;
        assert_eq!(taken, Admission::Admitted);
    }
    let window = Duration::from_secs(15 * 60);
    let remove = async |before| store.remove_tries(before, 2).await.unwrap();
    assert_eq!(remove(now() + window).await, 0);
    let later = now() + window + SECOND;
    assert_eq!(remove(later).await, 2);
    assert_eq!(remove(later).await, 1);
    assert_eq!(remove(later).await, 0);
}
