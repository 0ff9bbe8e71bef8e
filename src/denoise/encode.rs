//! From a segment and its mask to a row, and back (`docs/reference/masking.md`, section 7).

use crate::denoise::form::{Causal, Layout, Loss, RowForm, SSentinel};
use crate::denoise::mask::{NoiseMask, Span};

/// The label of an id without loss, as in `PyTorch`'s cross entropy.
pub const IGNORED: i32 = -100;

/// Appends the example of `segment` under `mask` to `inputs` and `labels`. Returns the number of given ids: the inputs,
/// and the separator of a causal row.
///
/// `mask` has the segment's length. In the split layout its noise is one suffix.
///
/// # Panics
///
/// If the mask has more spans than `form` has sentinels: [`Spec`](crate::denoise::Spec) shortens segments to prevent
/// this.
pub fn encode(segment: &[u32], mask: &NoiseMask, form: &RowForm, inputs: &mut Vec<i32>, labels: &mut Vec<i32>) -> u32 {
    debug_assert_eq!(segment.len(), mask.length() as usize);
    let start = inputs.len();
    append_inputs(segment, mask, form, inputs);
    let Some(causal) = form.causal else {
        append_labels(segment, mask, form, labels);
        return length(&inputs[start..]);
    };
    append(inputs, causal.separator.as_slice());
    let targets = inputs.len();
    append_labels(segment, mask, form, inputs);
    match causal.loss {
        Loss::Targets => labels.resize(labels.len() + targets - start, IGNORED),
        Loss::All => labels.extend_from_slice(&inputs[start..targets]),
    }
    labels.extend_from_slice(&inputs[targets..]);
    length(&inputs[start..targets])
}

/// BOS, mode token, kept tokens with a sentinel for each span, EOS.
fn append_inputs(segment: &[u32], mask: &NoiseMask, form: &RowForm, ids: &mut Vec<i32>) {
    append(ids, form.bos.as_slice());
    append(ids, &form.mode_token);
    let mut kept_from = 0;
    for (index, span) in mask.spans().iter().enumerate() {
        append(ids, &segment[kept_from..span.start as usize]);
        if form.layout == Layout::Sentinels || form.s_sentinel != SSentinel::None {
            ids.push(form.sentinels[index].cast_signed());
        }
        kept_from = span.end as usize;
    }
    append(ids, &segment[kept_from..]);
    append(ids, form.inputs_eos.as_slice());
}

/// The noise of each span after its sentinel, then EOS.
fn append_labels(segment: &[u32], mask: &NoiseMask, form: &RowForm, ids: &mut Vec<i32>) {
    for (index, span) in mask.spans().iter().enumerate() {
        if form.layout == Layout::Sentinels || form.s_sentinel == SSentinel::Both {
            ids.push(form.sentinels[index].cast_signed());
        }
        append(ids, &segment[span.start as usize..span.end as usize]);
    }
    if form.closing_sentinel {
        ids.push(form.sentinels[mask.spans().len()].cast_signed());
    }
    append(ids, form.labels_eos.as_slice());
}

fn append(ids: &mut Vec<i32>, tokens: &[u32]) {
    ids.extend(tokens.iter().map(|token| token.cast_signed()));
}

/// A decoded row.
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
    /// The inputs do not start with BOS.
    #[error("the inputs do not start with BOS")]
    Bos,
    /// The mode token is not at the front of the inputs.
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
    /// A causal row whose labels are not its ids, or whose prefix is not ignored.
    #[error("label {0} is neither ignored nor the id at its place")]
    Label(usize),
    /// A causal row without its separator, or with a prefix that is too short.
    #[error("the prefix does not end with the separator")]
    Separator,
    /// A negative id.
    #[error("negative id {0}")]
    Negative(i32),
}

