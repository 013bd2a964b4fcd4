use std::sync::Mutex;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{JwtKeys, SecretKey, SystemClock};

pub(super) const SECRET: &str = "kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0";
pub(super) const OTHER: &str = "Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg";
pub(super) const ISSUER: &str = "https://auth.example.org";
pub(super) const AUDIENCE: &str = "https://api.example.org";
pub(super) const NOW: i64 = 1_700_000_000;

#[derive(Debug)]
pub(super) struct TestClock(Mutex<Timestamp>);

impl TestClock {
    pub(super) fn at(seconds: i64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Timestamp::from_unix_seconds(seconds))))
    }

    pub(super) fn set(&self, seconds: i64) {
        *self.0.lock().unwrap() = Timestamp::from_unix_seconds(seconds);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

pub(super) fn secret(text: &str) -> SecretKey {
    SecretKey::parse(text).unwrap()
}

fn keys() -> JwtKeys {
    JwtKeys::hs256(secret(SECRET))
}

pub(super) fn verifier(keys: &JwtKeys) -> AccessTokenVerifier {
    AccessTokenVerifier::new(keys, ISSUER, AUDIENCE, TestClock::at(NOW))
}

fn owner(user: UserId, session: SessionId) -> TokenOwner {
    TokenOwner {
        user,
        session,
        epoch: Some(TokenEpoch::new(12)),
    }
}

pub(super) fn issue(keys: &JwtKeys, roles: &[&str]) -> (UserId, SessionId, AccessToken) {
    let scope = TokenScope {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        client_id: "web".to_owned(),
    };
    let issuer = AccessTokenIssuer::new(keys.into(), scope, Duration::from_secs(300));
    let (user, session) = (UserId::generate(), SessionId::generate());
    let now = Timestamp::from_unix_seconds(NOW);
    let token = issuer
        .issue(owner(user, session), roles, &ExtraClaims::default(), now)
        .unwrap();
    (user, session, token)
}

pub(super) fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub(super) fn header() -> Value {
    json!({"typ": "at+jwt", "alg": "HS256"})
}

pub(super) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "client_id": "web",
        "sub": "0190b1d0-0000-7000-8000-000000000001",
        "sid": "6b0f9f0a-0000-4000-8000-000000000002",
        "iat": NOW, "exp": NOW + 300, "jti": "AAAAAAAAAAAAAAAAAAAAAA", "roles": [],
    })
}

pub(super) fn with(mut object: Value, member: &str, value: Value) -> Value {
    object[member] = value;
    object
}

fn without(mut object: Value, member: &str) -> Value {
    object.as_object_mut().unwrap().remove(member).unwrap();
    object
}

/// Signs whatever it is given, as an attacker with the key could.
pub(super) fn sign(header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let signature = (DEFAULT_PROVIDER.signer_factory)(&jsonwebtoken::Algorithm::HS256, &key)
        .unwrap()
        .try_sign(signed.as_bytes())
        .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn verdict(header: &str, claims: &str) -> Result<Principal, &'static str> {
    verifier(&keys())
        .verify(&sign(header, claims))
        .map_err(|error| error.code())
}

#[track_caller]
fn accepts(header: &Value, claims: &Value) {
    let verdict = verdict(&header.to_string(), &claims.to_string());
    assert!(verdict.is_ok(), "{header} {claims}: {verdict:?}");
}

#[track_caller]
fn refuses(header: &Value, claims: &Value) {
    refuses_text(&header.to_string(), &claims.to_string());
}

#[track_caller]
fn refuses_text(header: &str, claims: &str) {
    assert_eq!(
        verdict(header, claims),
        Err("token_invalid"),
        "{header} {claims}"
    );
}

#[test]
fn s6_1_a_token_carries_exactly_the_documented_members() {
    let (user, session, token) = issue(&keys(), &["superuser"]);
    assert_eq!(part(token.expose(), 0), header());
    let mut claims = part(token.expose(), 1);
    let jti = claims["jti"].take();
    let exp = claims["exp"].take().as_i64().unwrap();
    assert!((NOW + 285..=NOW + 300).contains(&exp), "{exp}");
    let (random, epoch) = jti.as_str().unwrap().split_once('.').unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(random).unwrap().len(), 16);
    assert_eq!(epoch, "12");
    let expected = json!({
        "iss": ISSUER, "aud": AUDIENCE, "client_id": "web", "sub": user.to_string(),
        "sid": session.to_string(), "iat": NOW, "exp": null, "jti": null,
        "roles": ["superuser"],
    });
    assert_eq!(claims, expected);
}

