//! The guard on real databases: one suite, held against PostgreSQL, MariaDB and SQLite.

mod answers;
mod at_once;
mod bed;
mod choreography;
mod corpus;
mod cost;
mod elsewhere;
mod ended;
mod faults;
mod golden;
mod messages;
mod mistakes;
mod proxy;
mod pruning;
mod reactions;
mod relay;
mod rows;
mod tables;
mod trials;
mod waits;
