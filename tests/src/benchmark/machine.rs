//! A signalling machine that is connected and subscribed, without a server.

use std::time::Instant;

use metered_realtime_core::signalling::{Action, Input, Output, Signalling, SignallingOptions};
use metered_realtime_core::{Channel, RequestId, SocketId};

use super::Outcome;

/// A `welcome` that says nothing special.
pub const WELCOME: &str = r#"{"type":"welcome","peerId":"0b7d62a8-5f0e-4c77-9b1f-2f6f0f3b9a11","expiresAt":null,"serverTime":1700000000,"maxMessageSize":65536}"#;

/// A connected machine and the socket it is on.
#[derive(Debug)]
pub struct Connected {
    /// The machine.
    pub machine: Signalling,
    /// Its socket.
    pub socket: SocketId,
}

impl Connected {
    /// Connects and takes a `welcome`.
    ///
    /// # Errors
    /// The machine does not do what it should.
    pub fn new(now: Instant) -> Outcome<Self> {
        let mut machine = Signalling::new(SignallingOptions::api_key("pk_live_bench"), 7)?;
        machine.connect(now)?;
        let mut opened = None;
        while let Some(output) = machine.poll_output() {
            if let Output::Action(Action::OpenSocket { socket, .. }) = output {
                opened = Some(socket);
            }
        }
        let mut connected = Self { machine, socket: opened.ok_or("no socket was asked for")? };
        connected.text(now, WELCOME);
        Ok(connected)
    }

    /// [`new`](Self::new), and subscribed to so many channels.
    ///
    /// # Errors
    /// The machine does not do what it should.
    pub fn subscribed(now: Instant, channels: usize) -> Outcome<Self> {
        let mut connected = Self::new(now)?;
        for number in 0..channels {
            let request = connected.machine.subscribe(now, &channel(number)?, false)?;
            connected.ack(now, request);
        }
        Ok(connected)
    }

    /// Feeds a text from the server, and drops what comes of it.
    pub fn text(&mut self, now: Instant, text: &str) {
        self.machine.handle_input(now, Input::SocketText { socket: self.socket, text });
        self.drain();
    }

    /// Acknowledges a request.
    pub fn ack(&mut self, now: Instant, request: RequestId) {
        self.text(now, &ack(request));
    }

    /// Drops all outputs.
    pub fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            std::hint::black_box(output);
        }
    }
}

/// A channel's name.
///
/// # Errors
/// None: the name is a good one.
pub fn channel(number: usize) -> Outcome<Channel> {
    Ok(Channel::new(format!("room-{number}"))?)
}

/// The server's answer to a request.
pub fn ack(request: RequestId) -> String {
    format!(r#"{{"type":"ack","requestId":"{}"}}"#, request.get())
}
