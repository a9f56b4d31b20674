//! Refusals of requests by message: each is kept before its answer leaves. A broker may bring a
//! request once more after a crash, when what stood in its way is gone: whoever was told that it is
//! refused is then told the same, and not that it is done (S16). Of what was accepted the journal has
//! a fact of its own.
//!
//! They lie in pages, each a note of the catalog, so that those of the same moment are written
//! together, and the oldest page makes room for the newest.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use amends_core::SagaId;
use amends_store::{Catalog, CatalogError};
use amends_transport::Received;
use amends_wire::Headers;
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// How many refusals a page holds: written again with each that comes to it, so a few kilobytes.
const PAGE: u64 = 64;

/// How many pages are kept. A broker brings again what an end held when it died, at most 256
/// messages for each place; Kafka also what was settled in its last second and behind those.
const PAGES: u64 = 64;

/// Which request, by all that it says: one of the same id that says something else is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Print(u128, u128);

impl Print {
    pub fn of(received: &Received) -> Self {
        let named = ["ce-source", "ce-id", "ce-type", "ce-correlationid"];
        let named = named.map(|name| received.value(name).unwrap_or_default().as_bytes());
        let mut hash = Sha256::new();
        for part in named.into_iter().chain([&received.body[..]]) {
            // The length keeps ("a", "bc") apart from ("ab", "c").
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let hash: [u8; 32] = hash.finalize().into();
        let half = |at: usize| {
            let bytes = hash[at..].iter().take(16);
            bytes.fold(0, |half, byte| half << 8 | u128::from(*byte))
        };
        Self(half(0), half(16))
    }
}

/// What a request was answered that could not be done. Its words are not kept: they may say what must
/// not be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: String,
    /// Whose saga stood in its way, or did not take it.
    pub saga_id: Option<SagaId>,
}

/// See the module.
#[derive(Default)]
pub struct Refusals {
    held: Mutex<Held>,
    /// Pages are written one after the other, so that none takes the place of a later state of it.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Held {
    /// By their numbers, counted over all that there ever were.
    refusals: BTreeMap<u64, (Print, Refused)>,
    numbers: HashMap<Print, u64>,
    /// The number of the next one.
    next: u64,
    /// Those before this one are in the catalog.
    kept: u64,
    under_way: HashSet<Print>,
}

/// A request that is being looked at; a copy of it waits.
pub struct UnderWay<'a>(&'a Refusals, Print);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way.remove(&self.1);
    }
}

impl Refusals {
    /// Takes back what is kept.
    pub async fn restore(&self, catalog: &dyn Catalog) -> Result<(), CatalogError> {
        let mut refusals = BTreeMap::new();
        for page in 0..PAGES {
            // They are filled one after the other.
            let Some(text) = catalog.note(&name(page)).await? else { break };
            match read(&text) {
                Some(page) => refusals.extend(page),
                None => tracing::warn!(page, "refusals of requests by message cannot be read"),
            }
        }
        let next = refusals.last_key_value().map_or(0, |(number, _)| number + 1);
        let numbers = refusals.iter().map(|(number, (print, _))| (*print, *number)).collect();
        *self.lock() = Held { refusals, numbers, next, kept: next, under_way: HashSet::new() };
        Ok(())
    }

    /// Looks at a request, unless a copy of it is being looked at: of two at once one might be
    /// refused and the other accepted.
    pub fn look_at(&self, print: Print) -> Option<UnderWay<'_>> {
        self.lock().under_way.insert(print).then(|| UnderWay(self, print))
    }

    /// What the same request was answered before, if that was a refusal.
    pub async fn find(
        &self,
        catalog: &dyn Catalog,
        print: Print,
    ) -> Result<Option<Refused>, CatalogError> {
        let (number, refusal) = {
            let held = self.lock();
            let Some(number) = held.numbers.get(&print).copied() else { return Ok(None) };
            (number, held.refusals[&number].1.clone())
        };
        // Whoever had it first could perhaps not keep it.
        self.write(catalog, number).await?;
        Ok(Some(refusal))
    }

    /// Keeps a refusal; it is durable when this is answered.
    pub async fn keep(
        &self,
        catalog: &dyn Catalog,
        print: Print,
        refusal: Refused,
    ) -> Result<(), CatalogError> {
        let number = self.lock().add(print, refusal);
        self.write(catalog, number).await
    }

    /// Writes what is not in the catalog, unless somebody else has written that one meanwhile.
    async fn write(&self, catalog: &dyn Catalog, number: u64) -> Result<(), CatalogError> {
        let _alone = self.writing.lock().await;
        let unwritten = {
            let held = self.lock();
            if number < held.kept {
                return Ok(());
            }
            held.unwritten()
        };
        for (name, text, up_to) in unwritten {
            catalog.put_note(&name, text).await?;
            self.lock().kept = up_to;
        }
        if self.lock().refusals.contains_key(&number) {
            return Ok(());
        }
        let what = "more requests were refused meanwhile than are remembered".to_owned();
        Err(CatalogError::Busy { what })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn add(&mut self, print: Print, refusal: Refused) -> u64 {
        let number = self.next;
        self.next += 1;
        self.refusals.insert(number, (print, refusal));
        self.numbers.insert(print, number);
        // The oldest page goes with the first of the one that takes its place.
        let oldest = (number / PAGE + 1).saturating_sub(PAGES) * PAGE;
        let stay = self.refusals.split_off(&oldest);
        for (print, _) in std::mem::replace(&mut self.refusals, stay).into_values() {
            self.numbers.remove(&print);
        }
        number
    }

    /// The pages that are not in the catalog as they are, the oldest first: their notes, and up to
    /// which number all is there with them.
    fn unwritten(&self) -> Vec<(String, Bytes, u64)> {
        let pages = self.kept / PAGE..self.next.div_ceil(PAGE);
        let texts = pages.map(|page| {
            let of_page = self.refusals.range(page * PAGE..(page + 1) * PAGE);
            (name(page), write(of_page), self.next.min((page + 1) * PAGE))
        });
        texts.collect()
    }
}

