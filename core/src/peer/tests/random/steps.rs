//! What can happen, and how often.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::server::Answer;
use crate::peer::MeteredPeerOptions;
use crate::signalling::{ReconnectOptions, TokenError};

/// One thing that happens. Peers are told by number, taken modulo how many there are.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Join(usize),
    JoinReserved(usize),
    Close(usize),
    Send(usize),
    SendOversized(usize),
    SendTo(usize, Whom),
    AddTrack(usize, usize, Option<usize>),
    RemoveTrack(usize, usize),
    ReplaceTrack(usize, usize, Option<usize>),
    OpenChannel(usize, usize),
    ChannelSend(usize),
    CloseChannel(usize),
    /// The socket breaks, or the server closes it with a code.
    Drop(usize, Option<u16>),
    /// The socket breaks, and the server does not notice.
    DropUnnoticed(usize),
    /// The server notices every such drop.
    Notice,
    /// A frame of the server's, on the socket that is open.
    Frame(usize, String),
    /// The same on one of the sockets that were or will be.
    FrameOn(usize, u64, String),
    Binary(usize),
    /// A socket that was or will be is told to have closed.
    LateClose(usize, u64, Option<u16>),
    LateToken(usize, u64),
    /// Presence, true or not, of peers and of phantoms.
    Presence(usize, Vec<Whom>, Vec<Whom>),
    /// A direct message that is a signal or looks like one.
    Signal(usize, Whom, &'static str),
    Message(usize, Whom),
    Up(bool),
    Refuse(Option<u16>),
    Welcomes(bool),
    Snapshots(bool),
    Subscribes(Answer),
    Messages(Answer),
    Tokens(usize, Option<Result<&'static str, TokenError>>),
    /// How long the tokens of later welcomes are good for.
    Lifetime(Option<u32>),
    Network(bool),
    Pass(u64),
    /// Nobody is woken for a while.
    Sleep(u64),
    Nudge(usize),
    /// `handle_timeout` with a moment that is past.
    NudgeLate(usize, u64),
}

impl Step {
    /// Whether it is about connections between peers.
    pub(super) fn is_of_connections(&self) -> bool {
        matches!(self, Self::AddTrack(..) | Self::OpenChannel(..))
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Whom {
    Peer(usize),
    Phantom(u8),
}

const FRAMES: &[&str] = &[
    "",
    "{}",
    "garbage",
    r#"{"type":"novelty"}"#,
    r#"{"type":"pong"}"#,
    r#"{"type":"error","code":"unknown_type"}"#,
    r#"{"type":"error","code":"internal_error"}"#,
    r#"{"type":"error","code":"over_message_quota"}"#,
    r#"{"type":"error","code":"action_not_permitted"}"#,
    r#"{"type":"error","code":"channel_not_authorized"}"#,
    r#"{"type":"going_away","retryAfterMs":2500}"#,
    r#"{"type":"message","channel":"elsewhere","from":"named-1","data":1}"#,
    r#"{"type":"message","channel":"room-42","from":"","data":1}"#,
    r#"{"type":"presence","channel":"elsewhere","joined":[{"peerId":"p"}],"left":[]}"#,
    r#"{"type":"presence","channel":"room-42","joined":7,"left":[]}"#,
    r#"{"type":"presence","channel":"room-42","joined":[{"peerId":""},{"peerId":"phantom-1","metadata":7}],"left":[]}"#,
    r#"{"type":"welcome","peerId":"named-1","expiresAt":null,"serverTime":1,"maxMessageSize":65536}"#,
];

const SIGNALS: &[&str] = &[
    r#"{"type":"rtc-ice","candidate":null}"#,
    r#"{"type":"rtc-ice","candidate":7}"#,
    r#"{"type":"rtc-ice","candidate":{"candidate":"candidate:1 1 udp 1 10.0.0.9 9 typ host"}}"#,
    r#"{"type":"rtc-description","description":{"type":"offer","sdp":"v=0"}}"#,
    r#"{"type":"rtc-description","description":{"type":"answer","sdp":"v=0"}}"#,
    r#"{"type":"rtc-description"}"#,
    r#"{"__meteredTrackMeta":{"trackId":"t0","metadata":{"role":"forged"}}}"#,
    r#"{"__meteredTrackMeta":{"trackId":"t0"}}"#,
    r#"{"__meteredTrackMeta":{"trackId":""}}"#,
    "1",
];

const CODES: &[u16] =
    &[0, 1000, 1001, 1005, 1006, 1008, 1009, 4000, 4001, 4002, 4003, 4010, 4011, 4012, 4020, 4999, u16::MAX];

fn peer() -> std::ops::Range<usize> {
    0..4
}

fn whom() -> impl Strategy<Value = Whom> {
    prop_oneof![3 => peer().prop_map(Whom::Peer), 1 => (0..3u8).prop_map(Whom::Phantom)]
}

fn close_code() -> impl Strategy<Value = Option<u16>> {
    // Mostly what a peer survives, so that runs are long.
    prop_oneof![
        6 => Just(None),
        6 => select(vec![Some(1001), Some(1008), Some(4002), Some(4010), Some(4011)]),
        1 => select(vec![Some(4001), Some(4003), Some(4012), Some(4020)]),
        1 => select(CODES).prop_map(Some),
        1 => any::<u16>().prop_map(Some),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::Ack),
        1 => select(vec!["channel_not_authorized", "backend_error", "brand_new"]).prop_map(Answer::Reject),
        1 => Just(Answer::Silence),
    ]
}

fn token() -> impl Strategy<Value = Option<Result<&'static str, TokenError>>> {
    prop_oneof![
        3 => Just(Some(Ok("a.token"))),
        1 => Just(Some(Ok(""))),
        1 => Just(Some(Err(TokenError::Failed))),
        1 => Just(None),
    ]
}

fn frame() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => select(FRAMES).prop_map(str::to_owned),
        1 => (0..20u64).prop_map(|id| format!(r#"{{"type":"ack","requestId":"{id}"}}"#)),
        1 => (0..20u64).prop_map(|id| format!(r#"{{"type":"error","code":"x","requestId":"{id}"}}"#)),
    ]
}

fn command() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => peer().prop_map(Step::Join),
        1 => peer().prop_map(Step::JoinReserved),
        2 => peer().prop_map(Step::Close),
        4 => peer().prop_map(Step::Send),
        1 => peer().prop_map(Step::SendOversized),
        4 => (peer(), whom()).prop_map(|(node, to)| Step::SendTo(node, to)),
    ]
}

fn input() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (peer(), close_code()).prop_map(|(node, code)| Step::Drop(node, code)),
        3 => peer().prop_map(Step::DropUnnoticed),
        2 => Just(Step::Notice),
        3 => (peer(), frame()).prop_map(|(node, frame)| Step::Frame(node, frame)),
        1 => (peer(), 0..8u64, frame()).prop_map(|(node, socket, frame)| Step::FrameOn(node, socket, frame)),
        1 => peer().prop_map(Step::Binary),
        1 => (peer(), 0..8u64, close_code()).prop_map(|(node, socket, code)| Step::LateClose(node, socket, code)),
        1 => (peer(), 0..8u64).prop_map(|(node, request)| Step::LateToken(node, request)),
        3 => (peer(), vec(whom(), 0..4), vec(whom(), 0..3))
            .prop_map(|(node, joined, left)| Step::Presence(node, joined, left)),
        4 => (peer(), whom(), select(SIGNALS)).prop_map(|(node, from, signal)| Step::Signal(node, from, signal)),
        2 => (peer(), whom()).prop_map(|(node, from)| Step::Message(node, from)),
    ]
}

