//! An expression of a `Split` as a program of an automaton.
//!
//! Only what an automaton can do exactly as the backtracking engine does is read: classes of one character, groups,
//! alternatives, greedy repetitions, and a look-ahead at one character. A class stays the text that the file has; the
//! file's engine says which characters are in it ([`Atom::holds`]).

use onig::{Regex, SearchOptions};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _};

use crate::tokenize::expression::class;

/// Most instructions of a program, and most classes that it asks for.
const MAX_INSTRUCTIONS: usize = 4_000;
const MAX_ATOMS: usize = 64;

/// Most turns of a counted repetition.
const MAX_TURNS: u32 = 1_000;

/// What a program asks of one character.
pub(super) enum Atom {
    /// Whether the file's engine matches the character.
    Expression { pattern: String, regex: Regex },
    /// Whether a pre-tokenizer cuts the character off from a letter before it.
    CutOff(PreTokenizerWrapper),
}

impl Atom {
    fn of_pattern(pattern: &str) -> Result<Self, String> {
        let regex = Regex::new(pattern).map_err(|error| format!("the expression `{pattern}`: {error}"))?;
        Ok(Self::Expression { pattern: pattern.to_owned(), regex })
    }

    /// Whether the class has the character.
    pub(super) fn holds(&self, character: char) -> bool {
        match self {
            Self::Expression { regex, .. } => {
                let mut buffer = [0; 4];
                let text: &str = character.encode_utf8(&mut buffer);
                let found = regex.match_with_options(text, 0, SearchOptions::SEARCH_OPTION_NONE, None);
                found == Some(text.len())
            }
            Self::CutOff(step) => {
                let mut text = PreTokenizedString::from(format!("a{character}"));
                step.pre_tokenize(&mut text).is_ok()
                    && text.get_splits(OffsetReferential::Original, OffsetType::None).len() == 2
            }
        }
    }
}

/// An instruction. Places are indices of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instruction {
    /// One character of the class.
    Character { atom: u32, next: u32 },
    /// The first, and if it fails the second.
    Either(u32, u32),
    /// What comes next is one character of the class, or none with `is_in: false`, where the end has no character.
    Ahead { atom: u32, is_in: bool, next: u32 },
    /// The whole expression has matched.
    Match,
}

/// A program: its first instruction is `start`.
pub(super) struct Program {
    pub(super) instructions: Vec<Instruction>,
    pub(super) start: u32,
    pub(super) atoms: Vec<Atom>,
}

/// A part of an expression.
#[derive(Debug, Clone)]
enum Node {
    Atom(u32),
    Ahead { atom: u32, is_in: bool },
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    Repeat { node: Box<Node>, least: u32, most: Option<u32> },
}

impl Node {
    /// Whether it matches nothing at all in some text.
    fn may_be_empty(&self) -> bool {
        match self {
            Self::Atom(_) => false,
            Self::Ahead { .. } => true,
            Self::Sequence(nodes) => nodes.iter().all(Self::may_be_empty),
            Self::Either(nodes) => nodes.iter().any(Self::may_be_empty),
            Self::Repeat { node, least, .. } => *least == 0 || node.may_be_empty(),
        }
    }
}

