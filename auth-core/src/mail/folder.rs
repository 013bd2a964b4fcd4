//! Mails as files in a folder, for a machine without a mail server.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use uuid::Uuid;

use super::message::{Form, message};
use super::{Mail, MailError, MailTransport, Sender};
use crate::private;

/// Writes each mail into a folder as an `.eml` file, which every mail program opens.
///
/// A file is named after its mail's id, so that a mail that is sent again replaces the file. The
/// names sort by the time at which the mails were made. A mail holds a link that acts for its
/// recipient: the files are readable by their owner only (0600), and so is the folder if it is made
/// here (0700).
///
/// ```
/// use auth_core::mail::FolderTransport;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("outbox");
/// let transport = FolderTransport::new(path, "auth@localhost".parse()?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FolderTransport {
    folder: PathBuf,
    sender: Sender,
}

impl FolderTransport {
    /// Opens the folder, which is made if there is none.
    ///
    /// # Errors
    ///
    /// The folder is missing and cannot be made, or the path is no folder.
    pub fn new(folder: impl Into<PathBuf>, sender: Sender) -> io::Result<Self> {
        let folder = folder.into();
        private::create_folder(&folder)?;
        Ok(Self { folder, sender })
    }

    /// Opens the folder for mails from `auth@localhost`, which is good enough for mails that do not
    /// leave the machine.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn local(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let sender = "auth@localhost".parse().map_err(io::Error::other)?;
        Self::new(folder, sender)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

#[async_trait]
impl MailTransport for FolderTransport {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message(mail, &self.sender, Form::Readable)?.formatted();
        let folder = self.folder.clone();
        let file = folder.join(format!("{}.eml", mail.id));
        let path = file.clone();
        blocking(move || {
            // The draft's name is new each time: an earlier try may have left its draft behind.
            let draft = Draft::create(&folder, Uuid::now_v7())?;
            draft.write(&message)?;
            draft.publish(&path)?;
            sync_folder(&folder)
        })
        .await?;
        // The name of the file gives nothing of the mail away.
        tracing::info!(file = %file.display(), "a mail was written into the folder");
        Ok(())
    }

    async fn check(&self) -> Result<(), MailError> {
        let folder = self.folder.clone();
        blocking(move || Draft::create(&folder, Uuid::now_v7())?.write(b"")).await
    }
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), MailError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other)
        .flatten()
        .map_err(|error| MailError::Temporary(Box::new(error)))
}

/// A file under a name that no reader of the folder takes for a mail; gone unless published.
struct Draft {
    file: File,
    path: PathBuf,
}

impl Draft {
    fn create(folder: &Path, id: Uuid) -> io::Result<Self> {
        let path = folder.join(format!(".{id}.tmp"));
        let file = private::create_file(&path)?;
        Ok(Self { file, path })
    }

    fn write(&self, content: &[u8]) -> io::Result<()> {
        (&self.file).write_all(content)?;
        self.file.sync_all()
    }

    fn publish(self, path: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, path)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // A published draft is no longer there, and the rest is not worth an error.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes the new name durable; other systems than Unix cannot open a folder for it.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;

    use super::*;

    fn mail(subject: &str) -> Mail {
        Mail::new(
            "bob@example.org".parse().unwrap(),
            subject.into(),
            "text".into(),
            "<p>text</p>".into(),
        )
    }

    fn outbox() -> (tempfile::TempDir, FolderTransport) {
        let parent = tempfile::tempdir().unwrap();
        let sender = "auth@localhost".parse().unwrap();
        let transport = FolderTransport::new(parent.path().join("a/outbox"), sender).unwrap();
        (parent, transport)
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }

    #[tokio::test]
    async fn the_files_read_back_as_the_mails_in_the_order_of_sending() {
        let (_parent, transport) = outbox();
        for subject in ["first", "second", "third"] {
            transport.send(&mail(subject)).await.unwrap();
        }

        let subjects: Vec<_> = files(transport.folder())
            .into_iter()
            .map(|path| {
                assert_eq!(path.extension().unwrap(), "eml");
                let raw = std::fs::read(path).unwrap();
                let parsed = MessageParser::default().parse(&raw).unwrap();
                parsed.subject().unwrap().to_owned()
            })
            .collect();
        assert_eq!(subjects, ["first", "second", "third"]);
    }

    #[tokio::test]
    async fn fault_c7_a_mail_that_comes_again_is_the_same_file() {
        let (_parent, transport) = outbox();
        let first = mail("first");
        transport.send(&first).await.unwrap();
        let again = Mail {
            subject: "again".into(),
            ..first.clone()
        };
        transport.send(&again).await.unwrap();
        let found = files(transport.folder());
        assert_eq!(
            found,
            [transport.folder().join(format!("{}.eml", first.id))]
        );
        let raw = std::fs::read(found.first().unwrap()).unwrap();
        let parsed = MessageParser::default().parse(&raw).unwrap();
        assert_eq!(parsed.subject(), Some("again"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn s8_7_only_the_owner_can_read_the_mails() {
        use std::os::unix::fs::PermissionsExt;

        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (_parent, transport) = outbox();
        transport.send(&mail("secret")).await.unwrap();

        assert_eq!(mode(transport.folder()), 0o700);
        for file in files(transport.folder()) {
            assert_eq!(mode(&file), 0o600);
        }
    }

    #[tokio::test]
    async fn a_check_leaves_nothing_behind() {
        let (_parent, transport) = outbox();
        transport.check().await.unwrap();
        assert!(files(transport.folder()).is_empty());
    }

    #[tokio::test]
    async fn a_folder_that_has_gone_is_a_temporary_error() {
        let (parent, transport) = outbox();
        std::fs::remove_dir_all(parent.path()).unwrap();

        let sent = transport.send(&mail("lost?")).await;
        assert!(matches!(sent, Err(MailError::Temporary(_))), "{sent:?}");
        assert!(transport.check().await.is_err());
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(FolderTransport::new(file.path(), "auth@localhost".parse().unwrap()).is_err());
    }
}
