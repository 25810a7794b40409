//! A signalling machine that is connected and subscribed, without a server.

use std::time::Instant;

use metered_realtime_core::signalling::{Action, Output, Signalling, SignallingOptions};
use metered_realtime_core::{Channel, RequestId, SocketId};

use crate::Outcome;

pub(crate) const WELCOME: &str = r#"{"type":"welcome","peerId":"0b7d62a8-5f0e-4c77-9b1f-2f6f0f3b9a11","expiresAt":null,"serverTime":1700000000,"maxMessageSize":65536}"#;

/// A connected machine and the socket it is on.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) machine: Signalling,
    pub(crate) socket: SocketId,
}

impl Connected {
    pub(crate) fn new(now: Instant) -> Outcome<Self> {
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

    /// Subscribes to so many channels.
    pub(crate) fn subscribed(now: Instant, channels: usize) -> Outcome<Self> {
        let mut connected = Self::new(now)?;
        for number in 0..channels {
            let request = connected.machine.subscribe(now, &channel(number)?, false)?;
            connected.ack(now, request);
        }
        Ok(connected)
    }

    pub(crate) fn text(&mut self, now: Instant, text: &str) {
        self.machine.socket_text(now, self.socket, text);
        self.drain();
    }

    pub(crate) fn ack(&mut self, now: Instant, request: RequestId) {
        self.text(now, &ack(request));
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            std::hint::black_box(output);
        }
    }
}

pub(crate) fn channel(number: usize) -> Outcome<Channel> {
    Ok(Channel::new(format!("room-{number}"))?)
}

pub(crate) fn ack(request: RequestId) -> String {
    format!(r#"{{"type":"ack","requestId":"{}"}}"#, request.get())
}