/// The inputs and the labels of a causal row whose prefix has `prefix_length` ids: the inverse of what [`encode`] does for `causal`.
///
/// # Errors
///
/// [`DecodeError`] if the row is not one that [`encode`] makes.
pub fn split_causal<'a>(
    input_ids: &'a [i32],
    labels: &[i32],
    prefix_length: u32,
    causal: Causal,
) -> Result<(&'a [i32], &'a [i32]), DecodeError> {
    let (prefix, targets) = input_ids.split_at_checked(prefix_length as usize).ok_or(DecodeError::Separator)?;
    let expected = |place: usize| match causal.loss {
        Loss::Targets if place < prefix.len() => IGNORED,
        Loss::Targets | Loss::All => input_ids[place],
    };
    if labels.len() != input_ids.len() {
        return Err(DecodeError::Label(labels.len().min(input_ids.len())));
    }
    if let Some(place) = (0..labels.len()).find(|&place| labels[place] != expected(place)) {
        return Err(DecodeError::Label(place));
    }
    let separator = causal.separator.map(u32::cast_signed);
    let inputs = prefix.strip_suffix(separator.as_slice()).ok_or(DecodeError::Separator)?;
    Ok((inputs, targets))
}

/// Rebuilds the segment from the inputs and the labels of an example: the inverse of [`encode`] (after [`split_causal`]
/// for a causal row).
///
/// # Errors
///
/// [`DecodeError`] if the row is not one that [`encode`] makes with `form`.
pub fn decode(inputs: &[i32], labels: &[i32], form: &RowForm) -> Result<Decoded, DecodeError> {
    let inputs = unsigned(inputs)?;
    let labels = unsigned(labels)?;
    let inputs = inputs.strip_prefix(form.bos.as_slice()).ok_or(DecodeError::Bos)?;
    let inputs = inputs.strip_prefix(form.mode_token.as_slice()).ok_or(DecodeError::ModeToken)?;
    let inputs = inputs.strip_suffix(form.inputs_eos.as_slice()).ok_or(DecodeError::Eos("inputs"))?;
    let labels = labels.strip_suffix(form.labels_eos.as_slice()).ok_or(DecodeError::Eos("labels"))?;
    match form.layout {
        Layout::Split => {
            let (in_inputs, in_labels) = form.s_sentinel.counts();
            let sentinel = |count: u32| form.sentinels.get(..count as usize).ok_or(DecodeError::Sentinel(0));
            let inputs = inputs.strip_suffix(sentinel(in_inputs)?).ok_or(DecodeError::Sentinel(0))?;
            let labels = labels.strip_prefix(sentinel(in_labels)?).ok_or(DecodeError::Sentinel(0))?;
            let span = Span { start: length(inputs), end: length(inputs) + length(labels) };
            let segment = [inputs, labels].concat();
            let mask = NoiseMask::new(length(&segment), vec![span]).map_err(|_| DecodeError::Noise)?;
            Ok(Decoded { segment, mask })
        }
        Layout::Sentinels if form.closing_sentinel => {
            let spans = inputs.iter().filter(|token| form.sentinels.contains(token)).count();
            let closing = form.sentinels.get(spans).ok_or(DecodeError::Sentinel(spans))?;
            let labels = labels.strip_suffix(&[*closing]).ok_or(DecodeError::Sentinel(spans))?;
            decode_sentinels(inputs, labels, &form.sentinels)
        }
        Layout::Sentinels => decode_sentinels(inputs, labels, &form.sentinels),
    }
}

