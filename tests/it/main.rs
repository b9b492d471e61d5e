//! The integration tests, in one binary: the program as its users run it, real servers, and the rules of the house.

mod access;
mod audit;
mod backpressure;
mod calendar;
mod command_line;
mod end_to_end;
mod faults;
mod gate;
mod guide;
mod house;
mod kafka;
#[cfg(feature = "kafka-tls")]
mod kafka_tls;
mod kills;
mod known;
mod object_storage;
mod open_tables;
mod openapi;
mod outage;
mod postgres;
mod proxy;
mod real_data;
mod rebuild;
mod recovery;
mod reference;
mod reload;
mod replay;
mod retries;
mod roles;
mod rules;
mod scenarios;
mod shards;
mod stored;
mod support;
mod tables;
mod upkeep;
