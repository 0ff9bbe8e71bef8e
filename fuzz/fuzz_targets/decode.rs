//! An example taken apart is its segment and its mask again; what is no example is an error.
//!
//! The first bytes choose the form. Then either the rest is a segment with a mask, or two sequences of ids that nobody made.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ul2_prep::denoise::{Causal, Layout, Loss, NoiseMask, RowForm, SSentinel, Span, decode, encode, split_causal};

const SENTINELS: std::ops::Range<u32> = 1000..1100;
const EOS: u32 = 1;
const SEPARATOR: u32 = 2;

fuzz_target!(|data: &[u8]| {
    let [choice, more, prefix, rest @ ..] = data else { return };
    let layout = if choice & 1 == 0 { Layout::Sentinels } else { Layout::Split };
    let separator = (more & 1 == 0).then_some(SEPARATOR);
    let loss = if more & 2 == 0 { Loss::Targets } else { Loss::All };
    let form = RowForm {
        layout,
        s_sentinel: match (layout, choice >> 1 & 3) {
            (Layout::Split, 1) => SSentinel::Input,
            (Layout::Split, 2) => SSentinel::Both,
            _ => SSentinel::None,
        },
        closing_sentinel: layout == Layout::Sentinels && choice >> 3 & 1 == 1,
        bos: None,
        mode_token: (0..u32::from(choice >> 6)).map(|token| 2000 + token).collect(),
        sentinels: SENTINELS.collect(),
        inputs_eos: (choice >> 4 & 1 == 1).then_some(EOS),
        labels_eos: (choice >> 5 & 1 == 1).then_some(EOS),
        causal: (more & 4 == 4).then_some(Causal { loss, separator, sequence_length: 1 << 18 }),
    };
    if more & 8 == 8 {
        any_ids(&form, u32::from(*prefix), rest);
    } else {
        there_and_back(&form, rest);
    }
});

/// Ids near all that have a meaning.
fn any_ids(form: &RowForm, prefix: u32, data: &[u8]) {
    let id = |byte: &u8| match byte {
        0..100 => 1000 + i32::from(*byte),
        100..110 => i32::from(*byte) - 100,
        110..115 => 2000 + i32::from(*byte) - 110,
        115 => -100,
        116 => i32::MIN,
        117 => i32::MAX,
        _ => i32::from(*byte),
    };
    let ids: Vec<i32> = data.iter().map(id).collect();
    let (inputs, labels) = ids.split_at(ids.len() / 2);
    let taken = match form.causal {
        None => decode(inputs, labels, form),
        Some(causal) => match split_causal(inputs, labels, prefix, causal) {
            Ok((inputs, targets)) => decode(inputs, targets, form),
            Err(_) => return,
        },
    };
    // What can be taken apart is what `encode` makes of the parts; ids of the segment that are reserved are nobody's example.
    let Ok(taken) = taken else { return };
    let (mut again, mut labels_again) = (Vec::new(), Vec::new());
    if form.causal.is_none() && taken.mask.spans().len() < form.sentinels.len() {
        encode(&taken.segment, &taken.mask, form, &mut again, &mut labels_again);
        assert_eq!((again.as_slice(), labels_again.as_slice()), (inputs, labels));
    }
}

fn there_and_back(form: &RowForm, data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap();
    let segment: Vec<u32> = data.iter().map(|byte| 3 + u32::from(byte >> 1)).collect();
    let mut spans: Vec<Span> = Vec::new();
    match form.layout {
        Layout::Split => {
            let start = data.first().map_or(0, |byte| u32::from(*byte)).min(length.saturating_sub(1));
            spans.push(Span { start, end: length });
        }
        Layout::Sentinels => {
            for (place, byte) in (0..).zip(data) {
                let has_room = spans.len() + 1 < form.sentinels.len();
                match spans.last_mut() {
                    _ if byte & 1 == 0 => {}
                    Some(last) if last.end == place => last.end += 1,
                    _ if has_room => spans.push(Span { start: place, end: place + 1 }),
                    _ => break,
                }
            }
        }
    }
    let Ok(mask) = NoiseMask::new(length, spans) else { return };
    let (mut inputs, mut labels) = (Vec::new(), Vec::new());
    let prefix = encode(&segment, &mask, form, &mut inputs, &mut labels);
    let decoded = match form.causal {
        None => decode(&inputs, &labels, form),
        Some(causal) => {
            let (inputs, targets) = split_causal(&inputs, &labels, prefix, causal).unwrap();
            decode(inputs, targets, form)
        }
    };
    let decoded = decoded.unwrap();
    assert_eq!(decoded.segment, segment);
    assert_eq!(decoded.mask, mask);
}
