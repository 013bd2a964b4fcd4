//! Of everything something.

use super::{OURS, World, enter};
use crate::Outcome;
use crate::contest::Contest;
use crate::report::Section;
use crate::scripts::{Fetch, LogIn, LogOut, Mix, Refresh, Supply};
use crate::support::PASSWORD;

pub(super) fn measure(world: &World) -> Outcome<Section> {
    let effort = &world.effort;
    let mut site = world.site.borrow_mut();
    let node = site.start_node(&[]);
    let plan = effort.plan(node.address()?, node.processes());
    let refresh = Refresh {
        tokens: Supply::new(site.add_sessions("mix", effort.sessions)?),
    };
    // Far more than a run can end: logouts are as rare as logins.
    let log_out = LogOut {
        tokens: Supply::new(site.add_sessions("mix-end", effort.sessions)?),
    };
    let log_in = LogIn {
        usernames: Supply::new(site.usernames()),
        password: PASSWORD,
    };
    let account = Fetch {
        path: "/api/auth/me/",
        bearer: Some(site.bearer("user-0")?),
        start: r#"{"id":""#,
    };
    let mut contest = Contest::default();
    for &connections in effort.connections {
        enter(&mut contest, OURS, connections, &plan, |number| {
            Ok(Mix {
                account: account.clone(),
                refresh: refresh.clone(),
                log_in: log_in.clone(),
                log_out: log_out.clone(),
                // Not all connections are at the same place.
                turn: number * 100,
            })
        });
    }
    Ok(Section {
        title: "A mix".to_owned(),
        rows: contest.run(effort.rounds)?,
        notes: vec![
            "Of 1,000 requests: 850 of the caller's account, 140 refreshes, 5 logins, 5 logouts."
                .to_owned(),
        ],
        ..Section::default()
    })
}
