//! A definition file as the commands read it: with its folder, and the environment variables that
//! are allowed.

use std::path::{Path, PathBuf};

use amends_definition::{Checked, SOURCE_BYTES_MAX, Surroundings, check};
use clap::Args;

use super::exit::{Exit, Failure};

/// The environment variables that definitions may see.
#[derive(Args, Clone, Debug, Default)]
pub struct AllowedEnv {
    /// Environment variables that definitions may read; a name may end in * (INVENTORY_*)
    ///
    /// A definition reads the environment as `${ env.NAME }`. What is not allowed here is an
    /// error in the definition: it may come from others, who must not read what the server was
    /// given.
    #[arg(
        long = "allow-env",
        value_name = "NAME",
        value_delimiter = ',',
        env = "AMENDS_ALLOW_ENV"
    )]
    names: Vec<String>,
}

impl AllowedEnv {
    /// May a definition read this variable?
    pub fn allows(&self, name: &str) -> bool {
        self.names.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == allowed,
        })
    }
}

/// Reads and checks a file. Only what cannot be read is a failure; the findings are the caller's.
pub fn read(path: &Path, env: &AllowedEnv) -> Result<Checked, Failure> {
    let failed = |error: std::io::Error| {
        let failure =
            Failure::new(Exit::Usage, format_args!("{} cannot be read: {error}", path.display()));
        match (error.kind(), nearest(path)) {
            (std::io::ErrorKind::NotFound, Some(near)) => {
                failure.hint(format_args!("did you mean {}?", near.display()))
            }
            _ => failure,
        }
    };
    let size = std::fs::metadata(path).map_err(failed)?;
    if size.is_dir() {
        let what = format_args!("{} is a folder, and a definition is a file", path.display());
        return Err(Failure::new(Exit::Usage, what));
    }
    // The checker reports what is too large; no more than it needs to see that is read.
    let bytes = read_at_most(path, SOURCE_BYTES_MAX + 1).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let surroundings =
        Surroundings::none().with_process_env(|name| env.allows(name)).with_folder(folder);
    Ok(check(&bytes, &path.display().to_string(), &surroundings))
}

fn read_at_most(path: &Path, bytes_max: usize) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(bytes_max as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The file of the same folder whose name is most like the one that is not there.
fn nearest(path: &Path) -> Option<PathBuf> {
    /// Names less alike than this were not meant.
    const LIKENESS_MIN: f64 = 0.8;
    let wanted = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let likeness = strsim::jaro_winkler(wanted, &name);
            (likeness >= LIKENESS_MIN).then(|| (likeness, path.with_file_name(name)))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, path)| path)
}
