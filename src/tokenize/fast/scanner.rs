//! Runs a [`Program`] over text as a deterministic automaton that is made while it is used.
//!
//! A state is what the backtracking engine may still try at a place, in its order. One step takes the class of the next
//! character: what can still match goes on, and what matches right here ends all that the engine would try after it. So
//! the last match seen when nothing goes on is the engine's match.

use std::collections::BTreeMap;

use crate::tokenize::fast::letters::Letters;
use crate::tokenize::fast::syntax::{Instruction, Program};

/// States before the automaton is made anew.
const MAX_STATES: usize = 2_000;

/// What a step holds: where the steps of the next state begin, whether there is a match before the character, and whether
/// the step is not known yet. A dead end and an unknown step have no next state.
const NEXT: u32 = (1 << 30) - 1;
const MATCHED: u32 = 1 << 31;
const UNKNOWN: u32 = 1 << 30;

/// The state in which nothing goes on, and the first one.
const DEAD: u32 = 0;
const START: u32 = 1;

/// The class of the end of a text, and of characters that no atom holds: both match nothing.
const NO_CLASS: u16 = 0;

/// A worker's automaton of one program.
pub(super) struct Scanner {
    /// The classes of ASCII characters.
    ascii: [u16; 128],
    /// One more than the classes of characters by their scalar value; 0 where it is not known yet.
    others: Vec<u16>,
    /// For each class, the atoms that hold its characters, as bits.
    masks: Vec<u64>,
    classes: BTreeMap<u64, u16>,
    /// For each state, what may still be tried.
    states: Vec<Vec<u32>>,
    numbers: BTreeMap<Vec<u32>, u32>,
    /// The steps, by `state << shift | class`.
    steps: Vec<u32>,
    shift: u32,
    /// For each state, ASCII characters known to lead back to it, with a match before them.
    loops: Vec<[bool; 128]>,
    words: Option<Box<Words>>,
}

/// The words that make up most of a text: letters of ASCII, perhaps after one other character, which is what most
/// expressions begin with. They are matched eight letters at a time.
struct Words {
    /// The state after each of their letters.
    state: u32,
    letters: Letters,
    /// ASCII characters that may stand before the letters.
    leads: [bool; 128],
    /// ASCII characters that end the match.
    ends: [bool; 128],
    /// Whether the end of the text does.
    end_ends: bool,
}

/// How much of a match is such a word.
enum Run {
    /// All of it, up to here.
    Whole(usize),
    /// A part of it, up to here.
    Part(usize),
    Nothing,
}

impl Words {
    /// The word at `start`.
    #[inline]
    fn at(&self, text: &[u8], start: usize) -> Run {
        let lead = text.get(start).is_some_and(|&byte| byte < 0x80 && self.leads[usize::from(byte)]);
        let first = start + usize::from(lead);
        let place = self.letters.end(text, first);
        let is_end = match text.get(place) {
            Some(&byte) => byte < 0x80 && self.ends[usize::from(byte)],
            None => self.end_ends,
        };
        match place - first {
            0 => Run::Nothing,
            _ if is_end => Run::Whole(place),
            1 => Run::Nothing,
            _ => Run::Part(place),
        }
    }
}

impl Scanner {
    pub(super) fn new(program: &Program) -> Self {
        let mut scanner = Self {
            ascii: [NO_CLASS; 128],
            others: Vec::new(),
            masks: vec![0],
            classes: BTreeMap::from([(0, NO_CLASS)]),
            states: Vec::new(),
            numbers: BTreeMap::new(),
            steps: Vec::new(),
            shift: 5,
            loops: Vec::new(),
            words: None,
        };
        scanner.forget(program);
        for byte in 0..128_u8 {
            scanner.ascii[usize::from(byte)] = scanner.class(program, char::from(byte));
        }
        scanner.words = [Letters::Any, Letters::Lower].into_iter().find_map(|letters| scanner.words(program, letters));
        scanner
    }

    /// The words of these letters, if the expression begins with them: one state follows any of them, in which each of
    /// them is the same step, with a match before it.
    fn words(&mut self, program: &Program, letters: Letters) -> Option<Box<Words>> {
        let state = self.after(program, START, b'a') & NEXT;
        let is_led_to = |scanner: &mut Self, from: u32| {
            letters.bytes().all(|letter| scanner.after(program, from, letter) & NEXT == state)
        };
        let is_loop = letters.bytes().all(|letter| self.after(program, state, letter) == state | MATCHED);
        if !is_loop || !is_led_to(self, START) {
            return None;
        }
        let mut words = Words { state, letters, leads: [false; 128], ends: [false; 128], end_ends: false };
        let ends = |step: u32| step == DEAD | MATCHED;
        for byte in (0..128_u8).filter(|byte| letters.bytes().all(|letter| letter != *byte)) {
            let lead = self.after(program, START, byte) & NEXT;
            words.leads[usize::from(byte)] = lead != DEAD && is_led_to(self, lead);
            words.ends[usize::from(byte)] = ends(self.after(program, state, byte));
        }
        words.end_ends = ends(self.step_of(program, state, NO_CLASS));
        Some(Box::new(words))
    }

