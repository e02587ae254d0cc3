//! `%{ … }%`. Owns: the expressions that assertions of scripts are made of.
//! Must not know: where variables come from.

use std::collections::HashMap;

/// Why an assertion does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CodeError {
    /// It is false.
    False(String),
    /// A word or form that is not known.
    Unknown(String),
}

/// Runs the statements of one snippet; assignments stay in `variables`.
pub fn run(code: &str, variables: &mut HashMap<String, i64>) -> Result<(), CodeError> {
    let joined = code.replace("\\\n", " ");
    for line in joined.lines() {
        for statement in statements(line) {
            if !statement.trim().is_empty() {
                run_statement(statement.trim(), variables)?;
            }
        }
    }
    Ok(())
}

/// A line cut at `;`, its comment gone; neither counts inside a text.
fn statements(line: &str) -> Vec<&str> {
    let (mut out, mut from, mut quote) = (Vec::new(), 0, None);
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '#') => {
                out.push(line.get(from..at).unwrap_or(""));
                return out;
            }
            (None, ';') => {
                out.push(line.get(from..at).unwrap_or(""));
                from = at + 1;
            }
            _ => {}
        }
    }
    out.push(line.get(from..).unwrap_or(""));
    out
}

fn run_statement(text: &str, variables: &mut HashMap<String, i64>) -> Result<(), CodeError> {
    if text.starts_with("print") || text == "pass" {
        return Ok(());
    }
    let asserted = text.strip_prefix("assert").filter(|rest| !rest.starts_with(is_word));
    if let Some(rest) = asserted {
        let mut parser = Parser { tokens: tokens(rest)?, at: 0, depth: 0, variables };
        let value = parser.choice()?;
        // What follows a comma is a message for people.
        if !matches!(parser.peek(), None | Some(",")) {
            return Err(CodeError::Unknown(format!("code `{text}`")));
        }
        return if value != 0 {
            Ok(())
        } else {
            let seen = parser.seen();
            Err(CodeError::False(format!("assertion `{}` is false ({seen})", text.trim())))
        };
    }
    let (name, value) =
        text.split_once('=').ok_or_else(|| CodeError::Unknown(format!("code `{text}`")))?;
    let adding = name.ends_with('+');
    let name = name.trim_end_matches('+').trim().to_string();
    let wrong = || CodeError::Unknown(format!("code `{text}`"));
    if name.is_empty() || !name.chars().all(is_word) {
        return Err(wrong());
    }
    let mut parser = Parser { tokens: tokens(value)?, at: 0, depth: 0, variables };
    let value = parser.choice()?;
    if parser.peek().is_some() {
        return Err(wrong());
    }
    let before = if adding { variables.get(&name).copied().unwrap_or(0) } else { 0 };
    variables.insert(name, before.saturating_add(value));
    Ok(())
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn tokens(text: &str) -> Result<Vec<String>, CodeError> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if ["==", "!=", "<=", ">="].iter().any(|sign| rest.starts_with(sign)) {
            2
        } else if "<>+-*&|(),".contains(first) {
            1
        } else if !out.is_empty() && out.last().is_some_and(|last: &String| last == ",") {
            // The message: text of any form.
            rest.len()
        } else {
            return Err(CodeError::Unknown(format!("code `{}`", text.trim())));
        };
        out.push(rest.get(..length).unwrap_or("").to_string());
        rest = rest.get(length..).unwrap_or("").trim_start();
    }
    Ok(out)
}

/// Brackets and signs open at one time at most.
const DEEPEST: u32 = 64;

