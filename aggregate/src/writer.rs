//! The writer: what the worker orders is carried out by a `Committer`, which is told one order after the other.
//!
//! While the worker folds an epoch, one thread encodes the epoch before and another commits the one before that, because
//! encoding waits for the processor and committing for the disk.
//!
//! ```text
//! worker --EpochOutput--> lake-encoder --Encoded--> lake-writer --Progress--> worker
//! ```
//! Each queue holds one epoch. When the disk is slow, or away, the worker waits here, its input queue fills, and Kafka keeps
//! the rest.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as Moment};

use arrow_array::RecordBatch;
use bytes::Bytes;
use plimsoll_engine::stage::Facts;
use plimsoll_lake::{EncodedTable, Lake, LakeError};
use plimsoll_schemas::delivery::PartitionId;
use plimsoll_schemas::table::{
    AgreementRow, CalendarRow, DeadLetterRow, EpochRow, ServiceRow, Table, TableRow, to_batch,
};

use crate::error::AggregateError;
use crate::live::Live;
use crate::patience::Patience;
use crate::worker::Progress;

/// How many epochs may wait for the writer.
const QUEUE_EPOCHS_MAX: usize = 1;

/// How many orders may be with the writer: in its two queues, and in the hands of its two threads.
pub const ORDERS_MAX: usize = 2 * (QUEUE_EPOCHS_MAX + 1);

/// Everything that one epoch writes.
pub struct EpochOutput {
    epoch: i64,
    /// What it read.
    pub intent: Vec<EpochRow>,
    /// True when the intent was recorded before a crash.
    pub is_replay: bool,
    /// Accepted events, in the events table's schema.
    pub events: Vec<RecordBatch>,
    /// Records that could not be used.
    pub dead_letters: Vec<DeadLetterRow>,
    tables: Vec<(Table, RecordBatch)>,
    /// Where each partition goes on.
    pub offsets: HashMap<PartitionId, i64>,
    /// The state after it, when it is to be saved.
    pub snapshot: Option<Bytes>,
}

impl EpochOutput {
    /// Nothing to write yet.
    pub fn new(epoch: i64) -> EpochOutput {
        EpochOutput {
            epoch,
            intent: Vec::new(),
            is_replay: false,
            events: Vec::new(),
            dead_letters: Vec::new(),
            tables: Vec::new(),
            offsets: HashMap::new(),
            snapshot: None,
        }
    }

    /// Its epoch.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Adds the engine's facts.
    pub fn facts(&mut self, facts: Facts) -> Result<(), AggregateError> {
        self.rows(&facts.transitions)?;
        self.rows(&facts.outages)?;
        self.rows(&facts.clocks)?;
        self.rows(&facts.measures)?;
        self.rows(&facts.attainment)?;
        self.rows(&facts.credits)?;
        self.rows(&facts.watermelons)?;
        self.rows(&facts.breaches)?;
        self.rows(&facts.attributions)?;
        self.rows(&facts.corrections)
    }

    /// Adds the definitions as they are.
    pub fn definitions(
        &mut self,
        (agreements, calendars, services): &(Vec<AgreementRow>, Vec<CalendarRow>, Vec<ServiceRow>),
    ) -> Result<(), AggregateError> {
        self.rows(agreements)?;
        self.rows(calendars)?;
        self.rows(services)
    }

    fn rows<Row: TableRow>(&mut self, rows: &[Row]) -> Result<(), AggregateError> {
        if !rows.is_empty() {
            self.tables.push((Row::TABLE, to_batch(rows)?));
        }
        Ok(())
    }

    fn encode(&mut self) -> Result<Vec<(Table, EncodedTable)>, AggregateError> {
        let dead_letters = std::mem::take(&mut self.dead_letters);
        self.rows(&dead_letters)?;
        let mut encoded = Vec::with_capacity(self.tables.len() + 1);
        if !self.events.is_empty() {
            encoded.push((Table::Events, Lake::encode(Table::Events, &std::mem::take(&mut self.events))?));
        }
        for (table, batch) in std::mem::take(&mut self.tables) {
            encoded.push((table, Lake::encode(table, &[batch])?));
        }
        Ok(encoded)
    }
}

/// What the worker orders.
pub enum Order<Epoch = EpochOutput> {
    /// That an epoch be written.
    Write(Box<Epoch>),
    /// That the state after an epoch be saved, once that is committed.
    Snapshot(i64, Bytes),
}

/// An epoch whose rows are files in memory, and how long that took.
pub struct Encoded {
    output: EpochOutput,
    tables: Vec<(Table, EncodedTable)>,
    took: Duration,
}

impl Order {
    /// Makes the rows into files in memory.
    ///
    /// # Errors
    /// `Columns` or the lake's `Internal`, which are defects.
    pub fn encode(self) -> Result<Order<Encoded>, AggregateError> {
        match self {
            Order::Snapshot(epoch, bytes) => Ok(Order::Snapshot(epoch, bytes)),
            Order::Write(mut output) => {
                let started = Moment::now();
                let tables = output.encode()?;
                Ok(Order::Write(Box::new(Encoded { output: *output, tables, took: started.elapsed() })))
            }
        }
    }
}

