//! The API that the server replaces: Django REST Framework with SimpleJWT, on the same PostgreSQL.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use auth_core::testing::postgres::TemporaryServer;
use sqlx::Postgres;
use sqlx::migrate::MigrateDatabase as _;

use crate::Outcome;
use crate::processes::Processes;
use crate::report::Report;
use crate::support::PASSWORD;

/// The names in the tables.
pub(crate) const DJANGO: &str = "Django";
pub(crate) const DEFAULT_HASHER: &str = "Django, its default hasher";
pub(crate) const ARGON2: &str = "Django, its Argon2 hasher";
pub(crate) const STATELESS: &str = "Django, without the database";

const REQUIREMENTS: &str = include_str!("requirements.txt");

const FILES: [(&str, &str); 3] = [
    ("settings.py", include_str!("settings.py")),
    ("api.py", include_str!("api.py")),
    ("manage.py", include_str!("manage.py")),
];

const DATABASE: &str = "django";

const USERS: usize = 64;

/// As many as answer the most requests on two cores: each worker has an interpreter of its own, and
/// its threads wait for the database meanwhile.
const THREADS: &str = "4";

/// An installed Django with its project and its database.
pub(crate) struct Django {
    programs: PathBuf,
    project: tempfile::TempDir,
    sockets: PathBuf,
}

/// A running Django, which ends with this value.
pub(crate) struct DjangoServer<'a> {
    django: &'a Django,
    gunicorn: Child,
    address: SocketAddr,
    users: &'static str,
}

impl Django {
    /// Installs the packages, once for all runs, and makes the database.
    pub(crate) fn install(postgres: &TemporaryServer) -> Outcome<Self> {
        let environment = environment()?;
        let project = tempfile::tempdir()?;
        for (name, text) in FILES {
            fs::write(project.path().join(name), text)?;
        }
        let this = Self {
            programs: environment.join("bin"),
            project,
            sockets: postgres.socket_folder().to_owned(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(Postgres::create_database(&postgres.url(DATABASE)))?;
        this.manage(&["prepare", &USERS.to_string(), PASSWORD])?;
        Ok(this)
    }

    /// The versions, for the report.
    pub(crate) fn versions() -> String {
        REQUIREMENTS.lines().collect::<Vec<_>>().join(", ")
    }

    /// Starts Django with these variables, and waits for its first answer.
    pub(crate) fn serve(&self, variables: &[(&str, &str)]) -> Outcome<DjangoServer<'_>> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let mut gunicorn = self
            .command("gunicorn")
            .args(["--workers", &workers.to_string(), "--threads", THREADS])
            .args(["--worker-class", "gthread", "--keep-alive", "75"])
            .args([
                "--bind",
                "127.0.0.1:0",
                "django.core.wsgi:get_wsgi_application()",
            ])
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = gunicorn.stderr.take().ok_or("no standard error")?;
        let mut lines = BufReader::new(stderr).lines();
        let address = loop {
            let line = lines.next().ok_or("gunicorn did not start")??;
            if let Some((_, listening)) = line.split_once("Listening at: http://") {
                let address = listening.split(' ').next().unwrap_or_default();
                break address.parse()?;
            }
        };
        // Nobody reads what it says, but it must be able to say it.
        std::thread::spawn(move || lines.for_each(drop));
        let users = if variables.contains(&("HASHER", "argon2")) {
            "argon2"
        } else {
            "user"
        };
        let server = DjangoServer {
            django: self,
            gunicorn,
            address,
            users,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let url = format!("http://{address}/api/protected/");
            match reqwest::get(url).await?.status().as_u16() {
                401 => Ok(server),
                status => Err(format!("unexpected answer {status} of Django").into()),
            }
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .current_dir(self.project.path())
            .env("DJANGO_SETTINGS_MODULE", "settings")
            .env("POSTGRES_SOCKETS", &self.sockets)
            .env("POSTGRES_DATABASE", DATABASE)
            .env("OUTBOX", self.project.path().join("outbox"))
            .stdin(Stdio::null());
        command
    }

    fn manage(&self, arguments: &[&str]) -> Outcome<String> {
        let done = self
            .command("python")
            .arg("manage.py")
            .args(arguments)
            .output()?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).into());
        }
        Ok(String::from_utf8(done.stdout)?)
    }
}

/// The folder of an environment with the packages, made if it is not there.
fn environment() -> Outcome<PathBuf> {
    let folder = Report::folder().join("django");
    let installed = folder.join("requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(folder);
    }
    fs::create_dir_all(&folder)?;
    let requirements = folder.join("wanted.txt");
    fs::write(&requirements, REQUIREMENTS)?;
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    succeed(&mut make)?;
    fs::write(&requirements, REQUIREMENTS)?;
    let mut install = Command::new(folder.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--requirement"]);
    succeed(install.arg(&requirements))?;
    fs::rename(requirements, installed)?;
    Ok(folder)
}

fn succeed(command: &mut Command) -> Outcome<()> {
    let done = command.output();
    let problem = match &done {
        Ok(done) if done.status.success() => return Ok(()),
        Ok(done) => String::from_utf8_lossy(&done.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!(
        "Django cannot be installed. It needs Python 3.10 or newer with its module venv (Debian: \
         apt-get install python3-venv) and the Python package index; --without-django leaves it \
         out.\n{problem}"
    )
    .into())
}

impl DjangoServer<'_> {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn processes(&self) -> Processes {
        Processes::tree(self.gunicorn.id())
    }

    /// Those whose passwords are hashed as this server hashes.
    pub(crate) fn usernames(&self) -> Arc<[String]> {
        (0..USERS).map(|n| format!("{}-{n}", self.users)).collect()
    }

    /// Makes refresh tokens, each good.
    pub(crate) fn refresh_tokens(&self, count: usize) -> Outcome<Vec<String>> {
        let tokens = self.django.manage(&["refresh", &count.to_string()])?;
        Ok(tokens.lines().map(str::to_owned).collect())
    }

    /// An `Authorization` header's value.
    pub(crate) fn bearer(&self, username: &str) -> Outcome<String> {
        let token = self.django.manage(&["access", username])?;
        Ok(format!("Bearer {}", token.trim()))
    }
}

impl Drop for DjangoServer<'_> {
    fn drop(&mut self) {
        let id = self.gunicorn.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.gunicorn.wait();
    }
}
