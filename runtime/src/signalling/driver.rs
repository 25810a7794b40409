//! Drives the core's signalling machine: commands go in, events and answers come out to the handles.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_channel::WeakSender;
#[cfg(feature = "webrtc")]
use metered_realtime_core::net;
use metered_realtime_core::signalling::{self, Output, RequestError, Signalling, SignallingOptions, State};
use metered_realtime_core::{Channel, InvalidOption, PeerId, RequestId};

use super::command::Command;
use super::error::SignallingConnectError;
use super::event::SignallingEvent;
use super::options::SubscribeOptions;
use super::subscribed::Held;
use super::subscriptions::Subscriptions;
use crate::drive::{Machine, Task};
use crate::events::Hub;
use crate::reply::{Reply, Waiting, answer};
use crate::sync::lock;

/// A snapshot of the client, and its events.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) hub: Hub<SignallingEvent>,
    snapshot: Mutex<Snapshot>,
}

#[derive(Debug)]
struct Snapshot {
    state: State,
    peer_id: Option<PeerId>,
    subscriptions: Vec<Channel>,
    max_message_size: usize,
}

impl Shared {
    pub(super) fn state(&self) -> State {
        lock(&self.snapshot).state
    }

    pub(super) fn peer_id(&self) -> Option<PeerId> {
        lock(&self.snapshot).peer_id.clone()
    }

    pub(super) fn subscriptions(&self) -> Vec<Channel> {
        lock(&self.snapshot).subscriptions.clone()
    }

    pub(super) fn max_message_size(&self) -> usize {
        lock(&self.snapshot).max_message_size
    }

    /// Takes a new snapshot.
    fn update(&self, core: &Signalling) {
        let mut snapshot = lock(&self.snapshot);
        snapshot.state = core.state();
        snapshot.max_message_size = core.max_message_size();
        if snapshot.peer_id.as_ref() != core.peer_id() {
            snapshot.peer_id = core.peer_id().cloned();
        }
        if !core.subscriptions().eq(&snapshot.subscriptions) {
            snapshot.subscriptions = core.subscriptions().cloned().collect();
        }
    }

    fn end(&self) {
        lock(&self.snapshot).state = State::Closed;
        self.hub.close();
    }
}

pub(crate) struct SignallingDriver {
    core: Signalling,
    shared: Arc<Shared>,
    connect: Option<Reply<Result<(), SignallingConnectError>>>,
    requests: Waiting<RequestError>,
    /// The core bounds the number of requests.
    subscribes: BTreeMap<RequestId, Subscribe>,
    subscriptions: Subscriptions,
    closes: Vec<Reply<()>>,
}

/// A subscribe under way. Its handle exists from the beginning, so that no message of the channel is missed.
struct Subscribe {
    options: SubscribeOptions,
    held: Held,
    reply: Reply<Result<Held, RequestError>>,
}

impl SignallingDriver {
    pub(crate) fn new(
        options: SignallingOptions,
        seed: u64,
        event_capacity: usize,
        commands: WeakSender<Command>,
    ) -> Result<(Self, Arc<Shared>), InvalidOption> {
        let core = Signalling::new(options, seed)?;
        let shared = Arc::new(Shared {
            hub: Hub::new(event_capacity),
            snapshot: Mutex::new(Snapshot {
                state: core.state(),
                peer_id: None,
                subscriptions: Vec::new(),
                max_message_size: core.max_message_size(),
            }),
        });
        let released = move || {
            if let Some(commands) = commands.upgrade() {
                // If there is no room, other commands follow, and the driver looks for what was dropped at each.
                let _sent_or_full = commands.try_send(Command::Released);
            }
        };
        let driver = Self {
            core,
            shared: shared.clone(),
            connect: None,
            requests: Waiting::new(),
            subscribes: BTreeMap::new(),
            subscriptions: Subscriptions::new(Arc::new(released), event_capacity),
            closes: Vec::new(),
        };
        Ok((driver, shared))
    }

