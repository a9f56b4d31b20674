//! `amends watch`: a saga as it moves, until it ends.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use clap::Args;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use time::OffsetDateTime;

use super::client::{Answer, Client, With};
use super::exit::Exit;
use super::output::{Form, is_unread, print};
use super::saga_view::SagaView;
use super::{Failure, Outcome, Session, columns, shown};

/// How long the server is waited for when it goes away: longer than a restart takes.
const AWAY_MAX: Duration = Duration::from_secs(30);

/// How often the picture is drawn though nothing has happened: it counts down to what comes.
const DRAW_EVERY: Duration = Duration::from_secs(1);

/// How often a server that went away is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Watch a saga live until it ends: every step, those still to come included
///
/// On a terminal the tree is drawn anew at each change; elsewhere there is a line for each. Ends
/// with 0 when the saga completed, 10 when it failed and was rolled back, 11 when it ended and
/// needs a person.
#[derive(Args, Debug)]
pub struct Watch {
    /// Its id, the beginning of it, or its business key
    saga: String,
}

impl Watch {
    pub async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let id = client.saga_id(&self.saga).await?;
        let mut screen = Screen::new(session.output.output);
        loop {
            match follow(&client, &id, &mut screen).await {
                // Nobody reads how it goes on.
                Ok(Some(view)) if !view.ended() => return Ok(()),
                Ok(Some(view)) => return view.outcome(),
                Ok(None) => {}
                Err(failure) if screen.seen.is_some() && failure.is(Exit::Unreachable) => {
                    shown::say(format_args!(
                        "{} the server is away; waiting for it",
                        shown::warning_word()
                    ));
                    back(&client, &id).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// Shows the saga at each change; gives it at its end, or nothing when the stream broke off.
async fn follow(
    client: &Client,
    id: &str,
    screen: &mut Screen,
) -> Result<Option<SagaView>, Failure> {
    // First the stream, then the look: nothing falls between the two.
    let events = format!("/v1/events?saga_id={id}");
    let (status, mut stream) = client.open(Method::GET, &events, With::default()).await?;
    if !status.is_success() {
        let body = stream.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        return Err(super::client::refusal(status, &body));
    }
    loop {
        let answer = client.ask(Method::GET, &format!("/v1/sagas/{id}"), With::default()).await?;
        let view: SagaView = answer.read()?;
        if view.waits_for_signal() && screen.signals.is_empty() {
            screen.signals = client.signals(&view).await;
        }
        screen.show(&answer, &view)?;
        if view.ended() {
            return Ok(Some(view));
        }
        loop {
            match tokio::time::timeout(DRAW_EVERY, moved(&mut stream)).await {
                Ok(true) => break,
                Ok(false) => return Ok(None),
                Err(_) if is_unread() => return Ok(Some(view)),
                // What is counted from now has moved.
                Err(_) => screen.draw()?,
            }
        }
    }
}

/// Resolves at the next event of the stream; false when it is over.
async fn moved(stream: &mut Incoming) -> bool {
    while let Some(Ok(frame)) = stream.frame().await {
        // Comments keep the connection alive; an event has data.
        let text = frame.data_ref().map(|data| String::from_utf8_lossy(data).into_owned());
        if text.is_some_and(|text| text.lines().any(|line| line.starts_with("data:"))) {
            return true;
        }
    }
    false
}

/// Waits until the server answers again.
async fn back(client: &Client, id: &str) -> Outcome {
    let asked = async {
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            match client.ask(Method::GET, &format!("/v1/sagas/{id}"), With::default()).await {
                Err(failure) if failure.is(Exit::Unreachable) || failure.is(Exit::Busy) => {}
                answered => return answered.map(drop),
            }
        }
    };
    tokio::time::timeout(AWAY_MAX, asked).await.unwrap_or_else(|_| {
        let what = format!("the server has been away for {} s", AWAY_MAX.as_secs());
        Err(Failure::new(Exit::Unreachable, what))
    })
}

/// What has been shown, and how.
struct Screen {
    form: Form,
    redraws: bool,
    lines: usize,
    seen: Option<SagaView>,
    signals: Vec<(String, String)>,
}

impl Screen {
    fn new(form: Form) -> Self {
        let redraws = form == Form::Table && stdout().is_terminal();
        Self { form, redraws, lines: 0, seen: None, signals: Vec::new() }
    }

    fn show(&mut self, answer: &Answer, view: &SagaView) -> Outcome {
        if self.seen.as_ref().is_some_and(|seen| seen.seq == view.seq && !self.redraws) {
            return Ok(());
        }
        if self.form != Form::Table {
            let text = std::str::from_utf8(&answer.body).unwrap_or_default();
            // One a line also for `json`: what follows what must be told apart.
            let form = if self.form == Form::Json { Form::Jsonl } else { self.form };
            super::output::Output { output: form }.one(text, || Ok(String::new()))?;
        } else if self.redraws {
            self.seen = Some(view.clone());
            return self.draw();
        } else {
            print(&self.changes(view))?;
        }
        self.seen = Some(view.clone());
        Ok(())
    }

    /// Draws over what was drawn before, on a terminal.
    fn draw(&mut self) -> Outcome {
        let Some(view) = self.seen.as_ref().filter(|_| self.redraws) else { return Ok(()) };
        let (width, colour) = (columns::width(), shown::colour_out());
        let mut picture = view.tree(width, colour, OffsetDateTime::now_utc());
        for next in view.next(&self.signals) {
            let words = columns::cut(&format!("  next: {next}"), width);
            picture += &format!("{}\n", shown::paint(&words, "1;36", colour));
        }
        // What has scrolled away cannot be drawn over.
        let rows = terminal_size::terminal_size().map_or(usize::MAX, |(_, rows)| rows.0.into());
        let lines = picture.lines().count();
        if lines >= rows {
            let fit = rows.saturating_sub(2);
            picture = picture.lines().take(fit).map(|line| format!("{line}\n")).collect();
            picture += &format!("… {} more lines; amends get shows all\n", lines - fit);
        }
        let up = match self.lines {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A\u{1b}[J"),
        };
        self.lines = picture.lines().count();
        print(&format!("{up}{picture}"))
    }

    /// A line for each thing that changed.
    fn changes(&self, view: &SagaView) -> String {
        let mut text = String::new();
        let at = super::times::utc(&view.updated_at);
        let seen = self.seen.as_ref();
        for step in &view.steps {
            let before = seen
                .and_then(|seen| seen.steps.iter().find(|before| before.name == step.name))
                .map_or("pending", |before| &before.status);
            if before != step.status {
                text.push_str(&format!("{at}  {}: {before} → {}\n", step.name, step.status));
            }
        }
        for item in &view.attention {
            let known = |seen: &SagaView| {
                seen.attention.iter().any(|had| had.step == item.step && had.reason == item.reason)
            };
            if !seen.is_some_and(known) {
                let step = item.step.as_deref().unwrap_or("the saga");
                let reason = super::saga_view::reason_words(&item.reason);
                text.push_str(&format!("{at}  ! {step}: {reason}\n"));
            }
        }
        let state = view.state_words();
        if seen.map(SagaView::state_words).as_ref() != Some(&state) {
            text.push_str(&format!("{at}  {}: {state}\n", view.saga_type));
        }
        text
    }
}
