//! The files at the top of a data set: which of them the tool wrote, and may replace.

use std::io;

use sha2::{Digest as _, Sha256};

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
pub fn check_top(data_set: &DataSet) -> Result<(), OutputError> {
    let sums = read(data_set, SUMS)?.and_then(|bytes| our_sums(&bytes));
    let manifest = read(data_set, MANIFEST)?.and_then(|bytes| our_manifest(&bytes));
    for name in [CARD, MANIFEST, SUMS, SUCCESS] {
        if !data_set.has_name(name)? {
            continue;
        }
        let bytes = read(data_set, name)?;
        let is_ours = bytes.is_some_and(|bytes| match name {
            CARD => is_card(&bytes, sums.as_ref(), manifest.as_ref()),
            // Another process may have written them after they were read above.
            MANIFEST => our_manifest(&bytes).is_some(),
            SUMS => our_sums(&bytes).is_some(),
            _ => bytes.is_empty(),
        });
        if !is_ours {
            return Err(OutputError::InTheWay(data_set.path(name)));
        }
    }
    Ok(())
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
    if listed.is_some_and(|digest| *digest == crate::digest::hex(&Sha256::digest(bytes))) {
        return true;
    }
    let of_manifest = |digest: &str| manifest.is_some_and(|manifest| manifest.totals.rows_digest == digest);
    card::rows_digest(bytes).is_some_and(|digest| listed.is_none() || !of_manifest(digest))
}

/// The bytes of a plain file of at most [`MOST`] bytes.
fn read(data_set: &DataSet, name: &str) -> io::Result<Option<Vec<u8>>> {
    match data_set.size(name) {
        Ok(bytes) if bytes <= MOST => data_set.read(name),
        Ok(_) | Err(_) => Ok(None),
    }
}
