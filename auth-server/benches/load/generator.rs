//! The generator of the load: connections that ask again as soon as they are answered.

use std::net::SocketAddr;
use std::sync::{Barrier, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::processes::Processes;
use crate::sample::{Latencies, Sample};

/// More threads than this for the generator would starve the server of a small machine.
const MOST_THREADS: usize = 2;

/// What one connection asks for, again and again.
pub(crate) trait Script: Send {
    /// The next request; `None` if there is nothing left to ask for, which ends the run.
    fn next(&mut self) -> Option<Request<Full<Bytes>>>;

    /// Fails unless the answer is the one that the request deserves.
    fn check(&mut self, answer: &Response<Bytes>) -> Outcome<()>;
}

/// How to put a server under load.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The connections take these in turn.
    pub(crate) addresses: Vec<SocketAddr>,
    /// What is asked before this is over is not counted.
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
    pub(crate) pace: Pace,
    /// Whose processor time is counted.
    pub(crate) server: Processes,
}

/// When a connection asks again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As soon as it is answered.
    AtOnce,
    /// In this rhythm, whenever it is answered.
    Every(Duration),
    /// So long after the answer.
    Pausing(Duration),
}

/// The time in which answers count.
#[derive(Clone, Copy)]
struct Window {
    begins: Instant,
    ends: Instant,
}

/// Runs each script on a connection of its own, until the time is over or the first has nothing
/// left to ask for. Fails at the first wrong answer.
pub(crate) fn run(plan: &Plan, scripts: Vec<Box<dyn Script>>) -> Outcome<Sample> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(MOST_THREADS).min(scripts.len()).max(1);
    let mut shares: Vec<Vec<(SocketAddr, Box<dyn Script>)>> =
        (0..threads).map(|_| Vec::new()).collect();
    let addresses = plan.addresses.iter().cycle();
    for (number, (script, address)) in scripts.into_iter().zip(addresses).enumerate() {
        if let Some(share) = shares.get_mut(number % threads) {
            share.push((*address, script));
        }
    }

    let connected = Barrier::new(threads + 1);
    let window = OnceLock::new();
    let exhausted = OnceLock::new();
    std::thread::scope(|scope| {
        let course = Course {
            plan,
            connected: &connected,
            window: &window,
            exhausted: &exhausted,
        };
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(move || course.run(share)))
            .collect();
        connected.wait();
        let window = course.window();
        std::thread::sleep(window.begins.saturating_duration_since(Instant::now()));
        let busy_before = plan.server.busy();
        while Instant::now() < window.ends && exhausted.get().is_none() {
            std::thread::sleep(Duration::from_millis(5).min(plan.duration));
        }
        let busy_after = plan.server.busy();

        let mut latencies = Latencies::default();
        for thread in threads {
            let share = thread.join().map_err(|_| "the generator panicked")??;
            latencies.add(&share);
        }
        let ended = exhausted.get().copied().unwrap_or(window.ends);
        let seconds = (ended - window.begins).as_secs_f64();
        Ok(Sample::new(
            latencies,
            seconds,
            busy_after
                .zip(busy_before)
                .map(|(after, before)| after - before),
        ))
    })
}

/// One run, as its threads see it.
#[derive(Clone, Copy)]
struct Course<'a> {
    plan: &'a Plan,
    connected: &'a Barrier,
    window: &'a OnceLock<Window>,
    exhausted: &'a OnceLock<Instant>,
}

impl<'a> Course<'a> {
    /// The window, which opens for all when the first asks for it.
    fn window(&self) -> Window {
        *self.window.get_or_init(|| {
            let begins = Instant::now() + self.plan.warm_up;
            Window {
                begins,
                ends: begins + self.plan.duration,
            }
        })
    }

    fn run(self, share: Vec<(SocketAddr, Box<dyn Script>)>) -> Outcome<Latencies> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // The others wait for this thread, whether or not it could connect.
        let connections = runtime.block_on(connect_all(share));
        self.connected.wait();
        let window = self.window();
        let connections = connections?;
        runtime.block_on(async {
            let mut latencies = Latencies::default();
            let tasks = connections
                .into_iter()
                .map(|(connection, script)| self.ask(window, connection, script));
            for share in futures_util::future::join_all(tasks).await {
                latencies.add(&share?);
            }
            Ok(latencies)
        })
    }

    async fn ask(
        self,
        window: Window,
        mut connection: Connection,
        mut script: Box<dyn Script>,
    ) -> Outcome<Latencies> {
        let mut latencies = Latencies::default();
        let mut due = Instant::now();
        loop {
            let asked = match self.plan.pace {
                Pace::AtOnce => Instant::now(),
                Pace::Every(rhythm) => {
                    due += rhythm;
                    wait_until(due).await
                }
                Pace::Pausing(pause) => wait_until(Instant::now() + pause).await,
            };
            if asked >= window.ends || self.exhausted.get().is_some() {
                return Ok(latencies);
            }
            let Some(request) = script.next() else {
                self.exhausted.get_or_init(Instant::now);
                return Ok(latencies);
            };
            let answer = connection.send(request).await?;
            let answered = Instant::now();
            script.check(&answer)?;
            let late = self.exhausted.get().is_some_and(|end| answered > *end);
            if answered >= window.begins && answered <= window.ends && !late {
                latencies.record(answered - asked);
            }
        }
    }
}

/// Gives the time from which an answer is waited for: a connection that is late because of the
/// answer before owes its client that delay, too.
async fn wait_until(due: Instant) -> Instant {
    if Instant::now() >= due {
        return due;
    }
    tokio::time::sleep_until(due.into()).await;
    Instant::now()
}

async fn connect_all(
    share: Vec<(SocketAddr, Box<dyn Script>)>,
) -> Outcome<Vec<(Connection, Box<dyn Script>)>> {
    let mut connections = Vec::with_capacity(share.len());
    for (address, script) in share {
        connections.push((Connection::open(address).await?, script));
    }
    Ok(connections)
}

/// A connection that is opened anew when the server has closed it.
struct Connection {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    /// Drives the connection, until it is dropped.
    driver: JoinSet<hyper::Result<()>>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(Self {
            address,
            sender,
            driver,
        })
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Outcome<Response<Bytes>> {
        if self.sender.ready().await.is_err() {
            *self = Self::open(self.address).await?;
        }
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort_all();
    }
}
