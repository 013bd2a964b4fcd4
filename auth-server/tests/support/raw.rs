//! Bytes on a socket, for what no client would send.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Sends bytes and reads until the server closes the connection.
pub fn exchange(address: &str, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    // A server that has refused already may have closed its side.
    let _ = stream.write_all(bytes);
    read_to_close(&mut stream)
}

pub fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(90)))
        .unwrap();
    stream
}

/// Reads until the server closes the connection, which it must.
pub fn read_to_close(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("not closed: {error} after {received:?}"),
    }
    String::from_utf8(received).unwrap()
}

/// The status of the first answer.
pub fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

/// How many answers there are.
pub fn answers(received: &str) -> usize {
    received.matches("HTTP/1.1 ").count()
}
