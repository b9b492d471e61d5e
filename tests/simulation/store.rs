//! A store of objects that misbehaves by chance, and dies with the process that uses it.
//!
//! One `Disk` holds the objects, each process reaches it through a `SimulatedStore` of its own. Every operation waits for
//! its turn first, so that operations of several tasks and processes are done in an order that chance decides; and all
//! that a process does to the world it does by a write, so a crash before or after each write is a crash anywhere.
//!
//! What may go wrong is what goes wrong with real ones: an operation is refused (throttling), or done and not acknowledged
//! (a lost answer), or done twice (a client that tried again), or done late, when its process has long given it up; a
//! listing may not know the newest changes yet; a file that was being written when the process died may be there in part,
//! under a name that was free. What a store with conditional puts never does is not simulated: an object put under a name if
//! that is free is whole or absent, and no object that was put and acknowledged is lost.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use futures::{FutureExt, future};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::chance::{Dice, Part};

/// How often each fault happens, in so many of a thousand operations that it can happen to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Refused, and not done.
    pub refused: i64,
    /// Done, and answered by an error.
    pub unacknowledged: i64,
    /// Done twice; the second answer counts.
    pub twice: i64,
    /// Answered by an error, and done later.
    pub late: i64,
    /// A listing that does not know the newest changes.
    pub stale: i64,
    /// Nothing is written any more for some time.
    pub away: i64,
    /// Whether operations wait for their turn, so that others come in between.
    pub delayed: bool,
}

/// How a process dies at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Before it is done.
    Before,
    /// When it is done and not answered.
    After,
    /// A file is written in part, under a name that was free; anything else is not done.
    Torn,
    /// It is on its way, and is done when the process is no more.
    Late,
}

/// How many changes a stale listing may not know.
const STALE_MAX: i64 = 6;

/// For how many operations storage is away at most.
const AWAY_MAX: i64 = 60;

/// How many operations later a late one is done, at most.
const LATE_MAX: i64 = 60;

/// The objects.
#[derive(Debug)]
pub struct Disk {
    objects: Arc<InMemory>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    dice: Dice,
    faults: Faults,
    /// How many operations there were, and what they were.
    operations: u64,
    trace: u64,
    /// When storage that is away is back: when the count of operations has come so far.
    back: u64,
    /// What is done late: when the count of operations has come so far.
    late: Vec<(u64, Put)>,
    /// The newest changes: of a path that is new, or of an object that is deleted.
    changes: VecDeque<(Path, Option<ObjectMeta>)>,
}

#[derive(Clone, Debug)]
struct Put {
    location: Path,
    payload: PutPayload,
    options: PutOptions,
}

/// One process, as the store knows it.
#[derive(Debug, Default)]
pub struct Mortal {
    number: u32,
    dead: AtomicBool,
    /// How many writes are left to it, and how it dies then.
    end: Mutex<Option<(u64, Death)>>,
    /// How many of its operations wait for their turn.
    waiting: AtomicUsize,
    /// Which turn this is, and who waits for the next one.
    turn: AtomicU64,
    wakers: Mutex<Vec<Waker>>,
    writes: AtomicU64,
}

impl Mortal {
    /// A process that dies at its write of this number, or by other means.
    pub fn new(number: u32, end: Option<(u64, Death)>) -> Arc<Mortal> {
        Arc::new(Mortal { number, end: Mutex::new(end), ..Mortal::default() })
    }

    /// Whether it is no more.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// How many writes it began.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    fn turn(&self) -> u64 {
        self.turn.load(Ordering::Relaxed)
    }

    /// Lets the operations go on that wait for their turn.
    pub fn begin_turn(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
        std::mem::take(&mut *lock(&self.wakers)).into_iter().for_each(Waker::wake);
    }

    /// Whether one of its operations waits for its turn.
    pub fn waits(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Whether it dies at this write.
    fn dies(&self) -> Option<Death> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let mut end = lock(&self.end);
        let (left, death) = end.as_mut()?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return None;
        }
        self.dead.store(true, Ordering::Relaxed);
        Some(*death)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Refused,
    Unacknowledged,
    Twice,
    Late,
    Dies(Death),
}

impl Disk {
    /// An empty one.
    pub fn new(seed: u64, faults: Faults) -> Arc<Disk> {
        let dice = Dice::new(seed, Part::Store);
        let (late, changes) = (Vec::new(), VecDeque::new());
        let state = Mutex::new(State { dice, faults, operations: 0, trace: 0, back: 0, late, changes });
        Arc::new(Disk { objects: Arc::default(), state })
    }

    /// From now on nothing goes wrong any more; what was late is done.
    pub fn heal(&self) {
        let mut state = lock(&self.state);
        (state.faults, state.back) = (Faults::default(), 0);
        drop(state);
        self.catch_up(u64::MAX);
    }

