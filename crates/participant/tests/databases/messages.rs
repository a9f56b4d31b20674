//! The outbox, the inbox, and commands by message.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends_participant::{
    Answer, Channel, ChannelError, InMemory, Kind, Message, Participant, Received, Serving, Tag,
};
use amends_wire::signature::{Secret, sign};
use amends_wire::{Outcome, Reply};
use futures_util::future::BoxFuture;
use sqlx::Pool;
use tokio::sync::oneshot;

use crate::bed::{Bed, Gate, RESULT, SERVICE, Saga, Tested, business, completed, on_each_database};

on_each_database! {
    alone
    what_is_committed_leaves_and_what_is_not_does_not
    nothing_is_lost_between_the_commit_and_the_relay
    events_of_a_saga_leave_in_their_order
    a_message_that_is_refused_holds_up_no_other_saga
    a_broker_that_gives_no_word_ends_the_pass
    a_broker_that_is_away_ends_the_pass
    what_cannot_be_buried_rests_longer_each_time
    a_relay_that_is_stopped_notes_what_has_left
    commands_by_message_are_answered_by_name
    what_is_no_command_goes_to_the_dead_letters
    what_a_handler_ended_by_itself_goes_to_the_dead_letters
    where_a_secret_is_set_only_signed_messages_are_taken
    replies_are_kept_while_the_broker_takes_none
    what_was_received_is_taken_in_once
}

pub(crate) async fn bed<D: Tested>(pool: Pool<D>) -> Bed<D> {
    Bed::on(pool, None, Gate::standing_open()).await
}

/// Long, so that only what never happens fails.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), waited).await.is_ok(), "{what}");
}

/// Relays until nothing leaves any more.
async fn relay<D: Tested>(bed: &Bed<D>, broker: &InMemory) {
    while bed.participant.relay_once(&*broker.service()).await.unwrap() > 0 {}
}

/// What of a saga's events left, in order.
pub(crate) fn events(broker: &InMemory, saga: Saga) -> Vec<String> {
    let of_saga = |id: &str| id == saga.0.to_string();
    broker
        .events()
        .into_iter()
        .filter(|e| of_saga(&e.saga_id))
        .map(|e| String::from_utf8(e.body.to_vec()).unwrap())
        .collect()
}

