//! How a host tests its own service: in the process, with a principal that is injected.

use auth_core::testing::principal;

use super::*;

#[tokio::test]
async fn the_caller_is_greeted_by_the_id() {
    let caller = principal();
    let mut request = Request::new(String::new());
    request.extensions_mut().insert(caller.clone());
    let answer = me(request).await.unwrap();
    assert_eq!(answer.body(), &format!("Hello, user {}.\n", caller.user_id));
}
