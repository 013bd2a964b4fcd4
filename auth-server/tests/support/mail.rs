//! Where mails arrive: a folder, and a real SMTP listener.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use auth_core::testing::MailedLink;
use mail_parser::MessageParser;

/// How long a test waits for what must happen before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A mail that arrived.
#[derive(Debug)]
pub struct Received {
    pub to: String,
    pub subject: String,
    pub token: String,
    pub link: String,
}

impl Received {
    fn parse(message: &[u8]) -> Self {
        let message = MessageParser::default().parse(message).unwrap();
        let [to] = message.to().unwrap().as_list().unwrap() else {
            panic!("not one recipient");
        };
        let link = MailedLink::find(&message.body_text(0).unwrap()).unwrap();
        Self {
            to: to.address().unwrap().to_owned(),
            subject: message.subject().unwrap().to_owned(),
            token: link.token,
            link: link.url,
        }
    }
}

/// Waits for the only mail in a folder, and takes it out.
pub fn from_folder(folder: &Path) -> Received {
    let started = Instant::now();
    loop {
        let mails: Vec<_> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
            .collect();
        if let [mail] = mails.as_slice() {
            let received = Received::parse(&std::fs::read(mail).unwrap());
            std::fs::remove_file(mail).unwrap();
            return received;
        }
        assert!(mails.is_empty(), "{mails:?}");
        assert!(
            started.elapsed() < PATIENCE,
            "no mail in {}",
            folder.display()
        );
        std::thread::yield_now();
    }
}

/// A mail server that takes every mail.
pub struct SmtpListener {
    pub url: String,
    mails: Receiver<Vec<u8>>,
}

impl SmtpListener {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let (sender, mails) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let sender = sender.clone();
                std::thread::spawn(move || converse(stream.unwrap(), &sender));
            }
        });
        Self { url, mails }
    }

    pub fn receive(&self) -> Received {
        Received::parse(&self.next())
    }

    /// The subject and the text of the next mail, which need have no link.
    pub fn receive_text(&self) -> String {
        let message = self.next();
        let message = MessageParser::default().parse(&message).unwrap();
        let text = message.body_text(0).unwrap();
        format!("{}\n{text}", message.subject().unwrap())
    }

    fn next(&self) -> Vec<u8> {
        self.mails.recv_timeout(PATIENCE).expect("a mail arrives")
    }
}

/// The server's side of RFC 5321, as far as one mail client needs it.
fn converse(stream: TcpStream, mails: &Sender<Vec<u8>>) {
    let mut writer = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut say = |line: &str| writer.write_all(format!("{line}\r\n").as_bytes()).is_ok();
    if !say("220 test ESMTP") {
        return;
    }
    while let Some(Ok(line)) = lines.next() {
        let answer = match line
            .get(..4)
            .unwrap_or_default()
            .to_ascii_uppercase()
            .as_str()
        {
            "DATA" => {
                say("354 go on");
                let mut mail = String::new();
                for line in lines.by_ref() {
                    let Ok(line) = line else { return };
                    if line == "." {
                        break;
                    }
                    mail.push_str(line.strip_prefix('.').unwrap_or(&line));
                    mail.push_str("\r\n");
                }
                let _ = mails.send(mail.into_bytes());
                "250 taken"
            }
            "QUIT" => {
                say("221 bye");
                return;
            }
            _ => "250 fine",
        };
        if !say(answer) {
            return;
        }
    }
}
