//! PostgreSQL servers that are stopped, killed, paused, copied and promoted.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use super::ledger::Position;
use super::poll;
use super::proxy::Upstream;
use super::site::shared_postgres;

/// How long PostgreSQL may take for what it does in a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It cuts its connections, writes what it has to write, and ends.
    Fast,
    /// It is killed.
    Crash,
}

/// Whether a commit waits for the standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    Synchronous,
    Asynchronous,
}

/// A PostgreSQL server on a port of this machine, gone with this value or with the process.
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    shell: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    server: Option<u32>,
}

impl Cluster {
    /// Starts an empty server with these settings, each a line of `postgresql.conf`.
    pub fn create(settings: &[&str]) -> Self {
        let mut cluster = Self::prepare();
        cluster.command("create");
        cluster.add_settings(settings);
        cluster.start();
        cluster
    }

    /// Copies a running server, and starts the copy as its standby.
    fn standby_of(primary: &Self) -> Self {
        let mut cluster = Self::prepare();
        cluster.command(&format!("copy {}", primary.port));
        cluster.start();
        cluster
    }

    fn prepare() -> Self {
        // The programs and the account are those of the other server.
        let other = shared_postgres();
        let programs = other.program("postgres");
        let owner = fs::metadata(other.socket_folder()).unwrap();
        let folder = std::env::temp_dir().join(format!("auth-faults-{}", Uuid::new_v4().simple()));
        fs::create_dir(&folder).unwrap();
        chown(&folder, Some(owner.uid()), Some(owner.gid())).unwrap();
        let port = free_port();
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(include_str!("cluster.sh"))
            .arg("cluster.sh")
            .args([programs.parent().unwrap(), &folder])
            .arg(port.to_string())
            .current_dir(&folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if owner.uid() != fs::metadata("/proc/self").unwrap().uid() {
            shell.uid(owner.uid()).gid(owner.gid());
        }
        let mut shell = shell.spawn().unwrap();
        Self {
            folder,
            port,
            commands: shell.stdin.take(),
            answers: BufReader::new(shell.stdout.take().unwrap()),
            shell,
            server: None,
        }
    }

    /// Has the shell do something, and waits for it.
    fn command(&mut self, command: &str) {
        let commands = self.commands.as_mut().unwrap();
        writeln!(commands, "{command}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let process = answer.strip_prefix("done ");
        let process = process.unwrap_or_else(|| panic!("{command} {answer}"));
        self.server = process.trim().parse().ok();
    }

    fn add_settings(&self, settings: &[&str]) {
        let path = self.folder.join("data/postgresql.conf");
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        for setting in settings {
            writeln!(file, "{setting}").unwrap();
        }
    }

    pub fn start(&mut self) {
        self.command("start");
    }

    pub fn stop(&mut self, how: Stop) {
        self.command(match how {
            Stop::Fast => "stop",
            Stop::Crash => "crash",
        });
    }

    /// Starts a stopped server as a standby that follows nobody, and so can only be read.
    pub fn start_as_standby(&mut self) {
        let path = self.folder.join("data/standby.signal");
        let mut options = fs::OpenOptions::new();
        options.create(true).write(true).mode(0o644);
        drop(options.open(path).unwrap());
        self.start();
    }

    /// Stops all processes of the server where they are (`SIGSTOP`).
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let server = self.server.unwrap().to_string();
        // The first comes first, so that it has no more children then.
        let send = |processes: &[&str]| {
            let sent = Command::new("kill").arg(signal).args(processes).status();
            sent.unwrap();
        };
        send(&[&server]);
        let children = format!("/proc/{server}/task/{server}/children");
        let children = fs::read_to_string(children).unwrap();
        send(&children.split_whitespace().collect::<Vec<_>>());
    }

    /// The URL of a database, which need not exist.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub fn upstream(&self) -> Upstream {
        Upstream::Tcp(SocketAddr::from(([127, 0, 0, 1], self.port)))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub async fn run(&self, statement: &'static str) {
        let url = self.url("postgres");
        let mut connection = PgConnection::connect(&url).await.unwrap();
        connection.execute(statement).await.unwrap();
    }

    async fn is_true(&self, query: &'static str) -> Option<bool> {
        let url = self.url("postgres");
        let mut connection = PgConnection::connect(&url).await.ok()?;
        let answer = sqlx::query_scalar(query).fetch_one(&mut connection).await;
        answer.ok()
    }

    /// Waits until a query answers `TRUE`.
    async fn until(&self, query: &'static str) {
        let look = async || self.is_true(query).await?.then_some(());
        poll::until(PATIENCE, look).await.expect(query);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.shell.wait();
    }
}

/// A primary and a standby that streams from it.
pub struct Pair {
    pub primary: Cluster,
    pub standby: Cluster,
}

impl Pair {
    pub async fn create(replication: Replication, database: &'static str) -> Self {
        let primary = Cluster::create(&["fsync = off", "max_connections = 100"]);
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"));
        let url = primary.url("postgres");
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::query(create).execute(&mut connection).await.unwrap();
        let standby = Cluster::standby_of(&primary);
        primary
            .until("SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming'")
            .await;
        if replication == Replication::Synchronous {
            primary
                .run("ALTER SYSTEM SET synchronous_standby_names = '*'")
                .await;
            primary.run("SELECT pg_reload_conf()").await;
            primary
                .until("SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'sync'")
                .await;
        }
        Self { primary, standby }
    }

    /// Cuts the standby off when it has received everything: what is committed from here on, it will
    /// never have.
    pub async fn part(&self) {
        const CAUGHT_UP: &str = "SELECT bool_and(replay_lsn >= pg_current_wal_insert_lsn())
             FROM pg_stat_replication";
        self.primary.until(CAUGHT_UP).await;
        self.standby.pause();
        // What is in its socket already would come in when it goes on.
        self.primary
            .run("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
            .await;
        self.primary
            .until("SELECT count(*) = 0 FROM pg_stat_replication")
            .await;
    }

    /// Makes the standby a primary, which waits for nobody.
    pub async fn promote(&self) {
        let standby = &self.standby;
        standby
            .run("ALTER SYSTEM SET synchronous_standby_names = ''")
            .await;
        standby.run("SELECT pg_reload_conf()").await;
        standby.run("SELECT pg_promote(wait => false)").await;
        standby.until("SELECT NOT pg_is_in_recovery()").await;
    }

    /// Where the new primary's timeline leaves the old one's: what was committed later is lost, if
    /// nobody waited for the standby.
    pub fn parting(&self) -> Position {
        let history = self.standby.folder().join("data/pg_wal/00000002.history");
        let history = fs::read_to_string(history).unwrap();
        let line = history.lines().rfind(|line| !line.trim().is_empty());
        let position = line.and_then(|line| line.split_whitespace().nth(1));
        Position::parse(position.unwrap()).unwrap()
    }
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
