//! A client that notes how it was answered, and when.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

/// Longer than the server's own limit for a request, so that a 408 is seen as one.
const PATIENCE: Duration = Duration::from_secs(45);

/// What a client was told; the status is 0 where no answer came.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    pub body: String,
    pub took: Duration,
}

impl Told {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The text of a member of the body.
    pub fn text(&self, member: &str) -> Option<String> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        Some(body.get(member)?.as_str()?.to_owned())
    }

    /// Status and code, or just the status.
    pub fn summary(&self) -> String {
        let code = self.text("code").unwrap_or_default();
        format!("{} {code}", self.status).trim_end().to_owned()
    }
}

/// A client of one server, with a connection for each request: what one request does to its
/// connection is nothing to the next.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub fn of(base: String) -> Self {
        let http = reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self { http, base }
    }

    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<&Value>,
    ) -> Told {
        let started = Instant::now();
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            Ok::<_, reqwest::Error>((status, response.text().await?))
        };
        let (status, body) = match answer.await {
            Ok(answer) => answer,
            Err(error) => (0, format!("{error:?}")),
        };
        Told {
            status,
            body,
            took: started.elapsed(),
        }
    }

    pub async fn get(&self, path: &str) -> Told {
        self.ask(Method::GET, path, None, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Told {
        self.ask(Method::POST, path, None, Some(body)).await
    }
}