async fn what_is_committed_leaves_and_what_is_not_does_not<D: Tested>(pool: Pool<D>) {
    let (bed, broker) = (bed(pool).await, InMemory::new());
    let (done, failed) = (Saga::new(), Saga::new());
    for _ in 0..2 {
        assert_eq!(bed.tell(&done.action_that("publish")).await, completed());
        assert_eq!(bed.tell(&failed.action_that("publish and fail")).await.status(), 503);
    }
    relay(&bed, &broker).await;
    assert_eq!(events(&broker, done), ["1", "2", "3"], "a duplicate publishes nothing");
    assert_eq!(events(&broker, failed), [""; 0]);
    let event = &broker.events()[0];
    assert_eq!((event.kind, event.name.as_str()), (Kind::Event, "Acted"));
    let attribute = |name: &str| {
        let found = event.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    assert_eq!(attribute("id"), event.id);
    assert_eq!(attribute("correlationid"), done.0.to_string());
    assert_eq!(attribute("source"), format!("/services/{SERVICE}"));
    assert_eq!(D::number(&bed.pool, "SELECT count(*) FROM amends_outbox").await.unwrap(), 0);
}

/// The process that committed is gone; the broker is away for a while.
async fn nothing_is_lost_between_the_commit_and_the_relay<D: Tested>(pool: Pool<D>) {
    let broker = InMemory::new();
    let saga = Saga::new();
    bed(pool.clone()).await.tell(&saga.action_that("publish")).await;
    let another = bed(pool).await;
    broker.set_away(true);
    assert!(another.participant.relay_once(&*broker.service()).await.is_err());
    assert_eq!(events(&broker, saga), [""; 0]);
    broker.set_away(false);
    // One more, which does not remember that the broker was away.
    relay(&another.behind(&Gate::standing_open()).await, &broker).await;
    assert_eq!(events(&broker, saga), ["1", "2", "3"]);
}

/// Also when several relays are at it.
async fn events_of_a_saga_leave_in_their_order<D: Tested>(pool: Pool<D>) {
    let (bed, broker) = (Arc::new(bed(pool).await), InMemory::new());
    let sagas: Vec<_> = (0..20).map(|_| Saga::new()).collect();
    let relaying: Vec<_> = (0..3)
        .map(|_| {
            let (participant, end) = (bed.participant.clone(), broker.service());
            tokio::spawn(async move { participant.relay(end).await })
        })
        .collect();
    for saga in &sagas {
        bed.tell(&saga.action_that("publish")).await;
    }
    eventually("all events leave", || broker.events().len() >= sagas.len() * 3).await;
    relaying.iter().for_each(tokio::task::JoinHandle::abort);
    for saga in sagas {
        assert_eq!(events(&broker, saga), ["1", "2", "3"]);
    }
}

/// Why a message is not taken, if it is not.
pub(crate) type Fault = Box<dyn Fn(&Message) -> Option<ChannelError> + Send + Sync>;

/// A broker that does not take some messages.
pub(crate) struct Picky {
    end: Arc<dyn Channel>,
    fault: Fault,
    /// Passed before it says that it has taken a message.
    word: Gate,
    pub(crate) tried: AtomicUsize,
}

impl Picky {
    pub(crate) fn before(end: Arc<dyn Channel>, fault: Fault) -> Self {
        Self { end, fault, word: Gate::standing_open(), tried: AtomicUsize::new(0) }
    }

    fn refusing(end: Arc<dyn Channel>, sagas: &[Saga]) -> Self {
        let names: Vec<_> = sagas.iter().map(|saga| saga.0.to_string()).collect();
        let fault = move |message: &Message| names.contains(&message.saga_id).then(too_large);
        Self::before(end, Box::new(fault))
    }
}

fn too_large() -> ChannelError {
    ChannelError::Refused("it is too large".to_owned())
}

impl Channel for Picky {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        self.end.receive()
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.end.acknowledge(tag)
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.end.give_back(tag, after)
    }

    fn dead_letter<'a>(
        &'a self,
        tag: Tag,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), ChannelError>> {
        self.end.dead_letter(tag, why)
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        if let Some(error) = (self.fault)(message) {
            return Box::pin(async { Err(error) });
        }
        Box::pin(async {
            self.end.publish(message).await?;
            self.word.pass().await;
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.end.close()
    }
}

/// More of them than are looked at in one go, by a relay and by passes that are asked for.
async fn a_message_that_is_refused_holds_up_no_other_saga<D: Tested>(pool: Pool<D>) {
    let (bed, broker) = (bed(pool).await, InMemory::new());
    let refused: Vec<_> = (0..400).map(|_| Saga::new()).collect();
    for saga in &refused {
        bed.tell(&saga.action_that("publish")).await;
    }
    let taken = Saga::new();
    bed.tell(&taken.action_that("publish")).await;
    let picky = Arc::new(Picky::refusing(broker.service(), &refused));
    // Each pass has a hundred rows, of which a saga has three.
    for _ in 0..20 {
        let _ = bed.participant.relay_once(&*picky).await;
    }
    assert_eq!(events(&broker, taken), ["1", "2", "3"]);
    // The relay knows what the passes have found out, and another copy of the service does not.
    let copy = bed.behind(&Gate::standing_open()).await;
    for participant in [bed.participant, copy.participant.clone()] {
        let late = Saga::new();
        copy.tell(&late.action_that("publish")).await;
        let channel = Arc::clone(&picky);
        let relaying = tokio::spawn(async move { participant.relay(channel).await });
        eventually("the others leave", || events(&broker, late).len() >= 3).await;
        relaying.abort();
        let _ = relaying.await;
        for saga in &refused {
            assert_eq!(events(&broker, *saga), [""; 0], "nothing goes past the refused one");
        }
    }
    let all = broker.service();
    let participant = copy.behind(&Gate::standing_open()).await.participant;
    let relaying = tokio::spawn(async move { participant.relay(all).await });
    eventually("all leave once they are taken", || {
        refused.last().is_some_and(|saga| events(&broker, *saga).len() == 3)
    })
    .await;
    relaying.abort();
    for saga in refused {
        assert_eq!(events(&broker, saga), ["1", "2", "3"]);
    }
}

/// Each is waited for, with the transaction open; and what was not tried then comes first.
async fn a_broker_that_gives_no_word_ends_the_pass<D: Tested>(pool: Pool<D>) {
    let (bed, broker) = (bed(pool).await, InMemory::new());
    let silent: Vec<_> = (0..3).map(|_| Saga::new()).collect();
    let taken = Saga::new();
    for saga in silent.iter().chain([&taken]) {
        bed.tell(&saga.action_that("publish")).await;
    }
    let names: Vec<_> = silent.iter().map(|saga| saga.0.to_string()).collect();
    let fault = move |message: &Message| {
        let no_word = || ChannelError::Unknown("it confirmed nothing".to_owned());
        names.contains(&message.saga_id).then(no_word)
    };
    let picky = Picky::before(broker.service(), Box::new(fault));
    for pass in 1..=3 {
        assert!(bed.participant.relay_once(&picky).await.is_err());
        assert_eq!(picky.tried.load(Ordering::SeqCst), pass);
    }
    assert_eq!(bed.participant.relay_once(&picky).await.unwrap(), 1);
    assert_eq!(events(&broker, taken), ["1"]);
}

/// It is away rather than the places of ten messages.
async fn a_broker_that_is_away_ends_the_pass<D: Tested>(pool: Pool<D>) {
    let (bed, broker) = (bed(pool).await, InMemory::new());
    for _ in 0..15 {
        bed.tell(&Saga::new().action_that("publish")).await;
    }
    let away = |_: &Message| Some(ChannelError::Away("no connection".to_owned()));
    let picky = Picky::before(broker.service(), Box::new(away));
    for tried in [10, 15] {
        assert!(bed.participant.relay_once(&picky).await.is_err());
        let at_least = picky.tried.load(Ordering::SeqCst);
        assert!(at_least >= tried && at_least <= 2 * 10, "{at_least}");
    }
}

/// A place for dead letters that is not there.
struct NoDeadLetters {
    end: Arc<dyn Channel>,
    pauses: Mutex<Vec<u128>>,
}

impl Channel for NoDeadLetters {
    fn receive(&self) -> BoxFuture<'_, Result<Received, ChannelError>> {
        self.end.receive()
    }

    fn acknowledge(&self, tag: Tag) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.end.acknowledge(tag)
    }

    fn give_back(&self, tag: Tag, after: Duration) -> BoxFuture<'_, Result<(), ChannelError>> {
        self.pauses.lock().unwrap().push(after.as_millis());
        self.end.give_back(tag, Duration::ZERO)
    }

    fn dead_letter<'a>(&'a self, _: Tag, _: &'a str) -> BoxFuture<'a, Result<(), ChannelError>> {
        Box::pin(async { Err(ChannelError::Refused("no such place".to_owned())) })
    }

    fn publish<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), ChannelError>> {
        self.end.publish(message)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.end.close()
    }
}

