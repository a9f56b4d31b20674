//! Tables: columns side by side, as wide as what is in them and as the terminal allows.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use terminal_size::{Width, terminal_size_of};

/// Between two columns.
const GAP: usize = 2;

/// Before words that stand below their row.
const INDENT: usize = 4;

/// With fewer characters a cell says nothing.
const COLUMN_CHARS_MIN: usize = 8;

/// What is folded narrower has a word a line.
const FOLDED_CHARS_MIN: usize = 40;

/// What a line has where the terminal does not say.
const WIDTH_DEFAULT: usize = 80;

/// How wide the terminal is; unlimited when stdout is none, so that nothing is lost in a file.
pub fn width() -> Option<usize> {
    width_of(&std::io::stdout())
}

/// The same of another stream.
pub fn width_of(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let width = terminal_size_of(stream).map(|(Width(width), _)| usize::from(width));
    Some(width.unwrap_or(WIDTH_DEFAULT))
}

/// How wide a report is that is folded, of which nothing is lost in a file: as the terminal, and where
/// stdout is none as COLUMNS says. A table is not made narrower by that, since programs read it.
pub fn width_folded() -> Option<usize> {
    width().or_else(|| columns_said(&std::env::var("COLUMNS").ok()?))
}

/// What COLUMNS says, if it says how wide.
fn columns_said(said: &str) -> Option<usize> {
    let columns = said.trim().parse().ok().filter(|&columns: &usize| columns > 0)?;
    Some(columns.max(FOLDED_CHARS_MIN))
}

/// The rows under their heads, two blanks apart. Where they are wider than the terminal, the last
/// column, which has the words, stands below each row; and where that is not enough, the widest
/// columns but the first are cut.
pub fn table(heads: &[&str], rows: &[Vec<String>], width: Option<usize>) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|head| head.chars().count()).collect();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            widths[at] = widths[at].max(cell.chars().count());
        }
    }
    let Some(room) = width.filter(|width| total(&widths) > *width) else {
        return lines(heads, rows, &widths, None);
    };
    let last = heads.len().saturating_sub(1);
    let words = heads[last].to_lowercase();
    fit(&mut widths[..last], room);
    let mut text = lines(&heads[..last], &[], &widths[..last], width);
    for row in rows {
        text += &lines(&[], &[row[..last].to_vec()], &widths[..last], width);
        if !row[last].is_empty() {
            text += &below(&format!("{words}: {}", row[last]), INDENT, width);
        }
    }
    text
}

/// How wide a line with these columns is.
fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// Takes from the widest until they fit, but not from the first: it says which one it is.
fn fit(widths: &mut [usize], room: usize) {
    while total(widths) > room {
        let Some(widest) = widths.iter_mut().skip(1).max() else { break };
        if *widest <= COLUMN_CHARS_MIN {
            break;
        }
        *widest -= 1;
    }
}

fn lines(heads: &[&str], rows: &[Vec<String>], widths: &[usize], room: Option<usize>) -> String {
    let heads: Vec<String> = heads.iter().map(|&head| head.to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&heads).filter(|heads| !heads.is_empty()).chain(rows) {
        let mut line = String::new();
        for (cell, &width) in row.iter().zip(widths) {
            line.push_str(&format!("{:width$}{:GAP$}", cut(cell, Some(width)), ""));
        }
        text.push_str(&cut(line.trim_end(), room));
        text.push('\n');
    }
    text
}

/// Words below what they are about, after `indent` blanks, in as many lines as they take.
pub fn below(words: &str, indent: usize, room: Option<usize>) -> String {
    let Some(room) = room else { return format!("{:indent$}{words}\n", "") };
    let mut lines = folded(words, indent, room);
    if let Some(last) = lines.last_mut() {
        *last = cut(last, Some(room));
    }
    lines.join("\n") + "\n"
}

