//! How a handler ends: a value, a refusal, or any other error.

use std::error::Error;
use std::fmt;

/// What an action's handler returns.
///
/// ```
/// use amends_participant::{Outcome, Refused};
///
/// fn take(stock: i64, wanted: &str) -> Outcome<i64> {
///     let wanted: i64 = wanted.parse()?; // any error: rolled back, and asked again
///     if wanted > stock {
///         return Err(Refused::new("OUT_OF_STOCK", format!("{stock} are left")).into());
///     }
///     Ok(stock - wanted)
/// }
/// # assert!(take(1, "2").is_err());
/// ```
pub type Outcome<T> = Result<T, Ending>;

/// What a compensation's handler returns: an undo cannot be refused, only not work yet.
pub type Undoing = Result<(), Failed>;

/// A definite "no" of the business. It has had no effect: what the handler did before it said so
/// is rolled back. It is stored, and every duplicate hears the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    code: String,
    message: String,
}

impl Refused {
    /// A stable code for programs, and a sentence for people. Both leave this service: no secret
    /// belongs in them.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    /// The code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Returns with a refusal unless a condition holds: `ensure_or_refuse!(left >= 1,
/// "OUT_OF_STOCK", "{left} are left")`.
#[macro_export]
macro_rules! ensure_or_refuse {
    ($condition:expr, $code:expr, $($message:tt)+) => {
        if !$condition {
            return ::core::result::Result::Err(::core::convert::From::from(
                $crate::Refused::new($code, ::std::format!($($message)+)),
            ));
        }
    };
}

/// How a handler ends that has no value to return.
#[derive(Debug)]
pub enum Ending {
    /// A definite "no".
    Refused(Refused),
    /// Anything else: everything is rolled back, nothing is stored, and the command may come
    /// again.
    Failed(Failed),
}

impl From<Refused> for Ending {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Failed> for Ending {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

/// `?` on any error.
impl<E: Error + Send + Sync + 'static> From<E> for Ending {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// That something went wrong. What it says goes to the service's log and nowhere else.
pub struct Failed(Box<dyn Error + Send + Sync>);

impl Failed {
    /// Of an error in a box, or of a text: `result.map_err(Failed::new)?` for errors that `?`
    /// does not take by itself.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// The database's own error, if that is what it was in the end.
    pub(crate) fn database_error(&self) -> Option<&dyn sqlx::error::DatabaseError> {
        let mut error: &(dyn Error + 'static) = &*self.0;
        loop {
            if let Some(sqlx::Error::Database(database)) = error.downcast_ref() {
                return Some(&**database);
            }
            error = error.source()?;
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

/// The whole chain of causes, on one line.
impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
