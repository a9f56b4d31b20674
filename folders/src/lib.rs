//! Data folders of every released version, checked in, with sagas in every state, and the judge that
//! opens each with the engine of today and sees every saga come to its end (`docs/formats.md`).

mod cast;
mod judge;
mod manifest;
mod packed;
mod process;
mod site;
mod story;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

pub use judge::judge;
pub use manifest::{Asked, Begun, Deed, Effects, End, Formats, Listed, Manifest, Seen};
pub use packed::{sums, unpack};
pub use story::formats;

/// The version of this tree, whose folder is made.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The sums of all that is checked in.
pub const RELEASED: &str = "released.sha256";

/// Where the folders lie: one for each version, made by it and never again.
pub fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// How a folder's process ended.
pub const ENDINGS: [&str; 2] = ["killed", "stopped"];

/// The versions that have a folder.
pub fn versions() -> anyhow::Result<Vec<String>> {
    let mut versions = Vec::new();
    for entry in fs::read_dir(place())? {
        let entry = entry?;
        if entry.path().join("manifest.json").exists() {
            versions.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    versions.sort();
    Ok(versions)
}

/// The manifest of a version's folder.
pub fn manifest(version: &str) -> anyhow::Result<Manifest> {
    let path = place().join(version).join("manifest.json");
    let text = fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_slice(&text)?)
}

/// Makes the folder of this version, judges it, and puts it where it is checked in.
pub async fn make(again: bool) -> anyhow::Result<Vec<String>> {
    let into = place().join(VERSION);
    ensure!(
        again || !into.exists(),
        "there is a folder of {VERSION} already: what a release has written never changes; before \
         the release, say --again"
    );
    let work = tempfile::tempdir()?;
    let [killed, stopped] = ENDINGS.map(|ending| work.path().join(ending));
    let manifest = story::make(VERSION, &killed, &stopped).await?;
    let packed = work.path().join(VERSION);
    for (ending, folder) in ENDINGS.iter().zip([&killed, &stopped]) {
        packed::pack(folder, &packed.join(ending))?;
        let opened = work.path().join(format!("{ending}-opened"));
        packed::unpack(&packed.join(ending), &opened)?;
        let wrong = judge(&opened, &manifest).await?;
        if !wrong.is_empty() {
            return Ok(wrong);
        }
    }
    let _ = fs::remove_dir_all(&into); // there is none, mostly
    for ending in ENDINGS {
        let to = into.join(ending);
        fs::create_dir_all(&to)?;
        for file in fs::read_dir(packed.join(ending))? {
            let file = file?;
            fs::copy(file.path(), to.join(file.file_name()))?;
        }
    }
    let text = serde_json::to_string_pretty(&manifest)? + "\n";
    fs::write(into.join("manifest.json"), text)?;
    let mut sums = String::new();
    for version in versions()? {
        sums += &packed::sums(&place().join(version))?;
    }
    fs::write(place().join(RELEASED), sums)?;
    Ok(Vec::new())
}
