//! Texts with `${ … }` in them, at any depth of a JSON value.

use serde_json::{Map, Value as Json};

use super::Program;

/// A text split into what stands for itself and what is evaluated.
#[derive(Debug)]
pub(crate) struct Parts<'t>(pub(crate) Vec<Part<'t>>);

/// A piece of such a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    Text(&'t str),
    /// What stands between `${` and `}`, without the blanks around it.
    Expression(&'t str),
    /// A `${` without its `}`: all that follows.
    Unclosed(&'t str),
}

impl<'t> Parts<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if at > 0 {
                parts.push(Part::Text(&rest[..at]));
            }
            let inner = &rest[at + 2..];
            let Some(end) = closing_brace(inner) else {
                parts.push(Part::Unclosed(&rest[at..]));
                return Self(parts);
            };
            parts.push(Part::Expression(inner[..end].trim()));
            rest = &inner[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest));
        }
        Self(parts)
    }

    /// The one expression that the text consists of.
    pub(crate) fn alone(&self) -> Option<&'t str> {
        let blank = |part: &&Part<'t>| !matches!(part, Part::Text(text) if text.trim().is_empty());
        match self.0.iter().filter(blank).collect::<Vec<_>>()[..] {
            [Part::Expression(text)] => Some(text),
            _ => None,
        }
    }

    pub(crate) fn any_expression(&self) -> bool {
        self.0.iter().any(|part| !matches!(part, Part::Text(_)))
    }
}

/// Where the `}` stands that closes an expression: not one in a string or of a map literal.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

/// A JSON value with its expressions compiled.
#[derive(Debug)]
pub(crate) enum Template {
    /// Nothing to evaluate in it.
    Constant(Json),
    /// `"${ … }"` alone gives the expression's value.
    Value(Box<Program>),
    /// Text around expressions gives text.
    Text(Vec<Piece>),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

#[derive(Debug)]
pub(crate) enum Piece {
    Text(String),
    Expression(Box<Program>),
}

impl Template {
    /// Compiles the text's expressions by `compile`, which reports what is wrong with one.
    pub(crate) fn of_text(
        text: &str,
        compile: &mut dyn FnMut(&str) -> Option<Program>,
    ) -> Option<Self> {
        let parts = Parts::of(text);
        if !parts.any_expression() {
            return Some(Self::Constant(Json::String(text.to_owned())));
        }
        if let Some(expression) = parts.alone() {
            return compile(expression).map(|program| Self::Value(Box::new(program)));
        }
        let mut pieces = Vec::new();
        let mut all = true;
        for part in parts.0 {
            match part {
                Part::Text(text) => pieces.push(Piece::Text(text.to_owned())),
                Part::Unclosed(_) => all = false,
                Part::Expression(text) => match compile(text) {
                    Some(program) => pieces.push(Piece::Expression(Box::new(program))),
                    None => all = false,
                },
            }
        }
        all.then_some(Self::Text(pieces))
    }

    /// Evaluates every expression in it by `evaluate`.
    pub(crate) fn fill<E>(
        &self,
        evaluate: &mut dyn FnMut(&Program) -> Result<Json, E>,
        as_text: &mut dyn FnMut(&Program, Json) -> Result<String, E>,
    ) -> Result<Json, E> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Value(program) => evaluate(program)?,
            Self::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(piece) => text.push_str(piece),
                        Piece::Expression(program) => {
                            let value = evaluate(program)?;
                            text.push_str(&as_text(program, value)?);
                        }
                    }
                }
                Json::String(text)
            }
            Self::List(items) => Json::Array(
                items.iter().map(|i| i.fill(evaluate, as_text)).collect::<Result<_, E>>()?,
            ),
            Self::Object(fields) => {
                let mut object = Map::new();
                for (key, value) in fields {
                    object.insert(key.clone(), value.fill(evaluate, as_text)?);
                }
                Json::Object(object)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_split_at_their_expressions() {
        let check =
            |text: &str, expected: &[Part<'_>]| assert_eq!(Parts::of(text).0, expected, "{text}");
        check("plain $ {x}", &[Part::Text("plain $ {x}")]);
        check("${ a }", &[Part::Expression("a")]);
        check(
            "a-${b}-${c}",
            &[Part::Text("a-"), Part::Expression("b"), Part::Text("-"), Part::Expression("c")],
        );
        check("${ {'a': '}'}.a }", &[Part::Expression("{'a': '}'}.a")]);
        check(r#"${ "\"}" }"#, &[Part::Expression(r#""\"}""#)]);
        check("${ a", &[Part::Unclosed("${ a")]);
        check("x ${ '}", &[Part::Text("x "), Part::Unclosed("${ '}")]);
        assert_eq!(Parts::of(" ${ a } ").alone(), Some("a"));
        assert_eq!(Parts::of("${a}${b}").alone(), None);
    }
}