impl Program {
    /// The program of an expression.
    ///
    /// # Errors
    ///
    /// The part that an automaton cannot do.
    pub(super) fn of_expression(pattern: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: pattern, atoms: Vec::new(), ignores_case: false, depth: 0 };
        let node = parser.alternatives()?;
        if !parser.rest.is_empty() {
            return Err(format!("`{}` is not read", parser.rest));
        }
        Self::of_node(&node, parser.atoms)
    }

    /// The program of a text.
    ///
    /// # Errors
    ///
    /// The engine's.
    pub(super) fn of_text(text: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: "", atoms: Vec::new(), ignores_case: false, depth: 0 };
        let nodes: Result<Vec<_>, _> = text.chars().map(|character| parser.literal(character)).collect();
        Self::of_node(&Node::Sequence(nodes?), parser.atoms)
    }

    /// The program of one character that a pre-tokenizer cuts off, or of a run of them.
    ///
    /// # Errors
    ///
    /// None.
    pub(super) fn of_cut_off(step: &PreTokenizerWrapper, most: Option<u32>) -> Result<Self, String> {
        let node = Node::Repeat { node: Box::new(Node::Atom(0)), least: 1, most };
        Self::of_node(&node, vec![Atom::CutOff(step.clone())])
    }

    fn of_node(node: &Node, atoms: Vec<Atom>) -> Result<Self, String> {
        if node.may_be_empty() {
            return Err("the expression may match nothing".to_owned());
        }
        let mut program = Self { instructions: vec![Instruction::Match], start: 0, atoms };
        program.start = program.add(node, 0)?;
        Ok(program)
    }

    /// Adds the instructions of a node that go on at `next`, and returns where they begin.
    fn add(&mut self, node: &Node, next: u32) -> Result<u32, String> {
        match node {
            Node::Atom(atom) => self.push(Instruction::Character { atom: *atom, next }),
            Node::Ahead { atom, is_in } => self.push(Instruction::Ahead { atom: *atom, is_in: *is_in, next }),
            Node::Sequence(nodes) => nodes.iter().rev().try_fold(next, |next, node| self.add(node, next)),
            Node::Either(nodes) => {
                let mut all = nodes.iter().rev();
                let Some(last) = all.next() else { return Ok(next) };
                let mut place = self.add(last, next)?;
                for node in all {
                    let first = self.add(node, next)?;
                    place = self.push(Instruction::Either(first, place))?;
                }
                Ok(place)
            }
            Node::Repeat { node, least, most } => {
                let mut place = next;
                match most {
                    None => {
                        // The loop's place is known before its body is.
                        place = self.push(Instruction::Match)?;
                        let body = self.add(node, place)?;
                        self.instructions[place as usize] = Instruction::Either(body, next);
                    }
                    Some(most) => {
                        for _ in *least..*most {
                            let body = self.add(node, place)?;
                            place = self.push(Instruction::Either(body, next))?;
                        }
                    }
                }
                (0..*least).try_fold(place, |place, _| self.add(node, place))
            }
        }
    }

    fn push(&mut self, instruction: Instruction) -> Result<u32, String> {
        if self.instructions.len() >= MAX_INSTRUCTIONS {
            return Err(format!("the expression has more than {MAX_INSTRUCTIONS} steps"));
        }
        self.instructions.push(instruction);
        u32::try_from(self.instructions.len() - 1).map_err(|error| error.to_string())
    }
}

/// Deepest nesting of groups.
const MAX_DEPTH: usize = 20;

