//! A mail as a message on the wire (RFC 5322), written by `lettre` alone.

use lettre::Message;
use lettre::address::{Address, AddressError};
#[cfg(feature = "mail-folder")]
use lettre::message::header::ContentTransferEncoding;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MultiPart};

use super::{Mail, MailError, Sender};
use crate::EmailAddress;

/// How the texts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For every mail server: what is beyond ASCII, and every long line, is encoded.
    #[cfg(feature = "mail-smtp")]
    Ascii,
    /// For people who open the file: as they are (8bit), each link in one piece.
    #[cfg(feature = "mail-folder")]
    Readable,
}

/// Makes the message of a mail: one recipient, and the text in two forms.
///
/// The `Message-ID` is the same each time the mail is sent, so that mail servers and readers can
/// recognise a copy. They may drop either one: the links of both are good.
pub(super) fn message(mail: &Mail, sender: &Sender, form: Form) -> Result<Message, MailError> {
    let from = address(sender.address()).map_err(unwritable)?;
    let to = address(&mail.to).map_err(unwritable)?;
    let message_id = format!("<{}@{}>", mail.id, from.domain());
    // RFC 3834: so that nobody's holiday notice answers.
    let auto_submitted = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    );
    Message::builder()
        .from(Mailbox::new(sender.name().map(str::to_owned), from))
        .to(Mailbox::new(None, to))
        .subject(mail.subject.as_str())
        .date_now()
        .message_id(Some(message_id))
        .raw_header(auto_submitted)
        .multipart(MultiPart::alternative_plain_html(
            body(&mail.text, form),
            body(&mail.html, form),
        ))
        .map_err(unwritable)
}

fn body(text: &str, form: Form) -> Body {
    match form {
        #[cfg(feature = "mail-smtp")]
        Form::Ascii => Body::new(text.to_owned()),
        #[cfg(feature = "mail-folder")]
        Form::Readable => {
            // What RFC 5322 and 6152 allow; `lettre` would encode lines of more than 76 characters.
            let is_plain = |line: &str| line.len() <= 998 && !line.contains(['\r', '\0']);
            if text.lines().all(is_plain) {
                let lines: Vec<_> = text.lines().collect();
                let text = lines.join("\r\n").into_bytes();
                Body::dangerous_pre_encoded(text, ContentTransferEncoding::EightBit)
            } else {
                Body::new(text.to_owned())
            }
        }
    }
}

/// The address with its domain in ASCII, so that every mail server can take it.
fn address(email: &EmailAddress) -> Result<Address, AddressError> {
    let (local, _) = email.as_str().rsplit_once('@').unwrap_or_default();
    let (_, domain) = email.key().rsplit_once('@').unwrap_or_default();
    Address::new(local, domain)
}

fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> MailError {
    MailError::Permanent(Box::new(error))
}

#[cfg(test)]
mod tests {
    use mail_parser::{HeaderValue, MessageParser, MimeHeaders};

    use super::*;

    fn mail(to: &str, subject: &str, text: &str) -> Mail {
        let html = format!("<p>{text}</p>");
        Mail::new(to.parse().unwrap(), subject.into(), text.into(), html)
    }

    #[cfg(all(feature = "mail-smtp", feature = "mail-folder"))]
    const FORMS: [Form; 2] = [Form::Ascii, Form::Readable];
    #[cfg(not(feature = "mail-folder"))]
    const FORMS: [Form; 1] = [Form::Ascii];
    #[cfg(not(feature = "mail-smtp"))]
    const FORMS: [Form; 1] = [Form::Readable];

    fn formatted_as(form: Form, mail: &Mail) -> Vec<u8> {
        let sender = "Accounts, Example <auth@bücher.example>".parse().unwrap();
        message(mail, &sender, form).unwrap().formatted()
    }

    fn formatted(mail: &Mail) -> Vec<u8> {
        formatted_as(FORMS[0], mail)
    }

