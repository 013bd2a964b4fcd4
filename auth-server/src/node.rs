//! A node: the store, the engine and the mail transport that the settings describe.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth_core::mail::{FolderTransport, MailTemplates, MailTransport, SmtpTransport};
use auth_core::password::BreachedPasswordFile;
use auth_core::signature::Algorithm;
use auth_core::sqlx::postgres::PgPoolOptions;
use auth_core::store::{OwedMail, PostgresStore, SqliteStore, Store, StoreError, UserFilter};
use auth_core::{
    Engine, JwtKeys, LoginThrottle, PasswordHasher, PasswordPolicy, SecretKey, SecretKeys,
    Timestamp,
};
use uuid::Uuid;

use zeroize::Zeroizing;

use crate::bootstrap;
use crate::config::{Config, Database, DatabasePooling, JwtKeySource, MailRoute};
use crate::error::CommandError;
use crate::key_folder::KeyFolder;
use crate::private::folder_of;
use crate::serve::{Tls, TlsFiles};
use crate::service_names;

/// The database of a node.
#[derive(Clone, Debug)]
pub(crate) struct NodeStore {
    backend: Backend,
    /// Which it is, without secrets.
    name: String,
}

#[derive(Clone, Debug)]
enum Backend {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl NodeStore {
    pub(crate) async fn open(config: &Config) -> Result<Self, CommandError> {
        let name = config.database.to_string();
        let failed = |source| failed(&name, source);
        let backend = match &config.database {
            Database::Sqlite(path) => {
                bootstrap::create_folder(folder_of(path))?;
                Backend::Sqlite(SqliteStore::open(path).await.map_err(failed)?)
            }
            Database::Postgres(url) => Backend::Postgres(postgres(config, url).map_err(failed)?),
        };
        Ok(Self { backend, name })
    }

    /// Connects as the settings say from now on, where that can change.
    pub(crate) fn reconnect(&self, config: &Config) -> Result<(), CommandError> {
        if let (Backend::Postgres(store), Database::Postgres(url)) =
            (&self.backend, &config.database)
        {
            let options = PostgresStore::connect_options(url);
            store.replace_connect_options(options.map_err(|source| failed(&self.name, source))?);
        }
        Ok(())
    }

    /// What of the way to the database is not as a node needs it.
    pub(crate) async fn shortcomings(&self) -> Result<Vec<&'static str>, CommandError> {
        match &self.backend {
            Backend::Sqlite(_) => Ok(Vec::new()),
            Backend::Postgres(store) => store
                .shortcomings()
                .await
                .map_err(|source| failed(&self.name, source)),
        }
    }

    pub(crate) async fn migrate(&self) -> Result<(), CommandError> {
        let migrated = match &self.backend {
            Backend::Sqlite(store) => store.migrate().await,
            Backend::Postgres(store) => store.migrate().await,
        };
        migrated.map_err(|source| failed(&self.name, source))
    }

    pub(crate) async fn pending_migrations(&self) -> Result<Vec<String>, CommandError> {
        let pending = match &self.backend {
            Backend::Sqlite(store) => store.pending_migrations().await,
            Backend::Postgres(store) => store.pending_migrations().await,
        };
        pending.map_err(|source| failed(&self.name, source))
    }

    /// Fails if there are migrations that have not been applied.
    pub(crate) async fn require_migrated(&self) -> Result<(), CommandError> {
        let pending = self.pending_migrations().await?;
        if pending.is_empty() {
            return Ok(());
        }
        Err(CommandError::Unmigrated(pending.join(", ")))
    }

    pub(crate) async fn has_superuser(&self) -> Result<bool, CommandError> {
        let found = match &self.backend {
            Backend::Sqlite(store) => store.has_superuser().await,
            Backend::Postgres(store) => store.has_superuser().await,
        };
        found.map_err(|source| failed(&self.name, source))
    }

    /// The mails of the outbox, the oldest first.
    pub(crate) async fn owed_mails(&self, limit: u32) -> Result<Vec<OwedMail>, CommandError> {
        let mails = match &self.backend {
            Backend::Sqlite(store) => store.list_owed_mails(limit).await,
            Backend::Postgres(store) => store.list_owed_mails(limit).await,
        };
        mails.map_err(|source| failed(&self.name, source))
    }

    /// Lets a mail that was given up be tried again; returns whether it was given up.
    pub(crate) async fn retry_mail(&self, id: Uuid) -> Result<bool, CommandError> {
        let now = self.now().await?;
        let retried = match &self.backend {
            Backend::Sqlite(store) => store.retry_mail(id, now).await,
            Backend::Postgres(store) => store.retry_mail(id, now).await,
        };
        retried.map_err(|source| failed(&self.name, source))
    }

