//! What is shown: words that stay, and below them one picture that is drawn again where the output
//! is a terminal.

use std::io::{Write, stdout};

/// How the demonstration is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Draw pictures again in place; else a line is written where something ends.
    pub live: bool,
    /// Use colours.
    pub colour: bool,
}

/// The colours, by what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Title,
    Faint,
    Good,
    Bad,
    Undo,
    Busy,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Title => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Undo => "36",
            Self::Busy => "33",
        }
    }
}

/// The output.
pub struct Screen {
    look: Look,
    /// Lines of the picture that stands, to be drawn over.
    standing: usize,
    picture: String,
}

impl Screen {
    pub const fn new(look: Look) -> Self {
        Self { look, standing: 0, picture: String::new() }
    }

    /// Is the picture drawn again and again?
    pub const fn is_live(&self) -> bool {
        self.look.live
    }

    /// The text in an ink, `width` characters wide at least.
    pub fn paint(&self, text: &str, ink: Ink, width: usize) -> String {
        let room = " ".repeat(width.saturating_sub(text.chars().count()));
        if self.look.colour && ink != Ink::Plain {
            format!("\u{1b}[{}m{text}\u{1b}[0m{room}", ink.code())
        } else {
            format!("{text}{room}")
        }
    }

    /// Words that stay. What was drawn before stays above them.
    pub fn say(&mut self, text: &str) {
        self.standing = 0;
        self.picture.clear();
        write(&format!("{text}\n"));
    }

    /// Draws a picture over the one that stands.
    pub fn draw(&mut self, lines: &[String]) {
        let picture: String = lines.iter().map(|line| format!("{line}\u{1b}[K\n")).collect();
        if !self.look.live || picture == self.picture {
            return;
        }
        let up = match self.standing {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A"),
        };
        write(&format!("{up}{picture}"));
        self.standing = lines.len();
        self.picture = picture;
    }
}

/// Who reads no more is not told more; the demonstration's own end does not hang on it.
fn write(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_room_and_none_are_used_where_none_are_wanted() {
        let plain = Screen::new(Look { live: false, colour: false });
        assert_eq!(plain.paint("done", Ink::Good, 6), "done  ");
        let coloured = Screen::new(Look { live: false, colour: true });
        assert_eq!(coloured.paint("✓ done", Ink::Good, 8), "\u{1b}[32m✓ done\u{1b}[0m  ");
    }
}