    #[cfg(feature = "mail-folder")]
    #[test]
    fn fault_e2_a_mail_in_a_file_reads_as_it_was_written() {
        let link = format!("https://auth.example.org/verify?token={}", "A".repeat(80));
        let text = format!("Grüße, follow this link:\n\n{link}\n");
        let raw = formatted_as(Form::Readable, &mail("bob@example.org", "Hello", &text));
        let shown = String::from_utf8(raw.clone()).unwrap();
        assert!(
            shown.contains(&format!("Grüße, follow this link:\r\n\r\n{link}")),
            "{shown}"
        );
        assert!(shown.contains("Content-Transfer-Encoding: 8bit"), "{shown}");
        let parsed = MessageParser::default().parse(&raw).unwrap();
        assert!(parsed.body_text(0).unwrap().contains(&link));
    }

    #[test]
    fn carries_both_texts_and_the_headers_of_an_automatic_mail() {
        let raw = formatted(&mail("bob@example.org", "Grüße", "Hallo Bob"));
        let parsed = MessageParser::default().parse(&raw).unwrap();

        let from = parsed.from().unwrap().first().unwrap();
        assert_eq!(from.name(), Some("Accounts, Example"));
        assert_eq!(from.address(), Some("auth@xn--bcher-kva.example"));
        assert_eq!(parsed.to().unwrap().as_list().unwrap().len(), 1);
        assert_eq!(parsed.subject(), Some("Grüße"));
        assert!(parsed.date().is_some());
        assert!(
            parsed
                .message_id()
                .unwrap()
                .ends_with("@xn--bcher-kva.example")
        );
        assert_eq!(
            parsed.header("Auto-Submitted"),
            Some(&HeaderValue::Text("auto-generated".into()))
        );
        assert_eq!(
            parsed.content_type().unwrap().subtype(),
            Some("alternative")
        );
        assert_eq!(parsed.body_text(0).unwrap().trim_end(), "Hallo Bob");
        assert_eq!(parsed.body_html(0).unwrap().trim_end(), "<p>Hallo Bob</p>");
    }

    #[test]
    fn fault_c7_a_mail_has_one_message_id_however_often_it_is_sent() {
        let ids = |mail: &Mail| {
            FORMS.map(|form| {
                let raw = formatted_as(form, mail);
                let parsed = MessageParser::default().parse(&raw).unwrap();
                parsed.message_id().unwrap().to_owned()
            })
        };
        let first = mail("bob@example.org", "Hello", "Hello");
        let expected = format!("{}@xn--bcher-kva.example", first.id);
        for id in [ids(&first), ids(&first)].concat() {
            assert_eq!(id, expected);
        }
        let other = mail("bob@example.org", "Hello", "Hello");
        assert!(!ids(&other).contains(&expected));
    }

    #[test]
    fn s8_4_no_text_adds_a_header_a_recipient_or_a_part() {
        let hostile = "x\r\nBcc: eve@example.org\r\n\r\n--boundary\r\nContent-Type: text/html";
        for break_with in ["\r\n", "\n", "\r", "\0", "\u{2028}"] {
            let hostile = hostile.replace("\r\n", break_with);
            for form in FORMS {
                let raw = formatted_as(form, &mail("bob@example.org", &hostile, &hostile));
                let parsed = MessageParser::default().parse(&raw).unwrap();

                let names: Vec<_> = parsed.headers().iter().map(|h| h.name()).collect();
                assert_eq!(
                    names,
                    [
                        "From",
                        "To",
                        "Subject",
                        "Date",
                        "Message-ID",
                        "Auto-Submitted",
                        "MIME-Version",
                        "Content-Type"
                    ],
                    "{break_with:?}"
                );
                assert_eq!(parsed.to().unwrap().as_list().unwrap().len(), 1);
                assert_eq!(parsed.parts.len(), 3, "the mail and its two forms");
            }
        }
    }

    #[test]
    fn s8_4_the_envelope_has_exactly_the_one_recipient() {
        let mail = mail("Bob+x@BÜCHER.example", "Hello", "Hello");
        let sender = "auth@localhost".parse().unwrap();
        let message = message(&mail, &sender, FORMS[0]).unwrap();
        let recipients: Vec<_> = message
            .envelope()
            .to()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(recipients, ["Bob+x@xn--bcher-kva.example"]);
    }
}
