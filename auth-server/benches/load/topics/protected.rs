//! Requests with an access token; and refresh tokens that somebody made up, which cost no more.

use std::cell::RefCell;

use auth_core::testing::TokenMint;
use auth_core::{Generation, JwtKeys, SecretKey, SecretKeys, SessionId};

use super::{World, enter};
use crate::Outcome;
use crate::contest::{Contest, row};
use crate::django::{self, DJANGO};
use crate::effort::{MANY, SOME};
use crate::generator::{self, Script};
use crate::report::{Figure, Goal, Section};
use crate::scripts::{Fetch, Forged};
use crate::stand_ins::{Kind, START, StandIn};
use crate::statements;

const BARE: &str = "hyper, a fixed answer";
const GUARDED: &str = "the same behind VerifyLayer";
const DECODED: &str = "the same behind jsonwebtoken::decode";
const SERVED: &str = "the same behind all layers of auth-server";
const FORGED: &str = "auth-server, a forged refresh token";
const ACCOUNT: &str = "auth-server, the caller's account";

pub(super) fn measure(world: &World) -> Outcome<Section> {
    let effort = &world.effort;
    let site = RefCell::new(world.site.borrow_mut());
    let node = site.borrow().start_node(&[]);
    let bearer = || site.borrow_mut().bearer("user-0");
    let forged = Forged {
        token: forged_token()?,
    };
    let kinds = [
        (BARE, Kind::Bare),
        (GUARDED, Kind::Guarded),
        (DECODED, Kind::Decoded),
        (SERVED, Kind::Served),
    ];
    let stand_ins = kinds.map(|(name, kind)| StandIn::start(kind).map(|server| (name, server)));
    let stand_ins = stand_ins.into_iter().collect::<Outcome<Vec<_>>>()?;
    let ours = effort.plan(node.address()?, node.processes());
    let peer = world.serve_django(&[])?;
    let mut contest = Contest::default();
    for &connections in effort.connections {
        for (name, server) in &stand_ins {
            let plan = effort.plan(server.address(), server.processes());
            enter(&mut contest, name, connections, &plan, |_| {
                Ok(Fetch {
                    path: "/hello",
                    bearer: Some(bearer()?),
                    start: START,
                })
            });
        }
        enter(&mut contest, FORGED, connections, &ours, |_| {
            Ok(forged.clone())
        });
        enter(&mut contest, ACCOUNT, connections, &ours, |_| {
            Ok(Fetch {
                path: "/api/auth/me/",
                bearer: Some(bearer()?),
                start: r#"{"id":""#,
            })
        });
    }
    let logged = site.borrow().start_node(&[("AUTH_LOG", "info")]);
    let plan = effort.plan(logged.address()?, logged.processes());
    enter(
        &mut contest,
        "the same with a line of log for each",
        MANY,
        &plan,
        |_| {
            Ok(Fetch {
                path: "/api/auth/me/",
                bearer: Some(bearer()?),
                start: r#"{"id":""#,
            })
        },
    );
    if let Some(server) = &peer {
        let plan = effort.plan(server.address(), server.processes());
        for (name, path, start) in [
            (DJANGO, "/api/auth/me/", r#"{"id":"#),
            (django::STATELESS, "/api/protected/", START),
        ] {
            let bearer = server.bearer("user-0")?;
            enter(&mut contest, name, SOME, &plan, move |_| {
                Ok(Fetch {
                    path,
                    bearer: Some(bearer.clone()),
                    start,
                })
            });
        }
    }
    let rows = contest.run(effort.rounds)?;
    let many = |name| row(&rows, name, Some(MANY));
    let mut figures = vec![
        Figure::ratio(
            "P7",
            "protected requests of a host application, beside bare hyper",
            many(GUARDED)?,
            many(BARE)?,
            Goal::AtLeast(0.88),
        ),
        Figure::ratio(
            "P7",
            "protected requests behind all layers of auth-server, beside bare hyper",
            many(SERVED)?,
            many(BARE)?,
            Goal::AtLeast(0.88),
        ),
        Figure::ratio(
            "P11",
            "forged refresh tokens, beside protected requests behind the same layers",
            many(FORGED)?,
            many(SERVED)?,
            Goal::AtLeast(0.9),
        ),
    ];
    if peer.is_some() {
        for (what, ours, theirs) in [
            (
                "protected requests, ours without the database, beside Django's, which reads the user",
                GUARDED,
                DJANGO,
            ),
            (
                "protected requests without the database, beside Django",
                GUARDED,
                django::STATELESS,
            ),
            ("the caller's account, beside Django", ACCOUNT, DJANGO),
        ] {
            let ours = row(&rows, ours, Some(SOME))?;
            let theirs = row(&rows, theirs, Some(SOME))?;
            figures.push(Figure::ratio(
                "P12",
                what,
                ours,
                theirs,
                Goal::AtLeast(80.0),
            ));
        }
    }
    drop(site);
    figures.push(database_calls(world, &forged)?);
    Ok(Section {
        title: "Protected requests".to_owned(),
        rows,
        figures,
        ..Section::default()
    })
}

fn forged_token() -> Outcome<String> {
    let keys = SecretKeys::new(SecretKey::generate()?);
    let mint = TokenMint::new(&keys, &JwtKeys::hs256(SecretKey::generate()?), "nobody");
    let token = mint.refresh_token(SessionId::generate(), Generation::FIRST);
    Ok(token.expose().to_owned())
}

/// Counts what reaches the database while nothing comes but forged tokens.
fn database_calls(world: &World, forged: &Forged) -> Outcome<Figure> {
    let node = statements::logged_node(&world.site.borrow(), &[])?;
    let plan = world.effort.plan(node.address()?, node.processes());
    let mut answers = 0;
    let statements = statements::count(&world.postgres.log(), || {
        let scripts = (0..SOME).map(|_| Box::new(forged.clone()) as Box<dyn Script>);
        answers = generator::run(&plan, scripts.collect())?.latencies.count();
        Ok(())
    })?;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let each = statements as f64 / answers as f64;
    Ok(Figure::measured(
        "P11",
        "statements in the database for each forged refresh token, the polls of the node included",
        &[each],
        "",
        Some(Goal::AtMost(0.01)),
    ))
}