#[test]
fn s19_5_a_token_names_the_epoch_that_it_was_made_in() {
    let token = issue(&keys(), &[]).2;
    let principal = verifier(&keys()).verify(token.expose()).unwrap();
    assert_eq!(principal.token_epoch, Some(TokenEpoch::new(12)));
    for other in [
        "AAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAA.",
        "AAAAAAAAAAAAAAAAAAAAAA.x",
        "AAAAAAAAAAAAAAAAAAAAAA.4294967296",
        "0190163d-8694-739b-aea5-966c26f8ad91",
        "short.12",
    ] {
        let claims = with(claims(), "jti", json!(other));
        let token = sign(&header().to_string(), &claims.to_string());
        let principal = verifier(&keys()).verify(&token).unwrap();
        assert_eq!(principal.token_epoch, None, "{other}");
    }
}

#[test]
fn tokens_issued_together_do_not_expire_together() {
    let ends: std::collections::HashSet<i64> = (0..200)
        .map(|_| {
            part(issue(&keys(), &[]).2.expose(), 1)["exp"]
                .as_i64()
                .unwrap()
        })
        .collect();
    assert!(ends.len() > 5, "{ends:?}");
    assert!(ends.iter().all(|end| (NOW + 285..=NOW + 300).contains(end)));
}

#[test]
fn s6_1_every_token_has_an_identifier_of_its_own() {
    let identifiers: std::collections::HashSet<String> = (0..1000)
        .map(|_| part(issue(&keys(), &[]).2.expose(), 1)["jti"].to_string())
        .collect();
    assert_eq!(identifiers.len(), 1000);
}

#[test]
fn an_issued_token_verifies_as_the_principal_it_was_issued_for() {
    let (user, session, token) = issue(&keys(), &["superuser", "editor"]);
    let principal = verifier(&keys()).verify(token.expose()).unwrap();
    assert_eq!(principal.user_id, user);
    assert_eq!(principal.session_id, session);
    assert!(principal.has_role("superuser") && principal.has_role("editor"));
    assert!(!principal.has_role("admin"));
    assert_eq!(principal.issued_at, Timestamp::from_unix_seconds(NOW));
    let exp = part(token.expose(), 1)["exp"].as_i64().unwrap();
    assert_eq!(principal.expires_at, Timestamp::from_unix_seconds(exp));
}

#[test]
fn jsonwebtoken_itself_verifies_what_we_issue() {
    let (_, _, token) = issue(&keys(), &[]);
    let signed = token.expose().rsplit_once('.').unwrap();
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    let verifier =
        (DEFAULT_PROVIDER.verifier_factory)(&jsonwebtoken::Algorithm::HS256, &key).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signed.1).unwrap();
    assert!(verifier.verify(signed.0.as_bytes(), &signature).is_ok());
}

#[test]
fn s6_3_the_token_cannot_choose_the_algorithm() {
    for alg in [
        "none", "None", "NONE", "nOnE", "", "hs256", "HS384", "HS512", "RS256", "ES256", "EdDSA",
        "PS256", "HS256 ",
    ] {
        refuses(&with(header(), "alg", json!(alg)), &claims());
    }
    for alg in [json!(null), json!(["HS256"]), json!(256), json!({})] {
        refuses(&with(header(), "alg", alg), &claims());
    }
    refuses(&without(header(), "alg"), &claims());
    let (signed, _) = sign(
        &with(header(), "alg", json!("none")).to_string(),
        &claims().to_string(),
    )
    .rsplit_once('.')
    .map(|(signed, signature)| (signed.to_owned(), signature.to_owned()))
    .unwrap();
    assert!(verifier(&keys()).verify(&format!("{signed}.")).is_err());
}

#[test]
fn s6_4_a_token_of_another_key_is_refused() {
    let (_, _, token) = issue(&JwtKeys::hs256(secret(OTHER)), &[]);
    assert!(verifier(&keys()).verify(token.expose()).is_err());
}

#[test]
fn s6_5_a_header_that_brings_a_key_is_refused() {
    for member in ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"] {
        for value in [
            json!("https://127.0.0.1:1/"),
            json!({}),
            json!([]),
            json!(null),
        ] {
            refuses(&with(header(), member, value), &claims());
        }
    }
}

