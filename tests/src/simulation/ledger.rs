//! Every message of every user: what its sender was told, what the hub saw, and who has to have it.
//!
//! The guarantee: a message whose send ended well was seen by the hub exactly once; one that was refused, or ended as
//! not connected, was never passed on; one that ended in a drop or a timeout may have been, once. Whoever the hub passed
//! a message to shows it to its user exactly once, unless that socket ended before it arrived.

use std::collections::BTreeMap;

use metered_realtime_core::Channel;

use super::network::SocketKey;

/// What a sender knows of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// No answer yet.
    Pending,
    /// The server has it.
    Acked,
    /// It never left.
    NeverLeft,
    /// The server said no.
    Refused,
    /// It may have arrived.
    Unknown,
}

#[derive(Debug)]
struct Message {
    fate: Fate,
    seen: u32,
    passed_on: bool,
}

/// The account of all messages since the last settlement.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    made: u64,
    messages: BTreeMap<u64, Message>,
    /// What is on its way to a user who has to get it, with its channel if it has one.
    owed: BTreeMap<SocketKey, BTreeMap<u64, Option<Channel>>>,
}

impl Ledger {
    pub(super) fn create(&mut self) -> u64 {
        self.made += 1;
        self.messages.insert(self.made, Message { fate: Fate::Pending, seen: 0, passed_on: false });
        self.made
    }

    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// The sender was told.
    pub(super) fn told(&mut self, id: u64, fate: Fate) -> Result<(), String> {
        let Some(message) = self.messages.get_mut(&id) else {
            return Err(format!("message {id} ended after its account was settled"));
        };
        if message.fate != Fate::Pending {
            return Err(format!("message {id} ended twice: {:?}, {fate:?}", message.fate));
        }
        message.fate = fate;
        message.check(id)
    }

    /// The sender vanished before it could be told.
    pub(super) fn sender_gone(&mut self, id: u64) {
        if let Some(message) = self.messages.get_mut(&id)
            && message.fate == Fate::Pending
        {
            message.fate = Fate::Unknown;
        }
    }

    /// The hub took the message in, and passed it on or refused it.
    pub(super) fn seen(&mut self, id: u64, passed_on: bool) -> Result<(), String> {
        let Some(message) = self.messages.get_mut(&id) else {
            // Settled as unknown, and late: it was on a socket that lay still.
            return Ok(());
        };
        message.seen += 1;
        message.passed_on |= passed_on;
        if message.seen > 1 {
            return Err(format!("the hub saw message {id} twice"));
        }
        if message.fate == Fate::NeverLeft {
            return Err(format!("the hub saw message {id}, whose sender was told that it never left"));
        }
        Ok(())
    }

    pub(super) fn owe(&mut self, socket: SocketKey, id: u64, channel: Option<Channel>) {
        self.owed.entry(socket).or_default().insert(id, channel);
    }

    /// It was shown to the user, or the user wants nothing from there any more.
    pub(super) fn paid(&mut self, socket: SocketKey, id: u64) {
        if let Some(owed) = self.owed.get_mut(&socket) {
            owed.remove(&id);
        }
    }

    /// Looks through what is owed over a socket for what its user has got over another one, or wants no more.
    pub(super) fn look_through(&mut self, socket: SocketKey, is_owed: impl Fn(u64, Option<&Channel>) -> bool) {
        if let Some(owed) = self.owed.get_mut(&socket) {
            owed.retain(|id, channel| is_owed(*id, channel.as_ref()));
        }
    }

    /// Nothing that is on its way over this socket will arrive.
    pub(super) fn socket_gone(&mut self, socket: SocketKey) {
        self.owed.remove(&socket);
    }

    /// All is quiet: every message has ended and arrived. Settles the account.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        if let Some((socket, id)) = self.owed.iter().find_map(|(socket, ids)| Some((socket, ids.first_key_value()?.0)))
        {
            return Err(format!("message {id} never arrived over {socket:?}, which is open"));
        }
        for (id, message) in &self.messages {
            if message.fate == Fate::Pending {
                return Err(format!("the sender of message {id} was never told how it ended"));
            }
            message.check(*id)?;
        }
        self.messages.clear();
        self.owed.clear();
        Ok(())
    }
}

impl Message {
    fn check(&self, id: u64) -> Result<(), String> {
        let holds = match self.fate {
            Fate::Pending | Fate::Unknown => self.seen <= 1,
            Fate::Acked => self.seen == 1 && self.passed_on,
            Fate::NeverLeft => self.seen == 0,
            Fate::Refused => self.seen == 1 && !self.passed_on,
        };
        if holds { Ok(()) } else { Err(format!("message {id} ended as {:?}, but: {self:?}", self.fate)) }
    }
}
