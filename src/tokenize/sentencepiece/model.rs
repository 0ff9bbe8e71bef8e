//! Reads a model file and validates it (`docs/internals/sentencepiece.md`).

use crate::tokenize::sentencepiece::wire::{Fields, Value, WireError};

/// Stands for a space in a piece.
pub(super) const SPACE: &[u8] = "▁".as_bytes();

/// Most pieces of a model: as many as a vocabulary has ids.
const MAX_PIECES: usize = 1 << 24;

/// A piece has fewer bytes than this.
const MAX_PIECE: usize = 8_000;

/// The kind of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl PieceKind {
    /// Whether the piece is for text: others never match any.
    pub(super) fn is_of_text(self) -> bool {
        matches!(self, Self::Normal | Self::UserDefined | Self::Unused)
    }
}

/// How text is split into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModelType {
    Unigram,
    Bpe,
}

#[derive(Clone, Copy)]
struct Piece {
    /// Its name, in [`Model::names`].
    start: usize,
    length: usize,
    score: f32,
    kind: PieceKind,
}

/// A valid model file.
pub(super) struct Model {
    names: Vec<u8>,
    pieces: Vec<Piece>,
    /// Ids in the order of names; of equal names, the pieces of text come last.
    sorted: Vec<u32>,
    pub(super) algorithm: ModelType,
    pub(super) byte_fallback: bool,
    /// Ids of the pieces for bytes, if there is byte fallback.
    pub(super) bytes: Option<Box<[u32; 256]>>,
    pub(super) unknown: Option<u32>,
    pub(super) bos_name: String,
    pub(super) eos_name: String,
    pub(super) pad_name: String,
    pub(super) normalizer: NormalizerFields,
    pub(super) whitespace_as_suffix: bool,
}

/// The file's normalizer fields.
pub(super) struct NormalizerFields {
    pub(super) charsmap: Vec<u8>,
    pub(super) add_dummy_prefix: bool,
    pub(super) remove_extra_whitespaces: bool,
    pub(super) escape_whitespaces: bool,
}

