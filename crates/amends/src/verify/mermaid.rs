//! A story as a Mermaid sequence diagram, for Markdown.

use std::fmt::Write as _;

use amends_explore::verify::story::{Fate, Line, Story};

use super::diagram::{accounts, label, told};
use super::word;

/// Draws it, in a fenced block.
pub fn mermaid(story: &Story) -> String {
    let mut text = String::from("```mermaid\nsequenceDiagram\n    participant amends\n");
    let mut services: Vec<&str> = Vec::new();
    for line in &story.lines {
        if let Line::Message(message) = line
            && !services.contains(&message.service.as_str())
        {
            services.push(&message.service);
            let _ = writeln!(text, "    participant {}", message.service);
        }
    }
    for line in &story.lines {
        match line {
            Line::Note(words) => note(&mut text, words),
            Line::Told(reason, whose) => note(&mut text, &told(word(*reason), whose)),
            Line::Message(message) => {
                let arrow = match (message.fate, message.answer) {
                    (Fate::Arrives, false) => "->>",
                    (Fate::Arrives, true) => "-->>",
                    (Fate::Late, _) => "--)",
                    (Fate::Lost, false) => "-x",
                    (Fate::Lost, true) => "--x",
                    (Fate::Delayed, _) => "-)",
                };
                let (from, to) = match message.answer {
                    false => ("amends", message.service.as_str()),
                    true => (message.service.as_str(), "amends"),
                };
                let fate = match message.fate {
                    Fate::Arrives => "",
                    Fate::Late => " (late)",
                    Fate::Delayed => " (on its way)",
                    Fate::Lost => " (lost)",
                };
                let _ = writeln!(text, "    {from}{arrow}{to}: {}{fate}", plain(&label(message)));
                if let Some(does) = message.does {
                    let _ =
                        writeln!(text, "    Note right of {}: {}", message.service, plain(does));
                }
            }
        }
    }
    text += "```\n\n";
    for entry in &story.ledger {
        let (done, undone) = accounts(entry);
        let between = if undone.is_empty() { "" } else { ", " };
        let _ = writeln!(text, "- {done}{between}{undone}");
    }
    text
}

fn note(text: &mut String, words: &str) {
    let _ = writeln!(text, "    Note over amends: {}", plain(words));
}

/// A `;` ends a statement, a `#` begins an escape.
fn plain(words: &str) -> String {
    words.replace(';', ",").replace('#', "no. ")
}
