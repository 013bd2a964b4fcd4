//! The template of the pages, which the host can replace.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use base64::prelude::{BASE64_STANDARD, Engine};
use http::HeaderValue;
use minijinja::{Environment, UndefinedBehavior, Value};
use sha2::{Digest, Sha256};

use super::Page;
use crate::api::link::Link;

const PAGE: &str = "page.html";
const STYLE: &str = "page.css";

/// The template of the pages behind the links in mails, in the language of Jinja ([`minijinja`]),
/// and their style.
///
/// One template, `page.html`, makes all pages, of these variables:
///
/// | variable | what |
/// |---|---|
/// | `page` | `verify_email`, `confirm_sign_up`, `accept_invitation`, `reset_password`, `confirm_email_change` or `undo_email_change` |
/// | `state` | `ask` before the button, `done` after it, or the [code] of the error that it met |
/// | `title`, `text` | what the page says by default, in English |
/// | `button` | what stands on the button; empty if there is none |
/// | `token` | what the form must carry in a field of this name; empty if there is no form |
/// | `asks_username` | whether the form asks for a name, in the field `username` |
/// | `username` | the name that was typed, when the form is shown again |
/// | `asks_password` | whether the form asks for a new password, in the fields `password` and `repeated` |
/// | `asks_known_password` | whether the form asks for the password that was chosen at the sign-up, in the field `password` |
/// | `wrong` | the names of the fields that were refused |
/// | `problems` | what was wrong with them: sentences in English |
/// | `style` | `page.css`, to stand between `<style>` and `</style>` |
///
/// Variables are escaped. The pages load nothing and run nothing, whatever the template says:
/// their `Content-Security-Policy` allows `page.css`, by its hash, and the form. A template that
/// fails on a sample of some page, leaves the form's fields out, or holds a script or a style of its
/// own is refused when it is set.
///
/// ```
/// use auth_tower::api::PageTemplates;
///
/// let templates = PageTemplates::default().with_style("body { color: darkslategray }")?;
/// assert!(templates.with_page("<h1>{{ title }}</h1>").is_err(), "no form");
/// # Ok::<(), auth_tower::api::PageTemplateError>(())
/// ```
///
/// [`minijinja`]: https://docs.rs/minijinja/latest/minijinja/syntax/
/// [code]: crate::ApiError::code
#[derive(Clone)]
pub struct PageTemplates {
    page: Arc<str>,
    style: Arc<str>,
    policy: HeaderValue,
    environment: Arc<Environment<'static>>,
}

impl PageTemplates {
    /// The files of a [folder](Self::from_folder).
    pub const FILE_NAMES: [&'static str; 2] = [PAGE, STYLE];

    /// Reads the templates from a folder; those that are not there stay as they are by default.
    ///
    /// # Errors
    ///
    /// - [`PageTemplateError::Unreadable`] if a file is there but cannot be read as UTF-8 text;
    /// - [`PageTemplateError::Broken`], [`PageTemplateError::Unfit`] as for
    ///   [`with_page`](Self::with_page) and [`with_style`](Self::with_style).
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self, PageTemplateError> {
        let read = |name| match std::fs::read_to_string(folder.as_ref().join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PageTemplateError::Unreadable { name, source }),
        };
        let mut templates = Self::default();
        if let Some(style) = read(STYLE)? {
            templates = templates.with_style(&style)?;
        }
        if let Some(page) = read(PAGE)? {
            templates = templates.with_page(&page)?;
        }
        Ok(templates)
    }

    /// Replaces `page.html`.
    ///
    /// # Errors
    ///
    /// - [`PageTemplateError::Broken`] if it fails with sample values;
    /// - [`PageTemplateError::Unfit`] if a page would lack what it needs, or hold what it may not.
    pub fn with_page(mut self, html: &str) -> Result<Self, PageTemplateError> {
        self.page = html.into();
        self.try_out()?;
        Ok(self)
    }

