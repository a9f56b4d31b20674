//! Inputs that are drawn from those that are kept, the same in every run: without a fuzzer, and
//! without a compiler for it, each target meets some thousand inputs that nobody wrote.

use amends_fuzz::{TARGETS, kept};

/// For each target: a few seconds for all of them on a busy machine.
const INPUTS: usize = 10_000;

/// The longest input, as `cargo xtask fuzz` says it.
const INPUT_BYTES_MAX: usize = 16_384;

/// How often one input is changed.
const CHANGES_MAX: u64 = 4;

/// What readers look at: ends of text, of numbers and of lists, and the ends of what a byte holds.
const TELLING: &[u8] = b"\0\x01\x7f\x80\xff\"\\{}[]:,-.0919eE \n\r\t#&*!|>%@`'";

/// Numbers by chance, the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    /// A number below `end`; 0 where there is none.
    fn below(&mut self, end: usize) -> usize {
        (self.next() as usize).checked_rem(end).unwrap_or(0)
    }
}

/// An input that is shown where the target panics over it, to be kept under `fuzz/corpus`.
struct Shown {
    target: &'static str,
    number: usize,
    bytes: Vec<u8>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}, input {}: {}", self.target, self.number, self.bytes.escape_ascii());
        }
    }
}

/// One change of an input.
fn change(bytes: &mut Vec<u8>, others: &[Vec<u8>], dice: &mut Dice) {
    let at = dice.below(bytes.len());
    let span = at..bytes.len().min(at + 1 + dice.below(32));
    match dice.next() % 7 {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
        1 if !bytes.is_empty() => bytes[at] = TELLING[dice.below(TELLING.len())],
        2 => bytes.insert(at, TELLING[dice.below(TELLING.len())]),
        3 => drop(bytes.drain(span)),
        4 => {
            let again = bytes[span].repeat(1 + dice.below(8));
            bytes.splice(at..at, again);
        }
        5 => bytes.truncate(at),
        _ => {
            let other = &others[dice.below(others.len())];
            let from = dice.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
    bytes.truncate(INPUT_BYTES_MAX);
}

#[test]
fn inputs_drawn_from_those_that_are_kept_pass() {
    for target in TARGETS {
        let kept: Vec<Vec<u8>> =
            kept(target).expect("the corpus can be read").into_iter().map(|(_, it)| it).collect();
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        for number in 0..INPUTS {
            let mut bytes = kept[dice.below(kept.len())].clone();
            for _ in 0..=dice.next() % CHANGES_MAX {
                change(&mut bytes, &kept, &mut dice);
            }
            let input = Shown { target: target.name, number, bytes };
            (target.run)(&input.bytes);
        }
    }
}
