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

/// The symbols of bytes, and the characters that stand for them.
pub(super) struct Bytes {
    symbols: Box<[u32; 256]>,
    characters: Box<[char; 256]>,
}

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
        let mut bytes = Bytes { symbols: Box::new([NO_SYMBOL; 256]), characters: Box::new(['\0'; 256]) };
        for byte in 0..=255_u8 {
            let character = byte_character(byte);
            bytes.characters[usize::from(byte)] = character;
            let symbol = model.token_to_id(character.encode_utf8(&mut [0; 4]));
            bytes.symbols[usize::from(byte)] = symbol.unwrap_or(NO_SYMBOL);
        }
        Self::Bytes(bytes)
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

    /// The bytes of the word that a token is; `None` if no word is.
    pub(super) fn word(&self, token: &str) -> Option<Vec<u8>> {
        let Self::Bytes(bytes) = self else { return Some(token.as_bytes().to_owned()) };
        token.chars().map(|character| bytes.byte(character)).collect()
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
        symbols.extend(word.iter().map(|&byte| self.symbols[usize::from(byte)]));
        !symbols.contains(&NO_SYMBOL)
    }

    /// The byte that a character stands for.
    fn byte(&self, character: char) -> Option<u8> {
        // Printable characters of Latin-1 stand for themselves, those from U+0100 on for the others.
        let itself = u8::try_from(character).ok().filter(|&byte| self.characters[usize::from(byte)] == character);
        itself.or_else(|| (0..=255).find(|&byte: &u8| self.characters[usize::from(byte)] == character))
    }

    /// A word as the vocabulary spells it.
    pub(super) fn spelled(&self, word: &[u8]) -> String {
        word.iter().map(|&byte| self.characters[usize::from(byte)]).collect()
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
fn byte_character(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if printable(byte) {
        return char::from(byte);
    }
    // The others follow in order, from U+0100 on.
    let before = (0..byte).filter(|&byte| !printable(byte)).count();
    u32::try_from(before).ok().and_then(|before| char::from_u32(0x100 + before)).unwrap_or('\u{FFFD}')
}
