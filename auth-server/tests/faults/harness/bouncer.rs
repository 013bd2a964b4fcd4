//! PgBouncer, as Debian packages it, before a database.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;

use super::site::shared_postgres;

/// For how long a client has a connection to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    Session,
    Transaction,
}

/// Runs the program until standard input ends.
const SCRIPT: &str = r#""$0" "$1" 2>&1 & cat >/dev/null; kill -INT $!; wait"#;

/// A running PgBouncer, with its defaults but for what must be said.
pub struct Bouncer {
    address: SocketAddr,
    shell: Child,
    _folder: TempDir,
}

impl Bouncer {
    pub fn start(database_url: &str, pooling: Pooling) -> Self {
        let options: PgConnectOptions = database_url.parse().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let pooling = match pooling {
            Pooling::Session => "session",
            Pooling::Transaction => "transaction",
        };
        let settings = format!(
            "[databases]\n\
             * = host={} port={} user=postgres\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = {pooling}\n",
            options.get_socket().unwrap().display(),
            options.get_port(),
            address.port(),
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgbouncer.ini");
        fs::write(&path, settings).unwrap();
        // It refuses to be root.
        let owner = fs::metadata(shared_postgres().socket_folder()).unwrap();
        let mut shell = Command::new("sh");
        for path in [folder.path(), &path] {
            chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        if owner.uid() != fs::metadata("/proc/self").unwrap().uid() {
            shell.uid(owner.uid()).gid(owner.gid());
        }
        let mut shell = shell
            .args(["-c", SCRIPT, program()])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        let mut log = String::new();
        loop {
            let Some(line) = lines.next() else {
                panic!("PgBouncer did not start:\n{log}")
            };
            let line = line.unwrap();
            if line.contains("process up") {
                break;
            }
            log.push_str(&line);
            log.push('\n');
        }
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            address,
            shell,
            _folder: folder,
        }
    }

    /// A URL of the same database, through the pooler.
    pub fn url(&self, database_url: &str) -> String {
        let options: PgConnectOptions = database_url.parse().unwrap();
        let (address, name) = (self.address, options.get_database().unwrap());
        assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
        format!("postgres://postgres@{address}/{name}")
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Debian keeps it out of the path of users.
fn program() -> &'static str {
    let debian = "/usr/sbin/pgbouncer";
    if Path::new(debian).exists() {
        debian
    } else {
        "pgbouncer"
    }
}
