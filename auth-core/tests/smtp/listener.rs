//! A mail server as small as the tests need it, on a real socket.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Where the server offers TLS.
#[derive(Clone)]
pub(crate) enum Tls {
    Never,
    FromTheFirstByte(TlsAcceptor),
    OnRequest(TlsAcceptor),
}

pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

/// What the server has seen.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) connections: usize,
    /// The commands, those after a TLS handshake with a `*` before them.
    pub(crate) commands: Vec<String>,
    pub(crate) contents: Vec<String>,
}

type Replies = Arc<HashMap<&'static str, &'static str>>;

impl Listener {
    /// Starts a server that takes everything, save where `replies` says otherwise by the verb of
    /// the command (or `greeting`, `content`). The reply `hang up` closes the connection,
    /// the reply `fall silent` keeps it open for ever.
    pub(crate) async fn start<const N: usize>(
        tls: Tls,
        replies: [(&'static str, &'static str); N],
    ) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let replies = Arc::new(HashMap::from(replies));
        let seen = log.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                seen.lock().unwrap().connections += 1;
                let conversation = converse(stream, tls.clone(), replies.clone(), seen.clone());
                // A client that hangs up is no error of the server.
                tokio::spawn(async move { drop(conversation.await) });
            }
        });
        Self { address, log }
    }

    pub(crate) fn log(&self) -> Log {
        self.log.lock().unwrap().clone()
    }

    /// The verbs of the commands, `QUIT` and `NOOP` left out.
    pub(crate) fn verbs(&self) -> Vec<String> {
        let verbs = self.log().commands.into_iter();
        verbs
            .filter_map(|command| command.split(' ').next().map(str::to_owned))
            .filter(|verb| !verb.ends_with("QUIT") && !verb.ends_with("NOOP"))
            .collect()
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn converse(
    stream: TcpStream,
    tls: Tls,
    replies: Replies,
    log: Arc<Mutex<Log>>,
) -> io::Result<()> {
    let (stream, mut encrypted): (Box<dyn Stream>, bool) = match &tls {
        Tls::FromTheFirstByte(acceptor) => (Box::new(acceptor.accept(stream).await?), true),
        Tls::Never | Tls::OnRequest(_) => (Box::new(stream), false),
    };
    let mut stream = BufStream::new(stream);
    let mut next = "greeting".to_owned();
    loop {
        let verb = next.split(' ').next().unwrap().to_owned();
        let usual = match (verb.as_str(), &tls) {
            ("greeting", _) => "220 test ESMTP",
            ("EHLO", Tls::OnRequest(_)) if !encrypted => "250-test\r\n250 STARTTLS",
            ("EHLO", _) => "250-test\r\n250 AUTH PLAIN",
            ("STARTTLS", Tls::OnRequest(_)) if !encrypted => "220 go on",
            ("AUTH", _) => "235 welcome",
            ("DATA", _) => "354 go on",
            ("QUIT", _) => "221 bye",
            ("MAIL" | "RCPT" | "NOOP" | "content", _) => "250 ok",
            _ => "502 what?",
        };
        let reply = replies.get(verb.as_str()).copied().unwrap_or(usual);
        if reply == "hang up" {
            return Ok(());
        }
        if reply == "fall silent" {
            std::future::pending::<()>().await;
        }
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        stream.flush().await?;

        match (verb.as_str(), &tls) {
            ("QUIT", _) => return Ok(()),
            ("STARTTLS", Tls::OnRequest(acceptor)) if reply.starts_with('2') => {
                let plain = stream.into_inner();
                let secured: Box<dyn Stream> = Box::new(acceptor.accept(plain).await?);
                stream = BufStream::new(secured);
                encrypted = true;
            }
            ("DATA", _) if reply.starts_with('3') => {
                let mut content = String::new();
                while !content.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut content).await? == 0 {
                        return Ok(());
                    }
                }
                log.lock().unwrap().contents.push(content);
                next = "content".to_owned();
                continue;
            }
            _ => {}
        }
        let mut command = String::new();
        if stream.read_line(&mut command).await? == 0 {
            return Ok(());
        }
        next = command.trim_end().to_owned();
        let mark = if encrypted { "*" } else { "" };
        log.lock().unwrap().commands.push(format!("{mark}{next}"));
    }
}