    fn subscribe(
        &mut self,
        now: Instant,
        channel: &Channel,
        options: SubscribeOptions,
        reply: Reply<Result<Held, RequestError>>,
    ) {
        let is_remembered = self.core.subscriptions().any(|subscribed| subscribed == channel);
        if let Some(held) = self.subscriptions.share(channel, options).filter(|_| is_remembered) {
            answer(reply, Ok(held));
            return;
        }
        match self.core.subscribe(now, channel, options.include_sender_metadata) {
            Ok(request) => {
                let held = self.subscriptions.open(channel);
                self.subscribes.insert(request, Subscribe { options, held, reply });
            }
            Err(error) => answer(reply, Err(error)),
        }
        self.shared.update(&self.core);
    }

    fn request_done(&mut self, request: RequestId, result: Result<(), RequestError>) {
        let Some(Subscribe { options, held, reply }) = self.subscribes.remove(&request) else {
            self.requests.done(request, result);
            return;
        };
        answer(
            reply,
            result.map(|()| {
                self.subscriptions.acknowledged(held.shared.channel(), options);
                held
            }),
        );
    }

    /// Unsubscribes from the channels that have no handle any more.
    fn unsubscribe_released(&mut self, now: Instant) {
        while let Some(channel) = self.subscriptions.take_released() {
            if self.core.subscriptions().any(|subscribed| *subscribed == channel) {
                // Without a connection the channel is forgotten, and nobody waits for the answer.
                let _request_or_forgotten = self.core.unsubscribe(now, &channel);
                self.shared.update(&self.core);
            }
        }
    }

    fn finished(&mut self) {
        self.subscriptions.end_all();
        for (_, Subscribe { reply, .. }) in std::mem::take(&mut self.subscribes) {
            answer(reply, Err(RequestError::Closed));
        }
        self.shared.end();
        self.closes.drain(..).for_each(|reply| answer(reply, ()));
    }
}

impl Machine for SignallingDriver {
    type Command = Command;
    type Frame = Infallible;

    fn command(&mut self, now: Instant, command: Command) {
        self.unsubscribe_released(now);
        match command {
            Command::Connect { reply } => match self.core.connect(now) {
                Ok(()) => self.connect = Some(reply),
                Err(error) => answer(reply, Err(error.into())),
            },
            Command::Subscribe { channel, options, reply } => {
                self.subscribe(now, &channel, options, reply);
            }
            Command::Unsubscribe { channel, reply } => {
                let begun = self.core.unsubscribe(now, &channel);
                self.subscriptions.end(&channel);
                self.shared.update(&self.core);
                self.requests.begun(reply, begun);
            }
            Command::Publish { channel, data, reply } => {
                let begun = self.core.publish(now, &channel, &data);
                self.requests.begun(reply, begun);
            }
            Command::Send { to, data, reply } => {
                let begun = self.core.send(now, &to, &data);
                self.requests.begun(reply, begun);
            }
            Command::Counters { reply } => answer(reply, self.core.counters()),
            Command::Close { reason, reply } => {
                self.closes.push(reply);
                self.core.close(now, &reason);
            }
            Command::Released => {}
        }
    }

    fn abandoned(&mut self, now: Instant) {
        self.core.close(now, "");
    }

    fn frame(&mut self, _now: Instant, frame: Infallible) {
        match frame {}
    }

    fn signalling_input(&mut self, now: Instant, input: signalling::Input<'_>) {
        self.core.handle_input(now, input);
    }

