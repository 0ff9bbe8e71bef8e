//! Any text has the same ids on the fast path and by the `tokenizers` crate (`docs/internals/tokenization.md`).

#![no_main]

use std::cell::RefCell;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use ul2_prep::denoise::Vocabulary;
use ul2_prep::tokenize::file::TokenizerFile;
use ul2_prep::tokenize::{Scratch, Tokenizer, TokenizerPath};

/// The shapes that have a fast path: Unigram of T5's, BPE of GPT-2's and of Llama-2's, characters as in ByT5's, those of models of today, and BERT's WordPiece.
const SHAPES: [&str; 13] = [
    "unigram", "byte-level BPE", "BPE", "characters", "llama3", "qwen3", "o200k", "deepseek", "neox", "starcoder", "gemma3", "mistral", "bert",
];

/// Merges of the third shape. None reaches over a place where something that is no `▁` stands in front of a `▁`.
const MERGES: [&str; 18] = [
    "▁ t", "h e", "▁t he", "▁ ▁", "▁▁ ▁▁", "▁▁▁▁ ▁▁▁▁", "e r", "i n", "in g", "a n", "an d", "▁ and", "▁ a", "a a", "aa aa", "é e", "日 本", "- -",
];

/// A BPE file whose text is one word, with all 256 bytes to fall back to.
fn bpe(merges: &[&str], normalizer: Value) -> Value {
    let mut tokens: Vec<String> = ["<pad>", "</s>", "<unk>"].map(str::to_owned).into();
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend("▁abcdefghijklmnopqrstuvwxyzTHEé日本-.,0123".chars().map(String::from));
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    let vocab: Map<String, Value> = tokens.into_iter().zip((0..).map(|id: u32| id.into())).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": normalizer,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": merges,
        },
    })
}

/// The file of a shape.
fn file(shape: &str) -> Vec<u8> {
    let fixture = |name: &str| std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)).unwrap();
    match shape {
        "unigram" => fixture("tokenizer/tokenizer.json"),
        "byte-level BPE" => fixture("tokenizer-bpe/tokenizer.json"),
        "BPE" => {
            let spaces = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
            let normalizers = json!([{ "type": "Prepend", "prepend": "▁" }, spaces]);
            bpe(&MERGES, json!({ "type": "Sequence", "normalizers": normalizers })).to_string().into()
        }
        "characters" => bpe(&[], Value::Null).to_string().into(),
        name => fixture(&format!("shapes/{name}/tokenizer.json")),
    }
}

struct Paths {
    tokenizers: [Box<dyn Tokenizer>; 2],
    /// Kept from text to text, as a worker does: what is in the caches must not matter.
    scratches: [Scratch; 2],
}

impl Paths {
    fn of(shape: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, file(shape)).unwrap();
        let tokenizers = [TokenizerPath::Auto, TokenizerPath::Oracle].map(|kind| -> Box<dyn Tokenizer> {
            let file = TokenizerFile::read(&path).unwrap();
            let names = file.names();
            let sentinels = (0..).map_while(|number: u32| names.id(&format!("<extra_id_{number}>"))).collect();
            let (eos, pad) = (names.id("</s>").or_else(|| names.id("<|endoftext|>")), names.id("<pad>"));
            let vocabulary = Vocabulary::new(names.size(), eos, pad, sentinels, vec![]).unwrap();
            file.tokenizer(vocabulary, kind)
        });
        assert!(tokenizers[0].path().starts_with("fast"), "{shape}: {}", tokenizers[0].path());
        let scratches = [tokenizers[0].scratch(), tokenizers[1].scratch()];
        Self { tokenizers, scratches }
    }

    fn compare(&mut self, shape: &str, text: &str) {
        let [fast, oracle] = &self.tokenizers;
        let [first, second] = &mut self.scratches;
        let found = fast.tokenize(text, first).map(|tokens| tokens.ids().to_vec());
        let expected = oracle.tokenize(text, second).map(|tokens| tokens.ids().to_vec());
        match (found, expected) {
            (Ok(found), Ok(expected)) if found == expected => {}
            (Err(_), Err(_)) => {}
            (found, expected) => {
                let anew = fast.tokenize(text, &mut fast.scratch()).map(|tokens| tokens.ids().to_vec());
                panic!("{shape}: {text:?}\nfast   {found:?}\nanew   {anew:?}\noracle {expected:?}");
            }
        }
    }
}

thread_local! {
    static PATHS: RefCell<[Paths; SHAPES.len()]> = RefCell::new(SHAPES.map(Paths::of));
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    PATHS.with_borrow_mut(|paths| {
        for (paths, shape) in paths.iter_mut().zip(SHAPES) {
            paths.compare(shape, &text);
        }
    });
});
