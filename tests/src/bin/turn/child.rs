//! A process of ours: its lines, its input, and its certain end.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child as Process, ChildStdin};
use tokio::sync::Notify;

use crate::Outcome;

/// Far longer than any line takes; reached only when one never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines kept of one process, the oldest going first.
const LINES: usize = 5000;

/// Killed when dropped.
pub(crate) struct Child {
    name: &'static str,
    process: Process,
    input: Option<ChildStdin>,
    lines: Lines,
}

/// What a process has said so far.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<(Mutex<Vec<String>>, Notify)>);

impl Lines {
    fn push(&self, line: String) {
        let mut lines = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= LINES {
            lines.remove(0);
        }
        lines.push(line);
        self.0.1.notify_waiters();
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `holds` of all lines.
    async fn until<T>(&self, mut holds: impl FnMut(&[String]) -> Option<T>) -> Option<T> {
        let waiting = async {
            loop {
                let news = self.0.1.notified();
                if let Some(found) = holds(&self.all()) {
                    return found;
                }
                let _ended_or_not = tokio::time::timeout(Duration::from_millis(100), news).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.ok()
    }
}

impl Child {
    pub(crate) fn start(name: &'static str, command: Command) -> Outcome<Self> {
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let lines = Lines::default();
        if let Some(output) = process.stdout.take() {
            tokio::spawn(read(output, lines.clone()));
        }
        if let Some(errors) = process.stderr.take() {
            tokio::spawn(read(errors, lines.clone()));
        }
        let input = process.stdin.take();
        Ok(Self { name, process, input, lines })
    }

    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.lines.all()
    }

    pub(crate) async fn tell(&mut self, line: &str) -> Outcome {
        let input = self.input.as_mut().ok_or("no input")?;
        input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(())
    }

    /// Waits until a line from the `from`th on starts so, and gives its rest and the number of the line after it.
    pub(crate) async fn line(&self, from: usize, start: &str) -> Outcome<(String, usize)> {
        let found = self.lines.until(|lines| {
            let (index, line) = lines.iter().enumerate().skip(from).find(|(_, line)| line.starts_with(start))?;
            Some((line.get(start.len()..).unwrap_or_default().trim().to_owned(), index + 1))
        });
        found.await.ok_or_else(|| format!("{} never said {start:?}", self.name).into())
    }

    /// The same anywhere in a line.
    pub(crate) async fn mention(&self, from: usize, words: &[&str]) -> Outcome {
        let found = self.lines.until(|lines| {
            lines.iter().skip(from).any(|line| words.iter().all(|word| line.contains(word))).then_some(())
        });
        found.await.ok_or_else(|| format!("{} never mentioned {words:?}", self.name).into())
    }

    pub(crate) async fn stop(mut self) {
        // It may have ended by itself.
        let _killed = self.process.kill().await;
    }
}

async fn read(output: impl AsyncRead + Unpin, lines: Lines) {
    let mut reader = BufReader::new(output).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        lines.push(line);
    }
}
