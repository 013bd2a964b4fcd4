use std::fmt;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use auth_core::VerifyingKeys;
use auth_core::signature::Algorithm;
use http::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use tokio::time::{sleep, timeout};

use super::JwksClientError;

const MAX_BYTES: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Keeps the keys of an issuer.
///
/// See the [module](crate::jwks) for an example.
#[must_use]
pub struct JwksClient {
    http: Client,
    url: Url,
    keys: VerifyingKeys,
    interval: Duration,
    min_interval: Duration,
    /// The `ETag` of the keys that are in use.
    tag: Mutex<Option<HeaderValue>>,
}

impl JwksClient {
    /// How old keys get before they are fetched again, unless it is said otherwise.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);

    /// How long there is at least between two fetches, unless it is said otherwise.
    pub const DEFAULT_MIN_INTERVAL: Duration = Duration::from_secs(10);

    /// Prepares to fetch from a URL the keys that are for this algorithm.
    ///
    /// # Errors
    ///
    /// - [`JwksClientError::Url`] if it is not `https://…`, nor `http://…` on this machine;
    /// - [`JwksClientError::Unreachable`] if TLS cannot be had.
    pub fn new(url: &str, algorithm: Algorithm) -> Result<Self, JwksClientError> {
        let url: Url = url.parse().map_err(|_| JwksClientError::Url)?;
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
            return Err(JwksClientError::Url);
        }
        let http = Client::builder().redirect(Policy::none()).build()?;
        Ok(Self {
            http,
            url,
            keys: VerifyingKeys::for_algorithm(algorithm),
            interval: Self::DEFAULT_INTERVAL,
            min_interval: Self::DEFAULT_MIN_INTERVAL,
            tag: Mutex::new(None),
        })
    }

    /// How old keys get before they are fetched again (default 5 minutes).
    pub const fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long there is at least between two fetches (default 10 seconds).
    pub const fn with_min_interval(mut self, min_interval: Duration) -> Self {
        self.min_interval = min_interval;
        self
    }

    /// The keys, for an [`AccessTokenVerifier`](auth_core::AccessTokenVerifier): none at first.
    pub const fn keys(&self) -> &VerifyingKeys {
        &self.keys
    }

    /// Fetches the keys once, whenever that was last.
    ///
    /// # Errors
    ///
    /// [`JwksClientError`] says what failed; the keys from before stay.
    pub async fn fetch(&self) -> Result<(), JwksClientError> {
        let fetched = timeout(TIMEOUT, self.ask()).await;
        fetched.map_err(|error| JwksClientError::Unreachable(Box::new(error)))?
    }

    /// Keeps the keys fresh until `shutdown` is done.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        let keep = async {
            loop {
                let fetched = self.fetch().await;
                sleep(self.min_interval).await;
                match fetched {
                    Ok(()) => {
                        let rest = self.interval.saturating_sub(self.min_interval);
                        // Early where a key is missing, and else when the time has come.
                        let _ = timeout(rest, self.keys.unknown_key_seen()).await;
                    }
                    Err(error) => tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        keys = self.keys.key_ids().len(),
                        "the keys of the issuer stay as they are"
                    ),
                }
            }
        };
        tokio::select! {
            biased;
            () = &mut shutdown => {}
            () = keep => {}
        }
    }

    async fn ask(&self) -> Result<(), JwksClientError> {
        let mut request = self.http.get(self.url.clone());
        request = request.header(ACCEPT, "application/json");
        if let Some(tag) = self.known_tag() {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let response = request.send().await?;
        match response.status() {
            StatusCode::NOT_MODIFIED => Ok(()),
            StatusCode::OK => {
                let tag = response.headers().get(ETAG).cloned();
                self.keys.replace_with_jwks(&read(response).await?)?;
                self.remember(tag);
                Ok(())
            }
            other => Err(JwksClientError::Status(other)),
        }
    }

    fn known_tag(&self) -> Option<HeaderValue> {
        self.tag.lock().ok()?.clone()
    }

    fn remember(&self, tag: Option<HeaderValue>) {
        if let Ok(mut known) = self.tag.lock() {
            *known = tag;
        }
    }
}

impl fmt::Debug for JwksClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksClient")
            .field("host", &self.url.host_str())
            .field("keys", &self.keys)
            .field("interval", &self.interval)
            .field("min_interval", &self.min_interval)
            .finish_non_exhaustive()
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, JwksClientError> {
    let mut document = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if document.len() + piece.len() > MAX_BYTES {
            return Err(JwksClientError::TooLong);
        }
        document.extend_from_slice(&piece);
    }
    Ok(document)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}