    /// The step of a state with an ASCII character; the next state as its number.
    fn after(&mut self, program: &Program, state: u32, byte: u8) -> u32 {
        self.step_of(program, state, self.ascii[usize::from(byte)])
    }

    /// The step of a state with a class; the next state as its number.
    fn step_of(&mut self, program: &Program, state: u32, class: u16) -> u32 {
        let known = self.steps[(state as usize) << self.shift | usize::from(class)];
        let step = if known & UNKNOWN > 0 { self.step(program, state, class) } else { known };
        (step & NEXT) >> self.shift | step & MATCHED
    }

    /// Forgets all states.
    fn forget(&mut self, program: &Program) {
        self.words = None;
        self.states.clear();
        self.numbers.clear();
        self.steps.clear();
        self.loops.clear();
        self.state(Vec::new());
        self.state(vec![program.start]);
    }

    /// The number of a state.
    fn state(&mut self, tries: Vec<u32>) -> u32 {
        if let Some(&number) = self.numbers.get(&tries) {
            return number;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most `MAX_STATES` and one")]
        let number = self.states.len() as u32;
        self.states.push(tries.clone());
        self.numbers.insert(tries, number);
        self.steps.resize(self.states.len() << self.shift, UNKNOWN);
        self.loops.push([false; 128]);
        number
    }

    /// The class of a character, as the file's own engine has it.
    fn class(&mut self, program: &Program, character: char) -> u16 {
        let bits = program.atoms.iter().enumerate().map(|(bit, atom)| u64::from(atom.holds(character)) << bit);
        let mask = bits.fold(0, |mask, bit| mask | bit);
        if let Some(&class) = self.classes.get(&mask) {
            return class;
        }
        // There are at most 2^16 - 2 of them: fewer than kinds of characters.
        let class = u16::try_from(self.masks.len()).unwrap_or(NO_CLASS);
        self.masks.push(mask);
        self.classes.insert(mask, class);
        if self.masks.len() > 1 << self.shift {
            // The states keep their numbers.
            self.shift += 1;
            self.steps.clear();
            self.steps.resize(self.states.len() << self.shift, UNKNOWN);
        }
        class
    }

    /// The class of a character beyond ASCII.
    #[inline]
    fn other(&mut self, program: &Program, scalar: u32) -> u16 {
        match self.others.get(scalar as usize) {
            Some(&class) if class > 0 => class - 1,
            _ => self.ask(program, scalar),
        }
    }

    #[cold]
    fn ask(&mut self, program: &Program, scalar: u32) -> u16 {
        let class = char::from_u32(scalar).map_or(NO_CLASS, |character| self.class(program, character));
        let place = scalar as usize;
        if self.others.len() <= place {
            // The table grows in steps, so that text in one script does not pay for all of Unicode.
            self.others.resize((place + 1).next_multiple_of(1 << 12), 0);
        }
        self.others[place] = class + 1;
        class
    }

    /// The end of the match that begins at `start`; `None` if there is none.
    #[inline]
    pub(super) fn matched(&mut self, program: &Program, text: &[u8], start: usize) -> Option<usize> {
        let run = self.words.as_ref().map_or(Run::Nothing, |words| words.at(text, start));
        let (mut state, mut place, mut found) = match (run, &self.words) {
            (Run::Whole(end), _) => return Some(end),
            (Run::Part(place), Some(words)) => (words.state << self.shift, place, place - 1),
            _ => (START << self.shift, start, usize::MAX),
        };
        loop {
            let (class, next) = match text.get(place) {
                Some(&byte) if byte < 0x80 => (self.ascii[usize::from(byte)], place + 1),
                Some(_) => {
                    let (scalar, width) = scalar(text, place);
                    let shift = self.shift;
                    let class = self.other(program, scalar);
                    // A new class may have moved the steps.
                    state = state >> shift << self.shift;
                    (class, place + width)
                }
                None => (NO_CLASS, place),
            };
            let mut step = self.steps[state as usize + usize::from(class)];
            if step & UNKNOWN > 0 {
                step = self.step(program, state >> self.shift, class);
            }
            if step & MATCHED > 0 {
                found = place;
            }
            if step & NEXT == DEAD {
                return (found != usize::MAX).then_some(found);
            }
            place = next;
            state = step & NEXT;
            // Most characters are inside of runs.
            let loops = &self.loops[(state >> self.shift) as usize];
            while let Some(&byte) = text.get(place)
                && byte < 0x80
                && loops[usize::from(byte)]
            {
                found = place;
                place += 1;
            }
        }
    }

    /// Whether no match begins with the character at `place`; if so, where the next one is.
    #[inline]
    pub(super) fn skipped(&self, text: &[u8], place: usize) -> Option<usize> {
        let byte = *text.get(place)?;
        let (class, next) = if byte < 0x80 {
            (self.ascii[usize::from(byte)], place + 1)
        } else {
            let (scalar, width) = scalar(text, place);
            (self.others.get(scalar as usize)?.checked_sub(1)?, place + width)
        };
        (self.steps[(START as usize) << self.shift | usize::from(class)] == DEAD).then_some(next)
    }

    /// Makes the step of a state.
    #[cold]
    fn step(&mut self, program: &Program, mut state: u32, class: u16) -> u32 {
        if self.states.len() > MAX_STATES {
            let tries = std::mem::take(&mut self.states[state as usize]);
            self.forget(program);
            state = self.state(tries);
        }
        let mask = self.masks[usize::from(class)];
        let mut tries = Tries { program, mask, seen: vec![false; program.instructions.len()], next: Vec::new() };
        let mut matched = false;
        for &first in &self.states[state as usize] {
            if tries.follow(first) {
                matched = true;
                break;
            }
        }
        let next = tries.next;
        let next = self.state(next);
        let step = next << self.shift | if matched { MATCHED } else { 0 };
        self.steps[(state as usize) << self.shift | usize::from(class)] = step;
        if next == state && matched {
            let of_class = self.ascii.iter().map(|&other| other == class);
            self.loops[state as usize].iter_mut().zip(of_class).for_each(|(loops, of_class)| *loops |= of_class);
        }
        step
    }
}

/// What the engine tries at a place, before the next character is known to go on.
struct Tries<'a> {
    program: &'a Program,
    /// Atoms that hold the next character.
    mask: u64,
    seen: Vec<bool>,
    next: Vec<u32>,
}

