//! From a segment and its mask to a row, and back (`docs/masking.md`, section 7).

use serde::{Deserialize, Serialize};

use super::denoiser::Layout;
use super::mask::{NoiseMask, Span};

/// Which sequences EOS ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EosPolicy {
    /// Inputs and labels, as T5.
    #[default]
    Both,
    /// Labels only.
    Labels,
    /// Neither.
    None,
}

impl EosPolicy {
    /// Whether EOS ends the inputs.
    #[must_use]
    pub fn ends_inputs(self) -> bool {
        self == Self::Both
    }

    /// Whether EOS ends the labels.
    #[must_use]
    pub fn ends_labels(self) -> bool {
        self != Self::None
    }
}

/// Everything but tokens and mask that a row of one denoiser is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowForm {
    /// How a mask becomes inputs and labels.
    pub layout: Layout,
    /// Ids at the front of the inputs.
    pub mode_token: Vec<u32>,
    /// The ordered sentinels; at least as many as the mask has spans, where the layout uses them.
    pub sentinels: Vec<u32>,
    /// The id that ends the inputs.
    pub inputs_eos: Option<u32>,
    /// The id that ends the labels.
    pub labels_eos: Option<u32>,
}

/// Appends the row of `segment` under `mask` to `inputs` and `labels`.
///
/// `mask` is of the segment's length. In the split layout its noise is one suffix.
///
/// # Panics
///
/// If the mask has more spans than `form` has sentinels: [`Spec`](super::Spec) shortens segments so that it has not.
pub fn encode(segment: &[u32], mask: &NoiseMask, form: &RowForm, inputs: &mut Vec<i32>, labels: &mut Vec<i32>) {
    debug_assert_eq!(segment.len(), mask.length() as usize);
    append(inputs, &form.mode_token);
    let mut kept_from = 0;
    for (index, span) in mask.spans().iter().enumerate() {
        let (start, end) = (span.start as usize, span.end as usize);
        append(inputs, &segment[kept_from..start]);
        if form.layout == Layout::Sentinels {
            let sentinel = form.sentinels[index].cast_signed();
            inputs.push(sentinel);
            labels.push(sentinel);
        }
        append(labels, &segment[start..end]);
        kept_from = end;
    }
    append(inputs, &segment[kept_from..]);
    append(inputs, form.inputs_eos.as_slice());
    append(labels, form.labels_eos.as_slice());
}

fn append(ids: &mut Vec<i32>, tokens: &[u32]) {
    ids.extend(tokens.iter().map(|token| token.cast_signed()));
}

/// A row taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The segment's tokens.
    pub segment: Vec<u32>,
    /// Which of them were noise.
    pub mask: NoiseMask,
}

/// Why a row cannot have been made by [`encode`] with the same form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The inputs do not start with the mode token.
    #[error("the inputs do not start with the mode token")]
    ModeToken,
    /// A sequence does not end with EOS.
    #[error("the {0} do not end with EOS")]
    Eos(&'static str),
    /// A sentinel out of order, missing or without noise in one of the sequences.
    #[error("sentinel {0} is missing or out of order")]
    Sentinel(usize),
    /// Noise tokens without a sentinel before them, or a mask that breaks a law.
    #[error("the noise in the labels belongs to no sentinel")]
    Noise,
    /// A negative id.
    #[error("negative id {0}")]
    Negative(i32),
}

/// Rebuilds the segment from a row: the inverse of [`encode`].
///
/// # Errors
///
/// [`DecodeError`] if the row is not one that [`encode`] makes with `form`.
pub fn decode(inputs: &[i32], labels: &[i32], form: &RowForm) -> Result<Decoded, DecodeError> {
    let inputs = unsigned(inputs)?;
    let labels = unsigned(labels)?;
    let inputs = inputs.strip_prefix(form.mode_token.as_slice()).ok_or(DecodeError::ModeToken)?;
    let inputs = inputs.strip_suffix(form.inputs_eos.as_slice()).ok_or(DecodeError::Eos("inputs"))?;
    let labels = labels.strip_suffix(form.labels_eos.as_slice()).ok_or(DecodeError::Eos("labels"))?;
    match form.layout {
        Layout::Split => {
            let span = Span { start: length(inputs), end: length(inputs) + length(labels) };
            let segment = [inputs, labels].concat();
            let mask = NoiseMask::new(length(&segment), vec![span]).map_err(|_| DecodeError::Noise)?;
            Ok(Decoded { segment, mask })
        }
        Layout::Sentinels => decode_sentinels(inputs, labels, &form.sentinels),
    }
}

