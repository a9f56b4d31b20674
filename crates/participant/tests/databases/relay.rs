//! The relay beside another one, and with what it cannot use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use amends_participant::{
    Channel, ChannelError, InMemory, Message, Participant, Received, Serving, Tag,
};
use amends_wire::signature::{Secret, Signed};
use futures_util::future::{BoxFuture, join_all};
use sqlx::Pool;

use crate::bed::{Bed, Gate, SERVICE, Saga, Tested, business, on_each_database};
use crate::messages::{Picky, bed, events, eventually};

on_each_database! {
    alone
    two_copies_of_a_service_publish_each_message_once
    a_row_that_cannot_be_read_holds_up_no_other_saga
    a_channel_that_panics_ends_neither_the_relay_nor_the_service
    who_relays_signs_where_the_participant_has_a_secret
}

/// A broker that takes its time, so that passes overlap.
struct Slow {
    end: Arc<dyn Channel>,
    tried: AtomicUsize,
}

impl Channel for Slow {
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
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            self.end.publish(message).await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.end.close()
    }
}

/// Participants of their own, as two processes have them.
async fn two_copies_of_a_service_publish_each_message_once<D: Tested>(pool: Pool<D>) {
    let (bed, broker) = (bed(pool).await, InMemory::new());
    let sagas: Vec<_> = (0..40).map(|_| Saga::new()).collect();
    for saga in &sagas {
        bed.tell(&saga.action_that("publish")).await;
    }
    let another = bed.behind(&Gate::standing_open()).await;
    let slow = Arc::new(Slow { end: broker.service(), tried: AtomicUsize::new(0) });
    let relaying: Vec<_> = [&bed, &another]
        .map(|bed| {
            let (participant, channel) = (bed.participant.clone(), Arc::clone(&slow));
            tokio::spawn(async move { participant.relay(channel).await })
        })
        .into();
    eventually("all events leave", || broker.events().len() >= sagas.len() * 3).await;
    relaying.iter().for_each(tokio::task::JoinHandle::abort);
    join_all(relaying).await;
    assert_eq!(slow.tried.load(Ordering::SeqCst), sagas.len() * 3);
    for saga in sagas {
        assert_eq!(events(&broker, saga), ["1", "2", "3"]);
    }
}

async fn a_row_that_cannot_be_read_holds_up_no_other_saga<D: Tested>(pool: Pool<D>) {
    let (bed, broker) = (bed(pool).await, InMemory::new());
    let (broken, whole) = (Saga::new(), Saga::new());
    for saga in [broken, whole] {
        bed.tell(&saga.action_that("publish")).await;
    }
    let damage = |column: &str, value: &str| {
        format!(
            "UPDATE amends_outbox SET {column} = '{value}' WHERE saga_id = '{}' AND body = '1'",
            broken.0
        )
    };
    for (column, wrong, right) in [("kind", "none", "event"), ("attributes", "{", "[]")] {
        let copy = bed.behind(&Gate::standing_open()).await;
        assert_eq!(D::run(&bed.pool, damage(column, wrong)).await.unwrap(), 1);
        for _ in 0..5 {
            copy.participant.relay_once(&*broker.service()).await.unwrap();
        }
        assert_eq!(events(&broker, whole), ["1", "2", "3"], "{column}");
        assert_eq!(events(&broker, broken), [""; 0], "nothing goes past it: {column}");
        assert_eq!(D::run(&bed.pool, damage(column, right)).await.unwrap(), 1);
    }
    // A person, or another version, has mended it.
    let copy = bed.behind(&Gate::standing_open()).await;
    while copy.participant.relay_once(&*broker.service()).await.unwrap() > 0 {}
    assert_eq!(events(&broker, broken), ["1", "2", "3"]);
}

async fn a_channel_that_panics_ends_neither_the_relay_nor_the_service<D: Tested>(pool: Pool<D>) {
    let (bed, broker) = (bed(pool).await, InMemory::new());
    let (bad, good) = (Saga::new(), Saga::new());
    let panics = Arc::new(AtomicBool::new(true));
    let (of, still) = (bad.0.to_string(), Arc::clone(&panics));
    let fault = move |message: &Message| {
        assert!(message.saga_id != of || !still.load(Ordering::SeqCst), "as the test has it");
        None
    };
    let channel = Arc::new(Picky::before(broker.service(), Box::new(fault)));
    let serving = Serving::new(bed.participant.clone(), channel);
    let serving = tokio::spawn(serving.run(std::future::pending()));
    for saga in [bad, good] {
        bed.tell(&saga.action_that("publish")).await;
    }
    eventually("the others leave", || events(&broker, good).len() == 3).await;
    assert_eq!(events(&broker, bad), [""; 0]);
    panics.store(false, Ordering::SeqCst);
    eventually("it leaves once nothing panics", || events(&broker, bad).len() == 3).await;
    serving.abort();
}

async fn who_relays_signs_where_the_participant_has_a_secret<D: Tested>(pool: Pool<D>) {
    let (_, broker) = (bed(pool.clone()).await, InMemory::new());
    let builder = business(Participant::builder(SERVICE, pool.clone()), Gate::standing_open());
    let participant = builder.secret("shared").unwrap().build();
    let bed = Bed { pool, participant };
    let is_signed = |saga: Saga| {
        let all = broker.events();
        let event = all.iter().find(|event| event.saga_id == saga.0.to_string()).unwrap();
        let attribute = |name: &str| {
            let mut found = event.attributes.iter().filter(|(known, _)| known == name);
            let first = found.next().map(|(_, value)| value.as_str());
            assert!(found.next().is_none(), "{name} is said twice");
            first
        };
        let signed = Signed {
            id: attribute("webhook-id"),
            timestamp: attribute("webhook-timestamp"),
            signature: attribute("webhook-signature"),
        };
        signed.verify_at_any_time(&[Secret::new("shared").unwrap()], &event.body).is_ok()
    };
    let by_hand = Saga::new();
    bed.tell(&by_hand.action_that("publish")).await;
    while bed.participant.relay_once(&*broker.service()).await.unwrap() > 0 {}
    assert!(is_signed(by_hand));

    let by_itself = Saga::new();
    bed.tell(&by_itself.action_that("publish")).await;
    let (participant, channel) = (bed.participant.clone(), broker.service());
    let relaying = tokio::spawn(async move { participant.relay(channel).await });
    eventually("all events leave", || events(&broker, by_itself).len() == 3).await;
    relaying.abort();
    assert!(is_signed(by_itself));

    let served = Saga::new();
    bed.tell(&served.action_that("publish")).await;
    let serving = Serving::new(bed.participant.clone(), broker.service());
    let serving = tokio::spawn(serving.run(std::future::pending()));
    eventually("all events leave", || events(&broker, served).len() == 3).await;
    assert!(is_signed(served));
    // And takes nothing that is not.
    broker.put(amends_participant::Kind::Command, Saga::new().action(), Vec::new());
    eventually("it is a dead letter", || broker.dead_letters().len() == 1).await;
    serving.abort();
}