impl Tries<'_> {
    /// Follows an instruction up to the characters that it takes. Returns whether the expression has matched, so that
    /// nothing is tried any more.
    fn follow(&mut self, first: u32) -> bool {
        let mut stack = vec![first];
        while let Some(place) = stack.pop() {
            if std::mem::replace(&mut self.seen[place as usize], true) {
                continue;
            }
            match self.program.instructions[place as usize] {
                Instruction::Character { atom, next } => {
                    if self.mask >> atom & 1 == 1 && !self.next.contains(&next) {
                        self.next.push(next);
                    }
                }
                Instruction::Either(first, second) => stack.extend([second, first]),
                Instruction::Ahead { atom, is_in, next } => {
                    if (self.mask >> atom & 1 == 1) == is_in {
                        stack.push(next);
                    }
                }
                Instruction::Match => return true,
            }
        }
        false
    }
}

/// The scalar value of the character at `place`, which is beyond ASCII, and its bytes.
#[inline]
pub(super) fn scalar(text: &[u8], place: usize) -> (u32, usize) {
    let byte = |offset: usize| u32::from(text[place + offset]);
    let rest = |offset: usize| byte(offset) & 0x3F;
    match text[place] {
        0..0xE0 => ((byte(0) & 0x1F) << 6 | rest(1), 2),
        0xE0..0xF0 => ((byte(0) & 0x0F) << 12 | rest(1) << 6 | rest(2), 3),
        0xF0.. => ((byte(0) & 0x07) << 18 | rest(1) << 12 | rest(2) << 6 | rest(3), 4),
    }
}

#[cfg(test)]
mod tests {
    use onig::Regex;
    use proptest::prelude::*;

    use super::*;

    /// Matches by the automaton, as the crate's `find_iter` has them.
    fn matches(pattern: &str, text: &str) -> Result<Vec<(usize, usize)>, String> {
        let program = Program::of_expression(pattern)?;
        let mut scanner = Scanner::new(&program);
        let (mut place, mut found) = (0, Vec::new());
        while place < text.len() {
            if let Some(next) = scanner.skipped(text.as_bytes(), place) {
                place = next;
            } else if let Some(next) = scanner.matched(&program, text.as_bytes(), place) {
                found.push((place, next));
                place = next;
            } else {
                place += text[place..].chars().next().map_or(1, char::len_utf8);
            }
        }
        Ok(found)
    }

    fn assert_same(pattern: &str, text: &str) {
        let expected: Vec<_> = Regex::new(pattern).unwrap().find_iter(text).collect();
        assert_eq!(matches(pattern, text).unwrap(), expected, "{pattern} in {text:?}");
    }

