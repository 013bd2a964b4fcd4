//! `auth-server mails`

use std::fs;
use std::path::{Path, PathBuf};

use auth_core::store::{MailState, OwedMail};
use mail_parser::MessageParser;
use serde_json::json;

use crate::cli::{ListMails, Mails, RetryMails, ShowMail};
use crate::config::{Config, MailRoute};
use crate::error::CommandError;
use crate::node::NodeStore;
use crate::output::say;

pub(super) async fn run(config: &Config, command: Mails) -> Result<(), CommandError> {
    match command {
        Mails::List(flags) => list(&open(config).await?, flags).await,
        Mails::Retry(flags) => retry(&open(config).await?, flags).await,
        Mails::Show(flags) => show(config, flags),
    }
}

async fn open(config: &Config) -> Result<NodeStore, CommandError> {
    let store = NodeStore::open(config).await?;
    store.require_migrated().await?;
    Ok(store)
}

async fn list(store: &NodeStore, flags: ListMails) -> Result<(), CommandError> {
    for mail in store.owed_mails(flags.limit).await? {
        say(if flags.json {
            as_json(&mail)
        } else {
            line(&mail)
        })?;
    }
    Ok(())
}

async fn retry(store: &NodeStore, flags: RetryMails) -> Result<(), CommandError> {
    if flags.all {
        let mut tried = 0;
        for mail in store.owed_mails(u32::MAX).await? {
            let given_up = matches!(mail.state, MailState::GivenUp(_));
            if given_up && store.retry_mail(mail.id).await? {
                tried += 1;
            }
        }
        return say(format_args!("tried again: {tried}"));
    }
    for id in flags.ids {
        if !store.retry_mail(id).await? {
            return Err(CommandError::Argument {
                name: "ID",
                problem: format!(
                    "{id} is no mail that was given up, or the same is owed again by now: \
                     see `auth-server mails list`"
                ),
            });
        }
        say(format_args!("tried again: {id}"))?;
    }
    Ok(())
}

fn line(mail: &OwedMail) -> String {
    let state = match mail.state {
        MailState::GivenUp(at) => format!("given up {at}"),
        MailState::Waits(due) => format!("waits until {due}"),
        _ => "unknown".to_owned(),
    };
    let mut line = format!(
        "{}  {:<20} {:<32} attempts={} {state}",
        mail.id,
        mail.kind.as_str(),
        mail.to.as_str(),
        mail.attempts,
    );
    if let Some(error) = &mail.last_error {
        line.push_str(&format!(": {}", error.escape_debug()));
    }
    line
}

fn as_json(mail: &OwedMail) -> String {
    let (due, given_up_at) = match mail.state {
        MailState::GivenUp(at) => (None, Some(at.to_string())),
        MailState::Waits(due) => (Some(due.to_string()), None),
        _ => (None, None),
    };
    json!({
        "id": mail.id,
        "kind": mail.kind.as_str(),
        "to": mail.to.as_str(),
        "attempts": mail.attempts,
        "due": due,
        "given_up_at": given_up_at,
        "last_error": mail.last_error,
    })
    .to_string()
}

fn show(config: &Config, flags: ShowMail) -> Result<(), CommandError> {
    let MailRoute::Folder(folder) = &config.mail else {
        return Err(CommandError::Argument {
            name: "mails show",
            problem: "AUTH_MAIL names no folder: mails are sent, and their links kept nowhere"
                .to_owned(),
        });
    };
    let file = match flags.file {
        // A path of its own replaces the folder.
        Some(file) if file.components().count() > 1 => file,
        Some(name) => folder.join(name),
        None => newest(folder)?,
    };
    let content = fs::read(&file).map_err(|source| failed(&file, source))?;
    let unreadable = || CommandError::Argument {
        name: "FILE",
        problem: format!("{} is no mail", file.display()),
    };
    let mail = MessageParser::default().parse(&content);
    let mail = mail.ok_or_else(unreadable)?;
    let to = mail
        .to()
        .and_then(|to| to.first())
        .and_then(|to| to.address());
    let text = mail.body_text(0).ok_or_else(unreadable)?;
    say(format_args!("file     {}", file.display()))?;
    say(format_args!(
        "to       {}",
        to.unwrap_or_default().escape_debug()
    ))?;
    say(format_args!(
        "subject  {}",
        mail.subject().unwrap_or_default().escape_debug()
    ))?;
    say(format_args!("link     {}", link(&text).unwrap_or("none")))
}

/// The names sort by time.
fn newest(folder: &Path) -> Result<PathBuf, CommandError> {
    let entries = fs::read_dir(folder).map_err(|source| failed(folder, source))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mails = files.filter(|file| file.extension().is_some_and(|it| it == "eml"));
    mails.max().ok_or_else(|| CommandError::Argument {
        name: "FILE",
        problem: format!("no mail is in {}", folder.display()),
    })
}

fn link(text: &str) -> Option<&str> {
    let is_link = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
    text.split_ascii_whitespace()
        .find(|word| is_link(word) && word.contains("token="))
}

fn failed(path: &Path, source: std::io::Error) -> CommandError {
    CommandError::File {
        path: path.to_owned(),
        source,
    }
}
