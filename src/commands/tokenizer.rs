//! `tokenizer`: a tokenizer's files with more tokens.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cli::TokenizerArgs;
use crate::numbers::{counted, exact};
use crate::report;
use crate::settings::error::SettingsError;
use crate::tokenize::config::CONFIG_NAME;
use crate::tokenize::file::{JSON_NAME, json_file};
use crate::tokenize::more_tokens::{MoreTokens, names_of};

pub(crate) fn execute_tokenizer(args: &TokenizerArgs) -> Result<()> {
    let TokenizerArgs { file, add, out } = args;
    let mut names = Vec::new();
    for pattern in add {
        names.extend(names_of(pattern).map_err(SettingsError::NoNames)?);
    }
    let MoreTokens { json, config, added, already_there, size } = MoreTokens::new(&json_file(file)?, &names)?;
    let (to_json, to_config) = (out.join(JSON_NAME), out.join(CONFIG_NAME));
    let is_taken = |path: &&PathBuf| path.symlink_metadata().is_ok();
    if let Some(taken) = [&to_json, &to_config].into_iter().find(is_taken) {
        return Err(SettingsError::FileInTheWay(taken.display().to_string()).into());
    }
    fs_err::create_dir_all(out)?;
    write_new(&to_json, &json)?;
    if let Some(config) = &config {
        write_new(&to_config, config)?;
    }
    let mut text = match (added.first(), added.last()) {
        (Some((first, from)), Some((last, to))) if added.len() > 1 => {
            format!("{} added, {from} {first} to {to} {last}", counted(added.len() as u64, "token"))
        }
        (Some((name, id)), _) => format!("1 token added, {id} {name}"),
        _ => "no token added".to_owned(),
    };
    if !already_there.is_empty() {
        let _ = write!(text, "; {} there already", exact(already_there.len() as u64, "token"));
    }
    let _ = writeln!(
        text,
        "\n{size} ids: the model's embedding needs at least as many rows\n`{}` is written{}",
        to_json.display(),
        if config.is_some() { format!(", and `{}`", to_config.display()) } else { String::new() }
    );
    Ok(report::data(&text)?)
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = fs_err::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(|| format!("cannot write `{}`", path.display()))
}
