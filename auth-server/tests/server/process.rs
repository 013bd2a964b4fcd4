//! The process in a bad environment: standard streams that nobody reads or that cannot be written,
//! and limits of the operating system.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::support::{self, Server, command, run};
use futures_util::StreamExt as _;
use reqwest::Client;
use serde_json::Value;

/// How long a test waits for what must happen before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

const VARIABLES: [(&str, &str); 3] = [
    ("AUTH_BIND", "127.0.0.1:0"),
    ("AUTH_OBSERVE_BIND", "127.0.0.1:0"),
    ("AUTH_THROTTLE", "off"),
];

/// A server whose standard error is in the hands of the test; killed when dropped.
struct Process {
    child: Child,
    address: String,
    observing: String,
}

impl Process {
    /// Reads the log until the server listens, and no further.
    fn start(folder: &Path) -> (Self, BufReader<ChildStderr>) {
        let mut child = command(folder, &[], &VARIABLES).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut read = String::new();
        let mut address_after = |words: &str| loop {
            let start = read.len();
            assert!(log.read_line(&mut read).unwrap() > 0, "{read}");
            if let Some(address) = read[start..].strip_prefix(words) {
                break address.trim_end().to_owned();
            }
        };
        let observing = address_after("observing on ");
        let address = address_after("listening on ");
        let this = Self {
            child,
            address,
            observing,
        };
        (this, log)
    }

    /// Reads the address from what the first start prints.
    fn from_output(mut child: Child) -> Self {
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = output.lines().map(Result::unwrap);
        let address = lines.find_map(|line| {
            let address = line.trim_start().strip_prefix("curl ")?;
            let (address, _) = address.split_once("/api/")?;
            Some(address.to_owned())
        });
        Self {
            child,
            address: address.unwrap(),
            observing: String::new(),
        }
    }

    /// Asks for pages that do not exist, each of which leaves a line of 3,000 bytes and more.
    async fn ask(&self, requests: usize) {
        let client = Client::builder().timeout(PATIENCE).build().unwrap();
        let url = format!("{}/{}", self.address, "x".repeat(3_000));
        let asking = futures_util::stream::iter(0..requests)
            .map(|_| client.get(&url).send())
            .buffer_unordered(16);
        asking
            .for_each(async |answer| assert_eq!(answer.unwrap().status().as_u16(), 404))
            .await;
    }

    async fn dropped_lines(&self) -> u64 {
        let page = reqwest::get(format!("{}/metrics", self.observing)).await;
        let page = page.unwrap().text().await.unwrap();
        let mut lines = page.lines();
        let count = lines.find_map(|line| line.strip_prefix("auth_log_lines_dropped_total "));
        count.unwrap().parse().unwrap()
    }

    /// Asks the process to stop, and waits.
    fn stop(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        assert!(asked.unwrap().success());
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "the process does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn s19_3_a_log_that_nobody_reads_holds_up_no_answer_and_the_lines_dropped_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (server, log) = Process::start(folder.path());
    assert_eq!(server.dropped_lines().await, 0);
    // More than the pipe and the queue have room for.
    server.ask(2_000).await;
    assert!(server.dropped_lines().await > 0);

    // It is read again: the lines that were kept, then how many were not, then all that follow.
    let reading = tokio::task::spawn_blocking(move || {
        let mut lines = log.lines().map(Result::unwrap);
        let report = lines.find(|line| line.contains("lines of the log were dropped"));
        (report.unwrap(), lines)
    });
    let (report, mut lines) = reading.await.unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["level"], "WARN");
    assert!(report["dropped"].as_u64() <= Some(server.dropped_lines().await));
    assert!(report["dropped"].as_u64() > Some(0), "{report}");
    reqwest::get(format!("{}/last", server.address))
        .await
        .unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        assert!(lines.any(|line| line.contains("\"path\":\"/last\"")));
        lines
    });
    let unread = reading.await.unwrap();

    server.ask(100).await;
    assert!(server.stop().success(), "nobody reads the end either");
    drop(unread);
}

#[tokio::test]
async fn s19_3_a_log_whose_reader_has_gone_ends_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let (server, log) = Process::start(folder.path());
    drop(log);
    server.ask(100).await;
    // The last line may still be on its way.
    let started = Instant::now();
    while server.dropped_lines().await < 100 {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(server.stop().success());
}

