//! Answers that come later: every sending has a reply address of its own, and what is posted there is
//! kept until its drill is over.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amends_server::{Code, Posted, Refusal, ReplyDoor, ReplyTaker};
use amends_transport::Outgoing;
use amends_wire::{CommandId, Outcome, Reply, TokenKey};
use tokio::sync::watch;
use tokio::time::Instant;

/// How many callbacks one sending may have: the answer, and a few copies of it. More tell nothing
/// new.
const PER_SENDING_MAX: usize = 8;

/// How much may wait altogether: some results of the largest size from all the drills that are
/// played at a time.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// How much of a callback is shown.
const SHOWN_BYTES_MAX: usize = 1024;

/// How long a sending that has a copy waits for a callback of its own, when the copy has one: a
/// service may answer both by one, or each by itself.
const OWN_WITHIN: Duration = Duration::from_millis(500);

/// A callback as it came.
#[derive(Clone, Debug)]
pub struct Callback {
    /// The start of its body.
    pub body: String,
    /// What it says; where it was refused, why.
    pub says: Result<Outcome, String>,
    /// It came to the address of another copy of the command.
    pub to_copy: bool,
}

/// Which sending: its place among all of a rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(usize);

/// What was posted to the reply addresses of a rehearsal. Cheap to clone.
#[derive(Clone)]
pub struct Callbacks(Arc<Inner>);

struct Inner {
    /// What stands before a token's path.
    url: String,
    key: TokenKey,
    book: Mutex<Book>,
    /// Told at every callback.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Book {
    /// None where the drill is over.
    sendings: Vec<Option<Sending>>,
    bytes: usize,
}

struct Sending {
    outgoing: Outgoing,
    heard: Vec<Heard>,
}

struct Heard {
    callback: Callback,
    bytes: usize,
    /// How many sendings there were by then.
    after: usize,
}

/// The addresses are credentials.
impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callbacks")
    }
}

impl Callbacks {
    /// Takes what comes through the door, for as long as this runtime is there. The address of a
    /// command begins with `url`; `secret` are random bytes that its token is made with.
    pub fn through(
        door: ReplyDoor,
        url: &str,
        secret: &[u8],
    ) -> Result<Self, amends_wire::TokenError> {
        let callbacks = Self::at(url, secret)?;
        let taker = callbacks.clone();
        let key = callbacks.0.key.clone();
        tokio::spawn(door.run(key, Arc::new(taker), std::future::pending()));
        Ok(callbacks)
    }

    fn at(url: &str, secret: &[u8]) -> Result<Self, amends_wire::TokenError> {
        Ok(Self(Arc::new(Inner {
            url: url.trim_end_matches('/').to_owned(),
            key: TokenKey::new(secret)?,
            book: Mutex::default(),
            changed: watch::Sender::new(()),
        })))
    }

    /// Gives a sending its reply address.
    pub fn open(&self, outgoing: &mut Outgoing) -> Place {
        let mut book = self.book();
        let place = Place(book.sendings.len());
        let token = self.0.key.issue(&address_of(outgoing.command_id(), place));
        outgoing.reply_to = Some(format!("{}{}", self.0.url, ReplyDoor::path(&token)));
        book.sendings.push(Some(Sending { outgoing: outgoing.clone(), heard: Vec::new() }));
        place
    }

    /// The answer to a sending that has come to its own address already.
    pub fn own(&self, place: Place) -> Option<Callback> {
        self.book().own(place)
    }

    /// Waits for the answer to a sending that was accepted. It comes to its own address, or to that
    /// of another copy of the command: to the participant both are the one place to answer to.
    pub async fn answer(&self, place: Place, within: Duration) -> Option<Callback> {
        let until = Instant::now() + within;
        let mut changed = self.0.changed.subscribe();
        let mut copy: Option<(Callback, Instant)> = None;
        loop {
            {
                let book = self.book();
                if let Some(own) = book.own(place) {
                    return Some(own);
                }
                copy = copy.or_else(|| Some((book.of_copy(place)?, Instant::now() + OWN_WITHIN)));
            }
            let until = copy.as_ref().map_or(until, |(_, own_until)| until.min(*own_until));
            if tokio::time::timeout_at(until, changed.changed()).await.is_err() {
                return copy.map(|(callback, _)| callback);
            }
        }
    }

