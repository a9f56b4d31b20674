//! Tables: columns side by side, as wide as what is in them, cut where the terminal ends.

use terminal_size::{Width, terminal_size_of};

/// What a line has where the terminal does not say.
const WIDTH_DEFAULT: usize = 80;

/// How wide the terminal is; unlimited when stdout is none, so that nothing is lost in a file.
pub fn width() -> Option<usize> {
    use std::io::IsTerminal as _;
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let width = terminal_size_of(std::io::stdout()).map(|(Width(width), _)| usize::from(width));
    Some(width.unwrap_or(WIDTH_DEFAULT))
}

/// The rows under their heads, two blanks apart. Columns after the last that fits are cut.
pub fn table(heads: &[&str], rows: &[Vec<String>], width: Option<usize>) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|head| head.chars().count()).collect();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            widths[at] = widths[at].max(cell.chars().count());
        }
    }
    let heads: Vec<String> = heads.iter().map(|&head| head.to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(&cut(line.trim_end(), width));
        text.push('\n');
    }
    text
}

/// The text, cut with an ellipsis where it is longer.
pub fn cut(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if text.chars().count() > width => {
            let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
            short.push('…');
            short
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cut() {
        let rows =
            [vec!["a".to_owned(), "longer".to_owned()], vec!["bcd".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["ID", "STATE"], &rows, None), "ID   STATE\na    longer\nbcd  x\n");
        assert_eq!(table(&["ID", "STATE"], &rows, Some(8)), "ID   ST…\na    lo…\nbcd  x\n");
    }
}
