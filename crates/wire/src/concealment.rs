//! Secrets are taken out of what participants say: they echo what they were sent, error pages above all,
//! and some quote what they know (`semantics.md` S24).

use crate::outcome::Fault;

/// What stands for a secret in a text.
const HIDDEN: &str = "[secret]";

/// A secret shorter than this is not looked for: it would be found in every text.
const SECRET_CHARS_MIN: usize = 6;

/// Hides a secret, also where the text was cut off in the middle of it.
pub fn hide_in(text: &mut String, secret: &str) {
    if secret.len() < SECRET_CHARS_MIN {
        return;
    }
    if text.contains(secret) {
        *text = text.replace(secret, HIDDEN);
    }
    let cut = (SECRET_CHARS_MIN..secret.len())
        .rev()
        .filter(|&end| secret.is_char_boundary(end))
        .find(|&end| text.ends_with(&secret[..end]));
    if let Some(end) = cut {
        text.truncate(text.len() - end);
        text.push_str(HIDDEN);
    }
}

impl Fault {
    /// Does this to each of its texts.
    pub fn conceal(&mut self, hide: impl Fn(&mut String)) {
        hide(&mut self.message);
        if let Some(code) = &mut self.code {
            hide(code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_whole_or_cut_off() {
        for (text, hidden) in [
            ("a hunter2-hunter2 b", "a [secret] b"),
            ("a hunter2-hun", "a [secret]"),
            ("a hunt", "a hunt"),
            ("nothing", "nothing"),
        ] {
            let mut text = text.to_owned();
            hide_in(&mut text, "hunter2-hunter2");
            assert_eq!(text, hidden);
        }
    }

    #[test]
    fn a_secret_that_is_in_every_text_is_not_looked_for() {
        let mut text = "no card".to_owned();
        hide_in(&mut text, "a");
        assert_eq!(text, "no card");
    }
}
