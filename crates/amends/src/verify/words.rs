//! A report as a person reads it.

use amends_definition::{Checked, Remark, Severity};
use amends_explore::verify::finding::{End, Trouble};
use amends_explore::verify::search::{Cut, Level};
use amends_explore::verify::story::Story;

use super::diagram::diagram;
use super::json::end_word;
use super::mermaid::mermaid;
use super::{
    Counterexample, Finding, Report, SEVERITY, advice, further, is_of_the_whole, laws, rule,
};

/// How it is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Whether with colour.
    pub colour: bool,
    /// How wide the terminal is, where it is one.
    pub width: Option<usize>,
    /// Whether stories are Mermaid.
    pub mermaid: bool,
    /// Of which ends the story is told.
    pub ends: Vec<End>,
    /// Whether every story of what a person has to decide is told, and not only the first of a
    /// kind.
    pub every_story: bool,
}

/// Where the terminal does not say how wide it is.
const WIDTH_DEFAULT: usize = 80;

/// A diagram that is wider is no easier to read.
const WIDTH_MAX: usize = 100;

pub(super) const ENDS: [End; 4] =
    [End::Completed, End::RolledBack, End::NothingDone, End::NotClean];

const LEFT_OUT: &str = "Left out: what expressions compute (a condition may be true or false, \
    a list has none, one or two items), how long things take, operator verbs, and more faults \
    together than were tried.";

const TRIED: &str = "Tried in every order: a command or an answer is lost, late, cut off or goes \
    nowhere; a service does, refuses, postpones, accepts, is silent until a step's time is up; \
    amends crashes or is away; an expression fails; somebody cancels; signals and deadlines come \
    early, late or never. Refusals, cancels, signals and deadlines are no faults, the rest is.";

/// The whole report.
pub fn words(report: &Report, checked: &Checked, saga_type: &str, shown: &Shown) -> String {
    let paper = Paper { shown, checked };
    let mut text = paper.paragraph(TRIED);
    text.push('\n');
    text += &paper.levels(report);
    if let Some(counterexample) = &report.counterexample {
        text.push('\n');
        text += &paper.counterexample(counterexample);
        return text + &paper.verdict(report, saga_type);
    }
    text.push('\n');
    text += &paper.laws(report);
    text.push('\n');
    text += &paper.ends(report);
    text += &paper.told(report);
    text.push('\n');
    text += &paper.findings(report);
    text += &paper.paragraph(LEFT_OUT);
    text.push('\n');
    text + &paper.verdict(report, saga_type)
}

impl Shown {
    pub(super) fn width(&self) -> usize {
        self.width.unwrap_or(WIDTH_DEFAULT).min(WIDTH_MAX)
    }

    pub(super) fn paint(&self, text: &str, style: &str) -> String {
        match self.colour {
            true => format!("\u{1b}[{style}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    pub(super) fn head(&self, text: &str) -> String {
        format!("{}\n", self.paint(text, "1"))
    }
}

struct Paper<'a> {
    shown: &'a Shown,
    checked: &'a Checked,
}

impl Paper<'_> {
    fn width(&self) -> usize {
        self.shown.width()
    }

    fn paint(&self, text: &str, style: &str) -> String {
        self.shown.paint(text, style)
    }

    fn head(&self, text: &str) -> String {
        self.shown.head(text)
    }

    fn paragraph(&self, words: &str) -> String {
        wrapped(words, 0, self.width())
    }

    fn levels(&self, report: &Report) -> String {
        let mut text = String::new();
        for level in &report.found.levels {
            let faults = match level.faults {
                0 => "no fault".to_owned(),
                1 => "1 fault".to_owned(),
                n => format!("{n} faults"),
            };
            let states = grouped(level.states);
            let end = self.level_end(level, report);
            text += &format!("  {faults:<9} {states:>11} states  {end}\n");
        }
        // Where nothing is proved it is said at the end, with the failure.
        if let Some(next) = further(report).filter(|_| report.proved().is_some()) {
            text += &format!("\n{}", self.paragraph(&format!("To get further: {next}.")));
        }
        text
    }

