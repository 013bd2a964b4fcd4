//! The texts of the mails, as templates that the host can replace.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use minijinja::{Environment, UndefinedBehavior, Value};

use super::Mail;
use crate::{EmailAddress, Username};

/// The templates of the mails, in the language of Jinja ([`minijinja`]).
///
/// Each mail has three: `verify_email.subject.txt`, `verify_email.txt` and `verify_email.html`.
/// They know these variables:
///
/// | variable | example |
/// |---|---|
/// | `username` | `alice` |
/// | `link` | `https://example.org/api/register/verify/?token=...` |
/// | `expires_in` | `24 hours` |
/// | `service` | the name of the service, or an empty string |
///
/// Variables are escaped in HTML. A variable that does not exist is an error, and a template that
/// fails does so when it is set.
///
/// ```
/// use auth_core::mail::MailTemplates;
///
/// let templates = MailTemplates::default()
///     .with_service_name("Example")
///     .with_verify_email(
///         "Welcome to {{ service }}",
///         "{{ username }}, confirm your address: {{ link }} (for {{ expires_in }})",
///         "<p>{{ username }}, <a href=\"{{ link }}\">confirm your address</a></p>",
///     )?;
///
/// assert!(templates.with_verify_email("{{ usrname }}", "", "").is_err());
/// # Ok::<(), auth_core::mail::TemplateError>(())
/// ```
///
/// [`minijinja`]: https://docs.rs/minijinja/latest/minijinja/syntax/
#[derive(Clone, Debug)]
pub struct MailTemplates {
    verify_email: Arc<Texts>,
    service: Arc<str>,
}

#[derive(Debug)]
struct Texts {
    subject: Box<str>,
    text: Box<str>,
    html: Box<str>,
}

impl Default for MailTemplates {
    fn default() -> Self {
        Self {
            verify_email: Arc::new(Texts {
                subject: include_str!("verify_email.subject.txt").into(),
                text: include_str!("verify_email.txt").into(),
                html: include_str!("verify_email.html").into(),
            }),
            service: "".into(),
        }
    }
}

impl MailTemplates {
    /// Reads the templates from a folder; those that are not there stay as they are by default.
    ///
    /// # Errors
    ///
    /// - [`TemplateError::Unreadable`] if a file is there but cannot be read as UTF-8 text;
    /// - [`TemplateError::Broken`] if a template fails.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self, TemplateError> {
        let default = Self::default();
        let read = |name: &'static str, otherwise: &str| match std::fs::read_to_string(
            folder.as_ref().join(name),
        ) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(otherwise.to_owned()),
            read => read.map_err(|source| TemplateError::Unreadable { name, source }),
        };
        let texts = &default.verify_email;
        let subject = read(SUBJECT, &texts.subject)?;
        let text = read(TEXT, &texts.text)?;
        let html = read(HTML, &texts.html)?;
        default.with_verify_email(&subject, &text, &html)
    }

    /// Replaces the templates of the mail with the verification link.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Broken`] if one of them fails with sample values.
    pub fn with_verify_email(
        mut self,
        subject: &str,
        text: &str,
        html: &str,
    ) -> Result<Self, TemplateError> {
        self.verify_email = Arc::new(Texts {
            subject: subject.into(),
            text: text.into(),
            html: html.into(),
        });
        for service in ["", "Example"] {
            let sample = variables("alice", "https://example.org/?token=x", "24 hours", service);
            self.verify_email.render(&sample)?;
        }
        Ok(self)
    }

    /// Sets the name of the service, which is empty by default.
    #[must_use]
    pub fn with_service_name(mut self, name: impl AsRef<str>) -> Self {
        self.service = name.as_ref().into();
        self
    }

    /// Writes the mail with the verification link.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Broken`] if a template fails in a way that it did not with sample values.
    pub fn verify_email(
        &self,
        to: &EmailAddress,
        username: &Username,
        link: &str,
        expires_in: Duration,
    ) -> Result<Mail, TemplateError> {
        let expires_in = spoken(expires_in);
        let variables = variables(username.as_str(), link, &expires_in, &self.service);
        let Texts {
            subject,
            text,
            html,
        } = self.verify_email.render(&variables)?;
        Ok(Mail::new(
            to.clone(),
            subject.trim().to_owned(),
            text.into(),
            html.into(),
        ))
    }
}

const SUBJECT: &str = "verify_email.subject.txt";
const TEXT: &str = "verify_email.txt";
const HTML: &str = "verify_email.html";

impl Texts {
    /// Compiled each time: the few microseconds are nothing beside the mail's delivery.
    fn render(&self, variables: &Value) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let render = |name, source: &str| {
            environment
                .render_named_str(name, source, variables)
                .map(Box::from)
                .map_err(|error| TemplateError::Broken {
                    name,
                    source: Box::new(error),
                })
        };
        Ok(Self {
            subject: render(SUBJECT, &self.subject)?,
            text: render(TEXT, &self.text)?,
            html: render(HTML, &self.html)?,
        })
    }
}

