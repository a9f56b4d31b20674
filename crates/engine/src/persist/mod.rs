//! The persisted form of a saga's facts: events into bytes and back, and nowhere else.
//!
//! The machine's types may change with any build; what stands on a disk may not. So every event
//! has a tag, every field an id and every enumeration its codes, each a number that is given once
//! and never given again. The module `event` lists the tags with their fields, `id` the ids and
//! `code` the codes.
//!
//! # Layout
//!
//! ```text
//! history := frame*
//! frame   := format:u8  length:varint  time:varint  count:varint  event{count}
//! event   := tag:u8  field*  0
//! field   := id:u8  value
//! ```
//!
//! * A frame holds what one decision recorded at one moment. `length` counts the bytes after it;
//!   `time` is in milliseconds since the Unix epoch; `count` is at least 1.
//! * An event's fields stand in the order of its line in `event`. A field at its default, an
//!   absent option and a flag that is not set are left out; a flag that is set has no value.
//! * A varint is LEB128: seven bits a byte, the lowest first, in as few bytes as it takes. Instants
//!   inside an event are varints too, of the difference to the frame's time modulo 2⁶⁴: they lie
//!   a little ahead of it. Text and payloads are a length and the bytes; a code is one byte; an
//!   identity is its 16 bytes and a hash its 32, as they are.
//! * What a field holds follows from its id, so a reader cannot step over one it does not know.
//!   It must not want to: a fact that is left out makes another saga. An unknown format, tag,
//!   field or code is therefore an error that names a newer version as the writer.
//! * There is one encoding of a frame. Anything else that could be read as the same is refused, so
//!   bytes may be compared, hashed and copied in place of what they say.
//!
//! # Changing it
//!
//! A new event, field or code takes the next free number, and the format stays as it is: old bytes
//! read as before, old builds refuse the new ones. A number that goes out of use stays taken. Only
//! a change to the rules above, or to what a number means, is a new [`FORMAT`], and the old one is
//! then read for ever. `tests/golden` holds bytes of every format, which must never change.

mod code;
mod error;
mod event;
mod field;
mod group;
mod id;
mod reader;
mod value;
mod writer;

#[cfg(test)]
mod order_saga;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod strategy;
#[cfg(test)]
mod tests;

use amends_core::{Event, Time};

pub use error::{DecodeError, Problem};
use reader::Reader;
use writer::Writer;

/// The format that is written, and the newest that is read.
pub const FORMAT: u8 = 1;

/// Appends one frame: all events of one decision, made at one moment. Without an event there is
/// nothing to say, and nothing is appended.
///
/// A caller that writes many sagas at once may give the same vector for all of them, and cut it up
/// afterwards without copying.
pub fn encode(at: Time, events: &[Event], out: &mut Vec<u8>) {
    if events.is_empty() {
        return;
    }
    let mut frame = Writer::open(FORMAT, at, out);
    frame.varint(events.len() as u64);
    for event in events {
        event::write(event, &mut frame);
    }
    frame.close();
}

/// Reads frames one after the other until the bytes are used up, and gives each event with the time
/// it happened. After the first error there is nothing more: what follows cannot be trusted.
///
/// It takes no more memory than the events it gives, which is bounded by the length of `bytes`
/// whatever they say.
pub fn decode(bytes: &[u8]) -> impl Iterator<Item = Result<(Time, Event), DecodeError>> {
    History::new(bytes)
}

/// What follows the first `events` of a history, where a frame ends there; `None` where none does.
/// Only the heads of the frames are read.
pub fn after(bytes: &[u8], events: u64) -> Option<&[u8]> {
    let mut history = History::new(bytes);
    let mut passed = 0;
    while passed < events {
        history.open_frame().ok()?;
        passed += history.left;
    }
    (passed == events).then(|| &bytes[bytes.len() - history.frames.len()..])
}

/// When the decisions of a history were made. Only the heads of the frames are read; after the first
/// error there is nothing more.
pub fn times(bytes: &[u8]) -> impl Iterator<Item = Time> {
    let mut history = History::new(bytes);
    std::iter::from_fn(move || {
        history.open_frame().ok()?;
        Some(history.frame.time())
    })
}

/// Where the reading of a history has come to.
struct History<'a> {
    length: usize,
    /// What comes after the current frame.
    frames: Reader<'a>,
    /// What is left of the current frame.
    frame: Reader<'a>,
    /// How many events that should be.
    left: u64,
}

impl Iterator for History<'_> {
    type Item = Result<(Time, Event), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            if self.frames.is_empty() {
                return None;
            }
            if let Err(problem) = self.open_frame() {
                let offset = self.length - self.frames.len();
                return Some(Err(self.fail(offset, problem)));
            }
        }
        let event = self.read_event();
        Some(event.map_err(|problem| {
            let offset = self.length - self.frames.len() - self.frame.len();
            self.fail(offset, problem)
        }))
    }
}

impl<'a> History<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let (frames, frame) = (Reader::new(bytes), Reader::new(&[]));
        Self { length: bytes.len(), frames, frame, left: 0 }
    }

    fn open_frame(&mut self) -> Result<(), Problem> {
        match self.frames.byte()? {
            FORMAT => {}
            0 => return Err(Problem::Damaged("there is no format 0")),
            format => return Err(Problem::NewerFormat { format }),
        }
        let mut frame = self.frames.chunk().map(Reader::new)?;
        let at = Time(frame.varint()?);
        self.left = frame.varint()?;
        if self.left == 0 {
            return Err(Problem::Damaged("a frame holds no event"));
        }
        // An event has two bytes at the least: no count is believed that the bytes cannot hold, so
        // the counts of a history never add up to more than its length.
        if self.left > frame.len() as u64 {
            return Err(Problem::CutOff);
        }
        self.frame = frame.at(at);
        Ok(())
    }

    fn read_event(&mut self) -> Result<(Time, Event), Problem> {
        let event = event::read(&mut self.frame)?;
        self.left -= 1;
        if self.left == 0 && !self.frame.is_empty() {
            return Err(Problem::Damaged("a frame goes on after its last event"));
        }
        Ok((self.frame.time(), event))
    }

    fn fail(&mut self, offset: usize, problem: Problem) -> DecodeError {
        *self = History { frames: Reader::new(&[]), frame: Reader::new(&[]), left: 0, ..*self };
        DecodeError { offset, problem }
    }
}
