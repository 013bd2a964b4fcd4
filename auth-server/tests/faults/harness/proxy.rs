//! A TCP proxy that fails as networks do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What is done to the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// They are forwarded.
    Pass,
    /// They are forwarded so much later.
    Delay(Duration),
    /// They are not read: whoever sends them is held up when the buffers are full.
    Stall,
    /// They are read, and so acknowledged, and forwarded to nobody.
    BlackHole,
    /// The connection is reset.
    Reset,
}

/// Where connections lead.
#[derive(Clone, Debug)]
pub enum Upstream {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Upstream {
    /// The server of a PostgreSQL URL.
    pub fn of(database_url: &str) -> Self {
        let options: PgConnectOptions = database_url.parse().unwrap();
        let port = options.get_port();
        match options.get_socket() {
            Some(folder) => Self::Unix(folder.join(format!(".s.PGSQL.{port}"))),
            None => {
                let host = options.get_host().parse().unwrap();
                Self::Tcp(SocketAddr::new(host, port))
            }
        }
    }
}

/// A proxy; it and its connections end when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    /// What new connections meet.
    state: Arc<Mutex<State>>,
    accepting: Option<JoinHandle<()>>,
}

struct State {
    upstream: Upstream,
    /// What is done to connections to come.
    next: Way,
    /// One for each open connection.
    open: Vec<watch::Sender<Way>>,
}

impl Proxy {
    pub async fn to(upstream: Upstream) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut proxy = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State {
                upstream,
                next: Way::Pass,
                open: Vec::new(),
            })),
            accepting: None,
        };
        proxy.accept(listener);
        proxy
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of the same user and database, through the proxy.
    pub fn url(&self, database_url: &str) -> String {
        let options: PgConnectOptions = database_url.parse().unwrap();
        let (user, name) = (options.get_username(), options.get_database().unwrap());
        format!("postgres://{user}@{}/{name}", self.address)
    }

    /// Sends connections to come elsewhere.
    pub fn lead_to(&self, upstream: Upstream) {
        self.state.lock().unwrap().upstream = upstream;
    }

    /// Does this to the open connections, and to those to come.
    pub fn set(&self, way: Way) {
        self.set_open(way);
        self.set_next(way);
    }

    /// Does this to the open connections.
    pub fn set_open(&self, way: Way) {
        let mut state = self.state.lock().unwrap();
        state.open.retain(|connection| !connection.is_closed());
        for connection in &state.open {
            connection.send_replace(way);
        }
    }

    /// Does this to connections to come.
    pub fn set_next(&self, way: Way) {
        self.state.lock().unwrap().next = way;
    }

    /// Resets the open connections, and refuses others.
    pub fn refuse(&mut self) {
        self.set_open(Way::Reset);
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
    }

    /// Ends a refusal.
    pub async fn listen(&mut self) {
        if self.accepting.is_none() {
            let listener = TcpListener::bind(self.address).await.unwrap();
            self.accept(listener);
        }
    }

    fn accept(&mut self, listener: TcpListener) {
        let state = Arc::clone(&self.state);
        // The connections live in the task, so that they end with it.
        self.accepting = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    continue;
                };
                let (way, upstream) = {
                    let mut state = state.lock().unwrap();
                    let (sender, way) = watch::channel(state.next);
                    state.open.push(sender);
                    (way, state.upstream.clone())
                };
                connections.spawn(async move {
                    // Connections end in many ways, and all of them are right.
                    let _ = carry(client, upstream, way).await;
                });
            }
        }));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Carries one connection to its end.
async fn carry(client: TcpStream, upstream: Upstream, way: watch::Receiver<Way>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let carried = async {
        // What leads nowhere connects nowhere, until it may.
        if *way.borrow() == Way::BlackHole {
            tokio::io::copy(&mut from_client, &mut tokio::io::sink()).await?;
            return std::future::pending().await;
        }
        let (mut from_server, mut to_server) = connect(&upstream).await?;
        let there = forward(&mut from_client, &mut to_server, way.clone());
        let back = forward(&mut from_server, &mut to_client, way.clone());
        tokio::select! {
            done = there => done,
            done = back => done,
        }
    };
    let is_reset = {
        let mut reset = way.clone();
        tokio::select! {
            _ = carried => false,
            _ = reset.wait_for(|way| *way == Way::Reset) => true,
        }
    };
    if is_reset {
        from_client.as_ref().set_zero_linger()?;
    }
    Ok(())
}

async fn connect(upstream: &Upstream) -> io::Result<(Reader, Writer)> {
    match upstream {
        Upstream::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (read, write) = stream.into_split();
            Ok((Box::new(read), Box::new(write)))
        }
        Upstream::Unix(path) => {
            let (read, write) = UnixStream::connect(path).await?.into_split();
            Ok((Box::new(read), Box::new(write)))
        }
    }
}

/// Forwards one direction of a connection until it ends.
async fn forward(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut way: watch::Receiver<Way>,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let _ = way.wait_for(|way| *way != Way::Stall).await;
        let count = tokio::select! {
            count = from.read(&mut bytes) => count?,
            _ = way.wait_for(|way| *way == Way::Stall) => continue,
        };
        let now = *way.borrow();
        if count == 0 {
            // An end does not come out of a black hole either.
            let _ = way.wait_for(|way| *way != Way::BlackHole).await;
            return Ok(());
        }
        match now {
            Way::BlackHole => continue,
            Way::Delay(delay) => tokio::time::sleep(delay).await,
            Way::Pass | Way::Stall | Way::Reset => {}
        }
        to.write_all(&bytes[..count]).await?;
    }
}
