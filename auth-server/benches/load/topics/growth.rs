//! Many sessions and users beside few, and what a million rotations leave behind.

use super::refresh::ROTATION;
use super::{World, enter};
use crate::Outcome;
use crate::contest::{Contest, Row, row};
use crate::effort::SOME;
use crate::generator::{self, Script};
use crate::report::{Curve, Figure, Goal, Section, number};
use crate::scripts::{Counted, LogIn, LogOut, Refresh, Rotate, Supply};
use crate::site::{Database, Node, Site};
use crate::support::PASSWORD;

/// The sessions that are asked for, wherever they stand among the others.
const KNOWN: i64 = 50_000;

/// A database of some size, and a node on it.
struct Size {
    sessions: i64,
    users: i64,
    node: Node,
    site: Site,
    tokens: Supply<String>,
    ends: Supply<String>,
}

impl Size {
    fn fill(world: &World, sessions: i64, users: i64) -> Outcome<Self> {
        let name = format!("growth_{sessions}");
        let mut site = Site::create(&world.postgres, &name, users)?;
        site.database.add_many_sessions("growth", sessions, users)?;
        // Every so many-th, so that they are spread over the whole table.
        let known = KNOWN.min(sessions / 2);
        let stride = sessions / known;
        let ids = site.database.session_ids_by("growth", known, stride)?;
        let tokens = site.refresh_tokens(&ids);
        let (ends, tokens) = tokens.split_at(tokens.len() / 2);
        Ok(Self {
            sessions,
            users,
            node: site.start_node(&[]),
            tokens: Supply::new(tokens),
            ends: Supply::new(ends),
            site,
        })
    }

    fn name(&self, act: &str) -> String {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let (sessions, users) = (self.sessions as f64, self.users as f64);
        match act {
            LOGIN => format!("{act}, {} users", number(users)),
            _ => format!("{act}, {} sessions", number(sessions)),
        }
    }
}

const REFRESH: &str = "refresh";
const LOGOUT: &str = "logout";
const LOGIN: &str = "login";

pub(super) fn measure(world: &World) -> Outcome<Section> {
    let effort = &world.effort;
    let sizes = effort.growth.iter();
    let sizes = sizes.map(|&(sessions, users)| Size::fill(world, sessions, users));
    let sizes = sizes.collect::<Outcome<Vec<_>>>()?;
    let mut contest = Contest::default();
    for size in &sizes {
        let mut plan = effort.plan(size.node.address()?, size.node.processes());
        // Each database has to come into the memory again after the others.
        plan.warm_up = plan.duration;
        enter(&mut contest, &size.name(REFRESH), SOME, &plan, |_| {
            Ok(Refresh {
                tokens: size.tokens.clone(),
            })
        });
        let usernames = Supply::new(size.site.usernames());
        enter(&mut contest, &size.name(LOGIN), SOME, &plan, move |_| {
            Ok(LogIn {
                usernames: usernames.clone(),
                password: PASSWORD,
            })
        });
    }
    let mut rows = contest.run(effort.rounds)?;
    // Each session ends once, so that there is one round, of as many logouts for each size.
    let mut contest = Contest::default();
    let few = sizes
        .iter()
        .map(|size| size.ends.len())
        .min()
        .unwrap_or_default();
    for size in &sizes {
        let mut plan = effort.plan(size.node.address()?, size.node.processes());
        plan.warm_up = std::time::Duration::ZERO;
        plan.duration = effort.long;
        let ends = Supply::new(size.ends.part(0, few));
        enter(&mut contest, &size.name(LOGOUT), SOME, &plan, move |_| {
            Ok(LogOut {
                tokens: ends.clone(),
            })
        });
    }
    rows.extend(contest.run(1)?);

    let mut section = Section {
        title: "Growth".to_owned(),
        figures: figures(&sizes, &rows)?,
        curves: curves(&sizes, &rows)?,
        rows,
        ..Section::default()
    };
    let first = sizes.into_iter().next().ok_or("nothing was filled")?;
    section.notes = rotate_often(world, first)?;
    Ok(section)
}

fn figures(sizes: &[Size], rows: &[Row]) -> Outcome<Vec<Figure>> {
    let (Some(least), Some(most)) = (sizes.first(), sizes.last()) else {
        return Err("nothing was filled".into());
    };
    let figure = |act| {
        let what = format!("{}, beside {}", most.name(act), least.name(act));
        let many = row(rows, &most.name(act), Some(SOME))?;
        let few = row(rows, &least.name(act), Some(SOME))?;
        Ok(Figure::ratio("P16", &what, many, few, Goal::AtLeast(0.85)))
    };
    [REFRESH, LOGOUT, LOGIN].into_iter().map(figure).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn curves(sizes: &[Size], rows: &[Row]) -> Outcome<Vec<Curve>> {
    let curve = |act: &str| {
        let points = sizes.iter().map(|size| {
            let row = row(rows, &size.name(act), Some(SOME))?;
            Ok((size.sessions as f64, row.rate().median))
        });
        Ok(Curve {
            name: act.to_owned(),
            points: points.collect::<Outcome<_>>()?,
        })
    };
    [REFRESH, LOGOUT].into_iter().map(curve).collect()
}

/// Rotates the sessions of the smallest database again and again, and tells what has grown.
fn rotate_often(world: &World, size: Size) -> Outcome<Vec<String>> {
    let Size {
        mut site,
        tokens,
        node,
        ..
    } = size;
    drop(node);
    let rotations = world.effort.rotations;
    let node = site.start_node(&[ROTATION]);
    let before = Sizes::read(&mut site.database)?;
    let share = tokens.len() / SOME;
    let counter = Supply::new(vec![(); rotations]);
    let scripts = (0..SOME).map(|number| {
        let tokens = tokens.part(number * share, share);
        let rotate = Rotate::new(tokens);
        Box::new(Counted::new(rotate, counter.clone())) as Box<dyn Script>
    });
    let scripts = scripts.collect();
    let mut plan = world.effort.plan(node.address()?, node.processes());
    plan.duration = std::time::Duration::from_secs(600);
    generator::run(&plan, scripts)?;
    drop(node);
    site.database.settle_statistics()?;
    let after = Sizes::read(&mut site.database)?;
    site.database.vacuum()?;
    let vacuumed = Sizes::read(&mut site.database)?;
    let updates = after.updates - before.updates;
    let hot = after.hot_updates - before.hot_updates;
    Ok(vec![
        format!(
            "After {updates} rotations of {share} sessions on each of {SOME} connections, {hot} of them \
             heap-only (`n_tup_hot_upd`): the table went from {} to {} KiB, its indexes from {} to {} KiB.",
            before.table, after.table, before.indexes, after.indexes
        ),
        format!(
            "Dead rows: {} before `VACUUM`, {} after it; the table then has {} KiB, its indexes {} KiB.",
            after.dead, vacuumed.dead, vacuumed.table, vacuumed.indexes
        ),
    ])
}

/// What the table of sessions takes, in KiB, and what was done to it.
struct Sizes {
    table: i64,
    indexes: i64,
    dead: i64,
    updates: i64,
    hot_updates: i64,
}

impl Sizes {
    fn read(database: &mut Database) -> Outcome<Self> {
        Ok(Self {
            table: database.number("SELECT pg_table_size('auth_sessions') / 1024")?,
            indexes: database.number("SELECT pg_indexes_size('auth_sessions') / 1024")?,
            dead: database.number(
                "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'auth_sessions'",
            )?,
            updates: database.number(
                "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'auth_sessions'",
            )?,
            hot_updates: database.number(
                "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'auth_sessions'",
            )?,
        })
    }
}