/// Why a file is not a model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(in crate::tokenize) enum ModelError {
    #[error("it is not a protobuf message: {0}")]
    Wire(#[from] WireError),
    #[error("it has no pieces")]
    NoPieces,
    #[error("it has more than {MAX_PIECES} pieces")]
    ManyPieces,
    #[error("piece {0} is empty")]
    Empty(usize),
    #[error("piece {0} has {MAX_PIECE} bytes or more")]
    Long(usize),
    #[error("piece {0} holds a NUL")]
    Nul(usize),
    #[error("pieces {0} and {1} are equal")]
    Equal(u32, u32),
    #[error("pieces {0} and {1} are both the unknown one")]
    TwoUnknown(u32, u32),
    #[error("it has no unknown piece")]
    NoUnknown,
    #[error("piece {0} is one for a byte, but the model does not fall back to bytes")]
    ByteWithoutFallback(usize),
    #[error("piece {0} is one for a byte, but has no name of a byte")]
    NoByte(usize),
    #[error("it falls back to bytes, but has no piece for byte {0}")]
    MissingByte(usize),
    #[error("the score of piece {0} is not a finite number")]
    Score(usize),
    #[error("its type is {0}, and only Unigram and BPE can be used")]
    Type(&'static str),
    #[error("its charsmap {0}")]
    Charsmap(&'static str),
}

/// The trainer's fields.
struct TrainerFields {
    model_type: u64,
    whitespace_as_suffix: bool,
    byte_fallback: bool,
    bos_name: String,
    eos_name: String,
    pad_name: String,
}

impl Model {
    /// Reads a file.
    pub(super) fn read(file: &[u8]) -> Result<Self, ModelError> {
        let mut normalizer = NormalizerFields {
            charsmap: Vec::new(),
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
        };
        let mut trainer = TrainerFields {
            model_type: 1,
            whitespace_as_suffix: false,
            byte_fallback: false,
            bos_name: "<s>".to_owned(),
            eos_name: "</s>".to_owned(),
            pad_name: "<pad>".to_owned(),
        };
        let (mut names, mut pieces) = (Vec::new(), Vec::new());
        let mut fields = Fields::new(file);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(message)) if pieces.len() < MAX_PIECES => {
                    pieces.push(piece(message, &mut names, pieces.len())?);
                }
                (1, Value::Bytes(_)) => return Err(ModelError::ManyPieces),
                (2, Value::Bytes(message)) => trainer.read(message)?,
                (3, Value::Bytes(message)) => normalizer.read(message)?,
                _ => {}
            }
        }
        let TrainerFields { model_type, whitespace_as_suffix, byte_fallback, bos_name, eos_name, pad_name } = trainer;
        let algorithm = match model_type {
            1 => ModelType::Unigram,
            2 => ModelType::Bpe,
            3 => return Err(ModelError::Type("word")),
            _ => return Err(ModelError::Type("char")),
        };
        let mut model = Self {
            names,
            pieces,
            sorted: Vec::new(),
            algorithm,
            byte_fallback,
            bytes: None,
            unknown: None,
            bos_name,
            eos_name,
            pad_name,
            normalizer,
            whitespace_as_suffix,
        };
        model.check()?;
        Ok(model)
    }

    /// Refuses what the package refuses, and computes what follows from the pieces.
    fn check(&mut self) -> Result<(), ModelError> {
        let mut bytes = [None; 256];
        for (index, id) in (0..self.pieces.len()).zip(0_u32..) {
            let name = self.name(id);
            if name == b"\0" && (self.byte_fallback || self.kind(id) == PieceKind::Unused) {
                self.pieces[index].kind = PieceKind::Unused; // made by converters, and never found in a text
                continue;
            }
            if name.contains(&0) {
                return Err(ModelError::Nul(index));
            }
            match self.kind(id) {
                PieceKind::Unknown => {
                    if let Some(first) = self.unknown.replace(id) {
                        return Err(ModelError::TwoUnknown(first, id));
                    }
                }
                PieceKind::Byte if !self.byte_fallback => return Err(ModelError::ByteWithoutFallback(index)),
                PieceKind::Byte => {
                    let byte = byte_of(name).ok_or(ModelError::NoByte(index))?;
                    bytes[usize::from(byte)] = Some(id);
                }
                _ => {}
            }
        }
        if self.byte_fallback {
            let mut ids = Box::new([0; 256]);
            for (byte, id) in bytes.into_iter().enumerate() {
                ids[byte] = id.ok_or(ModelError::MissingByte(byte))?;
            }
            self.bytes = Some(ids);
        } else if self.unknown.is_none() && !self.pieces.is_empty() {
            return Err(ModelError::NoUnknown);
        }
        let is_unigram = self.algorithm == ModelType::Unigram;
        if is_unigram && let Some(piece) = self.pieces.iter().position(|piece| !piece.score.is_finite()) {
            return Err(ModelError::Score(piece));
        }
        let has_text = self.ids().any(|id| self.kind(id).is_of_text());
        if self.pieces.is_empty() || (is_unigram && !has_text) {
            return Err(ModelError::NoPieces);
        }
        let mut sorted: Vec<u32> = self.ids().collect();
        sorted.sort_by_key(|&id| (self.name(id), self.kind(id).is_of_text(), id));
        let is_nul = |id: u32| self.name(id) == b"\0";
        let equal = sorted.windows(2).find(|pair| {
            let (first, second) = (pair[0], pair[1]);
            let is_one_map = !is_unigram || self.kind(first).is_of_text() == self.kind(second).is_of_text();
            self.name(first) == self.name(second) && is_one_map && !is_nul(first)
        });
        if let Some(pair) = equal {
            return Err(ModelError::Equal(pair[0], pair[1]));
        }
        self.sorted = sorted;
        Ok(())
    }

    pub(super) fn len(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^24")]
        let len = self.pieces.len() as u32;
        len
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = u32> + use<> {
        0..self.len()
    }

    /// The name of a piece, which may not be UTF-8.
    pub(super) fn name(&self, id: u32) -> &[u8] {
        let Piece { start, length, .. } = self.pieces[id as usize];
        &self.names[start..start + length]
    }

    pub(super) fn kind(&self, id: u32) -> PieceKind {
        self.pieces[id as usize].kind
    }

    pub(super) fn score(&self, id: u32) -> f32 {
        self.pieces[id as usize].score
    }

    /// The id of a piece by its name; a piece of text wins over others of that name.
    pub(super) fn id(&self, name: &[u8]) -> Option<u32> {
        let place = self.sorted.partition_point(|&id| self.name(id) < name);
        self.sorted.get(place).copied().filter(|&id| self.name(id) == name)
    }

    /// Whether a `▁` in a piece never follows something else, and a partial `▁` never ends or begins one: then no piece
    /// crosses a position where a `▁` follows something other than `▁`.
    pub(super) fn spaces_begin_pieces(&self) -> bool {
        let begins = |name: &[u8]| {
            (1..name.len()).all(|place| {
                let part = &name[place..name.len().min(place + SPACE.len())];
                let begins_space = SPACE.starts_with(part);
                !begins_space || (part == SPACE && place >= SPACE.len() && &name[place - SPACE.len()..place] == SPACE)
            })
        };
        self.ids().filter(|&id| self.kind(id).is_of_text()).all(|id| begins(self.name(id)))
    }
}

