//! Why an expression gave no value. It never holds a value of the saga's data: such errors are
//! logged, and data may be redacted (`semantics.md` S24).

use std::fmt;

use cel::ExecutionError;

/// An expression that gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    /// Where: `capture_payment.input.auth_id`.
    pub place: String,
    /// The expression as written.
    pub expression: String,
    /// What happened.
    pub message: String,
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ${{ {} }}: {}", self.place, self.expression, self.message)
    }
}

impl std::error::Error for ExprError {}

/// Says what happened without the values it happened to.
pub(super) fn without_values(error: &ExecutionError, expression: &str) -> String {
    match error {
        // A key that does not stand in the expression was itself a value.
        ExecutionError::NoSuchKey(key) if expression.contains(key.as_str()) => {
            format!("there is no field `{}`", crate::tree::shorten(key))
        }
        ExecutionError::NoSuchKey(_) => "there is no such field".to_owned(),
        ExecutionError::UndeclaredReference(name) => {
            format!("`{}` is not known here", crate::tree::shorten(name))
        }
        ExecutionError::NoSuchOverload(overload) => overload.to_string(),
        ExecutionError::UnexpectedType { got, want } if is_word(got) && is_word(want) => {
            format!("a value is {got}, and {want} is needed")
        }
        ExecutionError::UnexpectedType { .. } => "a value has the wrong type".to_owned(),
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            format!("a function takes {expected} arguments and got {actual}")
        }
        ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::NotSupportedAsMethod { .. }
        | ExecutionError::MissingArgumentOrTarget => {
            "a function is called on a value it does not take".to_owned()
        }
        ExecutionError::UnsupportedBinaryOperator(operator, ..) => {
            format!("the operator `{operator}` does not take these values")
        }
        ExecutionError::ValuesNotComparable(..) => "two values cannot be compared".to_owned(),
        ExecutionError::UnsupportedKeyType(_) | ExecutionError::UnsupportedIndex(..) => {
            "a value cannot be used as a key or an index".to_owned()
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".to_owned()
        }
        ExecutionError::Overflow(operator, ..) => {
            format!("the result of `{operator}` is out of range")
        }
        ExecutionError::IndexOutOfBounds(_) => "an index is out of bounds".to_owned(),
        ExecutionError::DuplicateKey(_) => "a key stands twice".to_owned(),
        ExecutionError::FunctionError { function, .. } => {
            format!("the function `{function}` failed")
        }
        _ => "it could not be evaluated".to_owned(),
    }
}

fn is_word(text: &str) -> bool {
    text.len() < 20 && text.bytes().all(|b| b.is_ascii_alphabetic())
}
