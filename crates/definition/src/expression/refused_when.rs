//! A service's `refused_when`: what tells its refusals from its results.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::evaluate::condition;
use super::{ExprError, Program};

/// A service's `refused_when`, compiled. Two are equal when they are written alike and see the same
/// environment: they judge every answer alike.
#[derive(Clone)]
pub struct RefusedWhen {
    service: Arc<str>,
    program: Arc<Program>,
    /// The variables that it names.
    env: Arc<Json>,
}

impl RefusedWhen {
    pub(crate) fn new(service: &str, program: Program, env: &BTreeMap<String, String>) -> Self {
        let paths: Vec<_> =
            program.references().iter().filter(|r| r.root == "env").map(|r| &r.path).collect();
        // One that is looked up under a computed name may be any.
        let seen = |name: &String| paths.iter().any(|path| path.first().is_none_or(|n| n == name));
        let env: BTreeMap<_, _> = env.iter().filter(|(name, _)| seen(name)).collect();
        let env = Arc::new(json!(env));
        Self { service: service.into(), program: Arc::new(program), env }
    }

    /// Is this answer of the service a refusal?
    pub fn refuses(&self, response: &Json) -> Result<bool, ExprError> {
        let scope = [("response", response), ("env", &*self.env)];
        condition(&self.service, "refused_when", &self.program, &scope)
    }
}

impl PartialEq for RefusedWhen {
    fn eq(&self, other: &Self) -> bool {
        self.program.text() == other.program.text() && self.env == other.env
    }
}

impl Eq for RefusedWhen {}

/// The environment is left out: a value may be a credential (`semantics.md` S24).
impl fmt::Debug for RefusedWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RefusedWhen").field(&self.program.text()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str, env: &[(&str, &str)]) -> RefusedWhen {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        RefusedWhen::new("Payment", Program::compile(text).unwrap(), &env.collect())
    }

    #[test]
    fn it_judges_an_answer() {
        let declined = rule("response.status == 'declined'", &[]);
        assert_eq!(declined.refuses(&json!({"status": "declined"})), Ok(true));
        assert_eq!(declined.refuses(&json!({"status": "ok"})), Ok(false));
        let error = declined.refuses(&json!({})).unwrap_err().to_string();
        assert!(error.contains("refused_when") && error.contains("Payment"), "{error}");
        let word = rule("response.status == env.WORD", &[("WORD", "no")]);
        assert_eq!(word.refuses(&json!({"status": "no"})), Ok(true));
    }

    #[test]
    fn two_that_are_written_alike_are_equal_whatever_else_the_environment_has() {
        let text = "response.status == env.WORD";
        let one = rule(text, &[("WORD", "no"), ("OTHER", "1")]);
        assert_eq!(one, rule(text, &[("WORD", "no")]));
        assert_ne!(one, rule(text, &[("WORD", "never")]));
        assert_ne!(one, rule("response.status == env.OTHER", &[("OTHER", "1")]));
        assert!(!format!("{one:?}").contains("no\""), "{one:?}");
    }
}