impl TrainerFields {
    fn read(&mut self, message: &[u8]) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next()? {
            match field {
                (3, Value::Varint(number)) if (1..=4).contains(&enumeration(number)) => {
                    self.model_type = enumeration(number);
                }
                (24, Value::Varint(number)) => self.whitespace_as_suffix = number != 0,
                (35, Value::Varint(number)) => self.byte_fallback = number != 0,
                // An empty name means the default.
                (46, Value::Bytes(name)) => self.bos_name = name_or(name, "<s>"),
                (47, Value::Bytes(name)) => self.eos_name = name_or(name, "</s>"),
                (48, Value::Bytes(name)) => self.pad_name = name_or(name, "<pad>"),
                _ => {}
            }
        }
        Ok(())
    }
}

impl NormalizerFields {
    fn read(&mut self, message: &[u8]) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next()? {
            match field {
                (2, Value::Bytes(charsmap)) => self.charsmap = charsmap.to_vec(),
                (3, Value::Varint(number)) => self.add_dummy_prefix = number != 0,
                (4, Value::Varint(number)) => self.remove_extra_whitespaces = number != 0,
                (5, Value::Varint(number)) => self.escape_whitespaces = number != 0,
                _ => {}
            }
        }
        Ok(())
    }
}

fn piece(message: &[u8], names: &mut Vec<u8>, number: usize) -> Result<Piece, ModelError> {
    let (mut name, mut score, mut kind) = (&b""[..], 0.0, PieceKind::Normal);
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => name = bytes,
            (2, Value::Fixed32(bits)) => score = f32::from_bits(bits),
            (3, Value::Varint(number)) => {
                kind = match enumeration(number) {
                    1 => PieceKind::Normal,
                    2 => PieceKind::Unknown,
                    3 => PieceKind::Control,
                    4 => PieceKind::UserDefined,
                    5 => PieceKind::Unused,
                    6 => PieceKind::Byte,
                    _ => kind, // as if it were not there
                }
            }
            _ => {}
        }
    }
    match name.len() {
        0 => Err(ModelError::Empty(number)),
        MAX_PIECE.. => Err(ModelError::Long(number)),
        length => {
            let start = names.len();
            names.extend_from_slice(name);
            Ok(Piece { start, length, score, kind })
        }
    }
}

/// Protobuf keeps the lower 32 bits of an enumeration's number.
fn enumeration(number: u64) -> u64 {
    number & u64::from(u32::MAX)
}

fn name_or(name: &[u8], usual: &str) -> String {
    if name.is_empty() { usual.to_owned() } else { String::from_utf8_lossy(name).into_owned() }
}

/// The byte that `<0x4A>` names.
fn byte_of(name: &[u8]) -> Option<u8> {
    (0..=u8::MAX).find(|byte| name == format!("<0x{byte:02X}>").as_bytes())
}