async fn what_cannot_be_buried_rests_longer_each_time<D: Tested>(pool: Pool<D>) {
    let (bed, broker) = (bed(pool).await, InMemory::new());
    let channel = Arc::new(NoDeadLetters { end: broker.service(), pauses: Mutex::new(Vec::new()) });
    broker.put(Kind::Command, "no command".into(), Vec::new());
    let (stop, stopped) = oneshot::channel::<()>();
    let end: Arc<dyn Channel> = Arc::clone(&channel) as _;
    let serving = tokio::spawn(Serving::new(bed.participant, end).run(async {
        let _ = stopped.await;
    }));
    eventually("it comes again", || channel.pauses.lock().unwrap().len() >= 4).await;
    drop(stop);
    serving.await.unwrap();
    assert_eq!(channel.pauses.lock().unwrap()[..4], [200, 400, 800, 1600]);
}

/// Else it would leave once more.
async fn a_relay_that_is_stopped_notes_what_has_left<D: Tested>(pool: Pool<D>) {
    let (bed, broker, gate) = (bed(pool).await, InMemory::new(), Gate::shut());
    bed.tell(&Saga::new().action_that("publish")).await;
    let taking = Picky::before(broker.service(), Box::new(|_: &Message| None));
    let end = Arc::new(Picky { word: gate.clone(), ..taking });
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(Serving::new(bed.participant.clone(), end).run(async {
        let _ = stopped.await;
    }));
    gate.arrival().await;
    drop(stop);
    // Time enough to break it off, were that done.
    tokio::time::sleep(Duration::from_millis(300)).await;
    gate.open.add_permits(100);
    serving.await.unwrap();
    assert_eq!(D::number(&bed.pool, "SELECT count(*) FROM amends_outbox").await.unwrap(), 0);
    assert_eq!(broker.events().len(), 3);
}

/// A service behind a broker, and an engine that listens.
pub(crate) struct Served {
    pub(crate) broker: InMemory,
    heard: Arc<Mutex<Vec<Reply>>>,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<()>,
    listening: tokio::task::JoinHandle<()>,
}