#[test]
fn s6_6_a_key_id_only_looks_up_a_key() {
    let ring = keys().add_fallback(secret(OTHER)).unwrap();
    let ring_verifier = verifier(&ring);
    let (_, _, token) = issue(&ring, &[]);
    let kid = part(token.expose(), 0)["kid"].clone();
    assert!(ring_verifier.verify(token.expose()).is_ok());
    let named = with(header(), "kid", kid).to_string();
    assert!(
        ring_verifier
            .verify(&sign(&named, &claims().to_string()))
            .is_ok()
    );
    for kid in [
        json!("../../etc/passwd"),
        json!("' OR 1=1 --"),
        json!("a\0b"),
        json!(["a"]),
        json!({}),
        json!(1),
        json!(null),
        json!(""),
        json!("k".repeat(129)),
    ] {
        let token = sign(
            &with(header(), "kid", kid.clone()).to_string(),
            &claims().to_string(),
        );
        assert!(ring_verifier.verify(&token).is_err(), "{kid}");
        refuses(&with(header(), "kid", kid), &claims());
    }
    let unnamed = sign(&header().to_string(), &claims().to_string());
    assert!(ring_verifier.verify(&unnamed).is_err());
    assert!(verifier(&keys()).verify(&unnamed).is_ok());
}

#[test]
fn s13_4_tokens_of_an_earlier_key_verify_until_it_is_retired() {
    let old = keys().add_fallback(secret(OTHER)).unwrap();
    let new = JwtKeys::hs256(secret(OTHER))
        .add_fallback(secret(SECRET))
        .unwrap();
    let (_, _, token) = issue(&old, &[]);
    assert!(verifier(&new).verify(token.expose()).is_ok());
    assert!(
        verifier(&JwtKeys::hs256(secret(OTHER)))
            .verify(token.expose())
            .is_err()
    );
}

#[test]
fn s6_7_extensions_that_must_be_understood_are_refused() {
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(true)),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
    ] {
        refuses(&with(header(), member, value), &claims());
    }
    let (_, _, token) = issue(&keys(), &[]);
    let parts: Vec<&str> = token.expose().split('.').collect();
    for shape in [
        format!(
            "{}.{}.{}.{}.{}",
            parts[0], parts[1], parts[1], parts[1], parts[2]
        ),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.{}.", parts[0], parts[1], parts[2]),
        format!(".{}.{}.{}", parts[0], parts[1], parts[2]),
        json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string(),
        String::new(),
        "..".to_owned(),
    ] {
        assert!(verifier(&keys()).verify(&shape).is_err(), "{shape}");
    }
}

#[test]
fn s6_8_only_access_tokens_pass() {
    for typ in [
        "at+jwt",
        "AT+JWT",
        "application/at+jwt",
        "Application/AT+JWT",
    ] {
        accepts(&with(header(), "typ", json!(typ)), &claims());
    }
    for typ in [
        json!("JWT"),
        json!(""),
        json!("jwt"),
        json!("rt+jwt"),
        json!(null),
        json!(["at+jwt"]),
    ] {
        refuses(&with(header(), "typ", typ), &claims());
    }
    refuses(&without(header(), "typ"), &claims());
}

#[test]
fn s6_9_with_issuer_and_audience_the_other_way_round_nothing_is_accepted() {
    let swapped = AccessTokenVerifier::new(&keys(), AUDIENCE, ISSUER, TestClock::at(NOW));
    let (_, _, token) = issue(&keys(), &[]);
    assert_eq!(
        swapped.verify(token.expose()).unwrap_err().code(),
        "token_invalid"
    );
}

#[test]
fn s6_9_issuer_and_audience_are_ours_exactly() {
    for issuer in [
        json!("https://auth.example.org/"),
        json!("https://AUTH.example.org"),
        json!("https://auth.example.or"),
        json!(""),
        json!(null),
        json!([ISSUER]),
        json!(1),
    ] {
        refuses(&header(), &with(claims(), "iss", issuer));
    }
    accepts(
        &header(),
        &with(
            claims(),
            "aud",
            json!(["https://other.example.org", AUDIENCE]),
        ),
    );
    for audience in [
        json!("https://api.example.org/"),
        json!("https://API.example.org"),
        json!("https://api.example"),
        json!([]),
        json!([[AUDIENCE]]),
        json!([1, AUDIENCE]),
        json!({"0": AUDIENCE}),
        json!(null),
        json!(true),
        json!(""),
    ] {
        refuses(&header(), &with(claims(), "aud", audience));
    }
}