    /// What was late is done.
    pub fn settle(&self) {
        self.catch_up(u64::MAX);
    }

    /// The objects as they are, for whoever looks from outside.
    pub fn objects(&self) -> Arc<InMemory> {
        self.objects.clone()
    }

    /// What was done so far, as a number that is another one for another order of operations.
    pub fn trace(&self) -> u64 {
        lock(&self.state).trace
    }

    fn note(&self, process: &Mortal, what: &str, location: &str) {
        let mut state = lock(&self.state);
        state.operations += 1;
        // The names of merged files are never given twice, in no run.
        let is_merged = |name: &str| name.ends_with(".parquet") && name.contains('_');
        let name = location.rsplit('/').next().filter(|name| is_merged(name)).map_or(location, |_| "merged");
        let line = format!("{} {} {what} {name}", state.trace, process.number);
        state.trace = xxh3_64(line.as_bytes());
        let operations = state.operations;
        drop(state);
        self.catch_up(operations);
        if std::env::var_os("PLIMSOLL_TRACE").is_some() {
            eprintln!("{operations:6} process {} {what} {location}", process.number);
        }
    }

    /// Does what is late and due.
    fn catch_up(&self, operations: u64) {
        loop {
            let mut state = lock(&self.state);
            let Some(place) = state.late.iter().position(|(due, _)| *due <= operations) else { return };
            let (_, put) = state.late.remove(place);
            drop(state);
            // Nobody hears whether the name was still free.
            let _ = self.put(put);
        }
    }

    fn put(&self, put: Put) -> Result<PutResult> {
        let Put { location, payload, options } = put;
        let is_new = at_once(self.objects.head(&location)).is_err();
        let done = at_once(self.objects.put_opts(&location, payload, options))?;
        if is_new {
            self.changed(location, None);
        }
        Ok(done)
    }

    fn changed(&self, location: Path, deleted: Option<ObjectMeta>) {
        let mut state = lock(&self.state);
        state.changes.push_back((location, deleted));
        if state.changes.len() > STALE_MAX as usize {
            state.changes.pop_front();
        }
    }

    /// How many of the newest changes a listing does not know.
    fn unknown(&self) -> Vec<(Path, Option<ObjectMeta>)> {
        let mut state = lock(&self.state);
        let chance = state.faults.stale;
        if !state.dice.permille(chance) {
            return Vec::new();
        }
        let count = state.dice.between(1, STALE_MAX) as usize;
        state.changes.iter().rev().take(count).cloned().collect()
    }

    /// What becomes of a read. There are so many that few of them may be refused.
    fn fate_of_read(&self) -> Fate {
        let mut state = lock(&self.state);
        let refused = state.faults.refused;
        if state.dice.below(10_000) < refused { Fate::Refused } else { Fate::Done }
    }

    /// What becomes of a write.
    fn fate_of_write(&self, process: &Mortal) -> Fate {
        if let Some(death) = process.dies() {
            return Fate::Dies(death);
        }
        let mut state = lock(&self.state);
        let Faults { refused, unacknowledged, twice, late, away, .. } = state.faults;
        if state.dice.permille(away) {
            state.back = state.operations + state.dice.between(1, AWAY_MAX) as u64;
        }
        if state.operations < state.back {
            return Fate::Refused;
        }
        let throw = state.dice.below(1_000);
        let fates = [
            (refused, Fate::Refused),
            (unacknowledged, Fate::Unacknowledged),
            (twice, Fate::Twice),
            (late, Fate::Late),
        ];
        let mut sum = 0;
        for (chance, fate) in fates {
            sum += chance;
            if throw < sum {
                return fate;
            }
        }
        Fate::Done
    }
}

/// The answer of the memory, which is there at once.
fn at_once<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    answer.now_or_never().expect("memory answers at once")
}

/// Counts an operation that waits, for as long as it does.
struct Waiting<'process>(&'process AtomicUsize);

impl Waiting<'_> {
    fn new(count: &AtomicUsize) -> Waiting<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The disk as one process sees it.
#[derive(Clone, Debug)]
pub struct SimulatedStore {
    disk: Arc<Disk>,
    process: Arc<Mortal>,
}

impl SimulatedStore {
    /// The disk for a process.
    pub fn new(disk: Arc<Disk>, process: Arc<Mortal>) -> SimulatedStore {
        SimulatedStore { disk, process }
    }

    /// Whether the process is no more.
    pub fn is_dead(&self) -> bool {
        self.process.is_dead()
    }

