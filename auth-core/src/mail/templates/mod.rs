//! The texts of the mails, as templates that the host can replace.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use minijinja::{Environment, UndefinedBehavior, Value};

use super::{Mail, MailKind};
use crate::EmailAddress;

/// The templates of the mails, in the language of Jinja ([`minijinja`]).
///
/// Each [kind](MailKind) of mail has three: `verify_email.subject.txt`, `verify_email.txt` and
/// `verify_email.html`, and so on. Those in HTML extend `layout.html`, where a house style is set
/// for all of them at once. They know these variables:
///
/// | variable | example |
/// |---|---|
/// | `username` | `alice`; an empty string in an invitation |
/// | `address` | the e-mail address; where it is being changed, the new one |
/// | `link` | `https://example.org/api/register/verify/?token=...`; an empty string in a notice without one |
/// | `expires_in` | `24 hours`; an empty string where there is no link |
/// | `service` | the name of the service, or an empty string |
///
/// Variables are escaped in HTML. A variable that does not exist is an error, and a template that
/// fails does so when it is set.
///
/// ```
/// use auth_core::mail::{MailKind, MailTemplates};
///
/// let templates = MailTemplates::default()
///     .with_service_name("Example")
///     .with_mail(
///         MailKind::VerifyEmail,
///         "Welcome to {{ service }}",
///         "{{ username }}, confirm your address: {{ link }} (for {{ expires_in }})",
///         "<p>{{ username }}, <a href=\"{{ link }}\">confirm your address</a></p>",
///     )?;
///
/// let broken = templates.with_mail(MailKind::ResetPassword, "{{ usrname }}", "", "");
/// assert!(broken.is_err());
/// # Ok::<(), auth_core::mail::TemplateError>(())
/// ```
///
/// [`minijinja`]: https://docs.rs/minijinja/latest/minijinja/syntax/
#[derive(Clone, Debug)]
pub struct MailTemplates {
    layout: Arc<str>,
    verify_email: Arc<Texts>,
    reset_password: Arc<Texts>,
    confirm_email_change: Arc<Texts>,
    email_changed: Arc<Texts>,
    confirm_sign_up: Arc<Texts>,
    account_exists: Arc<Texts>,
    username_taken: Arc<Texts>,
    invitation: Arc<Texts>,
    service: Arc<str>,
}

#[derive(Debug)]
struct Texts {
    subject: Box<str>,
    text: Box<str>,
    html: Box<str>,
}

/// What the variables of a mail are made of.
pub(super) struct Words<'a> {
    /// Empty where there is none yet.
    pub(super) username: &'a str,
    pub(super) address: &'a EmailAddress,
    /// Empty where there is nothing to do.
    pub(super) link: &'a str,
    pub(super) lifetime: Duration,
}

/// The built-in texts of a kind.
macro_rules! built_in {
    ($kind:literal) => {
        Arc::new(Texts {
            subject: include_str!(concat!($kind, ".subject.txt")).into(),
            text: include_str!(concat!($kind, ".txt")).into(),
            html: include_str!(concat!($kind, ".html")).into(),
        })
    };
}

