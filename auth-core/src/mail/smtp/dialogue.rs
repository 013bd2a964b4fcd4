//! One mail over a connection, step by step.

use std::error::Error as _;

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailParameter};

use crate::mail::MailError;

/// Hands a message on; after an error the connection is of no more use.
///
/// Not `lettre`'s `send`, which does the same without telling at which step the server refused:
/// what it says to `MAIL FROM` is about us, and every mail would be given up until it is mended.
pub(super) async fn hand_on(
    connection: &mut AsyncSmtpConnection,
    message: &Message,
) -> Result<(), MailError> {
    let handed = steps(connection, message).await;
    if handed.is_err() {
        connection.abort().await;
    }
    handed
}

async fn steps(connection: &mut AsyncSmtpConnection, message: &Message) -> Result<(), MailError> {
    let envelope = message.envelope();
    let addresses = envelope.from().into_iter().chain(envelope.to());
    let mut parameters = Vec::new();
    // The texts are ASCII, whatever their language: see `message`.
    if !addresses
        .into_iter()
        .all(|address| AsRef::<str>::as_ref(address).is_ascii())
    {
        let supported = connection.server_info();
        if !supported.supports_feature(Extension::SmtpUtfEight) {
            return Err(MailError::Temporary(
                "the mail server takes no addresses beyond ASCII (SMTPUTF8)".into(),
            ));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let from = Mail::new(envelope.from().cloned(), parameters);
    connection.command(from).await.map_err(later)?;
    for to in envelope.to() {
        let to = Rcpt::new(to.clone(), Vec::new());
        connection.command(to).await.map_err(refusal)?;
    }
    connection.command(Data).await.map_err(refusal)?;
    let content = message.formatted();
    connection.message(&content).await.map_err(refusal)?;
    Ok(())
}

fn later(error: Error) -> MailError {
    MailError::Temporary(Box::new(error))
}

/// Reads what the server said to the recipient or to the content.
fn refusal(error: Error) -> MailError {
    let answer = error.source().map(ToString::to_string);
    if error.is_permanent() && answer.is_some_and(|answer| is_about_the_mail(&answer)) {
        return MailError::Permanent(Box::new(error));
    }
    later(error)
}

/// Whether the answer blames the address (5.1.x), the mailbox (5.2.x) or the content (5.6.x), as RFC
/// 3463 writes it. All others (5.7.x is a rule of the server's, such as a block list that we are
/// on) end when somebody has mended something, and a 5xx without such a code may be one of them.
fn is_about_the_mail(answer: &str) -> bool {
    ["5.1.", "5.2.", "5.6."]
        .iter()
        .any(|subject| answer.starts_with(subject))
}
