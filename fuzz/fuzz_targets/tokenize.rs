//! Any text has the same ids on the fast path and by the `tokenizers` crate (`docs/tokenization.md`).

#![no_main]

use std::cell::RefCell;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use ul2_prep::denoise::Vocabulary;
use ul2_prep::tokenize::hf::TokenizerFile;
use ul2_prep::tokenize::{Scratch, Tokenizer, TokenizerNames as _, TokenizerPath};

/// A Unigram file of T5's shape, and a BPE file of GPT-2's.
const FILES: [&str; 2] = ["fixtures/tokenizer/tokenizer.json", "fixtures/tokenizer-bpe/tokenizer.json"];

struct Paths {
    tokenizers: [Box<dyn Tokenizer>; 2],
    /// Kept from text to text, as a worker does: what is in the caches must not matter.
    scratches: [Scratch; 2],
}

impl Paths {
    fn of(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        let tokenizers = [TokenizerPath::Auto, TokenizerPath::Oracle].map(|kind| -> Box<dyn Tokenizer> {
            let file = TokenizerFile::read(&path).unwrap();
            let sentinels = (0..).map_while(|number: u32| file.id(&format!("<extra_id_{number}>"))).collect();
            let (eos, pad) = (file.id("</s>").or_else(|| file.id("<|endoftext|>")), file.id("<pad>"));
            let vocabulary = Vocabulary::new(file.size(), eos, pad, sentinels, vec![]).unwrap();
            Box::new(file.into_tokenizer(vocabulary, kind))
        });
        assert!(tokenizers[0].path().starts_with("fast"), "{}", tokenizers[0].path());
        let scratches = [tokenizers[0].scratch(), tokenizers[1].scratch()];
        Self { tokenizers, scratches }
    }

    fn compare(&mut self, file: &str, text: &str) {
        let [fast, oracle] = &self.tokenizers;
        let [first, second] = &mut self.scratches;
        let found = fast.tokenize(text, first).map(|tokens| tokens.ids().to_vec());
        let expected = oracle.tokenize(text, second).map(|tokens| tokens.ids().to_vec());
        match (found, expected) {
            (Ok(found), Ok(expected)) if found == expected => {}
            (Err(_), Err(_)) => {}
            (found, expected) => {
                let anew = fast.tokenize(text, &mut fast.scratch()).map(|tokens| tokens.ids().to_vec());
                panic!("{file}: {text:?}\nfast   {found:?}\nanew   {anew:?}\noracle {expected:?}");
            }
        }
    }
}

thread_local! {
    static PATHS: RefCell<[Paths; 2]> = RefCell::new(FILES.map(Paths::of));
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    PATHS.with_borrow_mut(|paths| {
        for (paths, file) in paths.iter_mut().zip(FILES) {
            paths.compare(file, &text);
        }
    });
});