impl Default for MailTemplates {
    fn default() -> Self {
        Self {
            layout: include_str!("layout.html").into(),
            verify_email: built_in!("verify_email"),
            reset_password: built_in!("reset_password"),
            confirm_email_change: built_in!("confirm_email_change"),
            email_changed: built_in!("email_changed"),
            confirm_sign_up: built_in!("confirm_sign_up"),
            account_exists: built_in!("account_exists"),
            username_taken: built_in!("username_taken"),
            invitation: built_in!("invitation"),
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
        let read =
            |name: &str, otherwise: &str| match std::fs::read_to_string(folder.as_ref().join(name))
            {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(otherwise.to_owned()),
                read => read.map_err(|source| TemplateError::Unreadable {
                    name: name.to_owned(),
                    source,
                }),
            };
        let mut templates = Self::default();
        templates.layout = read(LAYOUT, &templates.layout)?.into();
        for kind in MailKind::ALL {
            let texts = Arc::clone(templates.texts(kind));
            let [subject, text, html] = names(kind);
            let subject = read(&subject, &texts.subject)?;
            let text = read(&text, &texts.text)?;
            let html = read(&html, &texts.html)?;
            templates = templates.with_mail(kind, &subject, &text, &html)?;
        }
        Ok(templates)
    }

    /// The files of a [folder](Self::from_folder).
    pub fn file_names() -> impl Iterator<Item = String> {
        let of_kinds = MailKind::ALL.into_iter().flat_map(names);
        std::iter::once(LAYOUT.to_owned()).chain(of_kinds)
    }

    /// Replaces the templates of a kind of mail.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Broken`] if one of them fails with sample values.
    pub fn with_mail(
        mut self,
        kind: MailKind,
        subject: &str,
        text: &str,
        html: &str,
    ) -> Result<Self, TemplateError> {
        let texts = Arc::new(Texts {
            subject: subject.into(),
            text: text.into(),
            html: html.into(),
        });
        *self.texts_mut(kind) = texts;
        self.try_out(kind)?;
        Ok(self)
    }

    /// Replaces `layout.html`, which the mails in HTML extend.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Broken`] if a mail fails with it.
    pub fn with_layout(mut self, html: &str) -> Result<Self, TemplateError> {
        self.layout = html.into();
        for kind in MailKind::ALL {
            self.try_out(kind)?;
        }
        Ok(self)
    }

    /// Sets the name of the service, which is empty by default.
    #[must_use]
    pub fn with_service_name(mut self, name: impl AsRef<str>) -> Self {
        self.service = name.as_ref().into();
        self
    }

    /// Writes a mail.
    pub(super) fn write(
        &self,
        kind: MailKind,
        to: &EmailAddress,
        words: &Words<'_>,
    ) -> Result<Mail, TemplateError> {
        let lifetime = match words.link {
            "" => String::new(),
            _ => spoken(words.lifetime),
        };
        let variables = variables(
            words.username,
            words.address.as_str(),
            words.link,
            &lifetime,
            &self.service,
        );
        let texts = self.render(kind, &variables)?;
        Ok(Mail::new(
            to.clone(),
            texts.subject.trim().to_owned(),
            texts.text.into(),
            texts.html.into(),
        ))
    }

    const fn texts(&self, kind: MailKind) -> &Arc<Texts> {
        match kind {
            MailKind::VerifyEmail => &self.verify_email,
            MailKind::ResetPassword => &self.reset_password,
            MailKind::ConfirmEmailChange => &self.confirm_email_change,
            MailKind::EmailChanged => &self.email_changed,
            MailKind::ConfirmSignUp => &self.confirm_sign_up,
            MailKind::AccountExists => &self.account_exists,
            MailKind::UsernameTaken => &self.username_taken,
            MailKind::Invitation => &self.invitation,
        }
    }

    const fn texts_mut(&mut self, kind: MailKind) -> &mut Arc<Texts> {
        match kind {
            MailKind::VerifyEmail => &mut self.verify_email,
            MailKind::ResetPassword => &mut self.reset_password,
            MailKind::ConfirmEmailChange => &mut self.confirm_email_change,
            MailKind::EmailChanged => &mut self.email_changed,
            MailKind::ConfirmSignUp => &mut self.confirm_sign_up,
            MailKind::AccountExists => &mut self.account_exists,
            MailKind::UsernameTaken => &mut self.username_taken,
            MailKind::Invitation => &mut self.invitation,
        }
    }

    /// Renders the templates of a kind with sample values, with and without a name of the service;
    /// empty is what will be empty.
    fn try_out(&self, kind: MailKind) -> Result<(), TemplateError> {
        let username = match kind {
            MailKind::Invitation => "",
            _ => "alice",
        };
        let (link, expires_in) = match kind {
            MailKind::AccountExists | MailKind::UsernameTaken => ("", ""),
            _ => ("https://example.org/?token=x", "24 hours"),
        };
        for service in ["", "Example"] {
            let address = "alice@example.org";
            let sample = variables(username, address, link, expires_in, service);
            self.render(kind, &sample)?;
        }
        Ok(())
    }

    /// Compiled each time: the few microseconds are nothing beside the mail's delivery.
    fn render(&self, kind: MailKind, variables: &Value) -> Result<Texts, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .add_template(LAYOUT, &self.layout)
            .map_err(|error| TemplateError::Broken {
                name: LAYOUT.to_owned(),
                source: Box::new(error),
            })?;
        let render = |name: String, source: &str| {
            environment
                .render_named_str(&name, source, variables)
                .map(Box::from)
                .map_err(|error| TemplateError::Broken {
                    name,
                    source: Box::new(error),
                })
        };
        let [subject, text, html] = names(kind);
        let texts = self.texts(kind);
        Ok(Texts {
            subject: render(subject, &texts.subject)?,
            text: render(text, &texts.text)?,
            html: render(html, &texts.html)?,
        })
    }
}

