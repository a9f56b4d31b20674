//! Writes one frame at the end of a vector.

use amends_core::Time;

use super::reader::END;

/// The most bytes of a varint: 64 bits, seven a byte.
const VARINT_BYTES_MAX: usize = 10;

/// A frame in the making.
pub(super) struct Writer<'a> {
    at: Time,
    /// Where the frame's length stands, one byte until it is known.
    length_at: usize,
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(super) fn open(format: u8, at: Time, out: &'a mut Vec<u8>) -> Self {
        out.push(format);
        let length_at = out.len();
        out.push(0);
        let mut frame = Self { at, length_at, out };
        frame.varint(at.0);
        frame
    }

    /// Fills in the length. Most frames are shorter than 128 bytes and stay where they are.
    pub(super) fn close(self) {
        let length = self.out.len() - self.length_at - 1;
        if length < 0x80 {
            self.out[self.length_at] = length as u8;
            return;
        }
        let mut room = Vec::with_capacity(VARINT_BYTES_MAX);
        varint(length as u64, &mut room);
        self.out.splice(self.length_at..=self.length_at, room);
    }

    pub(super) fn end_event(&mut self) {
        self.out.push(END);
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    pub(super) fn varint(&mut self, number: u64) {
        varint(number, self.out);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Bytes with their number before them.
    pub(super) fn chunk(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.raw(bytes);
    }

    /// An instant, as its distance from the frame's.
    pub(super) fn instant(&mut self, time: Time) {
        self.varint(time.0.wrapping_sub(self.at.0));
    }
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
