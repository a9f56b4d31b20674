//! One scene on the stage: its sagas are started, watched until each has ended, and in one of them
//! the engine is killed.

use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::Value;

use super::scenes::{Part, Scene, saga_type};
use super::screen::{Ink, Screen};
use super::stage::Stage;

/// Between two starts, so that the eye finds its way.
const BETWEEN_STARTS: Duration = Duration::from_millis(120);

/// Between two looks at the sagas.
const LOOK_EVERY: Duration = Duration::from_millis(60);

/// A scene takes about six seconds; on a busy machine it may take longer.
const SCENE_WITHIN: Duration = Duration::from_secs(30);

/// How long the engine is dead: long enough to be seen, and shorter than the steps' deadlines.
const DEAD_FOR: Duration = Duration::from_millis(1_200);

/// The widths of the columns; all of a line fits 80.
pub const TITLE_CHARS: usize = 25;
const CELL_CHARS: usize = 10;

/// A scene that is played, and what was seen of it.
pub struct Act {
    pub scene: Scene,
    pub sagas: Vec<Seen>,
    notes: Vec<String>,
    killed: bool,
}

/// What the engine said last of a saga.
pub struct Seen {
    pub id: String,
    pub state: String,
    steps: Vec<(String, u64, u64)>,
}

impl Seen {
    pub fn ended(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "failed")
    }

    fn take(&mut self, saga: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.state = text(&saga["state"]);
        let steps = saga["steps"].as_array().into_iter().flatten();
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        self.steps = steps
            .map(|step| {
                let undos = count(&step["compensation_attempts"]);
                (text(&step["status"]), count(&step["attempts"]), undos)
            })
            .collect();
    }

    /// A step, in words and in the colour of its meaning.
    fn cell(&self, place: usize) -> (String, Ink) {
        let Some((status, asked, undos)) = self.steps.get(place) else {
            return ("·".to_owned(), Ink::Faint);
        };
        let again = |word: &str, times: u64| match times {
            0 | 1 => word.to_owned(),
            times => format!("{word}×{times}"),
        };
        match status.as_str() {
            "executing" => (again("… asked", *asked), Ink::Busy),
            "completed" => ("✓ done".to_owned(), Ink::Good),
            "failed" => ("✗ refused".to_owned(), Ink::Bad),
            "unknown" => ("? silent".to_owned(), Ink::Bad),
            "compensating" => (again("↶ undo", *undos), Ink::Busy),
            "compensated" => ("↶ undone".to_owned(), Ink::Undo),
            _ if self.ended() => ("–".to_owned(), Ink::Faint),
            _ => ("·".to_owned(), Ink::Faint),
        }
    }

    fn state_in_words(&self) -> (&'static str, Ink) {
        match self.state.as_str() {
            "completed" => ("all done", Ink::Good),
            "failed" => ("all undone", Ink::Undo),
            "compensating" => ("undoing", Ink::Busy),
            "" => ("", Ink::Plain),
            _ => ("running", Ink::Busy),
        }
    }
}

impl Act {
    pub const fn new(scene: Scene) -> Self {
        Self { scene, sagas: Vec::new(), notes: Vec::new(), killed: false }
    }

    /// Plays it until every saga has ended.
    pub async fn play(&mut self, stage: &mut Stage, screen: &mut Screen) -> anyhow::Result<()> {
        screen.say("");
        if !screen.is_live() {
            screen.say(&format!("  {}", self.scene.title));
        }
        let began = Instant::now();
        while self.sagas.len() < self.scene.parts.len() || !self.sagas.iter().all(Seen::ended) {
            if began.elapsed() > SCENE_WITHIN {
                bail!("{:?} did not end within {SCENE_WITHIN:?}", self.scene.title);
            }
            let next = self.sagas.len();
            let due = BETWEEN_STARTS * u32::try_from(next).unwrap_or(u32::MAX);
            if let Some(part) = self.scene.parts.get(next)
                && began.elapsed() >= due
            {
                let id = stage.engine.api.start(saga_type(part.worked), &part.data).await?;
                self.sagas.push(Seen { id, state: String::new(), steps: Vec::new() });
            }
            self.look(stage, screen).await?;
            if self.scene.killed && !self.killed && self.is_in_the_middle() {
                self.kill(stage, screen).await?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Asks the engine how the sagas stand, and shows it.
    async fn look(&mut self, stage: &Stage, screen: &mut Screen) -> anyhow::Result<()> {
        for (part, seen) in self.scene.parts.iter().zip(&mut self.sagas) {
            if seen.ended() {
                continue;
            }
            seen.take(&stage.engine.api.saga(&seen.id).await?);
            if seen.ended() && !screen.is_live() {
                let (words, ink) = seen.state_in_words();
                let (title, words) = (part.title, screen.paint(words, ink, 0));
                screen.say(&format!("    {title:TITLE_CHARS$} {words}"));
            }
        }
        self.draw(stage, screen);
        Ok(())
    }

    /// All have begun, some go forward and some back.
    fn is_in_the_middle(&self) -> bool {
        let running = |word: &str| self.sagas.iter().filter(|saga| saga.state == word).count();
        self.sagas.len() == self.scene.parts.len()
            && running("pending") >= 2
            && running("compensating") >= 2
    }

    async fn kill(&mut self, stage: &mut Stage, screen: &mut Screen) -> anyhow::Result<()> {
        self.killed = true;
        let pid = stage.engine.pid().unwrap_or_default();
        stage.engine.kill()?;
        let open = self.sagas.iter().filter(|saga| !saga.ended()).count();
        let back = self.sagas.iter().filter(|saga| saga.state == "compensating").count();
        let line = format!("kill -9 {pid}: {open} sagas in the middle, {back} of them going back");
        self.note(screen, &line, Ink::Bad);
        self.draw(stage, screen);
        tokio::time::sleep(DEAD_FOR).await;
        let took = stage.engine.revive().await?;
        let pid = stage.engine.pid().unwrap_or_default();
        let line =
            format!("a new engine, {pid}, reads the journal: ready in {} ms", took.as_millis());
        self.note(screen, &line, Ink::Good);
        Ok(())
    }

    fn note(&mut self, screen: &mut Screen, line: &str, ink: Ink) {
        let line = format!("  {}", screen.paint(line, ink, 0));
        if !screen.is_live() {
            screen.say(&format!("  {line}"));
        }
        self.notes.push(line);
    }

    fn draw(&self, stage: &Stage, screen: &mut Screen) {
        let mut head = format!("  {}", screen.paint(self.scene.title, Ink::Title, TITLE_CHARS));
        for heading in self.scene.headings {
            head += &screen.paint(heading, Ink::Faint, CELL_CHARS);
        }
        head += &match stage.engine.pid() {
            Some(_) => screen.paint("engine up", Ink::Good, 0),
            None => screen.paint("ENGINE DEAD", Ink::Bad, 0),
        };
        let mut lines = vec![head];
        for (place, part) in self.scene.parts.iter().enumerate() {
            lines.push(self.line(screen, place, part));
        }
        lines.extend(self.notes.iter().cloned());
        screen.draw(&lines);
    }

    fn line(&self, screen: &Screen, place: usize, part: &Part) -> String {
        let mut line = format!("  {:TITLE_CHARS$}", part.title);
        let Some(seen) = self.sagas.get(place) else { return line };
        for step in 0..self.scene.headings.len() {
            let (text, ink) = seen.cell(step);
            line += &screen.paint(&text, ink, CELL_CHARS);
        }
        let (words, ink) = seen.state_in_words();
        line + &screen.paint(words, ink, 0)
    }
}