#[test]
fn s6_10_required_claims_must_be_there_with_their_types() {
    for member in ["iss", "aud", "sub", "sid", "jti", "iat", "exp"] {
        refuses(&header(), &without(claims(), member));
        for value in [json!(null), json!([]), json!({}), json!(true)] {
            refuses(&header(), &with(claims(), member, value));
        }
    }
    for member in ["iat", "exp", "nbf"] {
        for value in [
            json!(null),
            json!("1700000000"),
            json!(true),
            json!([NOW]),
            json!(-1),
            json!(-1.5),
            json!(9_007_199_254_740_993_u64),
            json!(1e300),
        ] {
            refuses(&header(), &with(claims(), member, value));
        }
        let huge = with(claims(), member, json!("PLACE"))
            .to_string()
            .replace("\"PLACE\"", "1e999");
        refuses_text(&header().to_string(), &huge);
        let nan = with(claims(), member, json!("PLACE"))
            .to_string()
            .replace("\"PLACE\"", "NaN");
        refuses_text(&header().to_string(), &nan);
    }
    refuses(&header(), &with(claims(), "sub", json!("alice")));
    refuses(&header(), &with(claims(), "jti", json!("")));
    refuses(&header(), &with(claims(), "roles", json!("superuser")));
    refuses(&header(), &with(claims(), "roles", json!(null)));
    accepts(&header(), &without(claims(), "roles"));
    accepts(&header(), &with(claims(), "exp", json!(1_700_000_300.5)));
}

#[test]
fn s6_11_times_are_checked_with_a_leeway_of_five_seconds() {
    let with_exp = |exp: i64| {
        verdict(
            &header().to_string(),
            &with(claims(), "exp", json!(exp)).to_string(),
        )
    };
    assert!(with_exp(NOW - 4).is_ok());
    assert_eq!(with_exp(NOW - 5), Err("token_expired"));
    assert_eq!(with_exp(NOW - 10), Err("token_expired"));
    for member in ["nbf", "iat"] {
        accepts(&header(), &with(claims(), member, json!(NOW + 5)));
        refuses(&header(), &with(claims(), member, json!(NOW + 6)));
        refuses(&header(), &with(claims(), member, json!(NOW + 3600)));
    }
}

#[test]
fn s6_11_the_leeway_is_a_setting_up_to_a_minute() {
    let with_leeway = |seconds| {
        let leeway = Duration::from_secs(seconds);
        verifier(&keys()).with_leeway(leeway)
    };
    let verdict = |verifier: &AccessTokenVerifier, member, at: i64| {
        let token = sign(
            &header().to_string(),
            &with(claims(), member, json!(at)).to_string(),
        );
        verifier
            .verify(&token)
            .map(drop)
            .map_err(|error| error.code())
    };
    for seconds in [0_u32, 60] {
        let verifier = with_leeway(seconds.into()).unwrap();
        let leeway = i64::from(seconds);
        for member in ["nbf", "iat"] {
            assert_eq!(verdict(&verifier, member, NOW + leeway), Ok(()));
            let early = verdict(&verifier, member, NOW + leeway + 1);
            assert_eq!(early, Err("token_invalid"));
        }
        assert_eq!(verdict(&verifier, "exp", NOW - leeway + 1), Ok(()));
        let late = verdict(&verifier, "exp", NOW - leeway);
        assert_eq!(late, Err("token_expired"));
    }
    assert_eq!(with_leeway(61).unwrap_err(), LeewayTooLong);
}

#[test]
fn an_expired_token_with_another_fault_is_called_invalid() {
    let expired = with(claims(), "exp", json!(NOW - 100));
    refuses(&header(), &with(expired.clone(), "aud", json!("other")));
    let token = sign(&header().to_string(), &expired.to_string());
    let other = verifier(&JwtKeys::hs256(secret(OTHER))).verify(&token);
    assert_eq!(other.unwrap_err().code(), "token_invalid");
}