    /// Ends the turn of the process.
    pub async fn pause(&self) {
        let (process, began) = (&self.process, self.process.turn());
        let mut waiting = None;
        future::poll_fn(|context| {
            if process.turn() > began {
                return Poll::Ready(());
            }
            waiting.get_or_insert_with(|| Waiting::new(&process.waiting));
            lock(&process.wakers).push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Waits for the turn of an operation.
    async fn turn(&self) {
        let delays = {
            let mut state = lock(&self.disk.state);
            if state.faults.delayed { state.dice.below(3) } else { 0 }
        };
        for _ in 0..delays {
            self.pause().await;
        }
    }

    /// A read: it is done when its turn has come, or refused.
    async fn read(&self, what: &str, location: &str) -> Result<()> {
        let fate = self.decide(what, location, |disk, _| disk.fate_of_read()).await?;
        if fate == Fate::Done { Ok(()) } else { Err(failure(fate)) }
    }

    /// What becomes of a write, when its turn has come.
    async fn write(&self, what: &str, location: &str) -> Result<Fate> {
        self.decide(what, location, Disk::fate_of_write).await
    }

    async fn decide(&self, what: &str, location: &str, fate: fn(&Disk, &Mortal) -> Fate) -> Result<Fate> {
        self.turn().await;
        if self.process.is_dead() {
            return Err(failure(Fate::Dies(Death::Before)));
        }
        let fate = fate(&self.disk, &self.process);
        self.disk.note(&self.process, &format!("{what} {fate:?}"), location);
        Ok(fate)
    }

    fn put_late(&self, put: Put) {
        let mut state = lock(&self.disk.state);
        let due = state.operations + state.dice.between(1, LATE_MAX) as u64;
        state.late.push((due, put));
    }

    /// Writes the beginning of a file under a name that is free.
    fn tear(&self, mut put: Put) {
        let is_free = at_once(self.disk.objects.head(&put.location)).is_err();
        if put.options.mode == PutMode::Overwrite && is_free {
            let bytes: Vec<u8> = put.payload.iter().flat_map(|part| part.iter().copied()).collect();
            let length = lock(&self.disk.state).dice.below(bytes.len() as i64) as usize;
            put.payload = PutPayload::from(bytes[..length].to_vec());
            let _ = self.disk.put(put);
        }
    }
}

fn failure(fate: Fate) -> Error {
    Error::Generic { store: "simulation", source: format!("{fate:?}").into() }
}

impl fmt::Display for SimulatedStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the store of process {}", self.process.number)
    }
}

#[async_trait]
impl ObjectStore for SimulatedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let what = if options.mode == PutMode::Create { "create" } else { "put" };
        let fate = self.write(what, location.as_ref()).await?;
        let put = Put { location: location.clone(), payload, options };
        match fate {
            Fate::Done => return self.disk.put(put),
            Fate::Twice => {
                let _ = self.disk.put(put.clone());
                return self.disk.put(put);
            }
            Fate::Unacknowledged | Fate::Dies(Death::After) => {
                let _ = self.disk.put(put);
            }
            Fate::Late | Fate::Dies(Death::Late) => self.put_late(put),
            Fate::Dies(Death::Torn) => self.tear(put),
            Fate::Refused | Fate::Dies(Death::Before) => {}
        }
        Err(failure(fate))
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.read("put in parts", location.as_ref()).await?;
        self.disk.objects.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.read("get", location.as_ref()).await?;
        self.disk.objects.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                let fate = store.write("delete", location.as_ref()).await?;
                if matches!(fate, Fate::Done | Fate::Twice | Fate::Unacknowledged | Fate::Dies(Death::After)) {
                    let deleted = at_once(store.disk.objects.head(&location));
                    at_once(store.disk.objects.delete(&location))?;
                    store.disk.changed(location.clone(), deleted.ok());
                }
                if matches!(fate, Fate::Done | Fate::Twice) { Ok(location) } else { Err(failure(fate)) }
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned());
        let listing = async move {
            let folder = prefix.as_ref().map_or("", |prefix| prefix.as_ref()).to_owned();
            store.read("list", &folder).await?;
            let mut found: Vec<ObjectMeta> = store.disk.objects.list(prefix.as_ref()).try_collect().await?;
            for (location, deleted) in store.disk.unknown() {
                found.retain(|object| object.location != location);
                let is_listed = prefix.as_ref().is_none_or(|prefix| location.prefix_matches(prefix));
                found.extend(deleted.filter(|_| is_listed));
            }
            found.sort_by(|one, other| one.location.cmp(&other.location));
            Ok::<_, Error>(stream::iter(found.into_iter().map(Ok)))
        };
        stream::once(listing).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.read("list", prefix.map_or("", |prefix| prefix.as_ref())).await?;
        self.disk.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.read("copy", from.as_ref()).await?;
        self.disk.objects.copy_opts(from, to, options).await
    }
}
