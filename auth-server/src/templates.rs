//! The operator's own mails and pages.

use std::path::Path;

use auth_core::mail::MailTemplates;
use auth_tower::api::PageTemplates;

use crate::config::Config;
use crate::error::CommandError;

/// The templates of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Templates {
    pub(crate) mails: MailTemplates,
    pub(crate) pages: PageTemplates,
}

impl Templates {
    /// Reads those that the settings name, and tries them.
    pub(crate) fn load(config: &Config) -> Result<Self, CommandError> {
        let Some(folder) = &config.templates else {
            return Ok(Self::default());
        };
        refuse_strangers(folder)?;
        Ok(Self {
            mails: MailTemplates::from_folder(folder)?,
            pages: PageTemplates::from_folder(folder)?,
        })
    }
}

/// A file that is no template is one whose name is misspelt. Names that begin with a dot are not
/// looked at: so a Kubernetes volume keeps its versions.
fn refuse_strangers(folder: &Path) -> Result<(), CommandError> {
    let failed = |source| CommandError::File {
        path: folder.to_owned(),
        source,
    };
    let mut known: Vec<_> = MailTemplates::file_names().collect();
    known.extend(PageTemplates::FILE_NAMES.map(str::to_owned));
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') && !known.iter().any(|known| *known == name) {
            return Err(CommandError::UnknownTemplate {
                name: name.into_owned(),
                known: known.join(", "),
            });
        }
    }
    Ok(())
}
