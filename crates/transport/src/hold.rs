//! What one end of a broker holds: brought, and not settled. The same for every broker, whatever a
//! broker calls a delivery.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::channel::{ChannelError, Received, Tag, UNSETTLED_MAX};
use crate::readable::BODY_BYTES_MAX;

/// How many bytes of bodies one end takes into memory before something is settled: the largest that are
/// read at all, a few dozen times over, and of those that are usual all that it may hold.
pub const HELD_BYTES_MAX: usize = 64 * BODY_BYTES_MAX;

/// The messages of one end, with the broker's own handle `H` of each.
pub struct Hold<H> {
    state: Mutex<State<H>>,
    /// How many more may be held.
    room: Semaphore,
    /// There are fewer bytes than there were.
    freed: Notify,
    brought: mpsc::Sender<Result<Received, ChannelError>>,
    next: tokio::sync::Mutex<mpsc::Receiver<Result<Received, ChannelError>>>,
}

struct State<H> {
    tags: u64,
    held: BTreeMap<Tag, Held<H>>,
    bytes: usize,
    ended: bool,
}

#[derive(Clone)]
struct Held<H> {
    handle: H,
    bytes: usize,
}

/// Room for some messages; what is not used is given back when it is dropped.
pub struct Room<'a> {
    of: &'a Semaphore,
    left: usize,
}

/// A message as a broker brings it, out of its envelope.
pub struct Brought {
    /// Headers, as [`Received`] has them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// How often it was brought, where the broker counts it; 1 otherwise.
    pub deliveries: u32,
}

impl<H: Clone> Hold<H> {
    /// With nothing in it.
    pub fn new() -> Self {
        // One more than is held: for the word that the broker is away.
        let (brought, next) = mpsc::channel(UNSETTLED_MAX + 1);
        Self {
            state: Mutex::new(State { tags: 0, held: BTreeMap::new(), bytes: 0, ended: false }),
            room: Semaphore::new(UNSETTLED_MAX),
            freed: Notify::new(),
            brought,
            next: tokio::sync::Mutex::new(next),
        }
    }

