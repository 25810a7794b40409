//! Log lines on their way to standard error, which may be a pipe that nobody reads.
//!
//! tracing-appender does nearly this; its guard (0.2.5) prints to standard output where the queue is full at the end, and
//! the log itself does not say what is missing.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written. More are dropped and counted.
const LINES: usize = 4096;

/// How long [`LogWriter::finish`] waits.
const FINISH: Duration = Duration::from_millis(500);

enum Message {
    Line(Vec<u8>),
    Finish(SyncSender<()>),
}

/// Writes lines in a thread of its own. No line waits: where the queue is full it is dropped, and the next that is
/// written says how many were.
#[derive(Clone)]
pub(crate) struct LogWriter {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl LogWriter {
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn new(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, messages) = sync_channel(LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Self { queue, dropped: Arc::clone(&dropped) };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write(out, &messages, &dropped))?;
        Ok(writer)
    }

    /// Waits until what was logged is written, for half a second at most.
    pub(crate) fn finish(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Message::Finish(done)).is_ok() {
            // In vain, if nobody reads.
            let _in_time = wait.recv_timeout(FINISH);
        }
    }
}

fn write(mut out: impl Write, messages: &Receiver<Message>, dropped: &AtomicU64) {
    for message in messages {
        // Where standard error is closed there is nobody to tell.
        let _outcome = match message {
            Message::Line(line) => match dropped.swap(0, Ordering::Relaxed) {
                0 => out.write_all(&line),
                lost => writeln!(out, "{lost} log lines were dropped here").and_then(|()| out.write_all(&line)),
            },
            Message::Finish(done) => {
                let _given_up_waiting = done.send(());
                out.flush()
            }
        };
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use super::*;

    /// Blocks in its first write until told to go on.
    struct Stuck {
        go: Option<Receiver<()>>,
        written: Sender<String>,
    }

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if let Some(go) = self.go.take() {
                self.written.send("stuck".into()).unwrap();
                go.recv().unwrap();
            }
            self.written.send(String::from_utf8(line.to_vec()).unwrap()).unwrap();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_stuck_holds_nobody_up_and_the_log_says_what_is_missing() {
        let (free, go) = sync_channel(1);
        let (written, lines) = std::sync::mpsc::channel();
        let mut log = LogWriter::new(Stuck { go: Some(go), written }).unwrap();
        log.write_all(b"first\n").unwrap();
        assert_eq!(lines.recv().unwrap(), "stuck");
        for _ in 0..LINES + 7 {
            log.write_all(b"more\n").unwrap();
        }
        log.finish();
        free.send(()).unwrap();
        assert_eq!(lines.recv().unwrap(), "first\n");
        let rest: String = (0..LINES).map(|_| lines.recv().unwrap()).collect();
        assert!(rest.starts_with('7') && rest.contains("7 log lines were dropped here\nmore\n"), "{}", &rest[..100]);
    }
}
