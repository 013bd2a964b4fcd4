//! A way to the database that can be shut.

use std::net::SocketAddr;

use sqlx::postgres::PgConnectOptions;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;

/// Forwards connections to PostgreSQL while it is open; shutting it cuts them.
pub struct Gate {
    target: PgConnectOptions,
    address: SocketAddr,
    forwarding: Option<JoinHandle<()>>,
}

impl Gate {
    pub async fn open_to(database_url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut gate = Self {
            target: database_url.parse().unwrap(),
            address: listener.local_addr().unwrap(),
            forwarding: None,
        };
        gate.forward(listener);
        gate
    }

    /// The database's URL through the gate.
    pub fn url(&self) -> String {
        let (user, name) = (
            self.target.get_username(),
            self.target.get_database().unwrap(),
        );
        format!("postgres://{user}@{}/{name}", self.address)
    }

    pub fn shut(&mut self) {
        self.forwarding.take().unwrap().abort();
    }

    pub async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.forward(listener);
    }

    fn forward(&mut self, listener: TcpListener) {
        let target = self.target.clone();
        // The connections live in the task, so that they end with it.
        self.forwarding = Some(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(connect(client, target.clone()));
            }
        }));
    }
}

async fn connect(mut client: TcpStream, target: PgConnectOptions) {
    let port = target.get_port();
    if let Some(folder) = target.get_socket() {
        let socket = folder.join(format!(".s.PGSQL.{port}"));
        let mut database = UnixStream::connect(socket).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut database).await;
    } else {
        let mut database = TcpStream::connect((target.get_host(), port)).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut database).await;
    }
}
