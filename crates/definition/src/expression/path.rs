//! The values an expression can see, and plain paths into them.

use serde_json::Value as Json;

/// The variables of one evaluation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) variables: &'a [(&'static str, &'a Json)],
}

impl<'a> Scope<'a> {
    pub(crate) fn get(self, name: &str) -> Option<&'a Json> {
        self.variables.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }
}

/// Follows fields; the error names the one that is missing.
pub(crate) fn follow<'a, 'p>(from: &'a Json, path: &'p [String]) -> Result<&'a Json, &'p str> {
    path.iter().try_fold(from, |value, key| value.get(key.as_str()).ok_or(key.as_str()))
}
