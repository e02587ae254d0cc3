//! A place in a script's text. Owns: spaces, comments, words, numbers, times.
//! Must not know: what any of them means.

use crate::script::Stop;

/// The longest time in a script: the stack's timers are run through one by one.
const LONGEST_SECONDS: u64 = 8_640_000;

/// A place in the text.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning.
    pub fn new(text: &'a str) -> Cursor<'a> {
        Cursor { text, at: 0 }
    }
    /// What is left.
    pub fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }
    /// The offset.
    pub fn at(&self) -> usize {
        self.at
    }
    /// The text since `from`, trimmed.
    pub fn since(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or("").trim()
    }
    /// The line number, from 1.
    pub fn line(&self) -> usize {
        self.text.get(..self.at).unwrap_or("").matches('\n').count() + 1
    }
    /// The next character.
    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }
    /// Past `count` octets.
    pub fn advance(&mut self, count: usize) {
        self.at = (self.at + count).min(self.text.len());
    }
    /// A syntax error here.
    pub fn error(&self, what: &str) -> Stop {
        let near: String = self.rest().chars().take(24).take_while(|c| *c != '\n').collect();
        Stop::failed(self.line(), format!("syntax: {what}, at `{near}`"))
    }

    /// Past spaces and comments, line ends included.
    pub fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            let length = if trimmed.starts_with("//") {
                trimmed.find('\n').unwrap_or(trimmed.len())
            } else if trimmed.starts_with("/*") {
                trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
            } else {
                return;
            };
            self.at += length;
        }
    }
    /// Past spaces of this line only.
    pub fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }
    /// Past `word` if it is next; spaces and comments before it are skipped either way.
    pub fn eat(&mut self, word: &str) -> bool {
        self.skip();
        if self.rest().starts_with(word) {
            self.at += word.len();
            return true;
        }
        false
    }
    /// Past `word`, or an error.
    pub fn expect(&mut self, word: &str) -> Result<(), Stop> {
        if self.eat(word) { Ok(()) } else { Err(self.error(&format!("`{word}` expected"))) }
    }
    /// Characters as long as `fits`; may be none.
    pub fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or("")
    }
    /// Everything up to `end`, and past it.
    pub fn until(&mut self, end: &str) -> Result<&'a str, Stop> {
        let rest = self.rest();
        let Some(length) = rest.find(end) else {
            return Err(self.error(&format!("`{end}` expected")));
        };
        self.at += length + end.len();
        Ok(rest.get(..length).unwrap_or(""))
    }
    /// A name.
    pub fn word(&mut self) -> &'a str {
        self.skip();
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_')
    }
    /// A number, decimal or hexadecimal, perhaps negative.
    pub fn number(&mut self) -> Result<i64, Stop> {
        self.skip();
        let start = self.clone();
        let negative = self.eat("-");
        let hex = self.rest().starts_with("0x");
        if hex {
            self.advance(2);
        }
        let digits =
            self.take_while(|c| if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() });
        match i64::from_str_radix(digits, if hex { 16 } else { 10 }) {
            Ok(value) => Ok(if negative { -value } else { value }),
            Err(_) => Err(start.error("a number expected")),
        }
    }
    /// A number that fits `T`.
    pub fn fitting<T: TryFrom<i64>>(&mut self, what: &str) -> Result<T, Stop> {
        let start = self.clone();
        T::try_from(self.number()?).map_err(|_| start.error(&format!("{what} out of range")))
    }
    /// Seconds with a decimal point, as microseconds.
    pub fn seconds(&mut self) -> Result<u64, Stop> {
        self.skip();
        let start = self.clone();
        let whole = self.take_while(|c| c.is_ascii_digit());
        let mut fraction = "";
        let mut ahead = self.rest().chars();
        // "0...0.2" is a time and an ellipsis, not a fraction.
        if ahead.next() == Some('.') && ahead.next().is_some_and(|c| c.is_ascii_digit()) {
            self.advance(1);
            fraction = self.take_while(|c| c.is_ascii_digit());
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(start.error("a time expected"));
        }
        let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
        let seconds: u64 = if whole.is_empty() { 0 } else { parsed(whole, &start)? };
        if seconds > LONGEST_SECONDS {
            return Err(start.error("a time beyond a hundred days"));
        }
        Ok(seconds.saturating_mul(1_000_000).saturating_add(parsed(&micros, &start)?))
    }
}

fn parsed(digits: &str, start: &Cursor<'_>) -> Result<u64, Stop> {
    digits.parse().map_err(|_| start.error("a time out of range"))
}
