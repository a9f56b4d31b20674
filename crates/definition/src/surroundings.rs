//! What lies outside a definition and is read when it is loaded: environment variables and the
//! file of a data schema. Nothing is read unless the caller allows it.

use std::fmt;
use std::path::{Component, Path};

/// An environment variable as a definition sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvVar {
    /// It has this value.
    Set(String),
    /// It is allowed and has no value.
    Unset,
    /// A definition may not see it.
    NotAllowed,
}

/// Reads a file; the error is what a finding says.
type Read<'a> = dyn Fn(&str) -> Result<Vec<u8>, String> + 'a;

/// What lies outside the file.
pub struct Surroundings<'a> {
    env: Box<dyn Fn(&str) -> EnvVar + 'a>,
    read: Box<Read<'a>>,
}

impl<'a> Surroundings<'a> {
    /// No variable is allowed and no file can be read: for definitions that come over the API.
    pub fn none() -> Self {
        Self {
            env: Box::new(|_| EnvVar::NotAllowed),
            read: Box::new(|_| Err("files cannot be read here".to_owned())),
        }
    }

    /// Variables are looked up by `env`.
    #[must_use]
    pub fn with_env(self, env: impl Fn(&str) -> EnvVar + 'a) -> Self {
        Self { env: Box::new(env), ..self }
    }

    /// The process's own variables, those that `allowed` says yes to.
    #[must_use]
    pub fn with_process_env(self, allowed: impl Fn(&str) -> bool + 'a) -> Self {
        self.with_env(move |name| match std::env::var(name) {
            _ if !allowed(name) => EnvVar::NotAllowed,
            Ok(value) => EnvVar::Set(value),
            Err(_) => EnvVar::Unset,
        })
    }

    /// A relative path is read by `read`; the error is said in the finding.
    #[must_use]
    pub fn with_files(self, read: impl Fn(&str) -> Result<Vec<u8>, String> + 'a) -> Self {
        Self { read: Box::new(read), ..self }
    }

    /// Files in `folder`, the definition's own, and below it.
    #[must_use]
    pub fn with_folder(self, folder: &'a Path) -> Self {
        self.with_files(move |path| {
            let inside = Path::new(path)
                .components()
                .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            if !inside {
                return Err("it lies outside the definition's folder".to_owned());
            }
            std::fs::read(folder.join(path)).map_err(|error| error.to_string())
        })
    }

    pub(crate) fn env(&self, name: &str) -> EnvVar {
        (self.env)(name)
    }

    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        (self.read)(path)
    }
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}
