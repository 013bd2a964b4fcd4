//! What mails say.

use std::fmt;
use std::time::Duration;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

use super::Mail;
use crate::{EmailAddress, Username};

const SUBJECT: &str = "verify_email.subject.txt";
const TEXT: &str = "verify_email.txt";
const HTML: &str = "verify_email.html";

/// The templates of the mails, in the language of Jinja; HTML is escaped.
///
/// The mail with the verification link knows `username`, `link` and `expires_in` (such as
/// `24 hours`).
#[derive(Clone)]
pub struct MailTemplates(Environment<'static>);

impl MailTemplates {
    /// Replaces the mail with the verification link.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] if a template cannot be read, names an unknown variable, or the text
    /// or the HTML does not carry the link.
    pub fn with_verify_email(
        mut self,
        subject: impl Into<String>,
        text: impl Into<String>,
        html: impl Into<String>,
    ) -> Result<Self, TemplateError> {
        for (name, source) in [
            (SUBJECT, subject.into()),
            (TEXT, text.into()),
            (HTML, html.into()),
        ] {
            self.0
                .add_template_owned(name, source)
                .map_err(TemplateError::Syntax)?;
        }
        self.check()?;
        Ok(self)
    }

    /// Renders the mail once, so that a broken template shows now and not when a mail is owed.
    fn check(&self) -> Result<(), TemplateError> {
        const LINK: &str = "https://auth.example.org/verify";
        for name in [SUBJECT, TEXT, HTML] {
            let rendered = self
                .render(name, "name", LINK, "24 hours")
                .map_err(TemplateError::Syntax)?;
            if name != SUBJECT
                && !rendered.contains("https:&#x2f;&#x2f;auth.example.org&#x2f;verify")
                && !rendered.contains(LINK)
            {
                return Err(TemplateError::NoLink(name));
            }
        }
        Ok(())
    }

    /// Renders the mail with the verification link.
    pub(super) fn verify_email(
        &self,
        to: &EmailAddress,
        username: &Username,
        link: &str,
        expires_in: Duration,
    ) -> Result<Mail, minijinja::Error> {
        let expires_in = in_words(expires_in);
        let render = |name| self.render(name, username.as_str(), link, &expires_in);
        let subject = render(SUBJECT)?.trim().to_owned();
        Ok(Mail::new(to.clone(), subject, render(TEXT)?, render(HTML)?))
    }

    fn render(
        &self,
        name: &str,
        username: &str,
        link: &str,
        expires_in: &str,
    ) -> Result<String, minijinja::Error> {
        self.0
            .get_template(name)?
            .render(context! { username, link, expires_in })
    }
}

impl Default for MailTemplates {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| {
            if name.ends_with(".html") {
                AutoEscape::Html
            } else {
                AutoEscape::None
            }
        });
        let templates = Self(environment).with_verify_email(
            include_str!("templates/verify_email.subject.txt"),
            include_str!("templates/verify_email.txt"),
            include_str!("templates/verify_email.html"),
        );
        templates.expect("the built-in templates are valid, as a test shows")
    }
}

impl fmt::Debug for MailTemplates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailTemplates").finish_non_exhaustive()
    }
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It cannot be read, or names a variable that there is not.
    #[error("the template cannot be rendered")]
    Syntax(#[source] minijinja::Error),
    /// The mail would not carry the link.
    #[error("the template {0} does not carry the link: use {{{{ link }}}}")]
    NoLink(&'static str),
}

/// Tells a time in the largest unit that it is a whole number of.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = match seconds {
        s if s >= 3600 && s.is_multiple_of(3600) => (s / 3600, "hour"),
        s if s >= 60 => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://auth.example.org/api/register/verify/?token=avt_Ab-1_";

    fn mail(templates: &MailTemplates, username: &str) -> Mail {
        let to = "alice@example.org".parse().unwrap();
        let username = Username::from_stored(username, username);
        templates
            .verify_email(&to, &username, LINK, Duration::from_secs(86_400))
            .unwrap()
    }

    #[test]
    fn the_built_in_mail_carries_name_link_and_time_in_both_forms() {
        let mail = mail(&MailTemplates::default(), "alice");
        assert_eq!(mail.subject, "Verify your e-mail address");
        for form in [&mail.text, &mail.html] {
            assert!(
                form.contains("Hello alice,") && form.contains("24 hours"),
                "{form}"
            );
        }
        assert!(mail.text.contains(LINK));
        let href = mail.html.replace("&#x2f;", "/");
        assert!(href.contains(&format!("href=\"{LINK}\"")), "{href}");
    }

    #[test]
    fn s8_4_a_username_is_escaped_in_the_html() {
        let mail = mail(&MailTemplates::default(), "<img src=x>&\"'");
        assert!(!mail.html.contains("<img"), "{}", mail.html);
        assert!(mail.html.contains("&lt;img"));
    }

    #[test]
    fn a_broken_template_is_refused_when_it_is_set() {
        let set = |subject: &str, text: &str, html: &str| {
            MailTemplates::default().with_verify_email(subject, text, html)
        };
        assert!(set("s", "{{ link }}", "{{ link }}").is_ok());
        assert!(matches!(
            set("s", "{{ link", "{{ link }}"),
            Err(TemplateError::Syntax(_))
        ));
        assert!(matches!(
            set("{{ nobody }}", "{{ link }}", "{{ link }}"),
            Err(TemplateError::Syntax(_))
        ));
        assert!(matches!(
            set("s", "no link", "{{ link }}"),
            Err(TemplateError::NoLink(TEXT))
        ));
        assert!(matches!(
            set("s", "{{ link }}", "no link"),
            Err(TemplateError::NoLink(HTML))
        ));
    }

    #[test]
    fn times_are_told_in_words() {
        for (seconds, words) in [
            (86_400, "24 hours"),
            (3600, "1 hour"),
            (5400, "90 minutes"),
            (1, "1 second"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
