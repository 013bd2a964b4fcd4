//! PostgreSQL databases that last as long as a test, and servers that last as long as a benchmark.
#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a test without its database fails"
)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use sqlx::Postgres;
use sqlx::migrate::MigrateDatabase;
use uuid::Uuid;

/// An empty database, dropped with this value.
///
/// It is made on the server that `TEST_DATABASE_URL` names, whose user must be allowed to create
/// databases. Without the variable a server is started from the installed PostgreSQL, once for
/// each process, on a socket in a temporary folder; both are gone when the process is, however it
/// ends.
#[derive(Debug)]
pub struct TemporaryDatabase {
    url: String,
}

impl TemporaryDatabase {
    /// Creates a database.
    pub async fn create() -> Self {
        let name = format!("auth_test_{}", Uuid::new_v4().simple());
        let url = match std::env::var("TEST_DATABASE_URL") {
            Ok(server) => with_database(&server, &name),
            Err(_) => server().url(&name),
        };
        if let Err(error) = Postgres::create_database(&url).await {
            panic!("no temporary database on PostgreSQL: {error}");
        }
        Self { url }
    }

    /// The URL to connect with.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TemporaryDatabase {
    fn drop(&mut self) {
        let url = std::mem::take(&mut self.url);
        // A runtime of its own, since the test's may be on its way out.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let dropped = runtime.block_on(Postgres::force_drop_database(&url));
            dropped.map_err(std::io::Error::other)
        });
        if !matches!(dropping.join(), Ok(Ok(()))) && !std::thread::panicking() {
            panic!("the temporary database could not be dropped");
        }
    }
}

fn with_database(server: &str, name: &str) -> String {
    let (address, query) = server.split_once('?').unwrap_or((server, ""));
    let authority = address.find("://").map_or(0, |scheme| scheme + 3);
    let end = address
        .get(authority..)
        .and_then(|rest| rest.find('/'))
        .map_or(address.len(), |slash| authority + slash);
    let address = address.get(..end).unwrap_or(address);
    format!("{address}/{name}?{query}")
}

/// A PostgreSQL server in a temporary folder, which is gone with this value or with the process,
/// however that ends.
///
/// It listens on a socket in the folder and nowhere else, and trusts who reaches it. Its
/// superuser, `postgres`, may make databases.
#[derive(Debug)]
pub struct TemporaryServer {
    programs: PathBuf,
    folder: PathBuf,
    shell: Child,
    lifeline: Option<ChildStdin>,
}

impl TemporaryServer {
    /// Starts a server from the installed PostgreSQL with its defaults, but for these settings:
    /// each `name=value`.
    ///
    /// # Errors
    ///
    /// What to install, or the last line of the server's log.
    pub fn start(settings: &[&str]) -> Result<Self, String> {
        let programs = programs()?;
        let folder = std::env::temp_dir().join(format!("auth-pg-{}", Uuid::new_v4().simple()));
        let io = |error: std::io::Error| format!("cannot start PostgreSQL: {error}");
        fs::create_dir(&folder).map_err(io)?;
        let account = account()?;
        if let Some((user, group)) = account {
            chown(&folder, Some(user), Some(group)).map_err(io)?;
        }

        // The shell outlives this process just long enough to stop the server and to remove the
        // folder: its standard input ends when this process does. pgtemp cannot do that for a
        // static, and wants sudo where the tests run as root.
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(include_str!("postgres.sh"))
            .args([Path::new("postgres.sh"), &programs, &folder])
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .current_dir(&folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some((user, group)) = account {
            shell.uid(user).gid(group);
        }
        let mut shell = shell.spawn().map_err(io)?;
        let lifeline = shell.stdin.take();
        let mut report = String::new();
        if let Some(mut stdout) = shell.stdout.take() {
            stdout.read_to_string(&mut report).map_err(io)?;
        }
        let server = Self {
            programs,
            folder,
            shell,
            lifeline,
        };
        match report.trim() {
            "ready" => Ok(server),
            problem => Err(format!("cannot start PostgreSQL: {problem}")),
        }
    }

    /// The URL of a database, which need not exist.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@localhost:5432/{database}?host={}",
            self.folder.display()
        )
    }

    /// The folder of the socket.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// A program of the same installation, such as `pgbench`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        // Some put links to the server into the path, and leave the rest where it is.
        let server = self.programs.join("postgres");
        server.canonicalize().unwrap_or(server).with_file_name(name)
    }
}

impl Drop for TemporaryServer {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.shell.wait();
    }
}

/// This process's server. A static is never dropped: the end of the process ends it.
fn server() -> &'static TemporaryServer {
    static SERVER: OnceLock<TemporaryServer> = OnceLock::new();
    // What is lost when the machine stops need not be written; what a commit waits for is
    // unchanged.
    let settings = ["max_connections=400", "fsync=off", "full_page_writes=off"];
    SERVER.get_or_init(|| {
        TemporaryServer::start(&settings).unwrap_or_else(|problem| panic!("{problem}"))
    })
}

/// The folder of `initdb` and `postgres`: Debian keeps them out of the path.
fn programs() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"));
    std::env::split_paths(&path)
        .chain(versions)
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .ok_or_else(|| {
            "PostgreSQL is missing: install it (Debian: apt-get install postgresql) \
             or set TEST_DATABASE_URL"
                .to_owned()
        })
}

/// The account to run the server with, if this process is root's: PostgreSQL refuses to be.
fn account() -> Result<Option<(u32, u32)>, String> {
    use std::os::unix::fs::MetadataExt;

    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !root {
        return Ok(None);
    }
    let accounts = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    accounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let user = fields.nth(1)?.parse().ok()?;
            let group = fields.next()?.parse().ok()?;
            (name == "postgres").then_some(Some((user, group)))
        })
        .next()
        .ok_or_else(|| "root cannot run PostgreSQL: there is no user postgres".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_url_is_replaced_and_the_rest_kept() {
        for (server, expected) in [
            ("postgres://host", "postgres://host/db?"),
            ("postgres://host/", "postgres://host/db?"),
            ("postgres://u:p@host:1/old", "postgres://u:p@host:1/db?"),
            (
                "postgres://host/old?sslmode=require",
                "postgres://host/db?sslmode=require",
            ),
        ] {
            assert_eq!(with_database(server, "db"), expected);
        }
    }
}
