//! The lines that wait to be written to the log.
//!
//! Whoever logs leaves a line here and goes on; one thread writes them. A log that is not read, or
//! cannot be written, costs lines and never an answer.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How many bytes may wait: some ten thousand lines.
const CAPACITY: usize = 4 * 1024 * 1024;

/// How long to wait for a descriptor that somebody else has made non-blocking.
const RETRY: Duration = Duration::from_millis(10);

/// Lines that wait, in order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    is_writing: bool,
    dropped: u64,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// So many lines found no room here.
    Dropped(u64),
}

impl Queue {
    /// Leaves a line, or counts it as dropped where there is no room; never waits for the log.
    pub(super) fn push(&self, line: Vec<u8>) {
        let mut state = self.lock();
        if state.bytes + line.len() > CAPACITY {
            match state.entries.back_mut() {
                Some(Entry::Dropped(lines)) => *lines += 1,
                _ => state.entries.push_back(Entry::Dropped(1)),
            }
            drop(state);
            self.count_dropped(1);
        } else {
            state.bytes += line.len();
            state.entries.push_back(Entry::Line(line));
            drop(state);
            self.changed.notify_all();
        }
    }

    /// How many lines were dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Waits until all lines are written, for so long at most.
    pub(super) fn flush(&self, longest: Duration) {
        let waits = |state: &mut State| state.is_writing || !state.entries.is_empty();
        // A poisoned lock or a timeout: nothing more can be done for the log.
        let _ = self
            .changed
            .wait_timeout_while(self.lock(), longest, waits)
            .map(drop);
    }

    /// Writes what waits, for ever; `report` makes the line that tells how many were dropped.
    pub(super) fn write_to(&self, log: impl Write, report: impl Fn(u64) -> String) {
        let mut log = Log {
            log,
            is_torn: false,
        };
        let mut unreported = 0;
        loop {
            let line = match self.next() {
                Entry::Line(line) => Some(line),
                Entry::Dropped(lines) => {
                    unreported += lines;
                    None
                }
            };
            // The report is also the attempt that shows that the log can be written again.
            if unreported > 0 && log.write(report(unreported).as_bytes()).is_ok() {
                unreported = 0;
            }
            if let Some(line) = line
                && (unreported > 0 || log.write(&line).is_err())
            {
                unreported += 1;
                self.count_dropped(1);
            }
        }
    }

    fn next(&self) -> Entry {
        let mut state = self.lock();
        state.is_writing = false;
        self.changed.notify_all();
        loop {
            if let Some(entry) = state.entries.pop_front() {
                if let Entry::Line(line) = &entry {
                    state.bytes -= line.len();
                }
                state.is_writing = true;
                return entry;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn count_dropped(&self, lines: u64) {
        let mut state = self.lock();
        state.dropped += lines;
        let dropped = state.dropped;
        drop(state);
        metrics::counter!(super::DROPPED_LINES).absolute(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the lines go.
struct Log<W> {
    log: W,
    /// Whether the last line broke off in its middle.
    is_torn: bool,
}

impl<W: Write> Log<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.write_all(b"\n")?;
        }
        self.write_all(line)?;
        self.log.flush()
    }

    fn write_all(&mut self, mut rest: &[u8]) -> io::Result<()> {
        let is_torn = mem::replace(&mut self.is_torn, true);
        let whole = rest.len();
        while !rest.is_empty() {
            let written = match self.log.write(rest) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => Ok(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::sleep(RETRY);
                    Ok(0)
                }
                Err(error) => Err(error),
            };
            match written {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) => {
                    self.is_torn = is_torn || rest.len() < whole;
                    return Err(error);
                }
            }
        }
        self.is_torn = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A log that takes what its reader lets it take, one answer for each write.
    struct Steered {
        answers: Receiver<io::Result<usize>>,
        written: SyncSender<Vec<u8>>,
    }

    impl Write for Steered {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Nobody steers any more: the end of the test.
            let Ok(answer) = self.answers.recv() else {
                return Ok(bytes.len());
            };
            let taken = answer?.min(bytes.len());
            self.written.send(bytes[..taken].to_vec()).unwrap();
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn steered() -> (Arc<Queue>, SyncSender<io::Result<usize>>, Receiver<Vec<u8>>) {
        let queue = Arc::new(Queue::default());
        let (answer, answers) = sync_channel(100);
        let (written, read) = sync_channel(100);
        let writing = Arc::clone(&queue);
        thread::spawn(move || {
            let report = |lines| format!("{lines} dropped\n");
            writing.write_to(Steered { answers, written }, report);
        });
        (queue, answer, read)
    }

    fn text(read: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(read.recv_timeout(Duration::from_secs(10)).unwrap()).unwrap()
    }

    #[test]
    fn s19_3_lines_that_find_no_room_are_dropped_and_counted_where_they_are_missing() {
        let (queue, answer, read) = steered();
        let large = vec![b'x'; CAPACITY / 2];
        queue.push(b"first\n".to_vec());
        // The thread is in the middle of writing the first line, so that these two fill the queue.
        while queue.lock().bytes > 0 {
            thread::yield_now();
        }
        queue.push(large.clone());
        queue.push(large);
        for _ in 0..3 {
            queue.push(b"dropped\n".to_vec());
        }
        assert_eq!(queue.dropped(), 3);
        for _ in 0..5 {
            answer.send(Ok(usize::MAX)).unwrap();
        }
        assert_eq!(text(&read), "first\n");
        assert_eq!(read.recv().unwrap().len(), CAPACITY / 2);
        assert_eq!(read.recv().unwrap().len(), CAPACITY / 2);
        assert_eq!(text(&read), "3 dropped\n");
        queue.push(b"last\n".to_vec());
        assert_eq!(text(&read), "last\n");
        assert_eq!(queue.dropped(), 3);
    }

    #[test]
    fn s19_3_lines_that_cannot_be_written_are_counted_and_none_is_glued_to_a_torn_one() {
        let (queue, answer, read) = steered();
        let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
        answer.send(Ok(3)).unwrap();
        answer.send(full()).unwrap();
        queue.push(b"torn\n".to_vec());
        assert_eq!(text(&read), "tor");
        answer.send(full()).unwrap();
        queue.push(b"lost\n".to_vec());
        for _ in 0..3 {
            answer.send(Ok(usize::MAX)).unwrap();
        }
        while queue.dropped() < 2 {
            thread::yield_now();
        }
        queue.push(b"next\n".to_vec());
        assert_eq!(text(&read), "\n");
        assert_eq!(text(&read), "2 dropped\n");
        assert_eq!(text(&read), "next\n");
        assert_eq!(queue.dropped(), 2);
    }

    #[test]
    fn s19_3_a_busy_descriptor_is_tried_again() {
        let (queue, answer, read) = steered();
        answer
            .send(Err(io::Error::from(io::ErrorKind::WouldBlock)))
            .unwrap();
        answer.send(Ok(2)).unwrap();
        answer
            .send(Err(io::Error::from(io::ErrorKind::Interrupted)))
            .unwrap();
        answer.send(Ok(usize::MAX)).unwrap();
        queue.push(b"line\n".to_vec());
        assert_eq!(text(&read), "li");
        assert_eq!(text(&read), "ne\n");
        queue.flush(Duration::from_secs(10));
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn s19_3_the_end_waits_for_a_log_that_nobody_reads_only_so_long() {
        let (queue, _answer, _read) = steered();
        queue.push(b"never read\n".to_vec());
        queue.flush(Duration::from_millis(1));
    }
}