    /// All that came to a sending's address, and the sending. What comes from now on is acknowledged
    /// and not kept.
    pub fn settle(&self, place: Place) -> Option<(Outgoing, Vec<Callback>)> {
        let mut book = self.book();
        let sending = book.sendings.get_mut(place.0)?.take()?;
        book.bytes -= sending.heard.iter().map(|heard| heard.bytes).sum::<usize>();
        let callbacks = sending.heard.into_iter().map(|heard| heard.callback);
        Some((sending.outgoing, callbacks.collect()))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn own(&self, place: Place) -> Option<Callback> {
        let sending = self.sendings.get(place.0)?.as_ref()?;
        let usable = sending.heard.iter().find(|heard| heard.callback.says.is_ok());
        usable.map(|heard| heard.callback.clone())
    }

    /// What has come to another copy since this one was sent, and speaks for both.
    fn of_copy(&self, place: Place) -> Option<Callback> {
        let key = self.sendings.get(place.0)?.as_ref()?.outgoing.idempotency_key();
        let others = self.sendings.iter().flatten().filter(|s| s.outgoing.idempotency_key() == key);
        let heard = others.flat_map(|sending| &sending.heard);
        let mut since = heard.filter(|heard| heard.after > place.0);
        let for_both = since.find(|heard| match &heard.callback.says {
            Ok(Outcome::Transient { .. }) | Err(_) => false,
            Ok(_) => true,
        })?;
        Some(Callback { to_copy: true, ..for_both.callback.clone() })
    }
}

impl ReplyTaker for Callbacks {
    fn take(&self, posted: Posted) -> Result<(), Refusal> {
        let refusal = |code, detail: &str| Refusal { code, detail: detail.to_owned() };
        let unknown = || refusal(Code::MadeUpReply, "this rehearsal has sent no such command");
        let (command, place) = sending_of(posted.command).ok_or_else(unknown)?;
        let mut book = self.book();
        let (after, waiting) = (book.sendings.len(), book.bytes);
        let slot = book.sendings.get_mut(place.0).ok_or_else(unknown)?;
        let Some(sending) = slot else { return Ok(()) };
        let bytes = posted.body.len();
        if sending.heard.len() >= PER_SENDING_MAX || waiting + bytes > BYTES_MAX {
            let detail = "more callbacks have come than a rehearsal keeps; one answers a command";
            return Err(refusal(Code::Overloaded, detail));
        }
        let codes = Arc::clone(&sending.outgoing.codes);
        let (says, verdict) =
            match posted.reply.as_ref().map(|reply| (reply, fits(reply, &command))) {
                Ok((reply, Ok(()))) => (Ok(reply.outcome(&codes)), Ok(())),
                Ok((_, Err(why))) => (Err(why.to_owned()), Err(refusal(Code::MadeUpReply, why))),
                Err(why) => (Err(why.clone()), Ok(())), // the door has the better words
            };
        let body = &posted.body[..bytes.min(SHOWN_BYTES_MAX)];
        let body = String::from_utf8_lossy(body).into_owned();
        let callback = Callback { body, says, to_copy: false };
        sending.heard.push(Heard { callback, bytes, after });
        book.bytes += bytes;
        drop(book);
        self.0.changed.send_replace(());
        verdict
    }
}

/// Does a reply answer the command whose address it came to? As the engine sees it: what it leaves
/// out the address says.
fn fits(reply: &Reply, command: &CommandId) -> Result<(), &'static str> {
    match () {
        () if reply.saga_id.is_some_and(|said| said != command.saga_id) => {
            Err("the body names another saga than its reply address")
        }
        () if reply.kind.direction() != command.direction => {
            Err("the token is for the other direction of this step")
        }
        () if reply.step_name.as_ref().is_some_and(|said| *said != command.step_name) => {
            Err("the body names another step than its reply address")
        }
        () => Ok(()),
    }
}

/// Between the step's name and the sending's number in what a token is made over. No name has it.
const NUMBER: char = '#';

/// What the token of a sending is made over: the command's identity and the sending's number, so
/// that each has an address of its own.
fn address_of(mut command: CommandId, Place(number): Place) -> CommandId {
    command.step_name.push(NUMBER);
    command.step_name += &number.to_string();
    command
}

fn sending_of(mut address: CommandId) -> Option<(CommandId, Place)> {
    let (step, number) = address.step_name.rsplit_once(NUMBER)?;
    let (step_name, place) = (step.to_owned(), Place(number.parse().ok()?));
    address.step_name = step_name;
    Some((address, place))
}

#[cfg(test)]
mod tests;