    #[test]
    fn expressions_of_files_in_use_match_what_the_engine_matches() {
        let text = "It's 12345 o'clock, WE'LL 'Re'ſ  \r\n\r\n \n x\u{301}! //\n\u{a0}٣٤½ ÉCOLE Straße漢字かな\u{2028}🇩🇪'' 's\t\t ";
        let patterns = crate::tokenize::expression::KNOWN;
        for pattern in patterns.into_iter().chain(["[一-龥぀-ゟ゠-ヿ]+", "[0-9][0-9][0-9]", r"[\r\n]", r"a|ab|abc"])
        {
            assert_same(pattern, text);
            for (start, _) in text.char_indices() {
                assert_same(pattern, &text[start..]);
                assert_same(pattern, &text[..start]);
            }
        }
    }

    #[test]
    fn words_of_ascii_letters_are_matched_at_once_where_the_expression_begins_with_them() {
        let of = |pattern: &str| {
            let program = Program::of_expression(pattern).unwrap();
            let words = Scanner::new(&program).words?;
            let held =
                |held: [bool; 128]| (0..128_u8).filter(|&byte| held[usize::from(byte)]).map(char::from).collect();
            Some((words.letters as u8, held(words.leads), held(words.ends)))
        };
        let two: (u8, String, String) = of(r" ?\p{L}+|\s+|'s").unwrap();
        assert_eq!((two.0, two.1.as_str()), (0x20, " "));
        assert!(two.2.contains(' ') && two.2.contains('\'') && !two.2.contains('a'));
        assert_eq!(
            of("[a-z]+'?|[A-Z]+").unwrap(),
            (0, String::new(), (0..128_u8).map(char::from).filter(|c| !c.is_ascii_lowercase() && *c != '\'').collect())
        );
        // A letter that is a match of its own, one that leads elsewhere, and matches of two letters at least.
        for pattern in ["x|[a-z]+", "xyz|[a-z]+", "[a-z]{2,}", "[a-y]+"] {
            assert_eq!(of(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn an_automaton_of_many_states_or_classes_matches_the_same() {
        let mut number = 1_u32;
        let mut random = |letters: &str| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            letters.chars().nth((number >> 16) as usize % letters.chars().count()).unwrap()
        };
        // 2^12 states, and a class for each of 60 alternatives.
        let letters: String = (0..6_000).map(|_| random("ab")).collect();
        assert_same("[ab]*a[ab]{12}", &letters);
        let pair = |n: u32| [0x100 + n % 50, 0x4E00 + n].map(|scalar| char::from_u32(scalar).unwrap());
        let classes: Vec<String> = (0..60).map(|n| format!("[{}]x", String::from_iter(pair(n)))).collect();
        let all: String = (0..60).flat_map(pair).chain("xxxx".repeat(30).chars()).collect();
        let text: String = (0..3_000).map(|_| random(&all)).collect();
        assert_same(&classes.join("|"), &text);
    }

    #[test]
    fn what_an_automaton_cannot_do_is_refused() {
        let refused = [
            r"\bа",
            "^a",
            "a$",
            "a*?b",
            "a++b",
            "(a)\\1",
            "(?<=a)b",
            "(?=ab)a",
            "(?i:ss)",
            "(?i:[a-z])",
            "a{2}{3}",
            "(a*)*",
            "a*",
            "",
            "(?>a)b",
            r"\X",
            r"\R",
            "a|",
            "(?:a|b)?",
            "a{,2}b",
            "a{0}b",
            "(a",
            "a)",
            "[a",
            r"\p{L",
            "*a",
            "a{1001}",
        ];
        for pattern in refused {
            assert!(Program::of_expression(pattern).is_err(), "{pattern}");
        }
    }

    /// Expressions of the kind that is read.
    fn patterns() -> impl Strategy<Value = String> {
        let one = prop::sample::select(vec![
            "[a-z]+",
            r" ?\p{L}+",
            "[A-Za-z]*",
            "a",
            "b",
            "ab",
            ".",
            r"\s",
            r"\S",
            "[ab]",
            "[^a]",
            "[]b]",
            r"\p{L}",
            r"\p{Lu}",
            r"\{",
            " ",
            r"(?!\S)",
            "(?=a)",
            "(?i:a)",
        ]);
        one.prop_map(str::to_owned).prop_recursive(4, 16, 3, |inner| {
            let times = prop::sample::select(vec!["*", "+", "?", "{2}", "{1,2}", "{2,}", ""]);
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a + &b),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| a + "|" + &b),
                (inner, times).prop_map(|(inner, times)| format!("(?:{inner}){times}")),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_automaton_matches_what_the_engine_matches(pattern in patterns(), text in "[abzqA é漢\n{]{0,24}") {
            if let Ok(found) = matches(&pattern, &text) {
                let expected: Vec<_> = Regex::new(&pattern).unwrap().find_iter(&text).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
