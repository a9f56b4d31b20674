//! The test language on the worked definitions: each fails at every step and is rolled back, and what
//! a failed expectation says.

mod expectations;
mod worked;