impl Served {
    pub(crate) fn start<D: Tested>(serving: impl FnOnce(Arc<dyn Channel>) -> Serving<D>) -> Self {
        let broker = InMemory::new();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listening = tokio::spawn(listen(broker.engine(), Arc::clone(&heard)));
        let (stop, stopped) = oneshot::channel();
        let serving = serving(broker.service()).run(async {
            let _ = stopped.await;
        });
        Self { broker, heard, stop, serving: tokio::spawn(serving), listening }
    }

    pub(crate) async fn put_and_wait(&self, body: bytes::Bytes) {
        self.put_with(body, Vec::new()).await;
    }

    pub(crate) async fn put_with(&self, body: bytes::Bytes, attributes: Vec<(String, String)>) {
        self.broker.put(Kind::Command, body, attributes);
        eventually("the broker is idle", || self.broker.is_idle()).await;
    }

    /// Stops it, and says what was heard.
    pub(crate) async fn end(self) -> Vec<Reply> {
        let _ = self.stop.send(());
        self.serving.await.unwrap();
        eventually("all is heard", || self.broker.is_idle()).await;
        self.listening.abort();
        std::mem::take(&mut *self.heard.lock().unwrap())
    }

    /// The same, each reply once: a relay that is stopped between the broker's word and its own
    /// note of it leaves the message to be published again.
    pub(crate) async fn end_once(self) -> Vec<Reply> {
        let mut heard = self.end().await;
        heard.dedup();
        heard
    }
}

/// Hears replies, and acknowledges each.
async fn listen(engine: Arc<dyn Channel>, heard: Arc<Mutex<Vec<Reply>>>) {
    while let Ok(received) = engine.receive().await {
        heard.lock().unwrap().push(Reply::parse(&received, &received.body).unwrap());
        engine.acknowledge(received.tag).await.unwrap();
    }
}

fn outcomes(replies: &[Reply]) -> Vec<Outcome> {
    replies.iter().map(|reply| reply.outcome(&Default::default())).collect()
}

async fn commands_by_message_are_answered_by_name<D: Tested>(pool: Pool<D>) {
    let bed = bed(pool).await;
    let served = Served::start(|broker| Serving::new(bed.participant.clone(), broker).at_once(4));
    let (saga, refusing) = (Saga::new(), Saga::new());
    for _ in 0..2 {
        served.put_and_wait(saga.action()).await;
    }
    served.put_and_wait(refusing.action_that("refuse")).await;
    served.put_and_wait(refusing.undo()).await;
    served.put_and_wait(Saga::new().action_that("fail")).await;
    served.put_and_wait(saga.undo()).await;
    assert_eq!(served.broker.dead_letters(), []);
    let heard = served.end().await;
    // A reply of the outbox may be overtaken by one of another saga: each is looked for.
    let of = |saga: Saga| {
        let of_saga: Vec<_> =
            heard.iter().filter(|reply| reply.saga_id == Some(saga.0)).cloned().collect();
        outcomes(&of_saga)
    };
    let done = Outcome::Completed { result: Some(RESULT.into()), undone: None };
    let undone = Outcome::Completed { result: None, undone: Some(true) };
    assert_eq!(of(saga), [done.clone(), done, undone]);
    let [refused, gone] = &of(refusing)[..] else { panic!("{heard:?}") };
    assert!(matches!(refused, Outcome::Refused { .. }), "{refused:?}");
    assert_eq!(*gone, Outcome::Gone { proven: true });
    assert!(outcomes(&heard).iter().any(|o| matches!(o, Outcome::Transient { .. })));
    assert_eq!(bed.effects(saga).await, (1, 1));
}

async fn what_is_no_command_goes_to_the_dead_letters<D: Tested>(pool: Pool<D>) {
    let bed = bed(pool).await;
    let served = Served::start(|broker| Serving::new(bed.participant.clone(), broker));
    let saga = Saga::new();
    let body = String::from_utf8(saga.action().to_vec()).unwrap();
    served.put_and_wait("no command".into()).await;
    served.put_and_wait(body.replace(SERVICE, "PaymentService").into()).await;
    served.put_and_wait(body.replace(".Act", ".Other").into()).await;
    served.put_and_wait(vec![b' '; amends_participant::BODY_BYTES_MAX + 1].into()).await;
    served.put_and_wait(saga.action()).await;
    served.put_and_wait(body.replace("\"amount\":5", "\"amount\":6").into()).await;
    let reasons: Vec<_> = served.broker.dead_letters().into_iter().map(|(_, why)| why).collect();
    let codes: Vec<_> = reasons.iter().map(|why| why.split(':').next().unwrap()).collect();
    let expected = ["NOT_JSON", "FOREIGN_COMMAND", "UNKNOWN_COMMAND", "TOO_LARGE", "KEY_REUSED"];
    assert_eq!(codes, expected);
    assert_eq!(served.end_once().await.len(), 1);
    assert_eq!(bed.effects(saga).await, (1, 0));
}

