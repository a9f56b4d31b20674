//! What the guard costs: two round trips to the database beyond the business's own, however a
//! handler ends.

use amends_participant::Answer;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::postgres::PgPoolOptions;
use sqlx::{MySql, Pool, Postgres};

use crate::bed::{
    Bed, Gate, RESULT, Saga, Tested, Work, code_of, completed, mariadb_url, postgres_url, refused,
};
use crate::proxy::Proxy;

/// Commands of a kind; what a connection does at its first time is done before they are counted.
const COMMANDS: u64 = 10;

struct Measured<D: Tested> {
    bed: Bed<D>,
    proxy: Proxy,
}

impl<D: Tested> Measured<D> {
    /// Round trips of one such act, as a mean over some. Two answers that the network brings at once
    /// count as one trip, so it is the nearest whole number.
    async fn cost<Acting: Future>(&self, mut act: impl FnMut() -> Acting) -> u64 {
        act().await;
        self.rested().await;
        let before = self.proxy.round_trips();
        for _ in 0..COMMANDS {
            act().await;
        }
        self.rested().await;
        let trips = self.proxy.round_trips() - before;
        let off = (trips % COMMANDS).min(COMMANDS - trips % COMMANDS);
        assert!(off <= 1, "{trips} round trips for {COMMANDS} acts of one kind");
        (trips + COMMANDS / 2) / COMMANDS
    }

    /// A pool looks at a connection that is given back, a moment later.
    async fn rested(&self) {
        while self.bed.pool.num_idle() < self.bed.pool.size() as usize {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    async fn business(&self, saga: Saga, effect: &str, commit: bool) {
        let mut tx = D::begin_writing(&self.bed.pool).await;
        D::enter(&mut tx, &saga.0.to_string(), "step", effect, 5).await.unwrap();
        if commit {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
    }

    async fn nothing(&self) {
        self.bed.pool.begin().await.unwrap().rollback().await.unwrap();
    }
}

async fn check_cost<D: Tested>(pool: Pool<D>, proxy: Proxy) {
    let bed = Bed::on(pool, None, Gate::standing_open()).await;
    let measured = Measured { bed, proxy };
    let Measured { bed, .. } = &measured;
    let business = measured.cost(|| measured.business(Saga::new(), "action", true)).await;
    let refused_business = measured.cost(|| measured.business(Saga::new(), "action", false)).await;
    let nothing = measured.cost(|| measured.nothing()).await;

    let check = |what: &str, cost: u64, wanted: u64| {
        println!("| {} | {what} | {cost} |", D::NAME);
        assert_eq!(cost, wanted, "{what}");
    };
    let action = measured.cost(|| async { bed.tell(&Saga::new().action()).await }).await;
    check("an action that completes", action - business, 2);

    let saga = Saga::new();
    bed.tell(&saga.action()).await;
    let duplicate = measured.cost(|| async { bed.tell(&saga.action()).await }).await;
    check("a duplicate of an action", duplicate - nothing, 1);

    let undo = Saga::new;
    let compensation = measured
        .cost(|| async {
            let undone = bed.tell(&undo().undo_of(1, Some(RESULT.as_bytes()))).await;
            assert_eq!(undone, Answer::Undone(true));
        })
        .await;
    check("a compensation", compensation - business, 2);
    let tombstone = measured.cost(|| async { bed.tell(&undo().undo()).await }).await;
    check("a compensation that comes first", tombstone - nothing, 2);

    let refusal = measured
        .cost(|| async {
            let answer = bed.tell(&Saga::new().action_that("refuse")).await;
            assert_eq!(answer, refused(1));
        })
        .await;
    check("a refusal", refusal - refused_business, 2);
    let failure = measured
        .cost(|| async {
            let answer = bed.tell(&Saga::new().action_that("fail")).await;
            assert_eq!(code_of(&answer), "HANDLER_FAILED");
        })
        .await;
    check("a failure", failure - refused_business, 2);
    let mut later = Vec::new();
    for _ in 0..=COMMANDS {
        let saga = Saga::new();
        assert_eq!(bed.tell(&saga.action_that("refuse")).await, refused(1));
        later.push(saga);
    }
    let completing = measured
        .cost(|| {
            let saga = later.pop().unwrap();
            async move {
                let work = Work { amount: 5, ..Work::default() };
                assert_eq!(bed.tell(&saga.action_of(2, work)).await, completed());
            }
        })
        .await;
    check("a later round that completes", completing - business, 2);
    let (saga, mut round) = (Saga::new(), 0);
    let refusing = measured
        .cost(|| {
            round += 1;
            async move {
                let work = Work { amount: i64::from(round), end: "refuse".to_owned() };
                assert_eq!(bed.tell(&saga.action_of(round, work)).await, refused(round));
            }
        })
        .await;
    check("a later round that is refused", refusing - refused_business, 2);
    let swallowed = measured
        .cost(|| async {
            let answer = bed.tell(&Saga::new().action_that("swallow and refuse")).await;
            assert_eq!(answer, refused(1));
        })
        .await;
    // The statement that failed is the business's.
    check("a refusal made of a database's error", swallowed - refused_business - 1, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_round_trips_a_command_to_postgres() {
    let url = tokio::task::spawn_blocking(postgres_url).await.unwrap();
    let (proxy, url) = proxied(&url).await;
    let pool = PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    check_cost::<Postgres>(pool, proxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_round_trips_a_command_to_mariadb() {
    let url = tokio::task::spawn_blocking(mariadb_url).await.unwrap();
    let (proxy, url) = proxied(&url).await;
    let pool = MySqlPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    check_cost::<MySql>(pool, proxy).await;
}

/// A proxy before the server of this URL, and the URL through it.
pub(crate) async fn proxied(url: &str) -> (Proxy, String) {
    let (front, database) = url.rsplit_once('/').unwrap();
    let (front, port) = front.rsplit_once(':').unwrap();
    let proxy = Proxy::before(port.parse().unwrap()).await;
    let url = format!("{front}:{}/{database}", proxy.port());
    (proxy, url)
}