fn world() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => prop::bool::weighted(0.7).prop_map(Step::Up),
        2 => option::weighted(0.4, select(CODES)).prop_map(Step::Refuse),
        1 => prop::bool::weighted(0.8).prop_map(Step::Welcomes),
        2 => prop::bool::weighted(0.6).prop_map(Step::Snapshots),
        2 => answer().prop_map(Step::Subscribes),
        2 => answer().prop_map(Step::Messages),
        3 => (peer(), token()).prop_map(|(node, token)| Step::Tokens(node, token)),
        1 => prop::bool::weighted(0.7).prop_map(Step::Network),
        2 => select(vec![None, Some(11), Some(20), Some(60)]).prop_map(Step::Lifetime),
    ]
}

fn time() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..100u64).prop_map(Step::Pass),
        6 => (100..3000u64).prop_map(Step::Pass),
        3 => (3000..40_000u64).prop_map(Step::Pass),
        2 => (0..70_000u64).prop_map(Step::Sleep),
        1 => peer().prop_map(Step::Nudge),
        1 => (peer(), 0..100_000u64).prop_map(|(node, late)| Step::NudgeLate(node, late)),
    ]
}

/// Everything but tracks and data channels.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![5 => command(), 6 => input(), 3 => world(), 6 => time()]
}

