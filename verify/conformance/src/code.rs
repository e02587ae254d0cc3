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
        let line = line.split('#').next().unwrap_or("");
        for statement in line.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            run_statement(statement, variables)?;
        }
    }
    Ok(())
}

fn run_statement(text: &str, variables: &mut HashMap<String, i64>) -> Result<(), CodeError> {
    if text.starts_with("print") {
        return Ok(());
    }
    if let Some(rest) = text.strip_prefix("assert") {
        let mut parser = Parser { tokens: tokens(rest)?, at: 0, variables };
        let value = parser.comparison()?;
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
    let value = Parser { tokens: tokens(value)?, at: 0, variables }.comparison()?;
    let before = if adding { variables.get(&name).copied().unwrap_or(0) } else { 0 };
    variables.insert(name, before + value);
    Ok(())
}

fn tokens(text: &str) -> Result<Vec<String>, CodeError> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
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

struct Parser<'a> {
    tokens: Vec<String>,
    at: usize,
    variables: &'a HashMap<String, i64>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
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
        if token == "-" {
            return Ok(-self.atom()?);
        }
        if token == "(" {
            let value = self.comparison()?;
            if self.peek() != Some(")") {
                return Err(CodeError::Unknown("code without `)`".to_string()));
            }
            self.at += 1;
            return Ok(value);
        }
        if let Ok(number) = token.parse() {
            return Ok(number);
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
        assert!(matches!(run("assert c == 1", &mut variables), Err(CodeError::Unknown(_))));
    }
}