const LAYOUT: &str = "layout.html";

/// The files of the subject, the plain text and the HTML.
fn names(kind: MailKind) -> [String; 3] {
    ["subject.txt", "txt", "html"].map(|extension| format!("{}.{extension}", kind.as_str()))
}

fn variables(username: &str, address: &str, link: &str, expires_in: &str, service: &str) -> Value {
    Value::from_iter([
        ("username", username),
        ("address", address),
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
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// The template fails: a mistake in its syntax, or a variable that does not exist.
    #[error("the template {name} is broken")]
    #[non_exhaustive]
    Broken {
        /// The template.
        name: String,
        /// What is wrong, and where.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://example.org/api/register/verify/?token=abc&x=1";

    fn written(templates: &MailTemplates, username: &str) -> Mail {
        written_of(MailKind::VerifyEmail, templates, username)
    }

    fn written_of(kind: MailKind, templates: &MailTemplates, username: &str) -> Mail {
        let to = "bob@example.org".parse().unwrap();
        let words = Words {
            username,
            address: &"new@example.org".parse().unwrap(),
            link: match kind {
                MailKind::AccountExists | MailKind::UsernameTaken => "",
                _ => LINK,
            },
            lifetime: Duration::from_secs(24 * 60 * 60),
        };
        templates.write(kind, &to, &words).unwrap()
    }

    #[test]
    fn every_kind_of_mail_tells_whom_what_and_how_long() {
        let templates = MailTemplates::default().with_service_name("Example");
        for kind in MailKind::ALL {
            let mail = written_of(kind, &templates, "bob");
            let notices = [MailKind::AccountExists, MailKind::UsernameTaken];
            assert!(mail.subject.contains("Example"), "{mail:?}");
            for text in [&mail.text, &mail.html] {
                let greeting = match kind {
                    MailKind::Invitation => "Hello",
                    _ => "Hello bob",
                };
                assert!(text.contains(greeting), "{text}");
                assert_eq!(
                    text.contains("24 hours"),
                    !notices.contains(&kind),
                    "{text}"
                );
                assert!(!text.contains("{%") && !text.contains("{{"), "{text}");
            }
            assert_eq!(mail.text.contains(LINK), !notices.contains(&kind));
            assert_eq!(mail.html.contains("href="), !notices.contains(&kind));
            let of_change = [MailKind::ConfirmEmailChange, MailKind::EmailChanged];
            assert_eq!(
                mail.text.contains("new@example.org"),
                of_change.contains(&kind)
            );
        }
    }

    #[test]
    fn a_layout_of_the_host_is_that_of_every_mail() {
        let layout = "<h1>Acme</h1>{% block text %}{% endblock %}<i>{{ link }}</i>";
        let templates = MailTemplates::default().with_layout(layout).unwrap();
        for kind in MailKind::ALL {
            let html = written_of(kind, &templates, "bob").html;
            assert!(html.starts_with("<h1>Acme</h1><p>"), "{html}");
        }
        let broken = MailTemplates::default().with_layout("{{ usrname }}");
        assert!(broken.is_err());
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
                for kind in MailKind::ALL {
                    let set = MailTemplates::default().with_mail(kind, subject, text, html);
                    assert!(set.is_err(), "{texts:?}");
                }
            }
        }
        for layout in [
            "{% if not link %}{{ usrname }}{% endif %}",
            "{% if not username %}{{ usrname }}{% endif %}",
        ] {
            let set = MailTemplates::default().with_layout(layout);
            assert!(set.is_err(), "it fails for some mails: {layout}");
        }
        let only_with_a_name = "{% if service %}{{ usrname }}{% endif %}";
        let set =
            MailTemplates::default().with_mail(MailKind::VerifyEmail, "", only_with_a_name, "");
        assert!(set.is_err());
    }

    #[test]
    fn a_folder_replaces_the_templates_that_are_in_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("verify_email.subject.txt"),
            "Welcome, {{ username }}\n",
        )
        .unwrap();
        let mail = written(&MailTemplates::from_folder(folder.path()).unwrap(), "bob");
        assert_eq!(mail.subject, "Welcome, bob");
        assert_eq!(mail.text, written(&MailTemplates::default(), "bob").text);

        let file = "reset_password.html";
        std::fs::write(folder.path().join(file), b"\xff").unwrap();
        assert!(matches!(
            MailTemplates::from_folder(folder.path()),
            Err(TemplateError::Unreadable { name, .. }) if name == file
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