fn variables(username: &str, link: &str, expires_in: &str, service: &str) -> Value {
    Value::from_iter([
        ("username", username),
        ("link", link),
        ("expires_in", expires_in),
        ("service", service),
    ])
}

/// The duration as a person says it, in the largest unit that is exact from two on.
fn spoken(duration: Duration) -> String {
    let minutes = duration.as_secs().div_ceil(60);
    let (count, unit) = match minutes {
        m if m >= 2 * 1440 && m % 1440 == 0 => (m / 1440, "day"),
        m if m >= 60 && m % 60 == 0 => (m / 60, "hour"),
        m => (m, "minute"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The file cannot be read as UTF-8 text.
    #[error("cannot read the template {name}")]
    #[non_exhaustive]
    Unreadable {
        /// The file.
        name: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The template fails: a mistake in its syntax, or a variable that does not exist.
    #[error("the template {name} is broken")]
    #[non_exhaustive]
    Broken {
        /// The template.
        name: &'static str,
        /// What is wrong, and where.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://example.org/api/register/verify/?token=abc&x=1";

    fn written(templates: &MailTemplates, username: &str) -> Mail {
        let to = "bob@example.org".parse().unwrap();
        let username = Username::for_lookup(username).unwrap();
        let day = Duration::from_secs(24 * 60 * 60);
        templates.verify_email(&to, &username, LINK, day).unwrap()
    }

    #[test]
    fn the_default_mail_tells_the_link_and_how_long_it_works() {
        let mail = written(
            &MailTemplates::default().with_service_name("Example"),
            "bob",
        );
        assert_eq!(mail.to.as_str(), "bob@example.org");
        assert_eq!(mail.subject, "Confirm your e-mail address for Example");
        assert!(mail.text.contains(LINK));
        for text in [&mail.text, &mail.html] {
            assert!(text.contains("Hello bob"));
            assert!(text.contains("24 hours"));
        }
    }

    #[test]
    fn the_default_mail_needs_no_name_of_the_service_and_loads_nothing() {
        let mail = written(&MailTemplates::default(), "bob");
        assert_eq!(mail.subject, "Confirm your e-mail address");
        for tag in ["<img", "<link", "<script", "src=", "@import", "url("] {
            assert!(!mail.html.contains(tag), "{tag}");
        }
    }

    #[test]
    fn s8_4_the_html_escapes_what_users_and_operators_typed() {
        let hostile = "<script>\"'&</script>{{ link }}";
        let templates = MailTemplates::default().with_service_name(hostile);
        let html = written(&templates, hostile).html;
        assert!(!html.contains("<script"), "{html}");
        assert!(html.contains("&lt;script&gt;&quot;&#x27;&amp;"), "{html}");
        assert!(
            html.contains("{{ link }}"),
            "a value is no template: {html}"
        );
        assert!(html.contains("token=abc&amp;x=1"), "{html}");
    }

    #[test]
    fn a_broken_template_is_refused_when_it_is_set() {
        for broken in [
            "{{ username",
            "{{ usrname }}",
            "{% if %}",
            "{{ username.first.last }}",
        ] {
            for texts in [[broken, "", ""], ["", broken, ""], ["", "", broken]] {
                let [subject, text, html] = texts;
                let set = MailTemplates::default().with_verify_email(subject, text, html);
                assert!(set.is_err(), "{texts:?}");
            }
        }
        let only_with_a_name = "{% if service %}{{ usrname }}{% endif %}";
        let set = MailTemplates::default().with_verify_email("", only_with_a_name, "");
        assert!(set.is_err());
    }

    #[test]
    fn a_folder_replaces_the_templates_that_are_in_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(SUBJECT), "Welcome, {{ username }}\n").unwrap();
        let mail = written(&MailTemplates::from_folder(folder.path()).unwrap(), "bob");
        assert_eq!(mail.subject, "Welcome, bob");
        assert_eq!(mail.text, written(&MailTemplates::default(), "bob").text);

        std::fs::write(folder.path().join(HTML), b"\xff").unwrap();
        assert!(matches!(
            MailTemplates::from_folder(folder.path()),
            Err(TemplateError::Unreadable { name: HTML, .. })
        ));
    }

    #[test]
    fn durations_are_told_in_the_largest_exact_unit() {
        for (seconds, told) in [
            (30, "1 minute"),
            (5400, "90 minutes"),
            (3600, "1 hour"),
            (86_400, "24 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(spoken(Duration::from_secs(seconds)), told);
        }
    }
}