struct Parser<'a> {
    rest: &'a str,
    atoms: Vec<Atom>,
    ignores_case: bool,
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn alternatives(&mut self) -> Result<Node, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("the expression is nested too deep".to_owned());
        }
        let mut all = vec![self.sequence()?];
        while self.take("|") {
            all.push(self.sequence()?);
        }
        self.depth -= 1;
        Ok(if all.len() == 1 { all.remove(0) } else { Node::Either(all) })
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut nodes = Vec::new();
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let node = self.one()?;
            nodes.push(self.repeated(node)?);
        }
        if self.ignores_case {
            self.check_letters(&nodes)?;
        }
        Ok(Node::Sequence(nodes))
    }

    /// Some pairs of letters are one character in another case, such as `ss` and `ß`: an automaton reads one at a time.
    fn check_letters(&self, nodes: &[Node]) -> Result<(), String> {
        let letter = |node: &Node| match node {
            Node::Atom(atom) => match &self.atoms[*atom as usize] {
                Atom::Expression { pattern, .. } => pattern.strip_prefix("(?i:")?.strip_suffix(')'),
                Atom::CutOff(_) => None,
            },
            _ => None,
        };
        let letters: Option<Vec<&str>> = nodes.iter().map(letter).collect();
        let text = letters.ok_or("a class whose letters have any case")?.concat();
        let joined = ["ss", "st", "ff", "fi", "fl"];
        let is_plain = text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '\'');
        if is_plain && joined.iter().all(|pair| !text.contains(pair)) {
            Ok(())
        } else {
            Err(format!("`{text}` in any case"))
        }
    }

    /// One character, class or group.
    fn one(&mut self) -> Result<Node, String> {
        if self.take("(?:") {
            return self.group();
        }
        if self.take("(?i:") {
            let before = std::mem::replace(&mut self.ignores_case, true);
            let node = self.group();
            self.ignores_case = before;
            return node;
        }
        for (text, is_in) in [("(?=", true), ("(?!", false)] {
            if self.take(text) {
                let Node::Atom(atom) = self.one()? else {
                    return Err("a look-ahead at more than one character".into());
                };
                return if self.take(")") {
                    Ok(Node::Ahead { atom, is_in })
                } else {
                    Err("a look-ahead at more than one character".into())
                };
            }
        }
        if self.rest.starts_with("(?") {
            return Err(format!("the group `{}`", self.rest.chars().take(4).collect::<String>()));
        }
        if self.take("(") {
            return self.group();
        }
        let bytes = match self.rest.as_bytes() {
            [b'[', ..] => class(self.rest).ok_or("a class of characters that is not read")?,
            [b'\\', ..] => escape(self.rest).ok_or("an escape that is not read")?,
            [b'^' | b'$' | b'*' | b'+' | b'?' | b'{' | b'}' | b']', ..] => {
                return Err(format!("`{}` where it stands", &self.rest[..1]));
            }
            [b'.', ..] => 1,
            _ => {
                let Some(character) = self.rest.chars().next() else { return Err("nothing to read".into()) };
                self.rest = &self.rest[character.len_utf8()..];
                return self.literal(character);
            }
        };
        let (pattern, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        if self.ignores_case {
            return Err(format!("`{pattern}` in any case"));
        }
        self.atom(pattern)
    }

    fn group(&mut self) -> Result<Node, String> {
        let node = self.alternatives()?;
        if self.take(")") { Ok(node) } else { Err("a group without an end".to_owned()) }
    }

    fn literal(&mut self, character: char) -> Result<Node, String> {
        let escaped = if character.is_ascii_punctuation() { format!("\\{character}") } else { character.to_string() };
        // In this mode each one is a letter or an apostrophe (`check_letters`).
        let pattern = if self.ignores_case { format!("(?i:{character})") } else { escaped };
        self.atom(&pattern)
    }

    fn atom(&mut self, pattern: &str) -> Result<Node, String> {
        let is_it = |atom: &Atom| matches!(atom, Atom::Expression { pattern: known, .. } if known == pattern);
        let place = match self.atoms.iter().position(is_it) {
            Some(place) => place,
            None if self.atoms.len() == MAX_ATOMS => {
                return Err(format!("the expression has more than {MAX_ATOMS} classes"));
            }
            None => {
                self.atoms.push(Atom::of_pattern(pattern)?);
                self.atoms.len() - 1
            }
        };
        Ok(Node::Atom(u32::try_from(place).map_err(|error| error.to_string())?))
    }

    /// The repetition of a node, if one follows.
    fn repeated(&mut self, node: Node) -> Result<Node, String> {
        let (least, most) = match self.rest.as_bytes() {
            [b'?', ..] => (0, Some(1)),
            [b'*', ..] => (0, None),
            [b'+', ..] => (1, None),
            [b'{', ..] => {
                let (counts, _) = self.rest[1..].split_once('}').ok_or("a `{` without its `}`")?;
                let (least, most) = counts.split_once(',').unwrap_or((counts, counts));
                let number = |text: &str| {
                    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                    let number = text.parse().ok().filter(|&number: &u32| is_number && number <= MAX_TURNS);
                    number.ok_or_else(|| format!("the repetition `{{{counts}}}`"))
                };
                let turns = (number(least)?, if most.is_empty() { None } else { Some(number(most)?) });
                self.rest = &self.rest[counts.len() + 1..];
                turns
            }
            _ => return Ok(node),
        };
        self.rest = &self.rest[1..];
        // Lazy and possessive ones, and repetitions of repetitions.
        if self.rest.starts_with(['?', '*', '+', '{']) {
            return Err("a repetition that is not greedy".to_owned());
        }
        if node.may_be_empty() || most.is_some_and(|most| most < least || most == 0) {
            return Err("a repetition of nothing".to_owned());
        }
        Ok(Node::Repeat { node: Box::new(node), least, most })
    }
}

/// Bytes of an escape for one character or for a class.
fn escape(rest: &str) -> Option<usize> {
    let name = rest[1..].chars().next()?;
    match name {
        'p' | 'P' if rest[2..].starts_with('{') => rest.find('}').map(|end| end + 1),
        _ if "dDwWsShHtrnfv".contains(name) => Some(2),
        _ => name.is_ascii_punctuation().then_some(2),
    }
}
