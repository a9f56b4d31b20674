//! `amends schema`: what an editor needs to help with a definition.

use amends_definition::json_schema;
use clap::Args;

use super::Outcome;
use super::output::print;

/// Print the JSON Schema of definition files, for editors
///
/// Save it beside the definitions, and name it in their first line; editors with a YAML language
/// server then complete keys and mark mistakes while you type:
///
///     amends schema > amends.schema.json
///
///     # yaml-language-server: $schema=./amends.schema.json
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct Schema {}

impl Schema {
    pub fn run(self) -> Outcome {
        print(&format!("{:#}\n", json_schema()))
    }
}
