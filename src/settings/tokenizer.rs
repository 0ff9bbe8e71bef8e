//! The tokenizer asked for, from a file, a folder or a URL.

use anyhow::{Context as _, Result};

use crate::files::private::Spool;
use crate::store::Location;
use crate::tokenize::config::CONFIG_NAME;
use crate::tokenize::contents::MAX_FILE;
use crate::tokenize::file::{BYTES, TokenizerFile, names_in_folder};

/// The file of a tokenizer given by name, path or URL. From a store, the tool downloads the file and its configuration.
///
/// # Errors
///
/// If there is no such file, or it cannot be used.
pub fn tokenizer_file(name: &str) -> Result<TokenizerFile> {
    let remote = match Location::parse(name)? {
        Location::Local(_) if name == BYTES => return Ok(TokenizerFile::Bytes),
        Location::Local(path) => return Ok(TokenizerFile::read(&path)?),
        Location::Remote(remote) => remote,
    };
    let spool = Spool::new()?;
    let is_file = remote.head()?.is_some();
    let (folder, names) = if is_file {
        (remote.parent(), vec![remote.file_name()])
    } else {
        (remote.clone(), names_in_folder().collect())
    };
    for name in names.into_iter().chain([CONFIG_NAME]) {
        let object = folder.join(name);
        let Some(found) = object.head()? else { continue };
        anyhow::ensure!(
            found.bytes <= MAX_FILE,
            "`{object}` has {} bytes, more than a tokenizer's file may have",
            found.bytes
        );
        let mut file = fs_err::File::create(spool.path().join(name))?;
        std::io::copy(&mut object.open(&found), &mut file)?;
    }
    let read =
        TokenizerFile::read(&if is_file { spool.path().join(remote.file_name()) } else { spool.path().to_owned() });
    read.with_context(|| format!("`{remote}`"))
}