    /// The time by which the nodes go: the database's, if it has a clock.
    pub(crate) async fn now(&self) -> Result<Timestamp, CommandError> {
        let reading = self.shared().read_clock().await;
        let reading = reading.map_err(|source| failed(&self.name, source))?;
        Ok(match reading {
            Some(reading) => reading.time,
            None => SystemTime::now().into(),
        })
    }

    pub(crate) async fn has_users(&self) -> Result<bool, CommandError> {
        let mut filter = UserFilter::default();
        filter.limit = 1;
        let found = self.shared().list_users(&filter).await;
        let found = found.map_err(|source| failed(&self.name, source))?;
        Ok(!found.is_empty())
    }

    pub(crate) fn shared(&self) -> Arc<dyn Store> {
        match &self.backend {
            Backend::Sqlite(store) => Arc::new(store.clone()),
            Backend::Postgres(store) => Arc::new(store.clone()),
        }
    }
}

/// How long a request waits for a connection before it is told that the database is not available.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

fn postgres(config: &Config, url: &str) -> Result<PostgresStore, StoreError> {
    // One connection more follows the revocations.
    let pool = PgPoolOptions::new()
        .max_connections(config.database_connections - 1)
        .acquire_timeout(ACQUIRE_TIMEOUT);
    let options = PostgresStore::connect_options(url)?;
    let store = match config.database_pooling {
        DatabasePooling::Session => PostgresStore::connect_with(options, pool)
            .with_revocation_delivery(config.revocation_feed),
        DatabasePooling::Transaction => PostgresStore::through_pooler(options, pool),
    };
    let Some(file) = config.database_url_file.clone() else {
        return Ok(store);
    };
    // A password that was replaced stands in the file by now.
    Ok(store.with_renewed_options(move || {
        let url = Zeroizing::new(std::fs::read_to_string(&file).ok()?);
        PostgresStore::connect_options(url.trim()).ok()
    }))
}

fn failed(database: &str, source: StoreError) -> CommandError {
    CommandError::Database {
        database: database.to_owned(),
        source,
    }
}

/// The keys of a node.
pub(crate) struct NodeKeys {
    pub(crate) secret: SecretKeys,
    pub(crate) jwt: JwtKeys,
}

impl NodeKeys {
    /// Takes the keys from the settings, or in the embedded mode from the data folder, where they
    /// are made if they are missing.
    pub(crate) async fn load(config: &Config, store: &NodeStore) -> Result<Self, CommandError> {
        let secret = match &config.secret_keys {
            Some(keys) => keys.clone(),
            None => SecretKeys::new(secret_key(config, store).await?),
        };
        let jwt = jwt_keys(config)?;
        Ok(Self { secret, jwt })
    }
}

/// The secret of the data folder; it is made where it is missing, which for a database that had
/// another is news to its operator.
async fn secret_key(config: &Config, store: &NodeStore) -> Result<SecretKey, CommandError> {
    let file = config.data_dir.join("secret_key");
    let was_there = file.exists();
    let key = bootstrap::key(&config.data_dir, "secret_key")?;
    if !was_there && store.has_users().await.unwrap_or(false) {
        tracing::warn!(
            file = %file.display(),
            "the secret key was missing and a new one was made, though the database has users: everybody \
             is logged out, and the links in mails do nothing. Put the former file back if you have it"
        );
    }
    Ok(key)
}

/// The keys of access tokens, as the settings say, and made where they may be made up.
pub(crate) fn jwt_keys(config: &Config) -> Result<JwtKeys, CommandError> {
    match &config.jwt_keys {
        JwtKeySource::Secrets(Some(keys)) => Ok(keys.clone()),
        JwtKeySource::Secrets(None) => {
            let secret = bootstrap::key(&config.data_dir, "jwt_secret_key")?;
            Ok(JwtKeys::hs256(secret))
        }
        JwtKeySource::Folder { algorithm, path } => {
            let folder = key_folder(config, *algorithm);
            if path.is_none() && config.is_embedded() && !folder.exists() {
                bootstrap::create_folder(&config.data_dir)?;
                folder.generate()?;
            }
            folder.ring()
        }
    }
}

/// The folder of asymmetric keys.
pub(crate) fn key_folder(config: &Config, algorithm: Algorithm) -> KeyFolder {
    let path = config.jwt_key_folder.clone();
    let path = path.unwrap_or_else(|| config.data_dir.join("jwt_keys"));
    KeyFolder::new(path, algorithm)
}