struct Parser<'a> {
    tokens: Vec<String>,
    at: usize,
    /// Brackets and signs that are open.
    depth: u32,
    variables: &'a HashMap<String, i64>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    /// `a or b`
    fn choice(&mut self) -> Result<i64, CodeError> {
        let mut left = self.both()?;
        while self.peek() == Some("or") {
            self.at += 1;
            let right = self.both()?;
            left = if left != 0 { left } else { right };
        }
        Ok(left)
    }

    /// `a and b`
    fn both(&mut self) -> Result<i64, CodeError> {
        let mut left = self.denial()?;
        while self.peek() == Some("and") {
            self.at += 1;
            let right = self.denial()?;
            left = if left == 0 { left } else { right };
        }
        Ok(left)
    }

    /// `not a`
    fn denial(&mut self) -> Result<i64, CodeError> {
        let mut denied = false;
        let mut any = false;
        while self.peek() == Some("not") {
            self.at += 1;
            (denied, any) = (!denied, true);
        }
        let value = self.comparison()?;
        Ok(if any { i64::from((value != 0) != denied) } else { value })
    }

    /// `a <= b == c …`, chained as the language has it.
    fn comparison(&mut self) -> Result<i64, CodeError> {
        let mut left = self.bits()?;
        let mut compared = None;
        while let Some(sign) = self.peek().filter(|sign| "== != <= >= < >".contains(*sign)) {
            let sign = sign.to_string();
            self.at += 1;
            let right = self.bits()?;
            let holds = match sign.as_str() {
                "==" => left == right,
                "!=" => left != right,
                "<=" => left <= right,
                ">=" => left >= right,
                "<" => left < right,
                _ => left > right,
            };
            compared = Some(compared.unwrap_or(true) && holds);
            left = right;
        }
        Ok(compared.map_or(left, i64::from))
    }

    fn bits(&mut self) -> Result<i64, CodeError> {
        let mut left = self.sum()?;
        while let Some(sign @ ("&" | "|")) = self.peek() {
            let both = sign == "&";
            self.at += 1;
            let right = self.sum()?;
            left = if both { left & right } else { left | right };
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<i64, CodeError> {
        let mut left = self.product()?;
        while let Some(sign @ ("+" | "-")) = self.peek() {
            let plus = sign == "+";
            self.at += 1;
            let right = self.product()?;
            left = if plus { left.saturating_add(right) } else { left.saturating_sub(right) };
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<i64, CodeError> {
        let mut left = self.atom()?;
        while self.peek() == Some("*") {
            self.at += 1;
            left = left.saturating_mul(self.atom()?);
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<i64, CodeError> {
        let Some(token) = self.peek().map(str::to_string) else {
            return Err(CodeError::Unknown("code that ends early".to_string()));
        };
        self.at += 1;
        if matches!(token.as_str(), "-" | "(") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(CodeError::Unknown("code nested too deeply".to_string()));
            }
        }
        if token == "-" {
            return Ok(self.atom()?.saturating_neg());
        }
        if token == "(" {
            let value = self.choice()?;
            if self.peek() != Some(")") {
                return Err(CodeError::Unknown("code without `)`".to_string()));
            }
            self.at += 1;
            self.depth -= 1;
            return Ok(value);
        }
        if let Ok(number) = token.parse() {
            return Ok(number);
        }
        if let Some(hex) = token.strip_prefix("0x") {
            return i64::from_str_radix(hex, 16)
                .map_err(|_| CodeError::Unknown(format!("`{token}` in code")));
        }
        let known = self.variables.get(&token).copied();
        known.ok_or_else(|| CodeError::Unknown(format!("`{token}` in code")))
    }

    /// The variables that the expression names, with their values.
    fn seen(&self) -> String {
        let named = self.tokens.iter().take(self.at);
        let values =
            named.filter_map(|name| Some(format!("{name} = {}", self.variables.get(name)?)));
        values.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertions() {
        let mut variables = HashMap::from([("a".to_string(), 10)]);
        assert_eq!(run("assert a == 10, a\nassert 5 <= a <= 10", &mut variables), Ok(()));
        assert_eq!(run("b = 3; b += 4; assert a - b == (1 + 2)", &mut variables), Ok(()));
        assert_eq!(run("assert a & 2 != 0, 'text %d' % a", &mut variables), Ok(()));
        let Err(CodeError::False(text)) = run("assert a == 11", &mut variables) else {
            panic!("11 is not 10");
        };
        assert!(text.contains("a = 10"), "{text}");
        assert_eq!(
            run("assert not a == 3 and (a == 1 or a == 10), 'x;# %d' % a", &mut variables),
            Ok(())
        );
        assert_eq!(
            run("print('a;b'); # assert 1 == 2\nassert \\\n a == 10;\\\n", &mut variables),
            Ok(())
        );
        assert_eq!(run("assert -(-a) == 10; assert 0x10 == 16", &mut variables), Ok(()));
        for unknown in ["assert a ==", "a b = 3", "c = 3 4", "while 1: x", "assert a @ 2"] {
            let result = run(unknown, &mut variables);
            assert!(matches!(result, Err(CodeError::Unknown(_))), "{unknown}: {result:?}");
        }
        let deep = format!("assert {}1", "(".repeat(100_000));
        assert!(matches!(run(&deep, &mut variables), Err(CodeError::Unknown(_))));
        assert!(matches!(run("assert c == 1", &mut variables), Err(CodeError::Unknown(_))));
    }
}
