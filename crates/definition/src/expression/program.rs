//! One expression, compiled and within the bounds that can be checked before it runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use cel::Env;
use serde_json::Value as Json;

use super::analyse::{self, Analysis, Reference};
use super::cost::{self, TooMuch};
use super::error::without_values;
use super::json::{from_cel, to_cel};
use super::path::{Scope, follow};
use super::{EXPRESSION_BYTES_MAX, LIST_ITEMS_MAX};

/// How many comprehensions may nest.
const COMPREHENSIONS_DEEP_MAX: usize = 1;

/// How deep the grammar may nest: brackets, mostly. `cel`'s own default.
const GRAMMAR_DEEP_MAX: u16 = 96;

/// The functions there are: CEL's own, its operators as the tree names them, and what macros
/// expand to.
const FUNCTIONS: &[&str] = &[
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "bytes",
    "type",
    "dyn",
    "_?_:_",
    "_&&_",
    "_||_",
    "!_",
    "_-_",
    "_+_",
    "_*_",
    "_/_",
    "_%_",
    "_==_",
    "_!=_",
    "_>=_",
    "_<=_",
    "_>_",
    "_<_",
    "-_",
    "_[_]",
    "@in",
    "@not_strictly_false",
];

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Program {
    text: String,
    code: cel::Program,
    analysis: Analysis,
    plain: Option<Reference>,
}

/// What is wrong with an expression.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    TooLong,
    TooDeep,
    /// With the byte it is about, where that is known.
    Syntax {
        message: String,
        at: Option<usize>,
    },
    UnknownFunction(String),
}

impl Program {
    pub(crate) fn compile(text: &str) -> Result<Self, Wrong> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(Wrong::TooLong);
        }
        // The parser is generated code of others: should it panic, that is a finding and not the
        // end of the server.
        let code = catch_unwind(AssertUnwindSafe(|| parse(text)))
            .unwrap_or_else(|_| Err(syntax("it cannot be read".to_owned(), None)))?;
        let analysis = analyse::analyse(code.expression());
        if analysis.comprehensions_deep > COMPREHENSIONS_DEEP_MAX {
            return Err(Wrong::TooDeep);
        }
        if analysis.message_literal {
            return Err(syntax("a message literal has no meaning here".to_owned(), None));
        }
        if let Some(name) = analysis.functions.iter().find(|f| !FUNCTIONS.contains(&f.as_str())) {
            return Err(Wrong::UnknownFunction(name.clone()));
        }
        let plain = analyse::reference(code.expression()).filter(|reference| !reference.asked);
        Ok(Self { text: text.to_owned(), code, analysis, plain })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Every variable it names.
    pub(crate) fn references(&self) -> &[Reference] {
        &self.analysis.references
    }

    /// The path it consists of, where it is nothing else.
    pub(crate) fn plain(&self) -> Option<&Reference> {
        self.plain.as_ref()
    }

    /// The longest list literal in it.
    pub(crate) fn list_items(&self) -> usize {
        self.analysis.list_items
    }

    /// Its value; the error says what happened, without values.
    pub(crate) fn evaluate(&self, scope: Scope<'_>) -> Result<Json, String> {
        if let Some(Reference { root, path, .. }) = &self.plain {
            let from = scope.get(root).ok_or_else(|| format!("`{root}` is not known here"))?;
            let value = follow(from, path).map_err(|key| format!("there is no field `{key}`"))?;
            return Ok(value.clone());
        }
        cost::check(self.code.expression(), scope).map_err(|too_much| match too_much {
            TooMuch::LongList => {
                format!("it goes through a list of more than {LIST_ITEMS_MAX} items")
            }
            TooMuch::Work => "it would take too much work over these values".to_owned(),
        })?;
        catch_unwind(AssertUnwindSafe(|| self.run(scope)))
            .unwrap_or_else(|_| Err("it could not be evaluated".to_owned()))
    }

    fn run(&self, scope: Scope<'_>) -> Result<Json, String> {
        let mut context = cel::Context::with_env(environment());
        for (name, value) in scope.variables {
            if self.analysis.references.iter().any(|reference| reference.root == *name) {
                context.add_variable_from_value(*name, to_cel(value));
            }
        }
        let value =
            self.code.execute(&context).map_err(|error| without_values(&error, &self.text))?;
        from_cel(&value)
    }
}