/// Builds the engine, whose links begin with `public_url` and stand in mails of these templates.
pub(crate) fn engine(
    config: &Config,
    store: &NodeStore,
    keys: NodeKeys,
    public_url: &str,
    mails: MailTemplates,
) -> Result<Engine, CommandError> {
    let mut hasher = PasswordHasher::builder().with_params(config.argon2);
    if let Some(threads) = config.hash_threads {
        hasher = hasher.with_threads(threads);
    }
    if let Some(places) = config.hash_queue {
        hasher = hasher.with_queue(places);
    }
    let login_throttle = if config.throttle {
        LoginThrottle::default()
    } else {
        LoginThrottle::insecure_off()
    };
    let mut engine = Engine::builder(store.shared(), keys.secret, keys.jwt)
        .with_public_url(public_url)
        .with_access_ttl(config.access_ttl)
        .with_refresh_ttl(config.refresh_ttl)
        .with_max_sessions_per_user(config.max_sessions)
        .with_rotation(config.rotation)
        .with_email_verification(config.email_verification)
        .with_registration(config.registration)
        .with_stale_policy(config.revocation_stale)
        .with_revocation_capacity(config.revocation_capacity)
        .with_clock_leeway(config.clock_leeway)
        .with_password_hasher(hasher.build()?)
        .with_password_policy(password_policy(config, public_url)?)
        .with_username_policy(config.usernames)
        .with_login_throttle(login_throttle)
        .with_event_retention(config.event_retention)
        .with_mail_templates(mails);
    if let Some(capacity) = config.token_cache {
        engine = engine.with_token_cache(capacity);
    }
    if let Some(ttl) = config.refresh_idle_ttl {
        engine = engine.with_idle_ttl(ttl);
    }
    Ok(engine.build()?)
}

/// What new passwords may be; `public_url` gives names of the service away.
pub(crate) fn password_policy(
    config: &Config,
    public_url: &str,
) -> Result<PasswordPolicy, CommandError> {
    let policy = PasswordPolicy::default()
        .with_min_chars(config.password_min_length)?
        .add_context_words(service_names::of(public_url))
        .add_context_words(config.password_context.iter().cloned());
    let Some(path) = &config.breached_passwords else {
        return Ok(policy);
    };
    let breached = Arc::new(BreachedPasswordFile::open(path)?);
    Ok(policy.with_breached_passwords(breached, config.breached_passwords_on_failure))
}

/// Builds the engine of a command that acts in the operator's name beside the servers, which send
/// the mails.
pub(crate) async fn operator_engine(
    config: &Config,
    store: &NodeStore,
) -> Result<Engine, CommandError> {
    let public_url = config.public_url.as_deref();
    let public_url = public_url.unwrap_or("http://127.0.0.1:8000");
    let (keys, unused) = (
        NodeKeys::load(config, store).await?,
        MailTemplates::default(),
    );
    let engine = engine(config, store, keys, public_url, unused)?;
    engine.set_clock().await?;
    Ok(engine)
}

/// Prepares the way that mails travel.
pub(crate) fn mail_transport(config: &Config) -> Result<Arc<dyn MailTransport>, CommandError> {
    let sender = config.mail_from.clone();
    match &config.mail {
        MailRoute::Folder(folder) => {
            let transport = FolderTransport::new(folder, sender);
            let transport = transport.map_err(|source| CommandError::File {
                path: folder.clone(),
                source,
            })?;
            if !config.is_embedded() {
                tracing::warn!("mails are written into a folder: nobody gets them");
            }
            Ok(Arc::new(transport))
        }
        MailRoute::Smtp(url) => Ok(Arc::new(SmtpTransport::from_url(url, sender)?)),
    }
}

/// Where the certificate and the key are, if TLS is to be served.
pub(crate) fn tls_files(config: &Config) -> Option<TlsFiles> {
    let (cert, key) = config.tls.clone()?;
    Some(TlsFiles { cert, key })
}

/// Reads the certificate and the key, if TLS is to be served.
pub(crate) fn tls(config: &Config) -> Result<Option<Tls>, CommandError> {
    Ok(tls_files(config).as_ref().map(Tls::load).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Settings;

    #[tokio::test]
    async fn tokens_are_remembered_where_the_settings_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().to_str().unwrap();
        for (capacity, remembered) in [("", "cache: None"), ("10", "cache: Some")] {
            let variables = [("AUTH_DATA_DIR", data_dir), ("AUTH_TOKEN_CACHE", capacity)];
            let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let config = Config::load(&Settings::default(), variables.into_iter()).unwrap();
            let store = NodeStore::open(&config).await.unwrap();
            let engine = operator_engine(&config, &store).await.unwrap();
            let shown = format!("{:?}", engine.access_token_verifier());
            assert!(shown.contains(remembered), "{shown}");
        }
    }
}