/// The catalog's name for a page.
fn name(page: u64) -> String {
    format!("refusals {}", page % PAGES)
}

/// A line for each: its number, the request's print, the code, and the saga or `-`.
fn write<'a>(refusals: impl Iterator<Item = (&'a u64, &'a (Print, Refused))>) -> Bytes {
    let line = |(number, (print, refusal)): (&u64, &(Print, Refused))| {
        let Refused { code, saga_id } = refusal;
        let saga = saga_id.map_or("-".to_owned(), |saga| format!("{:032x}", saga.0));
        format!("{number} {:032x}{:032x} {code} {saga}\n", print.0, print.1)
    };
    refusals.map(line).collect::<String>().into()
}

fn read(text: &[u8]) -> Option<Vec<(u64, (Print, Refused))>> {
    let half = |text: &str| (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok())?;
    let line = |line: &str| {
        let mut words = line.split(' ');
        let number = words.next()?.parse().ok()?;
        let (first, second) = words.next()?.split_at_checked(32)?;
        let print = Print(half(first)?, half(second)?);
        let code = words.next()?.to_owned();
        let saga_id = match words.next()? {
            "-" => None,
            saga => Some(SagaId(half(saga)?)),
        };
        words.next().is_none().then_some((number, (print, Refused { code, saga_id })))
    };
    std::str::from_utf8(text).ok()?.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_store::memory::Disk;
    use amends_transport::Tag;

    fn received(id: &str, body: &'static str) -> Received {
        let headers = [("ce-source", "/shop"), ("ce-id", id), ("ce-type", "Order.Start")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Received { tag: Tag(0), body: body.into(), headers, deliveries: 1 }
    }

    fn print(number: u64) -> Print {
        Print::of(&received(&number.to_string(), "{}"))
    }

    fn refusal(number: u64) -> Refused {
        let saga_id = number.is_multiple_of(2).then_some(SagaId(number.into()));
        Refused { code: "key_in_use".to_owned(), saga_id }
    }

    #[test]
    fn a_request_is_known_by_all_that_it_says() {
        assert_eq!(Print::of(&received("1", "{}")), Print::of(&received("1", "{}")));
        assert_ne!(Print::of(&received("1", "{}")), Print::of(&received("2", "{}")));
        assert_ne!(Print::of(&received("1", "{}")), Print::of(&received("1", "[]")));
        assert_ne!(Print::of(&received("1", "1")), Print::of(&received("11", "")));
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else_is() {
        let held: BTreeMap<_, _> = (7..9).map(|n| (n, (print(n), refusal(n)))).collect();
        let text = write(held.iter());
        assert_eq!(read(&text), Some(held.into_iter().collect()));
        for broken in [&b"\xff"[..], b"7", b"7 00 bad_data -", &text[1..], &text[..text.len() - 2]]
        {
            assert_eq!(read(broken), None, "{}", String::from_utf8_lossy(broken));
        }
    }

    #[tokio::test]
    async fn the_last_refusals_outlive_a_restart_and_the_oldest_make_room() {
        const MANY: u64 = PAGES * PAGE * 2 + 7;
        let disk = Disk::new();
        let mut refusals = Refusals::default();
        let mut catalog = disk.open().catalog;
        for number in 0..MANY {
            if number % 1000 == 999 {
                catalog = disk.open().catalog;
                refusals = Refusals::default();
                refusals.restore(&*catalog).await.unwrap();
            }
            refusals.keep(&*catalog, print(number), refusal(number)).await.unwrap();
        }
        let catalog = disk.open().catalog;
        let restored = Refusals::default();
        restored.restore(&*catalog).await.unwrap();
        for refusals in [refusals, restored] {
            for number in 0..MANY {
                let found = refusals.find(&*catalog, print(number)).await;
                let is_kept = number >= (MANY / PAGE + 1 - PAGES) * PAGE;
                assert_eq!(found, Ok(is_kept.then(|| refusal(number))), "{number}");
            }
        }
        assert_eq!(catalog.note(&format!("refusals {PAGES}")).await, Ok(None));
    }

    #[tokio::test]
    async fn what_could_not_be_kept_is_kept_before_it_is_told() {
        let disk = Disk::new();
        let (refusals, closed) = (Refusals::default(), disk.open().catalog);
        let catalog = disk.open().catalog;
        let kept = refusals.keep(&*closed, print(1), refusal(1)).await;
        assert_eq!(kept, Err(CatalogError::Closed));
        assert_eq!(refusals.find(&*closed, print(1)).await, Err(CatalogError::Closed));
        assert_eq!(refusals.find(&*catalog, print(1)).await, Ok(Some(refusal(1))));
        let restored = Refusals::default();
        restored.restore(&*catalog).await.unwrap();
        assert_eq!(restored.find(&*catalog, print(1)).await, Ok(Some(refusal(1))));
    }

    #[test]
    fn a_copy_waits_for_the_one_that_is_looked_at() {
        let refusals = Refusals::default();
        let first = refusals.look_at(print(1));
        assert!(first.is_some() && refusals.look_at(print(1)).is_none());
        assert!(refusals.look_at(print(2)).is_some());
        drop(first);
        assert!(refusals.look_at(print(1)).is_some());
    }
}