fn decode_sentinels(inputs: &[u32], labels: &[u32], sentinels: &[u32]) -> Result<Decoded, DecodeError> {
    let mut segment = Vec::with_capacity(inputs.len() + labels.len());
    let mut spans = Vec::new();
    let mut labels = labels;
    // A sentinel is never an ordinary token, so the next expected one is its first occurrence.
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
fn length<T>(ids: &[T]) -> u32 {
    ids.len() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENTINELS: [u32; 3] = [1000, 1001, 1002];

    fn form(layout: Layout) -> RowForm {
        RowForm {
            layout,
            s_sentinel: SSentinel::None,
            closing_sentinel: false,
            bos: None,
            mode_token: vec![77],
            sentinels: SENTINELS.to_vec(),
            inputs_eos: Some(1),
            labels_eos: Some(1),
            causal: None,
        }
    }

    fn written(ids: &[i32]) -> String {
        let name = |&id: &i32| match id {
            1 => "$".to_owned(),
            77 => "M".to_owned(),
            IGNORED => "_".to_owned(),
            1000.. => format!("<{}>", id - 1000),
            _ => char::from(u8::try_from(id).unwrap()).to_string(),
        };
        ids.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    /// Capitals are noise.
    fn assert_encodes(layout: Layout, text: &str, inputs: &str, labels: &str) {
        assert_form_encodes(&form(layout), text, inputs, labels);
    }

    fn assert_form_encodes(form: &RowForm, text: &str, inputs: &str, labels: &str) {
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
        let (mut row_inputs, mut row_labels) = (Vec::new(), Vec::new());
        let given = encode(&segment, &mask, form, &mut row_inputs, &mut row_labels);
        assert_eq!((written(&row_inputs).as_str(), written(&row_labels).as_str()), (inputs, labels));
        let decoded = match form.causal {
            None => decode(&row_inputs, &row_labels, form),
            Some(causal) => {
                let (inputs, labels) = split_causal(&row_inputs, &row_labels, given, causal).unwrap();
                decode(inputs, labels, form)
            }
        };
        assert_eq!(decoded, Ok(Decoded { segment, mask }));
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
    fn a_split_may_have_a_sentinel_and_the_labels_a_closing_one() {
        let split = |s_sentinel| RowForm { s_sentinel, ..form(Layout::Split) };
        assert_form_encodes(&split(SSentinel::Input), "a b c D E", "M a b c <0> $", "d e $");
        assert_form_encodes(&split(SSentinel::Both), "a b c D E", "M a b c <0> $", "<0> d e $");
        let closing = RowForm { closing_sentinel: true, ..form(Layout::Sentinels) };
        assert_form_encodes(&closing, "a b C D e F", "M a b <0> e <1> $", "<0> c d <1> f <2> $");
    }

    #[test]
    fn a_causal_row_is_one_sequence() {
        let causal = |loss, separator| RowForm {
            causal: Some(Causal { loss, separator, sequence_length: 100 }),
            inputs_eos: None,
            ..form(Layout::Sentinels)
        };
        let row = "M a <0> d <0> b c $";
        assert_form_encodes(&causal(Loss::Targets, None), "a B C d", row, "_ _ _ _ <0> b c $");
        assert_form_encodes(&causal(Loss::All, None), "a B C d", row, row);
        let separated = causal(Loss::Targets, Some(65));
        assert_form_encodes(&separated, "a B C d", "M a <0> d A <0> b c $", "_ _ _ _ _ <0> b c $");
    }

    #[test]
    fn taking_a_causal_row_apart_refuses_other_labels_and_a_missing_separator() {
        let causal = Causal { loss: Loss::Targets, separator: Some(65), sequence_length: 9 };
        let row = |labels: &[i32], prefix| split_causal(&[5, 65, 7], labels, prefix, causal);
        assert_eq!(row(&[IGNORED, IGNORED, 7], 2), Ok(([5].as_slice(), [7].as_slice())));
        assert_eq!(row(&[IGNORED, 65, 7], 2), Err(DecodeError::Label(1)));
        assert_eq!(row(&[IGNORED, IGNORED], 2), Err(DecodeError::Label(2)));
        assert_eq!(row(&[IGNORED, 65, 7], 1), Err(DecodeError::Separator));
        assert_eq!(row(&[IGNORED, IGNORED, 7], 4), Err(DecodeError::Separator));
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
