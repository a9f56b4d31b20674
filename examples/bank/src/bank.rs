//! The services running: each on its database and its port, until they are stopped.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use amends_participant::{Builder, Http, Participant};
use anyhow::Context;
use sqlx::Sqlite;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::accounts::{self, Accounts};
use crate::notices::{self, Notices};
use crate::transfers::{self, Transfers};

/// SQLite has one writer; the others wait for it here rather than in the file.
const CONNECTIONS: u32 = 4;

/// A service of the bank.
#[derive(Clone, Copy)]
pub struct Service {
    /// On the command line, and of its database.
    pub name: &'static str,
    /// In `transfer.yaml`.
    pub in_definitions: &'static str,
    /// Its port there.
    pub usual_port: u16,
    tables: &'static str,
    on: fn(SqlitePool) -> Builder<Sqlite>,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self {
            name: "accounts",
            in_definitions: "AccountService",
            usual_port: 7111,
            tables: accounts::TABLES,
            on: |pool| Accounts.participant(pool),
        },
        Self {
            name: "ledger",
            in_definitions: "LedgerService",
            usual_port: 7112,
            tables: transfers::TABLES,
            on: |pool| Transfers.participant(pool),
        },
        Self {
            name: "notification",
            in_definitions: "NotificationService",
            usual_port: 7104,
            tables: notices::TABLES,
            on: |pool| Notices.participant(pool),
        },
    ];

    /// On its database, which is made if need be.
    async fn open(&self, database: &Path) -> sqlx::Result<Participant<Sqlite>> {
        let options = SqliteConnectOptions::new()
            .filename(database)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What is answered has been on the disk.
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS);
        let pool = pool.connect_with(options).await?;
        sqlx::raw_sql(self.tables).execute(&pool).await?;
        let participant = (self.on)(pool).build();
        participant.create_tables().await?;
        Ok(participant)
    }
}

/// Services that run.
pub struct Bank {
    addresses: Vec<(Service, SocketAddr)>,
    running: JoinSet<std::io::Result<()>>,
    /// Dropped to stop them.
    stop: watch::Sender<()>,
}

impl Bank {
    /// Starts these services on the loopback address, each at the port that is said of it (0: any
    /// free one) and with its database `<name>.db` in this folder.
    ///
    /// # Errors
    ///
    /// The port is taken, or the database cannot be opened.
    pub async fn start(services: &[(Service, u16)], folder: &Path) -> anyhow::Result<Self> {
        let (stop, _) = watch::channel(());
        let mut bank = Self { addresses: Vec::new(), running: JoinSet::new(), stop };
        for &(service, port) in services {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
            let listener = listener.with_context(|| {
                let name = service.name;
                format!("{name} cannot listen on port {port}; stop who does, or choose another")
            })?;
            let database = folder.join(format!("{}.db", service.name));
            let participant = service.open(&database).await;
            let participant =
                participant.with_context(|| format!("{} cannot be opened", database.display()))?;
            bank.addresses.push((service, listener.local_addr()?));
            let mut stopped = bank.stop.subscribe();
            let app = Http::new(participant).router();
            let serving = axum::serve(listener, app).with_graceful_shutdown(async move {
                // An error is the sender's end, which is what is waited for.
                let _ = stopped.changed().await;
            });
            bank.running.spawn(async move { serving.await });
        }
        Ok(bank)
    }

    /// Where each listens.
    pub fn addresses(&self) -> &[(Service, SocketAddr)] {
        &self.addresses
    }

    /// Takes no more commands, and answers those at work.
    ///
    /// # Errors
    ///
    /// One of them had ended by itself.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.stop);
        while let Some(ended) = self.running.join_next().await {
            ended??;
        }
        Ok(())
    }
}
