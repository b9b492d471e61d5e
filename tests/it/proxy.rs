//! What stands between the program and its object store, and misbehaves at a seeded rate: it asks for fewer requests, fails,
//! keeps silent, breaks off in the middle of an answer, or loses the answer to what was done.
//!
//! Each request has a connection of its own, to the program and to the store, so that each can be broken off alone.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// 503 and `SlowDown`, as S3 throttles; nothing is done.
    SlowDown,
    /// 429, as others do; nothing is done.
    TooMany,
    /// 500; nothing is done.
    Fails,
    /// No answer for longer than anybody waits; nothing is done.
    Silent,
    /// It is done, and its answer ends in the middle.
    Cut,
    /// It is done, and the connection ends instead of an answer.
    Lost,
}

/// Every fault, and how many of a hundred faults it is.
pub const FAULTS: [(Fault, u64); 6] = [
    (Fault::SlowDown, 30),
    (Fault::TooMany, 15),
    (Fault::Fails, 15),
    (Fault::Silent, 4),
    (Fault::Cut, 18),
    (Fault::Lost, 18),
];

/// How long silence lasts.
const SILENCE: Duration = Duration::from_secs(10);

struct Shared {
    store: SocketAddr,
    dice: Mutex<ChaCha8Rng>,
    /// How many of a thousand requests meet a fault.
    rate: Mutex<u64>,
    met: Mutex<BTreeMap<Fault, u64>>,
}

/// A proxy for as long as a test runs.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// One in front of a store at this endpoint, `http://HOST:PORT`, which does no harm until it is told to.
    pub fn start(endpoint: &str, seed: u64) -> Proxy {
        let store = endpoint.strip_prefix("http://").expect("http").parse().expect("an address");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let dice = Mutex::new(ChaCha8Rng::seed_from_u64(seed));
        let shared = Arc::new(Shared { store, dice, rate: Mutex::default(), met: Mutex::default() });
        let of_threads = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = of_threads.clone();
                // An error is one of the connection, which ends with it.
                std::thread::spawn(move || shared.pass_on(stream));
            }
        });
        Proxy { address, shared }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// So many of a thousand requests meet a fault from now on.
    pub fn misbehave(&self, per_mille: u64) {
        *locked(&self.shared.rate) = per_mille;
    }

    /// How often each fault was met.
    pub fn met(&self) -> BTreeMap<Fault, u64> {
        locked(&self.shared.met).clone()
    }
}

impl Shared {
    fn roll(&self) -> Option<Fault> {
        let rate = *locked(&self.rate);
        let mut dice = locked(&self.dice);
        let (chance, mut which) = (dice.next_u64() % 1_000, dice.next_u64() % 100);
        if chance >= rate {
            return None;
        }
        let fault = FAULTS.into_iter().find_map(|(fault, share)| {
            let is_it = which < share;
            which = which.saturating_sub(share);
            is_it.then_some(fault)
        });
        *locked(&self.met).entry(fault.expect("shares add up to a hundred")).or_default() += 1;
        fault
    }

    fn pass_on(&self, mut program: TcpStream) -> io::Result<()> {
        let Some(request) = request(&program)? else { return Ok(()) };
        let refused = |status: &str, code: &str| {
            let body = format!("<Error><Code>{code}</Code><Message>by the dice</Message></Error>");
            let length = body.len();
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").into_bytes()
        };
        let fault = self.roll();
        let answer = match fault {
            Some(Fault::SlowDown) => refused("503 Slow Down", "SlowDown"),
            Some(Fault::TooMany) => refused("429 Too Many Requests", "TooManyRequests"),
            Some(Fault::Fails) => refused("500 Internal Server Error", "InternalError"),
            Some(Fault::Silent) => {
                std::thread::sleep(SILENCE);
                Vec::new()
            }
            Some(Fault::Cut | Fault::Lost) | None => {
                let mut store = TcpStream::connect(self.store)?;
                store.write_all(&request)?;
                let mut answer = Vec::new();
                store.read_to_end(&mut answer)?;
                match fault {
                    Some(Fault::Cut) => answer.truncate(answer.len() / 2),
                    Some(_) => answer.clear(),
                    None => {}
                }
                answer
            }
        };
        program.write_all(&answer)?;
        program.shutdown(Shutdown::Both)
    }
}

/// One request as it is to be sent on, which ends its connection; none when the program sends no more.
fn request(program: &TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut reader = BufReader::new(program);
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
            "connection" => continue,
            _ => {}
        }
        if line.trim_end().is_empty() {
            break;
        }
        request.extend_from_slice(line.as_bytes());
    }
    request.extend_from_slice(b"Connection: close\r\n\r\n");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.append(&mut body);
    Ok(Some(request))
}