    /// Replaces `page.css`.
    ///
    /// # Errors
    ///
    /// [`PageTemplateError::Unfit`] if the style cannot stand in a page.
    pub fn with_style(mut self, css: &str) -> Result<Self, PageTemplateError> {
        if css.to_ascii_lowercase().contains("</style") {
            return Err(unfit(STYLE, "must not hold `</style`"));
        }
        self.style = css.into();
        self.policy = policy(css);
        Ok(self)
    }

    /// What the pages allow browsers: their own style and their form, nothing else.
    pub(super) fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }

    /// Compiled each time: it is small, and a page is asked for once a mail.
    pub(super) fn render(&self, page: &Page<'_>) -> Result<String, minijinja::Error> {
        let variables = Value::from_iter([
            ("page", Value::from(page.link.name())),
            ("state", Value::from(page.state)),
            ("title", Value::from(page.title)),
            ("text", Value::from(page.text)),
            ("button", Value::from(page.button)),
            ("token", Value::from(page.token)),
            ("asks_username", Value::from(page.asks_username)),
            ("username", Value::from(page.username)),
            ("asks_password", Value::from(page.asks_password)),
            ("asks_known_password", Value::from(page.asks_known_password)),
            ("wrong", page.wrong.iter().copied().collect()),
            (
                "problems",
                page.problems.iter().map(String::as_str).collect(),
            ),
            ("style", Value::from_safe_string(self.style.to_string())),
        ]);
        self.environment
            .render_named_str(PAGE, &self.page, variables)
    }

    /// Makes each page once.
    fn try_out(&self) -> Result<(), PageTemplateError> {
        for link in Link::ALL {
            for page in super::samples(link) {
                let html = self
                    .render(&page)
                    .map_err(|error| PageTemplateError::Broken {
                        name: PAGE,
                        source: error.into(),
                    })?;
                self.inspect(&page, &html)?;
            }
        }
        Ok(())
    }

    fn inspect(&self, page: &Page<'_>, html: &str) -> Result<(), PageTemplateError> {
        let folded = html.to_ascii_lowercase();
        if folded.contains("<script") {
            return Err(unfit(
                PAGE,
                "must not hold a script, which no browser would run",
            ));
        }
        let style = format!("<style>{}</style>", self.style).to_ascii_lowercase();
        if folded.replacen(&style, "", 1).contains("<style") {
            let problem = "must not hold a style but `<style>{{ style }}</style>`: no browser \
                           would apply it";
            return Err(unfit(PAGE, problem));
        }
        let mut fields = Vec::new();
        if !page.token.is_empty() {
            fields.push("token");
            fields.extend(page.asks_username.then_some("username"));
            fields.extend(page.asks_known_password.then_some("password"));
            fields.extend(
                page.asks_password
                    .then_some(["password", "repeated"])
                    .iter()
                    .flatten(),
            );
        }
        let mut lacking = fields
            .iter()
            .filter(|field| !html.contains(&format!("name=\"{field}\"")));
        if lacking.next().is_some() || !html.contains(page.token) {
            let problem = "must hold a form with `name=\"token\" value=\"{{ token }}\"`, if \
                           `asks_username` with `name=\"username\"`, if `asks_password` with \
                           `name=\"password\"` and `name=\"repeated\"`, and if \
                           `asks_known_password` with `name=\"password\"`";
            return Err(unfit(PAGE, problem));
        }
        if !fields.is_empty() && !folded.contains("<form method=\"post\" action=\"?\"") {
            let problem = "must hold a form that begins with `<form method=\"post\" action=\"?\"`";
            return Err(unfit(PAGE, problem));
        }
        if page
            .problems
            .iter()
            .any(|problem| !html.contains(problem.as_str()))
        {
            return Err(unfit(PAGE, "must tell the `problems`"));
        }
        Ok(())
    }
}

impl Default for PageTemplates {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let style = include_str!("page.css");
        Self {
            page: include_str!("page.html").into(),
            style: style.into(),
            policy: policy(style),
            environment: Arc::new(environment),
        }
    }
}

