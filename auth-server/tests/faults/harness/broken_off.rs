//! Clients that break their requests off.

use std::time::Duration;

use rand::RngExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// The latest moment, in microseconds, at which a client loses its patience.
const LATEST: u64 = 50_000;

/// The moment until which two of three do.
const EARLY: u64 = 3_000;

/// How a client ends what it has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Closes the connection.
    Close,
    /// Resets the connection.
    Reset,
    /// Sends a half of the request, and closes the connection.
    Half,
    /// Sends the request, and never reads the answer.
    Stall,
}

impl End {
    const ALL: [Self; 4] = [Self::Close, Self::Reset, Self::Half, Self::Stall];
}

/// A request that will be broken off.
#[derive(Clone, Debug)]
pub struct BrokenOff {
    pub request: Vec<u8>,
    pub end: End,
    pub after: Duration,
}

impl BrokenOff {
    /// Chooses how and when. Two of three end within 3 ms, when most transactions begin.
    pub fn at_random(request: Vec<u8>) -> Self {
        let mut random = rand::rng();
        let latest = if random.random_ratio(2, 3) {
            EARLY
        } else {
            LATEST
        };
        Self {
            request,
            end: End::ALL[random.random_range(0..End::ALL.len())],
            after: Duration::from_micros(random.random_range(0..=latest)),
        }
    }

    /// Sends the request and breaks it off; gives the connection of one that stalls.
    pub async fn run(self, address: &str) -> std::io::Result<Option<TcpStream>> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let sent = match self.end {
            End::Half => self.request.len() / 2,
            End::Close | End::Reset | End::Stall => self.request.len(),
        };
        stream.write_all(&self.request[..sent]).await?;
        tokio::time::sleep(self.after).await;
        match self.end {
            End::Close | End::Half => Ok(None),
            End::Reset => {
                stream.set_zero_linger()?;
                Ok(None)
            }
            End::Stall => Ok(Some(stream)),
        }
    }
}

/// A request as it is sent.
pub fn request(method: &str, path: &str, bearer: Option<&str>, body: Option<&str>) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    if let Some(token) = bearer {
        text.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if let Some(body) = body {
        let length = body.len();
        text.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {length}\r\n"
        ));
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    text.into_bytes()
}
