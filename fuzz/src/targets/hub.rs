//! The server's hub: connections of several tenants, their frames and their ends in any order. Everybody gets what the
//! protocol says and nothing else, and what a connection is told of presence adds up to who is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use metered_realtime_core::PeerId;
use metered_realtime_core::protocol::{ClientFrame, CloseCode, Metadata, ServerFrame};
use metered_realtime_server::state::{ConnId, Hub, HubLimits, Identity, Input, Output, TenantId, parse_frame};
use metered_realtime_server::{ChannelPattern, Permission, Permissions};

use crate::generate::{self, Members};
use crate::model;

const CHANNELS: &[&str] = &["a", "b", "rooms/1", "rooms/1/x", "_metered/x", "", "é"];
const PEERS: &[&str] = &["ann", "bob", "cid"];
const TENANTS: &[&str] = &["t", "u"];
const CAPACITY: usize = 6;
const PER_PEER: usize = 3;

/// Peers in a channel whose changes of presence are told together.
const CROWD: usize = 64;
const MAX_PAYLOAD: usize = 64;

/// Steps of one input.
const STEPS: usize = 300;

/// Steps of one input with a crowd, each of which reaches everybody.
const STEPS_WITH_CROWD: usize = 60;

/// Plays the input.
pub fn hub(input: &[u8]) {
    let mut u = Unstructured::new(input);
    let mut game = Game {
        hub: Hub::new(HubLimits {
            max_message_size: MAX_PAYLOAD,
            max_connections: CAPACITY + CROWD,
            max_connections_per_peer: PER_PEER,
            max_channels: metered_realtime_core::protocol::limits::CHANNELS_PER_CONNECTION,
        }),
        crowded: false,
        presence_waits: false,
        last: 0,
        members: BTreeMap::new(),
        refuses: false,
    };
    if u.ratio(1, 16).unwrap_or_default() {
        game.crowd();
    }
    for _ in 0..if game.crowded { STEPS_WITH_CROWD } else { STEPS } {
        if u.is_empty() || game.step(&mut u).is_err() {
            break;
        }
    }
    game.flush();
    for conn in game.members.keys().copied().collect::<Vec<_>>() {
        game.leave(conn, Input::Disconnected { conn });
    }
    assert_eq!(game.hub.connections(), 0);
}

/// One connection as the model has it.
struct Member {
    identity: Identity,
    tenant: &'static str,
    /// Its subscriptions, each with whether it wants the sender's metadata.
    channels: BTreeMap<String, bool>,
    /// Who is in its channels besides itself, as it was told.
    seen: BTreeMap<String, BTreeSet<String>>,
}

struct Game {
    hub: Hub,
    /// A channel is or was large.
    crowded: bool,
    presence_waits: bool,
    last: u64,
    members: BTreeMap<ConnId, Member>,
    refuses: bool,
}

/// What one connection was sent because of one input, and whether it was closed.
type Sent = BTreeMap<ConnId, (Vec<String>, Option<CloseCode>)>;

impl Game {
    fn step(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let conns: Vec<ConnId> = self.members.keys().copied().collect();
        match u.int_in_range(0..=15)? {
            0 | 1 => self.connect(u),
            2 if !conns.is_empty() => {
                let conn = *u.choose(&conns)?;
                self.leave(conn, Input::Disconnected { conn });
                Ok(())
            }
            3 => {
                let unknown = ConnId(self.last + 1);
                let sent = self.input(Input::Disconnected { conn: unknown });
                assert!(sent.is_empty(), "an unknown connection had an effect");
                self.last += 1;
                Ok(())
            }
            4 if u.ratio(1, 4)? => self.administrate(u),
            5 if self.presence_waits => {
                self.flush();
                Ok(())
            }
            _ if !conns.is_empty() => {
                let conn = *u.choose(&conns)?;
                let text = if u.ratio(1, 30)? { u.arbitrary::<&str>()?.to_owned() } else { frame(u)? };
                self.frame(conn, &text);
                Ok(())
            }
            _ => self.connect(u),
        }
    }