    /// Waits until something more may be held, and takes room for at most `max` messages, of which each
    /// may have as many bytes as are said. For one there is room as long as not all bytes are taken: so
    /// what is held may have too many by one message, and however large one is, it comes.
    pub async fn room(&self, max: usize, bytes_each: usize) -> Room<'_> {
        // It is closed at no time.
        if let Ok(one) = self.room.acquire().await {
            one.forget();
        }
        let mut room = Room { of: &self.room, left: 1 };
        let bytes_left = loop {
            let freed = self.freed.notified();
            match self.bytes_left() {
                0 => freed.await,
                left => break left,
            }
        };
        while room.left < max.min(bytes_left / bytes_each.max(1))
            && let Ok(one) = self.room.try_acquire()
        {
            one.forget();
            room.left += 1;
        }
        room
    }

    /// How many bytes more may be held.
    pub fn bytes_left(&self) -> usize {
        HELD_BYTES_MAX.saturating_sub(self.state().bytes)
    }

    /// Holds a message and tells of it; `false` where this end has left, or where there is no room
    /// for it.
    pub fn bring(&self, room: &mut Room<'_>, handle: H, brought: Brought) -> bool {
        let Some(tag) = self.keep(room, handle, brought.body.len()) else { return false };
        let told = self.tell(tag, brought);
        if !told && self.state().remove(tag).is_some() {
            room.left += 1;
        }
        told
    }

    /// Holds a message that is to be told of later; `None` where this end has left, or where there
    /// is no room for it.
    pub fn keep(&self, room: &mut Room<'_>, handle: H, bytes: usize) -> Option<Tag> {
        let mut state = self.state();
        if room.left == 0 || state.ended {
            return None;
        }
        let tag = state.new_tag();
        state.insert(tag, Held { handle, bytes });
        room.left -= 1;
        Some(tag)
    }

    /// Tells the reader of a message that is held; `false` where it has too much to read.
    pub fn tell(&self, tag: Tag, brought: Brought) -> bool {
        let state = self.state();
        if !state.held.contains_key(&tag) {
            return true; // there is nothing to tell of
        }
        let Brought { headers, body, deliveries } = brought;
        self.brought.try_send(Ok(Received { tag, body, headers, deliveries })).is_ok()
    }

    /// Goes on holding a message under another tag, which nobody is told of yet: the one that it had
    /// settles nothing any more. `None` where it is not held.
    pub fn set_aside(&self, tag: Tag) -> Option<(Tag, H)> {
        let mut state = self.state();
        let held = state.remove(tag)?;
        let tag = state.new_tag();
        state.insert(tag, held.clone());
        Some((tag, held.handle))
    }

    /// Tells the reader that the broker cannot be read, where it has not been told already.
    pub fn trouble(&self, error: ChannelError) {
        let _ = self.brought.try_send(Err(error)); // full: there is something to read
    }

    /// The next message. What was lost or settled since it was brought is passed over.
    pub async fn next(&self) -> Result<Received, ChannelError> {
        let mut next = self.next.lock().await;
        loop {
            match next.recv().await {
                Some(Ok(received)) if self.state().held.contains_key(&received.tag) => {
                    return Ok(received);
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => std::future::pending().await,
            }
        }
    }

    /// A message that is held, which it stays.
    pub fn peek(&self, tag: Tag) -> Option<H> {
        Some(self.state().held.get(&tag)?.handle.clone())
    }

    /// Ends the hold on a message; `None` where it is not held any more, and then there is nothing
    /// to do.
    pub fn settle(&self, tag: Tag) -> Option<H> {
        let held = self.state().remove(tag)?;
        self.room.add_permits(1);
        self.freed.notify_waiters();
        Some(held.handle)
    }

    /// What is held.
    pub fn held(&self) -> Vec<H> {
        self.state().held.values().map(|held| held.handle.clone()).collect()
    }

    /// Forgets what is held: the broker will bring it again.
    pub fn lose(&self) -> Vec<H> {
        self.lose_where(|_| true)
    }

    /// Forgets some of what is held.
    pub fn lose_where(&self, mut lost: impl FnMut(&H) -> bool) -> Vec<H> {
        let mut state = self.state();
        let gone = state.held.iter().filter(|(_, held)| lost(&held.handle)).map(|(tag, _)| *tag);
        let gone: Vec<Tag> = gone.collect();
        let gone: Vec<H> =
            gone.into_iter().filter_map(|tag| Some(state.remove(tag)?.handle)).collect();
        drop(state);
        self.room.add_permits(gone.len());
        self.freed.notify_waiters();
        gone
    }

    /// Holds nothing from now on. What was held is to be left to others.
    pub fn end(&self) -> Vec<H> {
        self.state().ended = true;
        self.lose()
    }

    fn state(&self) -> MutexGuard<'_, State<H>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H> State<H> {
    fn new_tag(&mut self) -> Tag {
        self.tags += 1;
        Tag(self.tags)
    }

    fn insert(&mut self, tag: Tag, held: Held<H>) {
        self.bytes += held.bytes;
        self.held.insert(tag, held);
    }

    fn remove(&mut self, tag: Tag) -> Option<Held<H>> {
        let held = self.held.remove(&tag)?;
        self.bytes -= held.bytes;
        Some(held)
    }
}

impl<H: Clone> Default for Hold<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H> std::fmt::Debug for Hold<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}

impl Room<'_> {
    /// For how many messages.
    pub const fn left(&self) -> usize {
        self.left
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.of.add_permits(self.left);
    }
}