/// It would never mend itself: a message that is given back would come for ever.
async fn what_a_handler_ended_by_itself_goes_to_the_dead_letters<D: Tested>(pool: Pool<D>) {
    let bed = bed(pool).await;
    let served = Served::start(|broker| Serving::new(bed.participant.clone(), broker));
    let (committed, rolled_back) = (Saga::new(), Saga::new());
    let action = committed.action_that("commit and fail");
    for body in [&action, &action, &committed.undo(), &rolled_back.action_that("roll back")] {
        served.put_and_wait(body.clone()).await;
    }
    let letters = served.broker.dead_letters();
    assert_eq!(letters.len(), 4, "{letters:?}");
    for (_, why) in letters {
        assert!(why.starts_with("OUTCOME_UNKNOWN: "), "{why}");
        assert!(why.contains("the handler has ended its transaction"), "{why}");
    }
    assert_eq!(served.end().await, []);
    assert_eq!(bed.effects(committed).await, (1, 0));
}

async fn where_a_secret_is_set_only_signed_messages_are_taken<D: Tested>(pool: Pool<D>) {
    let bed = bed(pool).await;
    let served = Served::start(|broker| {
        Serving::new(bed.participant.clone(), broker).secret("shared").unwrap()
    });
    let saga = Saga::new();
    served.put_and_wait(saga.action()).await;
    assert_eq!(bed.effects(saga).await, (0, 0));
    assert!(served.broker.dead_letters()[0].1.starts_with("NOT_SIGNED"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let signature = sign(&[Secret::new("shared").unwrap()], "id", now, &saga.action());
    let attributes = [("webhook-id", "id".to_owned()), ("webhook-timestamp", now.to_string())];
    let attributes = attributes.into_iter().chain([("webhook-signature", signature)]);
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value)).collect();
    served.put_with(saga.action(), attributes).await;
    assert_eq!(served.end_once().await.len(), 1);
    assert_eq!(bed.effects(saga).await, (1, 0));
}

/// The command is done with once it is committed; its reply waits in the outbox.
async fn replies_are_kept_while_the_broker_takes_none<D: Tested>(pool: Pool<D>) {
    let bed = bed(pool).await;
    let takes_none = Arc::new(AtomicBool::new(true));
    let refuses = Arc::clone(&takes_none);
    let served = Served::start(|end| {
        let fault = move |_: &Message| refuses.load(Ordering::Acquire).then(too_large);
        Serving::new(bed.participant.clone(), Arc::new(Picky::before(end, Box::new(fault))))
    });
    let saga = Saga::new();
    served.put_and_wait(saga.action()).await;
    assert_eq!(bed.effects(saga).await, (1, 0));
    assert_eq!(*served.heard.lock().unwrap(), []);
    takes_none.store(false, Ordering::Release);
    eventually("it is heard", || !served.heard.lock().unwrap().is_empty()).await;
    let heard = served.end_once().await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(bed.tell(&saga.undo()).await, Answer::Undone(true));
}

async fn what_was_received_is_taken_in_once<D: Tested>(pool: Pool<D>) {
    let bed = bed(pool).await;
    let participant: Participant<D> =
        business(Participant::builder(SERVICE, bed.pool.clone()), Gate::standing_open()).build();
    let receive = async |source: &str, id: &str, commit: bool| {
        let mut tx = bed.pool.begin().await.unwrap();
        let is_new = participant.once(&mut tx, source, id).await.unwrap();
        if commit {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        is_new
    };
    assert!(receive("/orders", "1", false).await);
    assert!(receive("/orders", "1", true).await, "what was rolled back was not received");
    assert!(!receive("/orders", "1", true).await);
    assert!(receive("/Orders", "1", true).await);
    assert!(receive("/orders", "2", true).await);
    let mut connection = bed.pool.acquire().await.unwrap();
    assert!(participant.once(&mut connection, "/orders", &"x".repeat(201)).await.is_err());
    assert!(participant.once(&mut connection, "/orders ", "3").await.is_err());
    drop(connection);
    assert_eq!(participant.forget_received(Duration::from_secs(60)).await.unwrap(), 0);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(participant.forget_received(Duration::from_millis(1)).await.unwrap(), 3);
    assert!(receive("/orders", "1", true).await);
}