    fn input(&mut self, input: Input<'_>) -> Sent {
        self.hub.handle_input(input);
        let mut sent = Sent::new();
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Send { conn, text } => {
                    let (texts, closed) = sent.entry(conn).or_default();
                    assert_eq!(*closed, None, "a text after the close of {conn:?}");
                    ServerFrame::parse(&text).expect("the server writes frames");
                    texts.push(text.as_str().to_owned());
                }
                Output::Close { conn, code } => {
                    let (_, closed) = sent.entry(conn).or_default();
                    assert_eq!(closed.replace(code), None, "{conn:?} is closed twice");
                }
                Output::PresenceWaits => {
                    assert!(self.crowded, "presence waits in a small channel");
                    self.presence_waits = true;
                }
            }
        }
        for (conn, (texts, _)) in &sent {
            let known = self.members.contains_key(conn) || *conn == ConnId(self.last);
            assert!(known, "{conn:?} is unknown and is sent {texts:?}");
        }
        sent
    }

    fn connect(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let tenant = *u.choose(TENANTS)?;
        let permissions: Permissions = if u.ratio(3, 4)? {
            Permissions::all()
        } else {
            Permission::ALL.into_iter().filter(|_| u.arbitrary().unwrap_or_default()).collect()
        };
        let pattern = generate::pick(u, &["**", "**", "rooms/*", "a"])?;
        let metadata = |u: &mut Unstructured<'_>| -> Result<Option<Metadata>> {
            Ok(if u.arbitrary()? { Metadata::from_json(r#"{"n":1}"#).ok() } else { None })
        };
        let identity = Identity {
            tenant: TenantId::new(tenant),
            peer_id: PeerId::new(generate::pick(u, PEERS)?).expect("a good name"),
            channels: [ChannelPattern::new(pattern).expect("a good pattern")].into(),
            permissions,
            within: None,
            metadata: metadata(u)?,
            peer_metadata: metadata(u)?,
        };
        self.admit(tenant, identity);
        Ok(())
    }

    fn admit(&mut self, tenant: &'static str, identity: Identity) {
        self.last += 1;
        let conn = ConnId(self.last);
        let same = |member: &&Member| member.tenant == tenant && member.identity.peer_id == identity.peer_id;
        let of_peer = self.members.values().filter(same).count();
        let input = Input::Connected { conn, identity: identity.clone(), expires_at: None, server_time: 1.0 };
        let sent = self.input(input);
        let [(of, (texts, closed))] = sent.iter().collect::<Vec<_>>()[..] else { panic!("{sent:?}") };
        assert_eq!(*of, conn, "nobody else hears of a connection");
        if self.refuses || self.members.len() >= CAPACITY + CROWD || of_peer >= PER_PEER {
            assert!(texts.is_empty() && closed.is_some(), "admitted though it must not be");
            return;
        }
        assert!(matches!(ServerFrame::parse(&texts[0]), Ok(ServerFrame::Welcome(_))), "a welcome comes first");
        assert_eq!((texts.len(), *closed), (1, None));
        let member = Member { identity, tenant, channels: BTreeMap::new(), seen: BTreeMap::new() };
        self.members.insert(conn, member);
        assert_eq!(self.hub.connections(), self.members.len());
    }

    /// Fills a channel.
    fn crowd(&mut self) {
        self.crowded = true;
        for n in 0..CROWD {
            let identity = Identity {
                tenant: TenantId::new(TENANTS[0]),
                peer_id: PeerId::new(format!("one of many {n}")).expect("a good name"),
                channels: [ChannelPattern::new("**").expect("a good pattern")].into(),
                permissions: Permissions::all(),
                within: None,
                metadata: None,
                peer_metadata: None,
            };
            self.admit(TENANTS[0], identity);
            self.frame(ConnId(self.last), r#"{"type":"subscribe","channel":"a"}"#);
        }
    }

    /// The changes that waited are told.
    fn flush(&mut self) {
        self.presence_waits = false;
        let sent = self.input(Input::FlushPresence);
        self.take_presence(&sent, &BTreeSet::new());
        self.presence_adds_up();
    }

    /// A connection ends.
    fn leave(&mut self, conn: ConnId, input: Input<'_>) {
        let sent = self.input(input);
        self.gone(&[conn], &sent);
    }

    /// These have ended, and what was sent because of it is all that the others need.
    fn gone(&mut self, conns: &[ConnId], sent: &Sent) {
        for conn in conns {
            self.members.remove(conn);
        }
        let own: BTreeSet<ConnId> = conns.iter().copied().collect();
        self.take_presence(sent, &own);
        self.presence_adds_up_if_small();
        assert_eq!(self.hub.connections(), self.members.len());
    }

    fn administrate(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match u.int_in_range(0..=5)? {
            0 => {
                let sent = self.input(Input::GoAway { retry_after: Duration::from_millis(250) });
                for (conn, (texts, closed)) in &sent {
                    assert_eq!((texts.len(), *closed), (1, Some(CloseCode::GOING_AWAY)), "{conn:?}: {texts:?}");
                }
                assert!(sent.keys().eq(self.members.keys()), "everybody is told");
                self.members.clear();
                assert_eq!(self.hub.connections(), 0);
            }
            1 | 2 => {
                self.refuses = u.arbitrary()?;
                let code = self.refuses.then_some(CloseCode::ACCOUNT_SUSPENDED);
                assert!(self.input(Input::Refuse(code)).is_empty());
            }
            _ => {
                let peer = PeerId::new(generate::pick(u, PEERS)?).expect("a good name");
                let of = |member: &Member| member.identity.peer_id == peer;
                let conns: Vec<ConnId> =
                    self.members.iter().filter(|(_, member)| of(member)).map(|(conn, _)| *conn).collect();
                let sent = self.input(Input::DisconnectPeer {
                    tenant: None,
                    peer: peer.clone(),
                    code: CloseCode::ADMIN_DISCONNECT,
                });
                for conn in &conns {
                    assert_eq!(sent[conn].1, Some(CloseCode::ADMIN_DISCONNECT), "{conn:?} is left connected");
                }
                self.gone(&conns, &sent);
            }
        }
        Ok(())
    }

    fn frame(&mut self, conn: ConnId, text: &str) {
        let parsed = parse_frame(text);
        let sent = self.input(Input::Frame { conn, frame: parsed.clone() });
        let own = sent.get(&conn).cloned().unwrap_or_default();
        if let Some(code) = own.1 {
            assert_eq!(code, CloseCode::MESSAGE_TOO_BIG, "closed for {text}");
            let data = match &parsed {
                Ok(ClientFrame::Publish { data, .. } | ClientFrame::Send { data, .. }) => data.get().len(),
                other => panic!("closed for {other:?}"),
            };
            assert!(data > MAX_PAYLOAD, "{data} bytes are not too many");
            return self.gone(&[conn], &sent);
        }
        let others: Vec<ConnId> = sent.keys().copied().filter(|other| *other != conn).collect();
        let refused = own.0.iter().any(|text| matches!(ServerFrame::parse(text), Ok(ServerFrame::Error { .. })));
        let Ok(frame) = parsed else {
            assert!(refused && own.0.len() == 1 && others.is_empty(), "{text} is answered with {own:?}");
            return;
        };
        if matches!(frame, ClientFrame::Ping) {
            assert_eq!((own.0, others), (vec![ServerFrame::Pong.encode()], Vec::new()));
            return;
        }
        self.is_answered(&frame, &own.0);
        let allowed = self.is_allowed(conn, &frame);
        assert!(allowed || refused, "{text} was not refused: {own:?}");
        if refused {
            assert!(others.is_empty(), "a frame that was refused had an effect");
            let full = self.members[&conn].channels.len() >= 100;
            let no_peer = matches!(&frame, ClientFrame::Send { to, .. } if self.receivers(conn, to).is_empty());
            assert!(!allowed || full || no_peer, "{text} was refused: {own:?}");
            return;
        }
        self.obeyed(conn, &frame, &sent);
    }

    /// One `ack` or one `error`, of this request, if it wants an answer that the frame can carry.
    fn is_answered(&self, frame: &ClientFrame<'_>, own: &[String]) {
        let id = match frame {
            ClientFrame::Subscribe { request_id, .. }
            | ClientFrame::Unsubscribe { request_id, .. }
            | ClientFrame::Publish { request_id, .. }
            | ClientFrame::Send { request_id, .. } => request_id.as_deref().filter(|id| id.len() <= 128),
            ClientFrame::Ping => None,
        };
        let mut answers = Vec::new();
        for text in own {
            match ServerFrame::parse(text) {
                Ok(ServerFrame::Ack { request_id }) => answers.push(Some(request_id.into_owned())),
                Ok(ServerFrame::Error { request_id, .. }) => {
                    answers
                        .extend((id.is_some() || request_id.is_some()).then(|| request_id.map(|id| id.into_owned())));
                }
                _ => {}
            }
        }
        let expected: Vec<_> = id.map(|id| Some(id.to_owned())).into_iter().collect();
        assert_eq!(answers, expected, "{own:?}");
    }

    /// Whether names, permissions, channels of the credential and the length of the request id allow it.
    fn is_allowed(&self, conn: ConnId, frame: &ClientFrame<'_>) -> bool {
        let identity = &self.members[&conn].identity;
        let short = |id: &Option<std::borrow::Cow<'_, str>>| id.as_ref().is_none_or(|id| id.len() <= 128);
        let channel = |name: &str, action| {
            let covered = metered_realtime_core::Channel::new(name).is_ok_and(|channel| identity.covers(&channel));
            model::is_channel(name) && !model::is_reserved(name) && identity.may(action) && covered
        };
        match frame {
            ClientFrame::Subscribe { channel: name, request_id, .. } => {
                short(request_id) && channel(name, Permission::Subscribe)
            }
            ClientFrame::Unsubscribe { channel: name, request_id } => short(request_id) && model::is_channel(name),
            ClientFrame::Publish { channel: name, request_id, .. } => {
                short(request_id) && channel(name, Permission::Publish)
            }
            ClientFrame::Send { to, request_id, .. } => {
                short(request_id) && model::is_peer_id(to) && identity.may(Permission::Send)
            }
            ClientFrame::Ping => true,
        }
    }

    /// The connections of a peer of the tenant of `conn`.
    fn receivers(&self, conn: ConnId, to: &str) -> BTreeSet<ConnId> {
        let tenant = self.members[&conn].tenant;
        let of = |member: &Member| member.tenant == tenant && member.identity.peer_id.as_str() == to;
        self.members.iter().filter(|(_, member)| of(member)).map(|(conn, _)| *conn).collect()
    }

    fn obeyed(&mut self, conn: ConnId, frame: &ClientFrame<'_>, sent: &Sent) {
        let tenant = self.members[&conn].tenant;
        let got = |kind: &str| -> BTreeSet<ConnId> {
            let is = |text: &String| text.strip_prefix(r#"{"type":""#).is_some_and(|rest| rest.starts_with(kind));
            sent.iter().filter(|(_, (texts, _))| texts.iter().any(is)).map(|(conn, _)| *conn).collect()
        };
        let (mut messages, mut directs) = (BTreeSet::new(), BTreeSet::new());
        match frame {
            ClientFrame::Subscribe { channel, include_sender_metadata, .. } => {
                let member = self.members.get_mut(&conn).expect("a member");
                member.channels.insert(channel.to_string(), *include_sender_metadata);
                let snapshot = got("presence").contains(&conn);
                assert_eq!(snapshot, member.identity.may(Permission::Presence), "a snapshot for who may see it");
                member.seen.insert(channel.to_string(), BTreeSet::new());
            }
            ClientFrame::Unsubscribe { channel, .. } => {
                let member = self.members.get_mut(&conn).expect("a member");
                member.channels.remove(channel.as_ref());
                member.seen.remove(channel.as_ref());
            }
            ClientFrame::Publish { channel, .. } => {
                let of = |member: &Member| member.tenant == tenant && member.channels.contains_key(channel.as_ref());
                let others = self.members.iter().filter(|(other, member)| **other != conn && of(member));
                messages = others.map(|(conn, _)| *conn).collect();
            }
            ClientFrame::Send { to, .. } => directs = self.receivers(conn, to),
            ClientFrame::Ping => {}
        }
        assert_eq!((got("message"), got("direct")), (messages, directs), "who gets it");
        self.metadata_is_as_asked(conn, sent);
        self.take_presence(sent, &BTreeSet::new());
        self.presence_adds_up_if_small();
    }

    /// A message carries the sender's metadata if it has any and the receiver asked for it; a direct one always.
    fn metadata_is_as_asked(&self, from: ConnId, sent: &Sent) {
        let has = self.members[&from].identity.peer_metadata.is_some();
        for (conn, (texts, _)) in sent {
            for text in texts {
                match ServerFrame::parse(text) {
                    Ok(ServerFrame::Message { channel, from_metadata, .. }) => {
                        let asked = self.members[conn].channels[channel.as_ref()];
                        assert_eq!(from_metadata.is_some(), has && asked);
                    }
                    Ok(ServerFrame::Direct { from_metadata, .. }) => assert_eq!(from_metadata.is_some(), has),
                    _ => {}
                }
            }
        }
    }

    /// Applies what was told of presence to what its receivers know.
    fn take_presence(&mut self, sent: &Sent, gone: &BTreeSet<ConnId>) {
        for (conn, (texts, _)) in sent.iter().filter(|(conn, _)| !gone.contains(conn)) {
            for text in texts {
                let Ok(ServerFrame::Presence { channel, joined, left }) = ServerFrame::parse(text) else { continue };
                let member = self.members.get_mut(conn).expect("a member");
                assert!(member.identity.may(Permission::Presence), "presence for who may not see it");
                let own = member.identity.peer_id.to_string();
                let seen = member.seen.get_mut(channel.as_ref()).expect("a channel it is in");
                for peer in left {
                    let known = peer.peer_id == own || seen.remove(peer.peer_id.as_ref());
                    assert!(known || self.crowded, "{} left twice", peer.peer_id);
                }
                for peer in joined.into_iter().filter(|peer| peer.peer_id != own) {
                    let new = seen.insert(peer.peer_id.to_string());
                    assert!(new || self.crowded, "{} joined twice", peer.peer_id);
                }
            }
        }
    }

    /// A crowd is told late, and takes long to look at.
    fn presence_adds_up_if_small(&self) {
        if !self.crowded {
            self.presence_adds_up();
        }
    }

    /// Who may see presence knows who is there.
    fn presence_adds_up(&self) {
        for (conn, member) in self.members.iter().filter(|(_, member)| member.identity.may(Permission::Presence)) {
            for channel in member.channels.keys() {
                let there = |other: &&Member| other.tenant == member.tenant && other.channels.contains_key(channel);
                let peers = self.members.values().filter(there).map(|other| other.identity.peer_id.to_string());
                let own = member.identity.peer_id.as_str();
                let peers: BTreeSet<String> = peers.filter(|peer| peer != own).collect();
                assert_eq!(member.seen[channel], peers, "what {conn:?} knows of {channel}");
            }
        }
    }
}

/// A frame from a client, most often valid.
fn frame(u: &mut Unstructured<'_>) -> Result<String> {
    let mut frame = Members::default();
    let kind = generate::pick(u, &["subscribe", "subscribe", "unsubscribe", "publish", "send", "ping", "novelty"])?;
    frame.put(u, "type", &format!("\"{kind}\""))?;
    let name = if u.ratio(1, 12)? { generate::word(u)? } else { generate::pick(u, CHANNELS)?.to_owned() };
    let name = generate::quoted(u, &name)?;
    match kind {
        "send" => {
            let to = generate::pick(u, &["ann", "bob", "cid", "nobody", "é", ""])?;
            frame.put(u, "to", &format!("\"{to}\""))?;
        }
        _ => frame.put(u, "channel", &name)?,
    }
    if kind == "subscribe" && u.arbitrary()? {
        frame.put(u, "includeSenderMetadata", "true")?;
    }
    if matches!(kind, "publish" | "send") {
        let data = if u.ratio(1, 8)? { format!("\"{}\"", "x".repeat(MAX_PAYLOAD)) } else { "[1]".to_owned() };
        frame.put(u, "data", &data)?;
    }
    if u.ratio(3, 4)? {
        let id = if u.ratio(1, 12)? { generate::word(u)? } else { "7".to_owned() };
        let id = generate::quoted(u, &id)?;
        frame.put(u, "requestId", &id)?;
    }
    frame.put_any(u)?;
    frame.finish(u)
}