    fn level_end(&self, level: &Level, report: &Report) -> String {
        if level.complete {
            return self.paint("all of them", "32");
        }
        match report.found.cut {
            Some(Cut::Time) if report.interrupted => "not all: interrupted".to_owned(),
            Some(Cut::Time) => format!("not all: {} were up", advice::time(report.within)),
            Some(Cut::Memory) => "not all: they take about 1 GiB, the limit".to_owned(),
            None => "up to a broken law".to_owned(),
        }
    }

    fn laws(&self, report: &Report) -> String {
        let (whole, cut) = (report.proved().is_some(), report.found.cut.is_some());
        let mut text = self.head(match (whole, cut) {
            (true, false) => "In each of these states all laws hold:",
            (true, true) => {
                "No law is broken in what was tried. Proved is what was tried to its end:"
            }
            (false, _) => "No law is broken in what was tried, and that proves nothing yet:",
        });
        for law in laws().filter(|law| whole || !is_of_the_whole(*law)) {
            let (id, words) = rule(law);
            let of = if cut && is_of_the_whole(law) { ", where all were tried" } else { "" };
            text += &format!("  {id:<4} {words}{of}\n");
        }
        if !whole {
            let ids = laws().filter(|law| is_of_the_whole(*law)).map(|law| rule(law).0);
            let ids = ids.collect::<Vec<_>>().join(", ");
            let words = format!("Not looked at, because no level was tried to its end: {ids}.");
            text += &self.paragraph(&words);
        }
        text
    }

    fn ends(&self, report: &Report) -> String {
        let mut text = self.head(match report.found.cut {
            None => "How it ends:",
            Some(_) => "How it ends, in what was tried:",
        });
        for end in ENDS {
            let found = report.ends.iter().find(|(other, ..)| *other == end);
            let states = found.map_or(0, |(_, states, _)| *states);
            text += &counted(end_title(end), states);
            if let Some((_, _, story)) = found.filter(|_| self.shown.ends.contains(&end)) {
                text += &format!("\n{}\n", self.story(story));
            }
        }
        let person: usize = report.findings.iter().map(|finding| finding.states).sum();
        text + &counted("needs a person", person)
    }

    fn told(&self, report: &Report) -> String {
        if report.told.is_empty() {
            return String::new();
        }
        let one = |(reason, steps): (&&str, &std::collections::BTreeSet<String>)| {
            let steps: Vec<_> = steps.iter().map(String::as_str).collect();
            match steps.is_empty() {
                true => (*reason).to_owned(),
                false => format!("{reason} ({})", steps.join(", ")),
            }
        };
        let told: Vec<_> = report.told.iter().map(one).collect();
        let words = format!(
            "A person is also told of what goes by itself when the service answers: {}.",
            told.join("; ")
        );
        format!("\n{}", self.paragraph(&words))
    }

    fn findings(&self, report: &Report) -> String {
        let mut text = String::new();
        let mut told: Vec<Trouble> = Vec::new();
        for finding in &report.findings {
            text += &self.remark(finding);
            if self.shown.every_story || !told.contains(&finding.trouble) {
                told.push(finding.trouble);
                text += &format!("\n{}\n", self.story(&finding.story));
            } else {
                text.push('\n');
            }
        }
        if told.len() < report.findings.len() {
            text +=
                &self.paragraph("Of each kind the first story is told; --show person tells all.");
            text.push('\n');
        }
        text
    }

    fn remark(&self, finding: &Finding) -> String {
        let words = [("why", advice::why(finding.trouble)), ("fix", &finding.fix)];
        let id = advice::id(finding.trouble);
        let (severity, message, span) = (SEVERITY, finding.message.as_str(), finding.span);
        let remark = Remark { severity, id, message, span, words: &words, add: "" };
        remark.render_within(self.checked, self.shown.colour, Some(self.width()))
    }

    fn counterexample(&self, found: &Counterexample) -> String {
        let words = [("why", found.why.as_str()), ("fix", found.fix.as_str())];
        let (message, span) = (found.message.as_str(), found.span);
        let id = rule(found.law).0;
        let remark =
            Remark { severity: Severity::Error, id, message, span, words: &words, add: "" };
        let remark = remark.render_within(self.checked, self.shown.colour, Some(self.width()));
        format!("{remark}\n{}\n", self.story(&found.story))
    }