impl fmt::Debug for PageTemplates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageTemplates").finish_non_exhaustive()
    }
}

/// Allows a page its own style and its form, nothing else.
///
/// The hash is of what stands between the tags, to the byte.
pub(in crate::api) fn policy(style: &str) -> HeaderValue {
    let hash = BASE64_STANDARD.encode(Sha256::digest(style));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 is visible ASCII")
}

fn unfit(name: &'static str, problem: &'static str) -> PageTemplateError {
    PageTemplateError::Unfit { name, problem }
}

/// Why a template of the pages cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageTemplateError {
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
        source: Box<dyn Error + Send + Sync>,
    },
    /// A page would lack what it needs, or hold what it may not.
    #[error("the template {name} {problem}")]
    #[non_exhaustive]
    Unfit {
        /// The template.
        name: &'static str,
        /// What it must or must not hold.
        problem: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "<form method=\"post\" action=\"?\">\
        <input type=\"hidden\" name=\"token\" value=\"{{ token }}\">\
        {% if asks_username %}<input name=\"username\">{% endif %}\
        {{ problems|join }}\
        {% if asks_password %}<input name=\"password\"><input name=\"repeated\">{% endif %}\
        {% if asks_known_password %}<input name=\"password\" >{% endif %}<button>{{ button }}</button></form>";

    #[test]
    fn s8_2_the_policy_allows_exactly_the_style_of_the_page() {
        let templates = PageTemplates::default();
        for page in super::super::samples(Link::ResetPassword) {
            let html = templates.render(&page).unwrap();
            let (_, rest) = html.split_once("<style>").unwrap();
            let (style, _) = rest.split_once("</style>").unwrap();
            let hash = BASE64_STANDARD.encode(Sha256::digest(style));
            let policy = templates.policy();
            let policy = policy.to_str().unwrap();
            assert!(
                policy.contains(&format!("style-src 'sha256-{hash}';")),
                "{policy}"
            );
        }
    }

    #[test]
    fn the_built_in_template_keeps_the_rules_of_others() {
        let built_in = include_str!("page.html");
        PageTemplates::default().with_page(built_in).unwrap();
    }

    #[test]
    fn a_template_that_fails_on_one_page_only_is_refused() {
        for broken in [
            "{{ titel }}",
            "{% if page == 'undo_email_change' and state == 'link_used' %}{{ titel }}{% endif %}",
            "{% if problems %}{{ problems.first.first }}{% endif %}",
            "{% if %}",
        ] {
            let set = PageTemplates::default().with_page(&format!("{FORM}{broken}"));
            assert!(
                matches!(set, Err(PageTemplateError::Broken { name: PAGE, .. })),
                "{broken}: {set:?}"
            );
        }
    }

    #[test]
    fn s8_2_a_page_without_its_form_or_with_what_browsers_refuse_is_no_page() {
        PageTemplates::default().with_page(FORM).unwrap();
        for unfit in [
            FORM.replace("{{ token }}", ""),
            FORM.replace("name=\"token\"", "name=\"tokn\""),
            FORM.replace("name=\"repeated\"", ""),
            FORM.replace("name=\"password\" >", ">"),
            FORM.replace("name=\"username\"", ""),
            FORM.replace("post", "get"),
            FORM.replace("{{ problems|join }}", ""),
            format!("{FORM}<SCRIPT>1</SCRIPT>"),
            format!("{FORM}<style>p{{}}</style>"),
            format!("{FORM}<style> {{{{ style }}}} </style>"),
        ] {
            let set = PageTemplates::default().with_page(&unfit);
            assert!(
                matches!(set, Err(PageTemplateError::Unfit { name: PAGE, .. })),
                "{unfit}: {set:?}"
            );
        }
        let style = PageTemplates::default().with_style("</STYLE><p>");
        assert!(style.is_err());
        let styled = format!("<style>{{{{ style }}}}</style>{FORM}");
        PageTemplates::default().with_page(&styled).unwrap();
    }
}