/// Words after a label of so many characters, which is left to the caller; a line that is too long is
/// folded, a word that is too long stands whole.
pub fn after(label: usize, words: &str, room: Option<usize>) -> String {
    let Some(room) = room else { return words.to_owned() };
    let mut lines = Vec::new();
    for (at, line) in words.lines().enumerate() {
        let before = if at == 0 { label } else { 0 };
        match before + line.chars().count() <= room {
            true => lines.push(line.to_owned()),
            false => lines.extend(folded(line, label, room)),
        }
    }
    let text = lines.join("\n");
    let first = text.trim_start_matches(' ');
    first.to_owned()
}

fn folded(words: &str, indent: usize, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words.split_whitespace() {
        let chars = indent + line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && chars > room {
            lines.push(format!("{:indent$}{line}", ""));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(format!("{:indent$}{line}", ""));
    lines
}

/// How much of these ids tells them apart. It is what a person types.
pub fn short_ids<'a>(ids: impl Iterator<Item = &'a str>) -> usize {
    /// Ids begin with the time: so many characters have it in milliseconds.
    const CHARS_MIN: usize = 13;
    let ids: BTreeSet<&str> = ids.collect();
    let longest = ids.iter().map(|id| id.len()).max().unwrap_or(0);
    let tells = |chars: &usize| {
        let shorts: BTreeSet<&str> = ids.iter().map(|id| id.get(..*chars).unwrap_or(id)).collect();
        shorts.len() == ids.len()
    };
    (CHARS_MIN..longest).find(tells).unwrap_or(longest)
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

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect()
    }

    #[test]
    fn columns_are_aligned() {
        let rows = rows(&[&["a", "longer"], &["bcd", "x"]]);
        assert_eq!(table(&["ID", "STATE"], &rows, None), "ID   STATE\na    longer\nbcd  x\n");
        assert_eq!(table(&["ID", "STATE"], &rows, Some(11)), table(&["ID", "STATE"], &rows, None));
    }

    #[test]
    fn words_that_find_no_room_beside_their_row_stand_below_it() {
        let rows = rows(&[
            &["1", "failed", "the carrier does not find 1 Nowhere Lane"],
            &["2", "completed", ""],
        ]);
        let expected = "ID  STATE\n1   failed\n    why: the carrier does\n    not find 1 Nowhere\n    Lane\n2   completed\n";
        assert_eq!(table(&["ID", "STATE", "WHY"], &rows, Some(25)), expected);
    }

    #[test]
    fn a_report_is_as_wide_as_it_is_said_and_never_a_word_a_line() {
        let said = ["64", " 120 ", "3", "0", "", "wide", "-1"].map(columns_said);
        assert_eq!(said, [Some(64), Some(120), Some(40), None, None, None, None]);
    }

    #[test]
    fn words_after_a_label_are_folded_under_their_beginning() {
        let words = "the services are far away\nnot this";
        assert_eq!(after(7, words, None), words);
        assert_eq!(after(7, words, Some(80)), words);
        let folded = "the services\n       are far away\nnot this";
        assert_eq!(after(7, words, Some(19)), folded);
        let address = "http://127.0.0.1:7101/a/long/path";
        assert_eq!(after(7, address, Some(19)), address, "what is copied from a terminal is whole");
    }

    #[test]
    fn the_widest_columns_are_cut_where_even_that_is_too_wide() {
        let rows =
            rows(&[&["0123456789", "a long name of a step", "a longer name of a command", "why"]]);
        let text = table(&["ID", "STEP", "COMMAND", "WHY"], &rows, Some(40));
        assert_eq!(
            text,
            "ID          STEP           COMMAND\n0123456789  a long name …  a longer nam…\n    why: why\n"
        );
    }

    #[test]
    fn ids_are_as_long_as_they_must_be() {
        let ids = ["01a219aa-f28c-714d", "01a219aa-f28c-77de", "01a219aa-b493-77de"];
        assert_eq!(short_ids(ids[1..].iter().copied()), 13);
        assert_eq!(short_ids(ids.iter().copied()), 16);
        assert_eq!(short_ids(["a"].into_iter()), 1);
    }
}
