//! The files at the top of a data set: which of them the tool wrote, and may replace.

use std::io;

use crate::output::data_set::{CARD, DataSet, MANIFEST, PLAN, SUCCESS, SUMS};
use crate::output::manifest::Manifest;
use crate::output::sums::Sums;
use crate::output::{OutputError, card};

/// A larger file is not a card, a manifest or a list of digests of ours.
const MOST: u64 = 1 << 30;

/// Refuses to replace a foreign file at the top of the data set, before the hours of work rather than after them.
///
/// # Errors
///
/// [`OutputError::InTheWay`] for the first.
pub(crate) fn check_top(data_set: &DataSet) -> Result<(), OutputError> {
    // Another process may write them meanwhile, so each is looked at once.
    let (sums, manifest) = (there(data_set, SUMS)?, there(data_set, MANIFEST)?);
    let (card, success) = (there(data_set, CARD)?, there(data_set, SUCCESS)?);
    let our_sums = sums.plain().and_then(our_sums);
    let our_manifest = manifest.plain().and_then(our_manifest);
    let is_card = |bytes| is_card(bytes, our_sums.as_ref(), our_manifest.as_ref());
    for (name, file, is_ours) in [
        (CARD, &card, card.plain().is_some_and(is_card)),
        (MANIFEST, &manifest, our_manifest.is_some()),
        (SUMS, &sums, our_sums.is_some()),
        (SUCCESS, &success, success.plain().is_some_and(<[u8]>::is_empty)),
    ] {
        if !matches!(file, There::Nothing) && !is_ours {
            return Err(OutputError::InTheWay(data_set.path(name)));
        }
    }
    Ok(())
}

/// What is at a name.
enum There {
    Nothing,
    /// The bytes of a plain file of at most [`MOST`] bytes.
    Plain(Vec<u8>),
    /// Anything else.
    Other,
}

impl There {
    fn plain(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(bytes) => Some(bytes),
            Self::Nothing | Self::Other => None,
        }
    }
}

fn there(data_set: &DataSet, name: &str) -> io::Result<There> {
    if !data_set.has_name(name)? {
        return Ok(There::Nothing);
    }
    match data_set.size(name) {
        Ok(bytes) if bytes <= MOST => Ok(data_set.read(name)?.map_or(There::Other, There::Plain)),
        Ok(_) | Err(_) => Ok(There::Other),
    }
}

fn our_sums(bytes: &[u8]) -> Option<Sums> {
    Sums::from_bytes(bytes).ok().filter(|sums| sums.0.contains_key(PLAN) && sums.0.contains_key(MANIFEST))
}

fn our_manifest(bytes: &[u8]) -> Option<Manifest> {
    serde_json::from_slice(bytes).ok()
}

/// Whether bytes are an unedited card: the one in the list of digests; or, if a run was killed between card and list, a
/// card of other rows than the manifest's. A card of the manifest's rows with another digest has been edited by a
/// person.
fn is_card(bytes: &[u8], sums: Option<&Sums>, manifest: Option<&Manifest>) -> bool {
    let listed = sums.and_then(|sums| sums.0.get(CARD));
    if listed.is_some_and(|digest| *digest == crate::digest::sha256(bytes)) {
        return true;
    }
    let of_manifest = |digest: &str| manifest.is_some_and(|manifest| manifest.totals.rows_digest == digest);
    card::rows_digest(bytes).is_some_and(|digest| listed.is_none() || !of_manifest(digest))
}