    /// A client asks nothing of the network.
    #[cfg(feature = "webrtc")]
    fn network_input(&mut self, _now: Instant, _input: net::Input<'_>) {}

    fn handle_timeout(&mut self, now: Instant) {
        self.core.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.core.poll_timeout()
    }

    fn poll_task(&mut self) -> Option<Task> {
        loop {
            match self.core.poll_output()? {
                Output::Action(action) => return Some(Task::Signalling(action)),
                Output::Event(event) => {
                    // Nothing but the user's own subscriptions changes without an event, and who hears of a change shall
                    // also see it.
                    self.shared.update(&self.core);
                    if let Some(event) = SignallingEvent::from_core(event) {
                        self.shared.hub.publish(&event);
                        self.subscriptions.route(&event, self.core.peer_id());
                    }
                }
                Output::Connected(result) => {
                    self.shared.update(&self.core);
                    if let Some(reply) = self.connect.take() {
                        answer(reply, result.map_err(Into::into));
                    }
                }
                Output::RequestDone { request, result } => {
                    // What made it fail may have changed the state, and the event that tells so is yet to come.
                    if result.is_err() {
                        self.shared.update(&self.core);
                    }
                    self.request_done(request, result);
                }
                Output::Finished => {
                    self.finished();
                    return Some(Task::Finished);
                }
            }
        }
    }
}

impl Drop for SignallingDriver {
    /// Also when the executor drops the driver half-way: nobody waits for what will not come.
    fn drop(&mut self) {
        self.finished();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Wake, Waker};

    use futures_channel::oneshot;
    use metered_realtime_core::SocketId;
    use metered_realtime_core::protocol::{CloseCode, Payload};
    use metered_realtime_core::signalling::Action;

    use super::*;

    /// Looks, in the moment an answer comes, whether the client is in the state it shall be in by then.
    struct Look {
        shared: Arc<Shared>,
        wanted: State,
        came: AtomicBool,
    }

    impl Wake for Look {
        fn wake(self: Arc<Self>) {
            assert_eq!(self.shared.state(), self.wanted);
            self.came.store(true, Ordering::Relaxed);
        }
    }

    fn look<T>(shared: &Arc<Shared>, wanted: State, answer: &mut oneshot::Receiver<T>) -> Arc<Look> {
        let look = Arc::new(Look { shared: shared.clone(), wanted, came: AtomicBool::new(false) });
        assert!(Pin::new(answer).poll(&mut Context::from_waker(&Waker::from(look.clone()))).is_pending());
        look
    }

    fn driver() -> (SignallingDriver, Arc<Shared>) {
        let (commands, _) = async_channel::bounded(1);
        SignallingDriver::new(SignallingOptions::api_key("pk_x"), 7, 8, commands.downgrade()).unwrap()
    }

    fn run(driver: &mut SignallingDriver) -> Option<SocketId> {
        let mut opened = None;
        while let Some(task) = driver.poll_task() {
            if let Task::Signalling(Action::OpenSocket { socket, .. }) = task {
                opened = Some(socket);
            }
        }
        opened
    }

    #[test]
    fn whoever_gets_an_error_sees_the_state_that_came_of_it() {
        let now = Instant::now();
        let (mut driver, shared) = driver();
        let (reply, mut answer) = oneshot::channel();
        driver.command(now, Command::Connect { reply });
        let socket = run(&mut driver).unwrap();
        let connected = look(&shared, State::Connected, &mut answer);
        let text = r#"{"type":"welcome","peerId":"me","expiresAt":null,"serverTime":1,"maxMessageSize":65536}"#;
        driver.signalling_input(now, signalling::Input::SocketText { socket, text });
        run(&mut driver);
        let (reply, mut answer) = oneshot::channel();
        let (channel, data) = (Channel::new("a").unwrap(), Payload::from_json("1").unwrap());
        driver.command(now, Command::Publish { channel, data, reply });
        run(&mut driver);
        let dropped = look(&shared, State::Reconnecting, &mut answer);
        driver.signalling_input(now, signalling::Input::SocketClosed { socket, close: None });
        run(&mut driver);
        for look in [connected, dropped] {
            assert!(look.came.load(Ordering::Relaxed));
        }
    }

    #[test]
    fn whoever_could_not_connect_sees_the_client_closed() {
        let now = Instant::now();
        let (mut driver, shared) = driver();
        let (reply, mut answer) = oneshot::channel();
        driver.command(now, Command::Connect { reply });
        let socket = run(&mut driver).unwrap();
        let refused = look(&shared, State::Closed, &mut answer);
        let close = Some((CloseCode(4001), ""));
        driver.signalling_input(now, signalling::Input::SocketClosed { socket, close });
        run(&mut driver);
        assert!(refused.came.load(Ordering::Relaxed));
    }
}
