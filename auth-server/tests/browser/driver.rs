//! A headless Chromium, driven as WebDriver says.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::{Capabilities, Locator, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a page may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether pages may run scripts, which ours have none of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scripts {
    Allowed,
    Forbidden,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) name: &'static str,
    pub(crate) width: u32,
    pub(crate) scheme: &'static str,
}

/// A browser with a profile of its own.
pub(crate) struct Browser {
    pub(crate) client: Client,
    _driver: Driver,
    _profile: TempDir,
}

impl Browser {
    pub(crate) async fn start(scripts: Scripts, look: Look) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let driver = Driver::start(profile.path());
        let profile_flag = format!("--user-data-dir={}", profile.path().display());
        let javascript = match scripts {
            Scripts::Allowed => 1,
            Scripts::Forbidden => 2,
        };
        let capabilities = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "WARNING" },
            "goog:chromeOptions": {
                "args": [
                    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                    "--no-first-run", "--disable-background-networking",
                    "--disable-component-update", "--disable-sync", profile_flag,
                ],
                "prefs": { "profile.managed_default_content_settings.javascript": javascript },
            },
        });
        let capabilities: Capabilities = serde_json::from_value(capabilities).unwrap();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&driver.url)
            .await
            .unwrap();
        let browser = Self {
            client,
            _driver: driver,
            _profile: profile,
        };
        browser.look(look).await;
        browser
    }

    /// Makes the window as wide as a device's, with its colours.
    async fn look(&self, look: Look) {
        let size = json!({
            "width": look.width, "height": 640, "deviceScaleFactor": 1, "mobile": look.width < 500,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
        let scheme = json!({
            "features": [{ "name": "prefers-color-scheme", "value": look.scheme }],
        });
        self.devtools("Emulation.setEmulatedMedia", scheme).await;
    }

    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Waits for the page with this headline.
    pub(crate) async fn arrive(&self, headline: &str) {
        self.wait_for(&format!("//h1[normalize-space()='{headline}']"))
            .await;
    }

    /// Waits for a page with such an element.
    pub(crate) async fn wait_for(&self, path: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let wait = self.client.wait().at_most(PATIENCE);
            match wait.for_element(Locator::XPath(path)).await {
                Ok(_) => return,
                // A page that goes while it is looked at is an error, not an absence.
                Err(_) if Instant::now() < deadline => {}
                Err(error) => {
                    let source = self.client.source().await.unwrap();
                    panic!("no {path}: {error}: {source}");
                }
            }
        }
    }

    /// Presses a key, as whoever has no mouse.
    pub(crate) async fn press(&self, key: Key) {
        self.type_text(&char::from(key).to_string()).await;
    }

    /// Types into whatever has the focus.
    pub(crate) async fn type_text(&self, text: &str) {
        let keys = text
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })));
        let keyboard =
            json!({ "type": "key", "id": "keyboard", "actions": keys.collect::<Vec<_>>() });
        let body = json!({ "actions": [keyboard] });
        self.issue(Method::POST, "actions", Some(body)).await;
    }

    /// What has the focus: how it is called for those who do not see it.
    pub(crate) async fn focused(&self) -> String {
        self.label(&self.client.active_element().await.unwrap())
            .await
    }

    /// The name that assistive technology reads out.
    pub(crate) async fn label(&self, element: &Element) -> String {
        let path = format!("element/{}/computedlabel", &*element.element_id());
        let label = self.issue(Method::GET, &path, None).await;
        label.as_str().unwrap().to_owned()
    }

    /// The errors and warnings of the console since the last time, such as what the policy refused.
    pub(crate) async fn console(&self) -> Vec<String> {
        let body = json!({ "type": "browser" });
        let log = self.issue(Method::POST, "se/log", Some(body)).await;
        let lines = log.as_array().unwrap().iter();
        lines
            .map(|line| line.get("message").unwrap().as_str().unwrap().to_owned())
            .collect()
    }

    /// Whether something stands beyond the edges of the window.
    pub(crate) async fn overflows(&self) -> bool {
        let metrics = self.devtools("Page.getLayoutMetrics", json!({})).await;
        let width = |of: &str| metrics.pointer(of).and_then(Value::as_f64).unwrap();
        width("/cssContentSize/width") > width("/cssLayoutViewport/clientWidth")
    }

    /// Takes a picture of the whole page.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages");
        std::fs::create_dir_all(&folder).unwrap();
        let whole = json!({ "captureBeyondViewport": true });
        let picture = self.devtools("Page.captureScreenshot", whole).await;
        let picture = picture.get("data").and_then(Value::as_str).unwrap();
        let picture = BASE64_STANDARD.decode(picture).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.issue(Method::POST, "goog/cdp/execute", Some(body))
            .await
    }

    async fn issue(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let command = SessionCommand {
            method,
            path: path.to_owned(),
            body,
        };
        self.client.issue_cmd(command).await.unwrap()
    }

    pub(crate) async fn close(self) {
        self.client.close().await.unwrap();
    }
}

/// A command that the client has no method for.
#[derive(Debug)]
struct SessionCommand {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl WebDriverCompatibleCommand for SessionCommand {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        let body = self.body.as_ref().map(Value::to_string);
        (self.method.clone(), body)
    }
}

/// A running chromedriver, in a process group with its browser: if a test fails both are ended.
struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    /// It takes a free port for one protocol, and ends if somebody has that port of the other one.
    fn start(home: &Path) -> Self {
        let started = (0..10).find_map(|_| Self::try_start(home));
        started.expect("chromedriver finds a port")
    }

    fn try_start(home: &Path) -> Option<Self> {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", home)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is missing (Debian: apt-get install chromium chromium-driver)");
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = said.find_map(|line| {
            let line = line.unwrap();
            let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let Some(port) = port else {
            child.wait().unwrap();
            return None;
        };
        std::thread::spawn(move || said.for_each(drop));
        Some(Self {
            child,
            url: format!("http://127.0.0.1:{port}"),
        })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-TERM", "--", &group]).status();
        let _ = self.child.wait();
    }
}
