//! The results in `docs/performance.md`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::django::Django;
use crate::report::Report;
use crate::topics::World;
use crate::{Outcome, plot};

const BEGIN: &str = "<!-- what the benchmark writes -->";
const END: &str = "<!-- the end of it -->";

/// Says on what is measured, a line for each thing.
pub(crate) fn machine(world: &World) -> Outcome<Vec<String>> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |model| {
            model.trim_start_matches(['\t', ' ', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let postgres = Command::new(world.postgres.program("postgres"))
        .arg("--version")
        .output()?;
    let postgres = String::from_utf8_lossy(&postgres.stdout).trim().to_owned();
    let mut lines = vec![
        format!("{model}, {cores} cores, shared by server, database and generator"),
        format!("{postgres}, its defaults: a commit waits for the disk"),
        format!("auth-server {}, {}", env!("CARGO_PKG_VERSION"), build()),
    ];
    if world.django.is_some() {
        lines.push(format!(
            "{}; gunicorn with {cores} workers",
            Django::versions()
        ));
    }
    lines.push(format!(
        "{} rounds of {:?} for each row",
        world.effort.rounds, world.effort.duration
    ));
    Ok(lines)
}

const fn build() -> &'static str {
    if cfg!(debug_assertions) {
        "a debug build: the figures mean nothing"
    } else {
        "a release build"
    }
}

/// Puts the report between the marks of the page, and the plots beside it.
pub(crate) fn write(report: &Report) -> Outcome<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = docs.join("performance.md");
    let text = fs::read_to_string(&page)?;
    let (before, rest) = text.split_once(BEGIN).ok_or("the page has no mark")?;
    let (_, after) = rest.split_once(END).ok_or("the page has no second mark")?;
    let mut results = report.to_markdown();
    let folder = docs.join("performance");
    fs::create_dir_all(&folder)?;
    for plot in plot::all(report) {
        fs::write(folder.join(plot.file), plot.svg()?)?;
        results.push_str(&format!("\n![{}](performance/{})\n", plot.title, plot.file));
    }
    fs::write(page, format!("{before}{BEGIN}\n\n{results}\n{END}{after}"))?;
    Ok(())
}
