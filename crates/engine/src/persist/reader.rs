//! Reads what was written, and believes none of it.

use amends_core::Time;

use super::error::Problem;

/// Stands where a field's id would, after an event's last field.
pub(super) const END: u8 = 0;

/// What is left to read, the time of the frame it stands in, and the field that comes next.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    at: Time,
    event: &'static str,
    next: u8,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: Time(0), event: "", next: END }
    }

    /// The same in a frame of that time.
    pub(super) fn at(self, at: Time) -> Self {
        Self { at, ..self }
    }

    pub(super) fn time(&self) -> Time {
        self.at
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Problem> {
        let (&byte, rest) = self.rest.split_first().ok_or(Problem::CutOff)?;
        self.rest = rest;
        Ok(byte)
    }

    pub(super) fn varint(&mut self) -> Result<u64, Problem> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                if byte == 0 && shift > 0 {
                    return Err(Problem::Damaged("a number is longer than it needs to be"));
                }
                return Ok(number);
            }
        }
        Err(Problem::Damaged("a number has more than 64 bits"))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Problem::CutOff)?;
        self.rest = rest;
        Ok(*array)
    }

    /// Bytes with their number before them.
    pub(super) fn chunk(&mut self) -> Result<&'a [u8], Problem> {
        let length = self.varint()?;
        self.take(length)
    }

    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], Problem> {
        let split = usize::try_from(length).ok().and_then(|n| self.rest.split_at_checked(n));
        let (chunk, rest) = split.ok_or(Problem::CutOff)?;
        self.rest = rest;
        Ok(chunk)
    }

    /// An instant, from its distance to the frame's.
    pub(super) fn instant(&mut self) -> Result<Time, Problem> {
        Ok(Time(self.at.0.wrapping_add(self.varint()?)))
    }

    /// The tag has been read: fields follow.
    pub(super) fn begin_event(&mut self, event: &'static str) -> Result<(), Problem> {
        self.event = event;
        self.step()
    }

    pub(super) fn end_event(&self) -> Result<(), Problem> {
        if self.next == END { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Is this the field that comes next?
    pub(super) fn is_next(&self, field: u8) -> bool {
        self.next == field
    }

    /// The value of the field that comes next has been read: on to the one after.
    pub(super) fn step(&mut self) -> Result<(), Problem> {
        self.next = self.byte()?;
        Ok(())
    }

    /// A field that is always there is not the next.
    pub(super) fn missing(&self, field: u8) -> Problem {
        if self.next == END {
            Problem::MissingField { event: self.event, field }
        } else {
            self.unexpected()
        }
    }

    pub(super) fn unknown_code(&self, what: &'static str, code: u8) -> Problem {
        if code == 0 {
            return Problem::Damaged("an enumeration has code 0");
        }
        Problem::NewerCode { event: self.event, what, code }
    }

    fn unexpected(&self) -> Problem {
        Problem::NewerField { event: self.event, field: self.next }
    }
}