impl std::fmt::Debug for Room<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn brought() -> Brought {
        Brought { headers: Vec::new(), body: Bytes::new(), deliveries: 1 }
    }

    #[tokio::test]
    async fn no_more_is_held_than_may_be() {
        let hold = Hold::new();
        let mut room = hold.room(usize::MAX, 1).await;
        assert_eq!(room.left(), UNSETTLED_MAX);
        for number in 0..UNSETTLED_MAX {
            assert!(hold.bring(&mut room, number, brought()));
        }
        assert!(!hold.bring(&mut room, 0, brought()), "there is no room for it");
        drop(room);
        assert!(hold.room(1, 1).now_or_never().is_none());
        let first = hold.next().await.unwrap();
        assert_eq!(hold.settle(first.tag), Some(0));
        assert_eq!(hold.settle(first.tag), None, "it is settled already");
        assert_eq!(hold.room(9, 1).await.left(), 1);
    }

    #[tokio::test]
    async fn no_more_bytes_are_held_than_may_be_and_one_message() {
        const EACH: usize = HELD_BYTES_MAX / 3;
        let large = || Brought { headers: Vec::new(), body: vec![0; EACH].into(), deliveries: 1 };
        let hold = Hold::new();
        assert_eq!(hold.room(9, EACH).await.left(), 3, "as many as fit");
        assert_eq!(hold.room(9, 2 * HELD_BYTES_MAX).await.left(), 1, "one comes, however large");
        let mut room = hold.room(9, 1).await;
        for number in 0..4 {
            assert!(hold.bring(&mut room, number, large()));
        }
        drop(room);
        let mut waiting = Box::pin(hold.room(1, 1));
        assert!((&mut waiting).now_or_never().is_none(), "there are too many bytes");
        let first = hold.next().await.unwrap();
        let (tag, _) = hold.set_aside(first.tag).unwrap();
        assert!((&mut waiting).now_or_never().is_none(), "what is set aside takes up room");
        hold.settle(tag);
        let second = hold.next().await.unwrap();
        hold.settle(second.tag);
        assert_eq!(waiting.await.left(), 1);
        hold.lose();
        assert_eq!(hold.bytes_left(), HELD_BYTES_MAX);
    }

    #[tokio::test]
    async fn what_was_lost_is_passed_over() {
        let hold = Hold::new();
        let mut room = hold.room(3, 1).await;
        hold.bring(&mut room, "lost", brought());
        assert_eq!(hold.lose(), ["lost"]);
        hold.bring(&mut room, "again", brought());
        let next = hold.next().await.unwrap();
        assert_eq!(hold.settle(next.tag), Some("again"));
        drop(room);
        assert_eq!(hold.room(usize::MAX, 1).await.left(), UNSETTLED_MAX);
    }

    #[tokio::test]
    async fn what_is_set_aside_takes_up_room_and_is_told_of_under_another_tag() {
        let hold = Hold::new();
        let mut room = hold.room(usize::MAX, 1).await;
        hold.bring(&mut room, 1, brought());
        let first = hold.next().await.unwrap();
        let (tag, handle) = hold.set_aside(first.tag).unwrap();
        assert_eq!((handle, hold.settle(first.tag)), (1, None));
        drop(room);
        assert_eq!(hold.room(usize::MAX, 1).await.left(), UNSETTLED_MAX - 1);
        assert!(hold.tell(tag, brought()));
        assert_eq!(hold.next().await.unwrap().tag, tag);
        assert_eq!(hold.settle(tag), Some(1));
    }

    #[tokio::test]
    async fn some_are_lost_and_the_others_stay() {
        let hold = Hold::new();
        let mut room = hold.room(3, 1).await;
        for number in [1, 2, 3] {
            hold.bring(&mut room, number, brought());
        }
        assert_eq!(hold.lose_where(|number| number % 2 == 1), [1, 3]);
        let left = hold.next().await.unwrap();
        assert_eq!(hold.settle(left.tag), Some(2));
    }

    #[tokio::test]
    async fn nothing_is_held_after_the_end() {
        let hold = Hold::new();
        let mut room = hold.room(2, 1).await;
        hold.bring(&mut room, 1, brought());
        assert_eq!(hold.end(), [1]);
        assert!(!hold.bring(&mut room, 2, brought()));
        assert!(hold.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn trouble_is_told_once_it_is_looked_for() {
        let hold = Hold::<()>::new();
        hold.trouble(ChannelError::Away("it is away".to_owned()));
        assert!(hold.next().await.is_err());
    }
}