/// Brings what a worker orders into the lake.
pub struct Committer {
    group: String,
    lake: Lake,
    live: Arc<Live>,
    patience: Option<Patience>,
}

impl Committer {
    pub(crate) fn new(group: String, lake: Lake, live: Arc<Live>) -> Committer {
        Committer { group, lake, live, patience: None }
    }

    /// The same, but it tries again while the storage is away.
    pub fn patient(self, patience: Patience) -> Committer {
        Committer { patience: Some(patience), ..self }
    }

    /// Carries an order out and returns how far the tables are: of an epoch the intent, the commits and the snapshot (the
    /// protocol stands at the head of `plimsoll_lake`'s `epoch` module). Orders of one worker are to come in their order.
    ///
    /// # Errors
    /// Those of the lake. No later order of this worker may then be carried out.
    pub async fn carry_out(&self, order: Order<Encoded>) -> Result<Progress, AggregateError> {
        let done = match &self.patience {
            None => self.attempt(&order).await,
            Some(patience) => patience.repeat(&self.live, || self.attempt(&order)).await,
        };
        Ok(done?)
    }

    /// What of it is done already is found to be, so it may be repeated.
    async fn attempt(&self, order: &Order<Encoded>) -> Result<Progress, LakeError> {
        let Committer { group, lake, live, .. } = self;
        let Encoded { output, tables, took } = match order {
            Order::Write(encoded) => &**encoded,
            Order::Snapshot(epoch, bytes) => {
                lake.put_snapshot(group, *epoch, bytes.clone()).await?;
                let progress = live.progress();
                return Ok(Progress { saved: progress.offsets.clone(), ..progress });
            }
        };
        let (started, is_saved) = (Moment::now(), output.snapshot.is_some());
        if !output.is_replay {
            lake.record_intent(group, output.epoch, &output.intent).await?;
        }
        lake.commit_epoch(group, output.epoch, tables.clone()).await?;
        if let Some(bytes) = &output.snapshot {
            lake.put_snapshot(group, output.epoch, bytes.clone()).await?;
        }
        let saved = if is_saved { output.offsets.clone() } else { live.progress().saved };
        let progress = Progress { epoch: output.epoch, offsets: output.offsets.clone(), saved, ..Progress::default() };
        live.committed(*took + started.elapsed(), progress.clone());
        Ok(progress)
    }
}

/// The worker's end of the two threads.
pub struct Writer {
    orders: Option<SyncSender<Order>>,
    reports: Receiver<Result<Progress, AggregateError>>,
    threads: Vec<JoinHandle<()>>,
    in_flight: usize,
    newest: Progress,
}

impl Writer {
    /// Starts the threads; the committer waits on `runtime`.
    pub fn start(committer: Committer, runtime: tokio::runtime::Handle) -> Result<Writer, AggregateError> {
        let (orders, queue) = sync_channel::<Order>(QUEUE_EPOCHS_MAX);
        let (encoded_orders, encoded_queue) = sync_channel(QUEUE_EPOCHS_MAX);
        let (report, reports) = channel();
        let encoding = move || {
            while let Ok(order) = queue.recv() {
                let encoded = order.encode();
                let failed = encoded.is_err();
                if encoded_orders.send(encoded).is_err() || failed {
                    return;
                }
            }
        };
        let committing = move || {
            while let Ok(order) = encoded_queue.recv() {
                let done = order.and_then(|order| runtime.block_on(committer.carry_out(order)));
                let failed = done.is_err();
                if report.send(done).is_err() || failed {
                    return;
                }
            }
        };
        let threads = vec![thread("lake-encoder", encoding)?, thread("lake-writer", committing)?];
        Ok(Writer { orders: Some(orders), reports, threads, in_flight: 0, newest: Progress::default() })
    }

    /// How many orders are being carried out or wait for it; `ORDERS_MAX` at most.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// True when nothing is being written.
    pub fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// Hands an order over; waits while the queue is full.
    pub fn order(&mut self, order: Order) -> Result<(), AggregateError> {
        let Some(orders) = &self.orders else { return Err(AggregateError::WriterGone) };
        if orders.send(order).is_err() {
            // A thread ended: its last report says why.
            return self.progress().and(Err(AggregateError::WriterGone));
        }
        self.in_flight += 1;
        Ok(())
    }

    /// How far the tables are, if that changed since the last call.
    pub fn progress(&mut self) -> Result<Option<Progress>, AggregateError> {
        let mut changed = false;
        loop {
            match self.reports.try_recv() {
                Ok(report) => {
                    self.in_flight -= 1;
                    self.newest = report?;
                    changed = true;
                }
                Err(TryRecvError::Empty) => return Ok(changed.then(|| self.newest.clone())),
                Err(TryRecvError::Disconnected) => return Err(AggregateError::WriterGone),
            }
        }
    }

    /// Waits until everything is written.
    pub fn finish(&mut self) -> Result<Progress, AggregateError> {
        self.orders = None;
        while let Ok(report) = self.reports.recv() {
            self.newest = report?;
        }
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| AggregateError::WriterGone)?;
        }
        Ok(self.newest.clone())
    }
}

fn thread(name: &'static str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, AggregateError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map_err(|cause| AggregateError::Thread { name, cause })
}
