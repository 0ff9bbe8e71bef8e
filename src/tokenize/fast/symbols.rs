//! The symbols that the merges of a BPE model begin with: one for each byte of a word, or for each of its characters.

use tokenizers::Model as _;
use tokenizers::models::bpe::BPE;

/// No symbol for this byte or character.
const NO_SYMBOL: u32 = u32::MAX;

/// The symbols of a model.
pub(super) enum Symbols {
    /// Bytes have tokens: all that text is made of, or nearly all.
    Bytes(Bytes),
    Characters(Characters),
}

/// The symbols of bytes.
pub(super) struct Bytes(Box<[u32; 256]>);

/// The symbols of characters.
pub(super) struct Characters {
    symbols: Vec<u32>,
    others: Others,
}

/// What becomes of a character without a symbol.
enum Others {
    /// Each of its bytes has a symbol.
    Bytes(Box<[u32; 256]>),
    /// The crate decides on the whole word.
    Ask,
}

impl Symbols {
    /// The symbols of a byte-level model.
    pub(super) fn bytes(model: &BPE) -> Self {
        let mut bytes = Box::new([NO_SYMBOL; 256]);
        for (byte, symbol) in (0..=255_u8).zip(bytes.iter_mut()) {
            *symbol = model.token_to_id(byte_character(byte).encode_utf8(&mut [0; 4])).unwrap_or(NO_SYMBOL);
        }
        Self::Bytes(Bytes(bytes))
    }

    /// The symbols of a model's characters.
    pub(super) fn characters(model: &BPE) -> Self {
        let mut symbols = Vec::new();
        // A model that marks pieces by their place has other symbols at other places.
        let marks = [&model.continuing_subword_prefix, &model.end_of_word_suffix];
        let is_plain = marks.iter().all(|mark| mark.as_ref().is_none_or(String::is_empty));
        if is_plain {
            for (token, id) in model.get_vocab() {
                let mut all = token.chars();
                if let (Some(character), None) = (all.next(), all.next()) {
                    let place = character as usize;
                    if symbols.len() <= place {
                        symbols.resize(place + 1, NO_SYMBOL);
                    }
                    symbols[place] = id;
                }
            }
        }
        let bytes: Option<Vec<u32>> = (0..=255_u8).map(|byte| model.token_to_id(&byte_token(byte))).collect();
        let bytes = bytes.filter(|_| model.byte_fallback && is_plain).and_then(|bytes| bytes.try_into().ok());
        let others = bytes.map_or(Others::Ask, |bytes| Others::Bytes(Box::new(bytes)));
        Self::Characters(Characters { symbols, others })
    }

    /// Whether every character has symbols, so that the crate is never asked.
    pub(super) fn are_complete(&self) -> bool {
        matches!(self, Self::Characters(Characters { others: Others::Bytes(_), .. }))
    }
}

impl Bytes {
    /// Appends the symbols of a word. Returns whether all of its bytes have one.
    #[inline]
    pub(super) fn push(&self, word: &[u8], symbols: &mut Vec<u32>) -> bool {
        symbols.extend(word.iter().map(|&byte| self.0[usize::from(byte)]));
        !symbols.contains(&NO_SYMBOL)
    }
}

impl Characters {
    #[inline]
    fn symbol(&self, character: char) -> Option<u32> {
        self.symbols.get(character as usize).copied().filter(|&symbol| symbol != NO_SYMBOL)
    }

    /// Appends the symbols of a character. Returns whether it has any.
    #[inline]
    pub(super) fn push(&self, character: char, symbols: &mut Vec<u32>) -> bool {
        match (self.symbol(character), &self.others) {
            (Some(symbol), _) => symbols.push(symbol),
            (None, Others::Bytes(bytes)) => {
                let mut buffer = [0; 4];
                let encoded = character.encode_utf8(&mut buffer);
                symbols.extend(encoded.bytes().map(|byte| bytes[usize::from(byte)]));
            }
            (None, Others::Ask) => return false,
        }
        true
    }
}

/// The token that stands for a byte of a character without a token.
pub(super) fn byte_token(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

/// The character that stands for a byte in byte-level vocabularies (GPT-2's `bytes_to_unicode`).
pub(super) fn byte_character(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(byte) {
        return char::from(byte);
    }
    // The others follow in order, from U+0100 on.
    let before = (0..byte).filter(|&byte| !printable(byte)).count();
    u32::try_from(before).ok().and_then(|before| char::from_u32(0x100 + before)).unwrap_or('\u{FFFD}')
}
