//! Two sockets that both bring what others say, and how it reaches the user once.
//!
//! Messages have no ids, but the server routes what it gets in one order, and each socket keeps that order. So we send a
//! message to ourselves, the marker, which comes on both sockets: the user gets what the old one brings before it and
//! what the new one brings after it. That is everything, once, in order. What the old one brings after it is kept for the
//! case that the new one is lost before it has brought the same.
//!
//! A server that answers the marker and does not bring it on both is left with a rule that is nearly as good: what both sockets bring
//! is told by its text, and counted. What the new one has brought more often than the old one is delivered, and what the
//! old one has brought more often is dropped once when the new one brings it. Of what the new one brought by then, the
//! first presence of a channel, if it tells of nobody leaving, counts as the answer to our subscribe and is dropped, and
//! so are broadcasts under our own id, which may be our own on the old socket.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::PeerId;
use crate::protocol::{Payload, RawJson, ServerFrame};

/// Frames that may wait or be remembered while two sockets are open. With more the renewal is given up until later.
pub(super) const MAX_FRAMES: usize = 4096;

/// Their bytes. With more the renewal is given up until later.
pub(super) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What a marker begins with: a JSON string, so that it reads the same however a server writes it.
const MARKER: &str = r#""__meteredRenewal:"#;

/// Whether a frame is something others say, or who they are.
pub(super) fn is_content(frame: &ServerFrame<'_>) -> bool {
    matches!(frame, ServerFrame::Message { .. } | ServerFrame::Direct { .. } | ServerFrame::Presence { .. })
}

/// Whether a message from ourselves is a marker: ours, or that of another device under our id.
pub(super) fn is_marker(own_id: Option<&PeerId>, from: &str, data: RawJson<'_>) -> bool {
    own_id.is_some_and(|own| own.as_str() == from) && data.get().starts_with(MARKER)
}

/// The texts that one socket brought and the other has not yet, with how often.
pub(super) type Surplus = BTreeMap<String, u32>;

/// Takes a text off once, and gives whether it was there.
pub(super) fn take(surplus: &mut Surplus, text: &str) -> bool {
    let Some(count) = surplus.get_mut(text) else {
        return false;
    };
    *count = count.saturating_sub(1);
    if *count == 0 {
        surplus.remove(text);
    }
    true
}

/// What both sockets bring, from the subscribes on the new one to the switch.
#[derive(Default)]
pub(super) struct Overlap {
    own_id: String,
    marker: String,
    /// What the old socket has brought and the user has got.
    delivered: Surplus,
    /// What the old socket has brought after the marker, and only the new one brings to the user.
    kept: Vec<String>,
    /// What the new socket has brought, with whether it is dropped if there is no marker.
    held: Vec<(String, bool)>,
    /// Channels of which the new socket has brought presence.
    shown: BTreeSet<String>,
    frames: usize,
    bytes: usize,
    old_cut: bool,
    /// How much the new socket had brought when it brought the marker.
    new_cut: Option<usize>,
}

/// What is to be done at the switch.
pub(super) struct Cut {
    /// For the user, in order.
    pub(super) deliver: Vec<String>,
    /// To be dropped when the new socket brings it. Empty if the marker came on both.
    pub(super) surplus: Surplus,
}

impl std::fmt::Debug for Overlap {
    /// The sizes only: what users say to each other is not for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Overlap({} frames, {} bytes)", self.frames, self.bytes)
    }
}

impl Overlap {
    pub(super) fn new(own_id: &PeerId, nonce: u64) -> Self {
        let marker = format!(r#"{MARKER}{nonce:016x}""#);
        Self { own_id: own_id.as_str().to_owned(), marker, ..Self::default() }
    }

    /// What to send to ourselves; `None` cannot be, for it is JSON.
    pub(super) fn marker(&self) -> Option<Payload> {
        Payload::from_json(&self.marker).ok()
    }

    fn is_our_marker(&self, frame: &ServerFrame<'_>) -> bool {
        matches!(frame, ServerFrame::Direct { from, data, .. } if *from == self.own_id && data.get() == self.marker)
    }

    fn remember(&mut self, text: &str) {
        self.frames = self.frames.saturating_add(1);
        self.bytes = self.bytes.saturating_add(text.len());
    }

    /// Notes what the old socket brings, and gives whether it is for the user.
    pub(super) fn on_old(&mut self, text: &str, frame: &ServerFrame<'_>) -> bool {
        if self.is_our_marker(frame) {
            self.old_cut = true;
            return false;
        }
        self.remember(text);
        if self.old_cut {
            self.kept.push(text.to_owned());
            return false;
        }
        let count = self.delivered.entry(text.to_owned()).or_default();
        *count = count.saturating_add(1);
        true
    }

    /// Notes what the new socket brings.
    pub(super) fn on_new(&mut self, text: &str, frame: &ServerFrame<'_>) {
        if self.is_our_marker(frame) {
            self.new_cut.get_or_insert(self.held.len());
            return;
        }
        let unsure = match frame {
            ServerFrame::Message { from, .. } => *from == self.own_id,
            ServerFrame::Presence { channel, left, .. } => {
                self.shown.insert(channel.clone().into_owned()) && left.is_empty()
            }
            _ => false,
        };
        self.remember(text);
        self.held.push((text.to_owned(), unsure));
    }

    /// Whether the bounds are passed.
    pub(super) fn is_full(&self) -> bool {
        self.frames > MAX_FRAMES || self.bytes > MAX_BYTES
    }

    /// Whether the marker has come on both sockets.
    pub(super) fn is_cut(&self) -> bool {
        self.old_cut && self.new_cut.is_some()
    }

    /// What the user is still to get of the old socket, if there will be no switch.
    pub(super) fn take_kept(&mut self) -> Vec<String> {
        std::mem::take(&mut self.kept)
    }

    /// Decides what of the new socket's is for the user.
    pub(super) fn cut(self) -> Cut {
        let Self { held, mut delivered, old_cut, new_cut, .. } = self;
        if let (true, Some(cut)) = (old_cut, new_cut) {
            let deliver = held.into_iter().skip(cut).map(|(text, _)| text).collect();
            return Cut { deliver, surplus: Surplus::new() };
        }
        let deliver =
            held.into_iter().filter(|(text, unsure)| !take(&mut delivered, text) && !unsure).map(|(text, _)| text);
        Cut { deliver: deliver.collect(), surplus: delivered }
    }
}
