//! `auth-server serve`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use auth_core::store::StoreError;
use auth_core::{AuthError, Engine};
use auth_tower::budgets::RequestBudgets;
use auth_tower::{AuthApi, CorsLayer, IdentifyLayer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{first_start, reload};
use crate::cli::{Serve, Settings};
use crate::config::{Config, EndpointGroup};
use crate::descriptors;
use crate::error::CommandError;
use crate::node::{self, NodeKeys, NodeStore};
use crate::observe;
use crate::serve::{self, Limits, ServeSettings};
use crate::signals::{Hangups, Signals};
use crate::telemetry;
use crate::templates::Templates;

pub(super) async fn run(
    config: Config,
    flags: Serve,
    settings: Settings,
) -> Result<(), CommandError> {
    // From the first moment, since it would end the process.
    let hangups = Hangups::install()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), settings = ?config, "starting");
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let limits = Limits {
        keep_alive: config.keep_alive,
        ..limits()
    };
    let tls = node::tls(&config)?;
    let templates = Templates::load(&config)?;
    let store = NodeStore::open(&config).await?;
    prepare(&config, &store, flags).await?;
    let (listener, address) = listen("AUTH_BIND", config.bind).await?;
    // Before anything is measured.
    let observing = Observing::begin(&config).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = format!("{scheme}://{address}");
    let public_url = config.public_url.clone().unwrap_or_else(|| address.clone());
    let keys = NodeKeys::load(&config, &store).await?;
    let jwt_keys = keys.jwt.clone();
    let engine = node::engine(&config, &store, keys, &public_url, templates.mails)?;
    let transport = node::mail_transport(&config)?;
    set_clock(&engine).await?;
    first_start::welcome(&config, &store, &engine, &address).await?;
    note_keys(&engine).await?;
    let usernames = compare_usernames(&engine).await?;

    let (stop, stopped) = watch::channel(false);
    let (end, ended) = watch::channel(false);
    let mut workers = JoinSet::new();
    workers.spawn(engine.mail_worker(transport).run(until(stopped.clone())));
    workers.spawn(engine.housekeeper().run(until(stopped.clone())));
    let reloading = reload::Reload::new(
        settings,
        engine.clone(),
        store.clone(),
        &jwt_keys,
        tls.clone(),
    );
    workers.spawn(reloading.run(hangups, until(stopped.clone())));
    if usernames == Compared::NotYet {
        workers.spawn(compare_later(engine.clone(), until(stopped.clone())));
    }
    // The last requests leave events too, and bring tokens that may have been revoked.
    let audit_writer = tokio::spawn(engine.audit_writer().run(until(ended.clone())));
    let follower = tokio::spawn(engine.revocation_follower().run(until(ended)));
    let verifier = engine.access_token_verifier();
    let engine = Arc::new(engine);
    let mut api = AuthApi::new(Arc::<Engine>::clone(&engine), verifier);
    api = api
        .with_max_body(config.max_body)
        .with_page_templates(templates.pages)
        .with_enrollment(Arc::<Engine>::clone(&engine));
    if config.endpoints.contains(&EndpointGroup::Account) {
        api = api.with_account(Arc::<Engine>::clone(&engine));
    }
    if config.endpoints.contains(&EndpointGroup::Admin) {
        api = api.with_administration(engine);
    }
    if config.endpoints.contains(&EndpointGroup::OpenApi) {
        api = api.with_openapi();
    }
    if config.throttle {
        api = api.with_request_budgets(RequestBudgets::default());
    }
    let signals = Signals::install()?;
    let signals = tokio::spawn(async move {
        signals.received().await;
        stop.send_replace(true);
    });
    let observer = observing.map(|observing| {
        announce("observing", &format!("http://{}", observing.address));
        workers.spawn(observe::keep_up(
            observing.metrics.clone(),
            until(stopped.clone()),
        ));
        let service = observe::service(api.clone(), observing.metrics);
        let settings = ServeSettings::default();
        tokio::spawn(serve::serve(
            observing.listener,
            service,
            settings,
            until(stopped.clone()),
        ))
    });
    announce("listening", &address);
    let settings = ServeSettings {
        hsts: tls.is_some() || config.behind_tls_proxy,
        tls,
        limits,
        cors: (!config.cors_origins.is_empty())
            .then(|| CorsLayer::new(config.cors_origins.iter().cloned())),
        identify: identify(&config),
        route_of: observer.is_some().then_some(AuthApi::route_of),
        proxies: config.trusted_proxies,
    };
    serve::serve(listener, api, settings, until(stopped)).await;
    if let Some(observer) = observer {
        let _ = observer.await;
    }
    // The mails in hand are finished, so that they are crossed off and not sent again.
    while workers.join_next().await.is_some() {}
    end.send_replace(true);
    let _ = tokio::join!(audit_writer, follower);
    signals.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Sees to the tables, unless the database is away: then the server waits for it.
