//! Mails written into a folder.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use uuid::Uuid;

use super::message::{Sender, build};
use super::{Mail, MailError, MailTransport};

/// Writes each mail into a file of its own, `*.eml`, for a machine without a mail server.
///
/// The names sort by time. Whoever reads the folder can verify addresses, so only the owner can:
/// the folder is made with the mode 0700, the files with 0600.
#[derive(Clone, Debug)]
pub struct FolderTransport {
    folder: PathBuf,
    sender: Sender,
}

impl FolderTransport {
    /// Writes into a folder, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// The operating system's, if the folder is missing and cannot be made.
    pub fn new(folder: impl Into<PathBuf>, sender: Sender) -> io::Result<Self> {
        let folder = folder.into();
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&folder)?;
        Ok(Self { folder, sender })
    }
}

#[async_trait]
impl MailTransport for FolderTransport {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = build(&self.sender, mail)?.formatted();
        let folder = self.folder.clone();
        let written = tokio::task::spawn_blocking(move || write_durably(&folder, &message)).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(MailError::Temporary(Box::new(error))),
            Err(error) => Err(MailError::Temporary(Box::new(error))),
        }
    }

    async fn check(&self) -> Result<(), MailError> {
        let folder = self.folder.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let probe = folder.join(format!(".{}", Uuid::now_v7()));
            create_private(&probe).and_then(|_| std::fs::remove_file(&probe))
        });
        match checked.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(MailError::Temporary(Box::new(error))),
            Err(error) => Err(MailError::Temporary(Box::new(error))),
        }
    }
}

/// Writes under a name that nobody looks for, and renames when everything is on the disk.
fn write_durably(folder: &Path, message: &[u8]) -> io::Result<()> {
    let id = Uuid::now_v7();
    let unfinished = folder.join(format!(".{id}.part"));
    let mut file = create_private(&unfinished)?;
    file.write_all(message)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, folder.join(format!("{id}.eml")))?;
    File::open(folder)?.sync_all()
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;

    use super::*;

    fn mail(subject: &str) -> Mail {
        Mail::new(
            "Alice@example.org".parse().unwrap(),
            subject.to_owned(),
            "text https://auth.example.org/?token=avt_1".to_owned(),
            "<p>html</p>".to_owned(),
        )
    }

    async fn written(mail: &Mail) -> (tempfile::TempDir, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let transport = FolderTransport::new(
            folder.path().join("outbox"),
            "Example <auth@example.org>".parse().unwrap(),
        )
        .unwrap();
        transport.check().await.unwrap();
        transport.send(mail).await.unwrap();
        let files: Vec<_> = std::fs::read_dir(folder.path().join("outbox"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!(files[0].extension().unwrap(), "eml");
        let message = std::fs::read(&files[0]).unwrap();
        (folder, message)
    }

    #[tokio::test]
    async fn a_mail_is_a_message_of_two_alternatives() {
        let (_folder, message) = written(&mail("Verify – now")).await;
        let message = MessageParser::default().parse(&message).unwrap();
        assert_eq!(message.subject(), Some("Verify – now"));
        assert_eq!(
            message.from().unwrap().first().unwrap().address(),
            Some("auth@example.org")
        );
        assert_eq!(
            message.to().unwrap().first().unwrap().address(),
            Some("Alice@example.org")
        );
        assert!(message.body_text(0).unwrap().contains("?token=avt_1"));
        assert!(message.body_html(0).unwrap().contains("<p>html</p>"));
        assert!(message.message_id().unwrap().ends_with("@example.org"));
        assert!(message.date().is_some());
        assert_eq!(
            message.header_raw("Auto-Submitted").map(str::trim),
            Some("auto-generated")
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn s8_7_only_the_owner_can_read_the_mails() {
        use std::os::unix::fs::PermissionsExt as _;

        let (folder, _) = written(&mail("subject")).await;
        let outbox = folder.path().join("outbox");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&outbox), 0o700);
        for entry in std::fs::read_dir(&outbox).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
    }

    #[tokio::test]
    async fn s8_4_a_subject_adds_no_header_and_no_recipient() {
        let hostile = "hello\r\nBcc: mallory@example.org\r\n\r\n<b>body</b>";
        let (_folder, message) = written(&mail(hostile)).await;
        let message = MessageParser::default().parse(&message).unwrap();
        assert!(message.bcc().is_none());
        assert_eq!(message.to().unwrap().as_list().unwrap().len(), 1);
        assert!(!message.body_text(0).unwrap().contains("body"));
    }
}