fn decode_sentinels(inputs: &[u32], labels: &[u32], sentinels: &[u32]) -> Result<Decoded, DecodeError> {
    let mut segment = Vec::with_capacity(inputs.len() + labels.len());
    let mut spans = Vec::new();
    let mut labels = labels;
    // A sentinel is never an ordinary token, so the next one expected is wherever it first stands.
    for token in inputs {
        if sentinels.get(spans.len()) != Some(token) {
            if sentinels.contains(token) {
                return Err(DecodeError::Sentinel(spans.len()));
            }
            segment.push(*token);
            continue;
        }
        labels = labels.strip_prefix(&[*token]).ok_or(DecodeError::Sentinel(spans.len()))?;
        let next = sentinels.get(spans.len() + 1);
        let noise = labels.iter().position(|label| Some(label) == next).unwrap_or(labels.len());
        let start = length(&segment);
        segment.extend_from_slice(&labels[..noise]);
        spans.push(Span { start, end: length(&segment) });
        labels = &labels[noise..];
    }
    if !labels.is_empty() {
        return Err(DecodeError::Noise);
    }
    let mask = NoiseMask::new(length(&segment), spans).map_err(|_| DecodeError::Noise)?;
    Ok(Decoded { segment, mask })
}

fn unsigned(ids: &[i32]) -> Result<Vec<u32>, DecodeError> {
    ids.iter().map(|&id| u32::try_from(id).map_err(|_| DecodeError::Negative(id))).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "a row has at most 2^18 ids")]
fn length(ids: &[u32]) -> u32 {
    ids.len() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENTINELS: [u32; 3] = [1000, 1001, 1002];

    fn form(layout: Layout) -> RowForm {
        RowForm {
            layout,
            mode_token: vec![77],
            sentinels: SENTINELS.to_vec(),
            inputs_eos: Some(1),
            labels_eos: Some(1),
        }
    }

    fn written(ids: &[i32]) -> String {
        let name = |&id: &i32| match id {
            1 => "$".to_owned(),
            77 => "M".to_owned(),
            1000.. => format!("<{}>", id - 1000),
            _ => char::from(u8::try_from(id).unwrap()).to_string(),
        };
        ids.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    /// Capitals are noise.
    fn assert_encodes(layout: Layout, text: &str, inputs: &str, labels: &str) {
        let letters: Vec<u8> = text.bytes().filter(u8::is_ascii_alphabetic).collect();
        let segment: Vec<u32> = letters.iter().map(|letter| u32::from(letter.to_ascii_lowercase())).collect();
        let mut spans: Vec<Span> = Vec::new();
        for (place, letter) in (0..).zip(&letters) {
            match spans.last_mut() {
                Some(span) if letter.is_ascii_uppercase() && span.end == place => span.end += 1,
                _ if letter.is_ascii_uppercase() => spans.push(Span { start: place, end: place + 1 }),
                _ => {}
            }
        }
        let mask = NoiseMask::new(length(&segment), spans).unwrap();
        let form = form(layout);
        let (mut row_inputs, mut row_labels) = (Vec::new(), Vec::new());
        encode(&segment, &mask, &form, &mut row_inputs, &mut row_labels);
        assert_eq!((written(&row_inputs).as_str(), written(&row_labels).as_str()), (inputs, labels));
        assert_eq!(decode(&row_inputs, &row_labels, &form), Ok(Decoded { segment, mask }));
    }

    #[test]
    fn each_noise_span_becomes_one_sentinel() {
        assert_encodes(Layout::Sentinels, "a b C D e F", "M a b <0> e <1> $", "<0> c d <1> f $");
    }

    #[test]
    fn a_mask_that_starts_with_noise_keeps_both_sequences_in_step() {
        // T5 and its descendants give the labels `a b <0> f <1>` here.
        assert_encodes(Layout::Sentinels, "A B c d e F g h", "M <0> c d e <1> g h $", "<0> a b <1> f $");
    }

    #[test]
    fn a_split_has_no_sentinel() {
        assert_encodes(Layout::Split, "a b c D E", "M a b c $", "d e $");
    }

    #[test]
    fn decoding_refuses_rows_of_another_form() {
        let form = form(Layout::Sentinels);
        let row = |inputs: &[i32], labels: &[i32]| decode(inputs, labels, &form).unwrap_err();
        assert_eq!(row(&[97, 1], &[1]), DecodeError::ModeToken);
        assert_eq!(row(&[77, 97], &[1]), DecodeError::Eos("inputs"));
        assert_eq!(row(&[77, 1001, 1], &[1001, 5, 1]), DecodeError::Sentinel(0));
        assert_eq!(row(&[77, 1000, 1], &[5, 1000, 1]), DecodeError::Sentinel(0));
        assert_eq!(row(&[77, 97, 1], &[5, 1]), DecodeError::Noise);
        assert_eq!(row(&[77, 1000, 1], &[1000, 1]), DecodeError::Noise);
        assert_eq!(row(&[77, -5, 1], &[1]), DecodeError::Negative(-5));
    }
}