async fn prepare(config: &Config, store: &NodeStore, flags: Serve) -> Result<(), CommandError> {
    if config.is_embedded() || flags.migrate {
        store.migrate().await?;
        return Ok(());
    }
    match store.shortcomings().await {
        Ok(found) => {
            for shortcoming in found {
                tracing::warn!("{shortcoming}");
            }
        }
        // Told below, with what was done about it.
        Err(CommandError::Database {
            source: StoreError::Unavailable(_),
            ..
        }) => {}
        Err(refused) => return Err(refused),
    }
    match store.require_migrated().await {
        Err(CommandError::Database {
            source: StoreError::Unavailable(error),
            ..
        }) => {
            tracing::warn!(
                error = &*error as &dyn std::error::Error,
                "the database is not available yet"
            );
            Ok(())
        }
        other => other,
    }
}

/// Leaves an event if the keys have changed, unless the database is away.
pub(super) async fn note_keys(engine: &Engine) -> Result<(), CommandError> {
    match engine.note_keys().await {
        Err(AuthError::Storage(StoreError::Unavailable(error))) => {
            tracing::warn!(
                error = &*error as &dyn std::error::Error,
                "whether the keys have changed is not known"
            );
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Reads the database's clock before the first request, unless the database is away.
async fn set_clock(engine: &Engine) -> Result<(), CommandError> {
    match engine.set_clock().await {
        // The follower does it as soon as it can, and says what is wrong.
        Err(AuthError::Storage(StoreError::Unavailable(_))) => Ok(()),
        other => Ok(other?),
    }
}

/// Whether the names of all users are compared with new ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    All,
    NotYet,
}

/// Has the names of users that were there before compared by what they look like, where that is asked
/// for, unless the database is away.
async fn compare_usernames(engine: &Engine) -> Result<Compared, CommandError> {
    match engine.fill_username_skeletons().await {
        Err(AuthError::Storage(StoreError::Unavailable(error))) => {
            tracing::warn!(
                error = &*error as &dyn std::error::Error,
                "new usernames are not compared with all that are there"
            );
            Ok(Compared::NotYet)
        }
        Err(error) => Err(error.into()),
        Ok(()) => Ok(Compared::All),
    }
}

/// Tries again until the database is there.
async fn compare_later(engine: Engine, stopped: impl Future<Output = ()>) {
    const PAUSE: Duration = Duration::from_secs(5);
    let comparing = async {
        loop {
            tokio::time::sleep(PAUSE).await;
            match compare_usernames(&engine).await {
                Ok(Compared::All) => return,
                Ok(Compared::NotYet) => {}
                Err(error) => return tracing::error!(%error, "usernames cannot be compared"),
            }
        }
    };
    tokio::select! {
        () = comparing => {}
        () = stopped => {}
    }
}

/// Listens, and tells where: the port may have been left to the system.
async fn listen(
    setting: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), CommandError> {
    let failed = |source| CommandError::Bind {
        setting,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The second listener, and what it shows.
struct Observing {
    listener: TcpListener,
    address: SocketAddr,
    metrics: PrometheusHandle,
}

impl Observing {
    async fn begin(config: &Config) -> Result<Option<Self>, CommandError> {
        let Some(address) = config.observe_bind else {
            return Ok(None);
        };
        if !address.ip().is_loopback() {
            tracing::warn!(
                "AUTH_OBSERVE_BIND can be reached from other machines, without TLS: whoever reaches \
                 it sees how busy the node is"
            );
        }
        let (listener, address) = listen("AUTH_OBSERVE_BIND", address).await?;
        Ok(Some(Self {
            listener,
            address,
            metrics: observe::record(config)?,
        }))
    }
}

/// What clients may ask for, as far as there are descriptors.
fn limits() -> Limits {
    let (usual, descriptors) = (Limits::default(), descriptors::raise());
    let limits = usual.within_descriptors(descriptors);
    if limits.connections < usual.connections {
        tracing::warn!(
            descriptors,
            connections = limits.connections,
            connections_per_address = limits.connections_per_address,
            "fewer connections than usual can be open: raise the hard limit of open files \
             (LimitNOFILE of systemd, `ulimit -Hn`)"
        );
    }
    limits
}

/// Whom to take for the client.
fn identify(config: &Config) -> IdentifyLayer {
    if config.behind_tls_proxy && config.trusted_proxies.is_empty() {
        tracing::warn!(
            "AUTH_TRUSTED_PROXIES does not name the proxy in front: clients cannot be told apart, \
             and nothing is limited by address"
        );
        return IdentifyLayer::new().with_unnamed_proxy();
    }
    IdentifyLayer::new().with_trusted_proxies(config.trusted_proxies.iter().copied())
}

/// Says that requests can come; one line whatever the log's form, for scripts to wait for.
fn announce(what: &str, address: &str) {
    telemetry::announce(format_args!("{what} on {address}"));
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