/// CEL's standard library, built once.
fn environment() -> Arc<Env> {
    static ENVIRONMENT: OnceLock<Arc<Env>> = OnceLock::new();
    Arc::clone(ENVIRONMENT.get_or_init(|| Arc::new(Env::stdlib())))
}

fn parse(text: &str) -> Result<cel::Program, Wrong> {
    if text.trim().is_empty() {
        return Err(syntax("it is empty".to_owned(), None));
    }
    if nesting(text) > usize::from(GRAMMAR_DEEP_MAX) / 2 {
        return Err(syntax("its brackets nest too deep".to_owned(), None));
    }
    environment().compile(text).map_err(|errors| {
        let Some(first) = errors.errors.first() else {
            return syntax("it cannot be read".to_owned(), None);
        };
        let line = usize::try_from(first.pos.0).unwrap_or(0);
        let column = usize::try_from(first.pos.1).unwrap_or(0);
        let message = first.msg.split("expecting").next().unwrap_or_default();
        syntax(message.trim_end_matches([' ', ',']).to_owned(), offset(text, line, column))
    })
}

fn syntax(message: String, at: Option<usize>) -> Wrong {
    Wrong::Syntax { message, at }
}

/// The deepest nesting of brackets, strings left alone: an upper bound is enough.
fn nesting(text: &str) -> usize {
    let mut deep = 0usize;
    let mut deepest = 0;
    for b in text.bytes() {
        match b {
            b'(' | b'[' | b'{' => deep += 1,
            b')' | b']' | b'}' => deep = deep.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(deep);
    }
    deepest
}

/// The byte at a line and a column, both counted from 1.
fn offset(text: &str, line: usize, column: usize) -> Option<usize> {
    let start: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let at = text[start..].char_indices().map(|(at, _)| at).nth(column.checked_sub(1)?);
    Some(start + at.unwrap_or(text.len() - start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn evaluate(text: &str) -> Result<Json, String> {
        let data = json!({
            "n": 3, "big": 9_007_199_254_740_993_i64, "huge": u64::MAX, "f": 1.5, "s": "abc",
            "xs": [1, 2, 3], "o": {"k": "v"}, "secret": "hunter2", "nothing": null,
        });
        let program = Program::compile(text).map_err(|wrong| format!("{wrong:?}"))?;
        program.evaluate(Scope { variables: &[("data", &data)] })
    }

    #[test]
    fn values_come_out_as_they_went_in() {
        let check = |text: &str, expected: Json| assert_eq!(evaluate(text), Ok(expected), "{text}");
        check("data.n", json!(3));
        check("data.big", json!(9_007_199_254_740_993_i64));
        check("data.big + 0", json!(9_007_199_254_740_993_i64));
        check("[data.huge][0]", json!(u64::MAX));
        check("data.n * 2", json!(6));
        check("data.f + 1.0", json!(2.5));
        check("data.n > 2 && data.s == 'abc'", json!(true));
        check("data.xs.map(x, x * 2)", json!([2, 4, 6]));
        check("data.xs.filter(x, x > 1)", json!([2, 3]));
        check("data.xs.exists(x, x == 2)", json!(true));
        check("{'a': data.xs, 'b': data.o.k}", json!({"a": [1, 2, 3], "b": "v"}));
        check("has(data.zip)", json!(false));
        check("data.nothing == null", json!(true));
        check("data['o']['k']", json!("v"));
        check("size(data.xs)", json!(3));
        check("data.s + '-' + string(data.n)", json!("abc-3"));
        check("data.n == 3 ? 'yes' : 'no'", json!("yes"));
        check("2 in data.xs", json!(true));
        check("data.n > 2.5 && data.f < 2", json!(true));
        check("data.n == 3.0", json!(true));
        check("data.s.startsWith('a')", json!(true));
    }

    #[test]
    fn every_function_that_is_let_through_exists() {
        for name in FUNCTIONS.iter().filter(|name| name.bytes().all(|b| b.is_ascii_alphabetic())) {
            let tries =
                [format!("{name}(1)"), format!("{name}(data.s)"), format!("data.s.{name}('a')")];
            let exists =
                |text: &String| !matches!(evaluate(text), Err(e) if e.contains("not known"));
            assert!(tries.iter().any(exists), "{name}");
        }
    }

    #[test]
    fn the_largest_work_that_is_let_through_ends() {
        let data =
            json!({ "s": "x".repeat(60_000), "xs": vec![json!({"a": "y".repeat(200)}); 1_000] });
        for text in [
            "data.xs.map(x, data.xs.size() > 3 ? x : {})",
            "data.xs.filter(x, x in data.xs)",
            "data.xs.filter(x, x == data.xs[0]).size()",
            "data.xs.exists_one(x, data.s.contains(x.a))",
            "data.xs.map(x, data.s)",
            "data.s + data.s + data.s + data.s",
            "[data.s, data.s].map(x, x + x + x + x)",
            "data.xs.map(x, x.a + x.a + x.a)",
        ] {
            let program = Program::compile(text).unwrap();
            drop(program.evaluate(Scope { variables: &[("data", &data)] }));
        }
    }

    #[test]
    fn errors_name_no_value() {
        for text in [
            "data.secret.x.y",
            "data.secret + 1",
            "data.secret > 1",
            "data.xs[data.secret]",
            "int(data.secret)",
            "data.o[data.secret]",
            "data.secret.size(1)",
            "-data.secret",
            "!data.secret",
            "data.secret()",
            "data.xs.map(x, x + data.secret)",
            "{data.xs: 1}",
        ] {
            let error = evaluate(text).expect_err(text);
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
        assert_eq!(evaluate("data.zip"), Err("there is no field `zip`".to_owned()));
        assert_eq!(evaluate("data.n / 0"), Err("division by zero".to_owned()));
    }

    #[test]
    fn what_would_take_long_is_refused() {
        let long = "x".repeat(100_000);
        let data = json!({ "s": long, "xs": vec![1; 1_000], "longer": vec![1; 1_001] });
        let run = |text: &str| {
            Program::compile(text).unwrap().evaluate(Scope { variables: &[("data", &data)] })
        };
        assert!(run("data.xs.map(x, x + 1)").is_ok());
        assert!(run("data.xs.map(x, data.s + data.s)").unwrap_err().contains("too much work"));
        assert!(run("data.longer.map(x, x)").unwrap_err().contains("more than 1000"));
        assert!(run("data.xs.map(x, {'a': x, 'b': size(data.xs)})").is_ok());
        assert!(run("data.s.contains('y') ? 1 : 2").is_ok());
    }

    #[test]
    fn what_is_too_deep_or_long_is_not_compiled() {
        let wrong = |text: &str| Program::compile(text).err();
        assert_eq!(wrong("data.a.map(x, data.b.map(y, y))"), Some(Wrong::TooDeep));
        assert_eq!(wrong("data.a.map(x, x).map(y, y)"), Some(Wrong::TooDeep));
        assert_eq!(wrong(&"a".repeat(1_025)), Some(Wrong::TooLong));
        assert_eq!(wrong("now()"), Some(Wrong::UnknownFunction("now".to_owned())));
        assert!(Program::compile("data.a.exists(x, x) && data.b.all(x, x)").is_ok());
        for hostile in [
            "(".repeat(1_000),
            "[".repeat(1_000),
            "!".repeat(1_000) + "a",
            "-".repeat(1_000) + "1",
            "a?".repeat(500),
            "a?b:".repeat(250) + "c",
            vec!["a"; 500].join("+"),
            vec!["a"; 300].join("&&"),
            vec!["a"; 500].join("."),
            "a".to_owned() + &"[0]".repeat(300),
            "'".repeat(999),
            "\u{0}\u{1f600}".repeat(100),
            "a".to_owned() + &".map(x,x)".repeat(100),
        ] {
            drop(Program::compile(&hostile).map(|p| p.evaluate(Scope { variables: &[] })));
        }
    }

    #[test]
    fn errors_of_syntax_have_a_place() {
        let Err(Wrong::Syntax { at, .. }) = Program::compile("data.a +* 2") else { panic!() };
        assert_eq!(at, Some(8));
    }
}