#[tokio::test]
async fn s19_3_a_full_disk_or_no_standard_error_at_all_ends_no_process() {
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let on_full = command(folder.path(), &[], &VARIABLES)
        .stderr(full())
        .spawn();
    let server = Process::from_output(on_full.unwrap());
    server.ask(100).await;
    assert!(server.stop().success());

    let folder = tempfile::tempdir().unwrap();
    let closed = Command::new("sh")
        .args(["-c", "exec \"$0\" 2>&-", env!("CARGO_BIN_EXE_auth-server")])
        .current_dir(folder.path())
        .env_clear()
        .envs(VARIABLES)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let server = Process::from_output(closed.unwrap());
    server.ask(100).await;
    assert!(server.stop().success());
}

#[test]
fn s19_3_a_command_whose_output_nobody_wants_ends_quietly_and_one_that_cannot_write_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(folder.path(), &["openapi"], &[]).spawn().unwrap();
    drop(child.stdout.take());
    let mut error = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut error).unwrap();
    assert_eq!(
        (child.wait().unwrap().success(), error.as_str()),
        (true, "")
    );

    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let failed = command(folder.path(), &["openapi"], &[])
        .stdout(full)
        .output();
    let failed = failed.unwrap();
    let error = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(
        error.starts_with("auth-server: standard output cannot be written"),
        "{error}"
    );
}

#[tokio::test]
async fn fault_d5_a_first_start_that_cannot_print_the_password_creates_nobody() {
    let folder = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let failed = command(folder.path(), &[], &VARIABLES)
        .stdout(full)
        .output();
    let failed = failed.unwrap();
    let error = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{error}");
    assert!(error.contains("no superuser was created"), "{error}");

    let next = Server::start_in(std::sync::Arc::clone(&folder), &[]);
    let (_, said, _) = next.stop();
    let password = said
        .lines()
        .find_map(|line| line.strip_prefix("superuser: admin password: "));
    let server = Server::start_in(folder, &[]);
    let answer = server.log_in("admin", password.unwrap()).await;
    assert_eq!(answer.status.as_u16(), 200);
}

/// What the process may have open, of its soft and hard limit.
fn open_files(id: u32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let mut columns = line
        .unwrap()
        .split_ascii_whitespace()
        .skip(3)
        .map(str::to_owned);
    (columns.next().unwrap(), columns.next().unwrap())
}

#[tokio::test]
async fn fault_c6_the_soft_limit_of_open_files_is_raised_and_a_low_hard_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let started = |limit: &str| {
        let script = format!("ulimit {limit}; exec \"$0\"");
        let child = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_auth-server")])
            .current_dir(folder.path())
            .env_clear()
            .envs(VARIABLES)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut read = Vec::new();
        for line in log.map(Result::unwrap) {
            let listens = line.starts_with("listening on ");
            read.push(line);
            if listens {
                break;
            }
        }
        let limits = open_files(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        (limits, read.join("\n"))
    };
    let ((soft, hard), log) = started("-Sn 256");
    assert_eq!(soft, hard, "{log}");
    let ((soft, _), log) = started("-n 512");
    assert_eq!(soft, "512");
    assert!(
        log.contains("LimitNOFILE") && log.contains("\"connections\":256"),
        "{log}"
    );
}

/// What root makes for the server must be the server's, who cannot be root.
#[test]
fn fault_d8_what_root_makes_belongs_to_the_owner_of_the_folder() {
    use std::os::unix::fs::{MetadataExt as _, chown};

    const OWNER: u32 = 65_534;
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    if chown(&home, Some(OWNER), Some(OWNER)).is_err() {
        eprintln!("SKIPPED: only root can give files away");
        return;
    }
    for arguments in [
        &["migrate"][..],
        &["keys", "generate", "--algorithm", "EdDSA"],
        &[
            "createsuperuser",
            "--username",
            "one",
            "--email",
            "one@example.org",
            "--noinput",
        ],
    ] {
        let variables = [("AUTH_SUPERUSER_PASSWORD", support::PASSWORD)];
        let done = run(&home, arguments, &variables);
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    let mut found = Vec::new();
    let mut folders = vec![home];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.metadata().unwrap();
            assert_eq!(
                (metadata.uid(), metadata.gid()),
                (OWNER, OWNER),
                "{}",
                path.display()
            );
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    for name in ["auth-data", "auth.sqlite3", "secret_key", "jwt_keys"] {
        assert!(found.iter().any(|it| it == name), "{name} in {found:?}");
    }
}
