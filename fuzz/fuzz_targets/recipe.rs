//! Any file is a recipe or a typed error; a recipe resolves to a spec or a typed error; a spec makes rows that keep its bounds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ul2_prep::cli::masking::SpecArgs;
use ul2_prep::denoise::{Address, Choices, Masker, Record, Spec, compose, decode, encode, split_causal};
use ul2_prep::recipe::Recipe;
use ul2_prep::settings::spec::resolve;
use ul2_prep::tokenize::bytes::ByteNames;

/// Segments longer than this are not tried.
const MOST_TOKENS: u32 = 4096;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let recipe = match Recipe::parse("x", "x.toml", text) {
        Ok(recipe) => recipe,
        Err(error) => return assert!(error.to_string().starts_with("x.toml:"), "{error}"),
    };
    let Ok(spec) = resolve(&recipe, &ByteNames, &SpecArgs::default()) else { return };
    let again = Spec::from_json(spec.to_json()).expect("a spec can be read from what it writes");
    assert_eq!(again.to_json(), spec.to_json());
    let keys = spec.source_keys("a.jsonl");
    let label: Vec<u32> = (50..54).collect();
    let mut choices = Choices::default();
    choices.add(&label);
    choices.add(&[60, 61]);
    for index in 0..spec.denoisers().len() {
        let tokens = spec.segment_length(index).tokens;
        if tokens > MOST_TOKENS {
            continue;
        }
        let mut stream = keys.denoise[index].stream(Address { line: 1, epoch: 0, segment: 0 });
        let (mut segment, mut masker) = (Vec::new(), Masker::default());
        let parts = if spec.is_of_labels() {
            let text: Vec<u32> = (0..100).map(|token| 3 + token % 200).collect();
            let record = Record { text: &text, label: &label, choice: 0 };
            match compose(&spec, index, record, &choices, &mut stream, &mut segment) {
                Some(composed) => composed.parts,
                None => continue,
            }
        } else {
            segment.extend((0..tokens).map(|token| 3 + token % 200));
            tokens.into()
        };
        let mask = masker.draw(&spec.denoisers()[index].pattern, parts, &mut stream);
        let (mut inputs, mut labels) = (Vec::new(), Vec::new());
        let prefix = encode(&segment, mask, spec.form(index), &mut inputs, &mut labels);
        let fields = spec.fields();
        let (inputs, labels) = match fields.causal {
            None => (inputs.as_slice(), labels.as_slice()),
            Some(causal) => {
                assert!(inputs.len() <= causal.sequence_length as usize);
                split_causal(&inputs, &labels, prefix, causal).unwrap()
            }
        };
        assert!(inputs.len() <= fields.inputs_length as usize && labels.len() <= fields.labels_length as usize);
        let decoded = decode(inputs, labels, spec.form(index)).unwrap();
        assert_eq!((&decoded.segment, &decoded.mask), (&segment, mask));
    }
});