/// Tracks and data channels.
fn media_step() -> impl Strategy<Value = Step> {
    let track = || 0..3usize;
    prop_oneof![
        3 => (peer(), track(), option::of(0..2usize)).prop_map(|(node, track, stream)| Step::AddTrack(node, track, stream)),
        2 => (peer(), track()).prop_map(|(node, track)| Step::RemoveTrack(node, track)),
        2 => (peer(), track(), option::of(track())).prop_map(|(node, old, new)| Step::ReplaceTrack(node, old, new)),
        3 => (peer(), peer()).prop_map(|(node, to)| Step::OpenChannel(node, to)),
        3 => peer().prop_map(Step::ChannelSend),
        1 => peer().prop_map(Step::CloseChannel),
    ]
}

/// What takes several steps in a row to be seen at all.
fn scene() -> impl Strategy<Value = Vec<Step>> {
    let drought = peer().prop_map(|node| {
        vec![Step::Snapshots(false), Step::Drop(node, None), Step::Pass(45_000), Step::Snapshots(true)]
    });
    let no_tokens = (peer(), option::of(Just(Err(TokenError::Failed)))).prop_map(|(node, answer)| {
        let back = Step::Tokens(node, Some(Ok("a.token")));
        vec![Step::Tokens(node, answer), Step::Drop(node, None), Step::Pass(60_000), back]
    });
    let comeback = (peer(), peer(), 0..1500u64).prop_map(|(stays_away, node, wait)| {
        vec![Step::Join(node), Step::Join(stays_away), Step::Pass(200), Step::Drop(node, None), Step::Pass(wait)]
    });
    let renewal = (peer(), 0..1500u64).prop_map(|(node, wait)| {
        vec![Step::Lifetime(Some(11)), Step::Join(node), Step::Drop(node, None), Step::Pass(6_300 + wait)]
    });
    prop_oneof![drought, no_tokens, comeback, renewal]
}

/// Steps without tracks and data channels.
pub(super) fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let few = prop_oneof![12 => step().prop_map(|step| vec![step]), 1 => scene()];
    vec(few, 0..most).prop_map(|all| all.concat())
}

/// Steps of every kind.
pub(super) fn steps_with_media(most: usize) -> impl Strategy<Value = Vec<Step>> {
    vec(prop_oneof![2 => step(), 1 => media_step()], 0..most)
}

fn options() -> impl Strategy<Value = MeteredPeerOptions> {
    let attempts = select(vec![Some(2), Some(100), Some(100), None]);
    let inactivity = select(vec![0, 5_000, 60_000, 60_000]);
    let reconnects = prop::bool::weighted(0.95);
    (prop::bool::weighted(0.6), attempts, inactivity, reconnects).prop_map(
        |(with_token, max_attempts, inactivity, auto_reconnect)| {
            let mut options =
                if with_token { MeteredPeerOptions::token_provider() } else { MeteredPeerOptions::api_key("pk_x") };
            options.signalling.reconnect = ReconnectOptions { max_attempts, ..ReconnectOptions::default() };
            options.signalling.inactivity_timeout = Duration::from_millis(inactivity);
            options.signalling.auto_reconnect = auto_reconnect;
            options
        },
    )
}

/// The options of one to four peers.
pub(super) fn any_options() -> impl Strategy<Value = Vec<MeteredPeerOptions>> {
    vec(options(), 1..=4)
}