    fn story(&self, story: &Story) -> String {
        if self.shown.mermaid { mermaid(story) } else { diagram(story, self.width()) }
    }

    fn verdict(&self, report: &Report, saga_type: &str) -> String {
        let path = self.checked.source.path();
        let states: usize = report.found.levels.iter().map(|level| level.states).sum();
        let steps = report.steps;
        let plural = if steps == 1 { "" } else { "s" };
        let tried = format!("{} states, {:.1} s", grouped(states), report.took.as_secs_f64());
        let said = match (&report.counterexample, report.proved()) {
            (Some(found), _) => {
                let broken = format!("{} is broken", rule(found.law).0);
                self.paint(&broken, "1;31")
            }
            (None, None) => self.paint("nothing is proved", "1;33"),
            (None, Some(0)) => self.paint("every law holds without a fault", "1;32"),
            (None, Some(1)) => self.paint("every law holds with any one fault", "1;32"),
            (None, Some(n)) => self.paint(&format!("every law holds with any {n} faults"), "1;32"),
        };
        let person = match report.findings.len() {
            // They are not shown beside a broken law.
            _ if report.counterexample.is_some() => String::new(),
            0 => String::new(),
            1 => "; 1 place where a person may have to decide".to_owned(),
            n => format!("; {n} places where a person may have to decide"),
        };
        let begun = report.found.levels.last().filter(|level| !level.complete);
        let partly = match begun.filter(|_| report.proved().is_some()).map(|level| level.faults) {
            None => String::new(),
            Some(1) => ", and with one fault not all was tried".to_owned(),
            Some(n) => format!(", and with {n} faults not all was tried"),
        };
        let said = format!("{said}{partly}{person}");
        let words = format!("{path}: {saga_type}, {steps} step{plural}: {said} ({tried})");
        self.paragraph(&words)
    }
}

pub(super) fn end_title(end: End) -> &'static str {
    match end {
        End::Completed => "completed",
        End::RolledBack => "failed, rolled back",
        End::NothingDone => "failed, nothing to undo",
        End::NotClean => "failed, not clean",
    }
}

/// An end by its name on the command line.
pub fn end_of(word: &str) -> Option<End> {
    ENDS.into_iter().find(|end| end_word(*end).replace('_', "-") == word)
}

/// A line of a table.
pub(super) fn counted(what: &str, states: usize) -> String {
    let plural = if states == 1 { "" } else { "s" };
    format!("  {what:<24} {:>11} state{plural}\n", grouped(states))
}

/// `1,234,567`.
pub(super) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many characters of it are seen: what colours them is not.
fn seen(word: &str) -> usize {
    let mut coloured = false;
    let seen = word.chars().filter(|&c| {
        let shown = !coloured && c != '\u{1b}';
        coloured = (coloured || c == '\u{1b}') && c != 'm';
        shown
    });
    seen.count()
}

/// The words in lines no wider than that.
pub(super) fn wrapped(words: &str, indent: usize, width: usize) -> String {
    let mut text = String::new();
    let mut column = indent;
    for word in words.split_whitespace() {
        let chars = seen(word);
        if column > indent && column + 1 + chars > width {
            text.push('\n');
            column = indent;
        }
        if column > indent {
            text.push(' ');
            column += 1;
        } else {
            text.push_str(&" ".repeat(indent));
        }
        text.push_str(word);
        column += chars;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_takes_no_room() {
        assert_eq!(seen("\u{1b}[1;32mevery\u{1b}[0m;"), 6);
        let words = format!("{} two three", "\u{1b}[1;32mone\u{1b}[0m");
        assert_eq!(wrapped(&words, 0, 7).lines().count(), 2);
    }

    #[test]
    fn large_numbers_are_read_at_a_glance() {
        assert_eq!([7, 1_234, 1_234_567].map(grouped), ["7", "1,234", "1,234,567"]);
    }
}