#[test]
fn s6_12_duplicate_members_are_refused() {
    let header_text = header().to_string();
    let claims_text = claims().to_string();
    for (member, value) in [
        ("sub", "\"x\""),
        ("exp", "1"),
        ("iss", "\"x\""),
        ("roles", "[]"),
    ] {
        let twice = format!("{{\"{member}\":{value},{}", &claims_text[1..]);
        refuses_text(&header_text, &twice);
    }
    for (member, value) in [("alg", "\"none\""), ("typ", "\"JWT\"")] {
        let twice = format!("{{\"{member}\":{value},{}", &header_text[1..]);
        refuses_text(&twice, &claims_text);
    }
}

#[test]
fn s6_12_duplicate_members_that_we_do_not_know_are_refused() {
    let (header_text, claims_text) = (header().to_string(), claims().to_string());
    let with_members = |object: &str, members: &str| format!("{{{members},{}", &object[1..]);
    for twice in [
        r#""scope":"a","scope":"b""#,
        r#""scope":"a","scope":"a""#,
        r#""a":1,"b":2,"c":3,"a":{}"#,
        // The same name, written in another way.
        r#""scope":"a","\u0073cope":"b""#,
        r#""":1,"":1"#,
    ] {
        refuses_text(&header_text, &with_members(&claims_text, twice));
        refuses_text(&with_members(&header_text, twice), &claims_text);
    }
    let client_ids = with_members(&claims_text, r#""client_id":"a""#);
    refuses_text(&header_text, &client_ids);
    for once in [
        r#""scope":"a","Scope":"b""#,
        r#""a":1,"b":2,"c":3,"":4"#,
        // Nobody reads within members that we do not know.
        r#""nested":{"a":1,"a":2}"#,
    ] {
        let claims = with_members(&claims_text, once);
        let verdict = verdict(&with_members(&header_text, once), &claims);
        assert!(verdict.is_ok(), "{once}: {verdict:?}");
    }
}

#[test]
fn s6_12_only_objects_are_read() {
    for text in [
        "",
        "[]",
        "\"x\"",
        "1",
        "null",
        " ",
        "{",
        "{}{}",
        "\u{feff}{}",
    ] {
        refuses_text(&header().to_string(), text);
        refuses_text(text, &claims().to_string());
    }
    let values: Vec<Value> = ["iss", "aud", "sub", "sid", "jti", "iat", "exp"]
        .iter()
        .map(|member| claims()[member].clone())
        .collect();
    refuses_text(&header().to_string(), &json!(values).to_string());
}

#[test]
fn s6_13_each_change_of_one_character_is_refused() {
    let (_, _, token) = issue(&keys(), &[]);
    let verifier = verifier(&keys());
    for position in 0..token.expose().len() {
        for replacement in ['A', 'B', 'g', 'w', '-', '_', '+', '/', '=', '.', ' ', '\n'] {
            let mut changed: Vec<char> = token.expose().chars().collect();
            if changed[position] == replacement {
                continue;
            }
            changed[position] = replacement;
            let changed: String = changed.into_iter().collect();
            assert!(verifier.verify(&changed).is_err(), "{changed}");
        }
    }
}

#[test]
fn s6_13_padding_white_space_and_spare_bits_are_refused() {
    let (_, _, token) = issue(&keys(), &[]);
    let parts: Vec<&str> = token.expose().split('.').collect();
    let verifier = verifier(&keys());
    for (index, part) in parts.iter().enumerate() {
        for changed in [
            format!("{part}="),
            format!("{part}=="),
            format!(" {part}"),
            format!("{part}\n"),
        ] {
            let mut parts = parts.clone();
            parts[index] = &changed;
            assert!(verifier.verify(&parts.join(".")).is_err());
        }
    }
    // 32 bytes leave two spare bits in the last of 43 characters.
    let last = parts[2].chars().last().unwrap();
    let spare = char::from(u8::try_from(last).unwrap() + 1);
    let signature = format!("{}{spare}", &parts[2][..42]);
    assert!(
        verifier
            .verify(&format!("{}.{}.{signature}", parts[0], parts[1]))
            .is_err()
    );
}

#[test]
fn s6_14_an_over_long_token_is_refused_undecoded() {
    let padded = with(claims(), "padding", json!("p".repeat(4000)));
    refuses(&header(), &padded);
    let verifier = verifier(&keys());
    for token in [
        "A".repeat(64 << 10),
        "A".repeat(1 << 20),
        ".".repeat(1_000_000),
    ] {
        assert!(verifier.verify(&token).is_err());
    }
}

#[test]
fn s13_3_tokens_do_not_show_in_debug_output() {
    let (_, _, token) = issue(&keys(), &[]);
    assert_eq!(format!("{token:?}"), "AccessToken([redacted])");
    assert!(!format!("{:?}", verifier(&keys())).contains("kPq4"));
}

proptest! {
    #[test]
    fn s11_4_no_input_panics(token in any::<String>(), parts in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
        let verifier = AccessTokenVerifier::new(&keys(), ISSUER, AUDIENCE, Arc::new(SystemClock));
        prop_assert!(verifier.verify(&token).is_err());
        prop_assert!(verifier.verify(&parts).is_err());
    }

    #[test]
    fn s11_4_no_signed_input_panics(header in any::<String>(), claims in any::<String>()) {
        prop_assert!(verdict(&header, &claims).is_err());
    }
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Tenant {
    tenant: String,
    plan: Option<Plan>,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Plan {
    seats: u8,
}

/// The tenant of a token with this text among its claims.
fn tenant(more: &str) -> Result<Tenant, &'static str> {
    let claims = claims().to_string();
    let claims = format!("{},{more}}}", claims.trim_end_matches('}'));
    let principal = verdict(&header().to_string(), &claims)?;
    principal.claims().map_err(|_| "unreadable")
}

#[test]
fn members_that_we_do_not_know_are_read_as_the_host_says() {
    let seats = |seats| Some(Plan { seats });
    let acme = |plan| Tenant {
        tenant: "acme".to_owned(),
        plan,
    };
    assert_eq!(tenant(r#""tenant":"acme""#), Ok(acme(None)));
    let more = r#""tenant":"acme","plan":{"seats":3},"scope":"x y""#;
    assert_eq!(tenant(more), Ok(acme(seats(3))));
    for unreadable in [
        r#""tenant":7"#,
        r#""tenant":null"#,
        r#""plan":{"seats":3}"#,
        r#""tenant":"acme","plan":{"seats":300}"#,
    ] {
        assert_eq!(tenant(unreadable), Err("unreadable"), "{unreadable}");
    }
}

#[test]
fn s6_12_a_member_that_the_host_reads_stands_once_at_any_depth() {
    for (more, error) in [
        (r#""tenant":"a","tenant":"b""#, "token_invalid"),
        (r#""tenant":"a","plan":{"seats":1,"seats":2}"#, "unreadable"),
        (r#""tenant":"a","x":[{"y":{"z":1,"z":1}}]"#, "unreadable"),
    ] {
        assert_eq!(tenant(more), Err(error), "{more}");
    }
}

#[test]
fn our_claims_are_not_among_the_hosts() {
    type All = std::collections::BTreeMap<String, Value>;
    let read = |claims: &Value| {
        let principal = verdict(&header().to_string(), &claims.to_string()).unwrap();
        principal.claims::<All>().unwrap()
    };
    assert_eq!(read(&with(claims(), "nbf", json!(NOW))), All::new());
    let more = with(with(claims(), "nbf", json!(NOW)), "tenant", json!("acme"));
    assert_eq!(read(&more), All::from([("tenant".into(), json!("acme"))]));
}

#[test]
fn a_token_with_the_hosts_claims_is_never_longer_than_verifiers_take() {
    let scope = TokenScope {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        client_id: "web".to_owned(),
    };
    let issuer = AccessTokenIssuer::new((&keys()).into(), scope, Duration::from_secs(300));
    let now = Timestamp::from_unix_seconds(NOW);
    let mut longest = 0;
    for length in 2000..3000 {
        let extra = ExtraClaims::new(&json!({ "x": "x".repeat(length) })).unwrap();
        let (user, session) = (UserId::generate(), SessionId::generate());
        match issuer.issue(owner(user, session), &[], &extra, now) {
            Ok(token) => {
                assert!(verifier(&keys()).verify(token.expose()).is_ok());
                longest = token.expose().len();
            }
            Err(AuthError::Claims(ClaimsError::TooLong(bytes))) => {
                assert!(bytes > MAX_TOKEN_BYTES, "{bytes}");
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(longest > MAX_TOKEN_BYTES - 4, "{longest}");
}
