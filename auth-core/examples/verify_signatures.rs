//! Verifies signatures from standard input, one JSON object a line, with the code that verifies
//! access tokens; for test vectors that nobody on this project wrote.
//!
//! | in | out |
//! |---|---|
//! | `{"id","op":"verify_jws","alg","jwk","jws"}` | `{"id","ok"}`, and `"payload"` where it is good |
//! | `{"id","op":"verify_raw","alg","jwk","msg","sig"}` | `{"id","ok"}` |
//!
//! `msg`, `sig` and `payload` are base64url. The `alg` and the `jwk` beside the token decide, never
//! the token.
//!
//! ```console
//! $ cargo run -p auth-core --example verify_signatures < vectors.jsonl
//! ```

use std::error::Error;
use std::io::{BufRead as _, Write as _, stdin, stdout};

use auth_core::VerifyingKeys;
use auth_core::signature::PublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut answers = stdout().lock();
    for line in stdin().lock().lines() {
        let question: Value = serde_json::from_str(&line?)?;
        writeln!(answers, "{}", answer(&question))?;
    }
    Ok(())
}

fn answer(question: &Value) -> Value {
    let id = question.get("id");
    let verdict = match question.get("op").and_then(Value::as_str) {
        Some("verify_jws") => verify_jws(question),
        Some("verify_raw") => verify_raw(question),
        _ => None,
    };
    match verdict {
        Some(Some(payload)) => {
            json!({"id": id, "ok": true, "payload": URL_SAFE_NO_PAD.encode(payload)})
        }
        Some(None) => json!({"id": id, "ok": true}),
        None => json!({"id": id, "ok": false}),
    }
}

fn verify_jws(question: &Value) -> Option<Option<Vec<u8>>> {
    let algorithm = text(question, "alg")?.parse().ok()?;
    let jwk = question.get("jwk")?.to_string();
    let keys = VerifyingKeys::from_jwk(algorithm, &jwk).ok()?;
    keys.verify_jws(text(question, "jws")?).map(Some)
}

fn verify_raw(question: &Value) -> Option<Option<Vec<u8>>> {
    let bytes = |member| URL_SAFE_NO_PAD.decode(text(question, member)?).ok();
    let key = PublicKey::from_jwk(&question.get("jwk")?.to_string()).ok()?;
    let is_right = key.algorithm().as_str() == text(question, "alg")?
        && key.verify(&bytes("msg")?, &bytes("sig")?);
    is_right.then_some(None)
}

fn text<'q>(question: &'q Value, member: &str) -> Option<&'q str> {
    question.get(member)?.as_str()
}
