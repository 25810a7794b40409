use metered_realtime_core::protocol::ClientFrame;

use super::*;
use crate::credentials::Permission;
use crate::credentials::{ChannelPattern, Permissions};
use crate::state::Quota;

const LIMITS: HubLimits =
    HubLimits { max_message_size: 65_536, max_connections: 1000, max_connections_per_peer: 3, max_channels: 100 };

struct Sim {
    hub: Hub,
    last: u64,
}

/// A connection before it is made.
struct Plan(Identity);

fn peer(name: &str) -> Plan {
    Plan(Identity {
        tenant: TenantId::new("t"),
        peer_id: PeerId::new(name).unwrap(),
        channels: vec![ChannelPattern::new("**").unwrap()].into(),
        within: None,
        permissions: Permissions::all(),
        metadata: None,
        peer_metadata: None,
    })
}

impl Plan {
    fn with(mut self, change: impl FnOnce(&mut Identity)) -> Self {
        change(&mut self.0);
        self
    }

    fn metadata(self, json: &str) -> Self {
        self.with(|identity| identity.peer_metadata = Some(Metadata::from_json(json).unwrap()))
    }
}

impl Sim {
    fn new() -> Self {
        Self { hub: Hub::new(LIMITS), last: 0 }
    }

    /// Connects, and says what followed.
    fn connect(&mut self, plan: Plan) -> (ConnId, Vec<String>) {
        self.last += 1;
        let conn = ConnId(self.last);
        let input = Input::Connected { conn, identity: plan.0, expires_at: Some(99.0), server_time: 10.0 };
        (conn, self.input(input))
    }

    fn join(&mut self, plan: Plan, channel: &str) -> ConnId {
        let (conn, _) = self.connect(plan);
        self.says(conn, &format!(r#"{{"type":"subscribe","channel":"{channel}"}}"#));
        conn
    }

    fn says(&mut self, conn: ConnId, text: &str) -> Vec<String> {
        self.input(Input::Frame { conn, frame: ClientFrame::parse(text) })
    }

    fn input(&mut self, input: Input<'_>) -> Vec<String> {
        self.hub.handle_input(input);
        std::iter::from_fn(|| self.hub.poll_output())
            .map(|output| match output {
                Output::Send { conn, text } => format!("{} {text}", conn.0),
                Output::Close { conn, code } => format!("{} close {}", conn.0, code.0),
                Output::PresenceWaits => "presence waits".to_owned(),
            })
            .collect()
    }
}

#[test]
fn welcome_tells_who_one_is() {
    let mut sim = Sim::new();
    let plan = peer("a").with(|identity| identity.metadata = Some(Metadata::from_json(r#"{"k":1}"#).unwrap()));
    assert_eq!(
        sim.connect(plan).1,
        [
            r#"1 {"type":"welcome","peerId":"a","expiresAt":99,"serverTime":10,"maxMessageSize":65536,"metadata":{"k":1}}"#
        ]
    );
}

#[test]
fn a_subscription_is_acked_then_shown_who_is_there_and_others_are_told() {
    let mut sim = Sim::new();
    let (a, _) = sim.connect(peer("a").metadata(r#"{"n":1}"#));
    assert_eq!(
        sim.says(a, r#"{"type":"subscribe","channel":"c","requestId":"7"}"#),
        [r#"1 {"type":"ack","requestId":"7"}"#, r#"1 {"type":"presence","channel":"c","joined":[],"left":[]}"#]
    );
    let (b, _) = sim.connect(peer("b"));
    assert_eq!(
        sim.says(b, r#"{"type":"subscribe","channel":"c"}"#),
        [
            r#"2 {"type":"presence","channel":"c","joined":[{"peerId":"a","metadata":{"n":1}}],"left":[]}"#,
            r#"1 {"type":"presence","channel":"c","joined":[{"peerId":"b"}],"left":[]}"#,
        ]
    );
    // Again: the snapshot comes again, and nobody else hears of it.
    assert_eq!(
        sim.says(b, r#"{"type":"subscribe","channel":"c"}"#),
        [r#"2 {"type":"presence","channel":"c","joined":[{"peerId":"a","metadata":{"n":1}}],"left":[]}"#]
    );
    let left_a = r#"2 {"type":"presence","channel":"c","joined":[],"left":[{"peerId":"a","metadata":{"n":1}}]}"#;
    assert_eq!(sim.input(Input::Disconnected { conn: a }), [left_a]);
    assert!(sim.input(Input::Disconnected { conn: a }).is_empty());
    let unsubscribe = r#"{"type":"unsubscribe","channel":"c","requestId":"8"}"#;
    for _ in 0..2 {
        assert_eq!(sim.says(b, unsubscribe), [r#"2 {"type":"ack","requestId":"8"}"#]);
    }
    assert!(sim.hub.channels.is_empty());
}

#[test]
fn a_peer_joins_with_its_first_socket_and_leaves_with_its_last() {
    let mut sim = Sim::new();
    let watcher = sim.join(peer("w"), "c");
    let first = sim.join(peer("a"), "c");
    let (second, _) = sim.connect(peer("a"));
    assert_eq!(
        sim.says(second, r#"{"type":"subscribe","channel":"c"}"#),
        [r#"3 {"type":"presence","channel":"c","joined":[{"peerId":"w"}],"left":[]}"#]
    );
    assert!(sim.input(Input::Disconnected { conn: first }).is_empty());
    let left = r#"1 {"type":"presence","channel":"c","joined":[],"left":[{"peerId":"a"}]}"#;
    assert_eq!(sim.says(second, r#"{"type":"unsubscribe","channel":"c"}"#), [left]);
    let _ = watcher;
}

#[test]
fn a_broadcast_reaches_every_other_connection_with_the_metadata_it_asked_for() {
    let mut sim = Sim::new();
    let sender = sim.join(peer("a").metadata(r#"{"n":1}"#), "c");
    let _twin = sim.join(peer("a"), "c");
    let (wants, _) = sim.connect(peer("b"));
    sim.says(wants, r#"{"type":"subscribe","channel":"c","includeSenderMetadata":true}"#);
    let plain = r#"{"type":"message","channel":"c","from":"a","data":null}"#;
    assert_eq!(
        sim.says(sender, r#"{"type":"publish","channel":"c","data":null,"requestId":"1"}"#),
        [
            r#"1 {"type":"ack","requestId":"1"}"#.to_owned(),
            format!("2 {plain}"),
            r#"3 {"type":"message","channel":"c","from":"a","data":null,"fromMetadata":{"n":1}}"#.to_owned(),
        ]
    );
    // Subscribing again replaces the option.
    sim.says(wants, r#"{"type":"subscribe","channel":"c"}"#);
    let sent = sim.says(sender, r#"{"type":"publish","channel":"c","data":null}"#);
    assert_eq!(sent, [format!("2 {plain}"), format!("3 {plain}")]);
    // Publishing needs no subscription.
    let (outsider, _) = sim.connect(peer("o"));
    assert_eq!(sim.says(outsider, r#"{"type":"publish","channel":"c","data":1}"#).len(), 3);
}

#[test]
fn a_direct_message_reaches_every_socket_of_the_peer_in_the_tenant() {
    let mut sim = Sim::new();
    let (a, _) = sim.connect(peer("a").metadata(r#"{"n":1}"#));
    sim.connect(peer("b"));
    sim.connect(peer("b"));
    sim.connect(peer("b").with(|identity| identity.tenant = TenantId::new("other")));
    let direct = r#"{"type":"direct","from":"a","data":[1],"fromMetadata":{"n":1}}"#;
    assert_eq!(
        sim.says(a, r#"{"type":"send","to":"b","data":[1],"requestId":"1"}"#),
        [r#"1 {"type":"ack","requestId":"1"}"#.to_owned(), format!("2 {direct}"), format!("3 {direct}")]
    );
    assert_eq!(
        sim.says(a, r#"{"type":"send","to":"nobody","data":1,"requestId":"2"}"#),
        [r#"1 {"type":"error","code":"peer_not_found","requestId":"2"}"#]
    );
}

#[test]
fn tenants_do_not_meet_in_channels() {
    let mut sim = Sim::new();
    let a = sim.join(peer("a"), "c");
    let (other, _) = sim.connect(peer("b").with(|identity| identity.tenant = TenantId::new("other")));
    let snapshot = r#"2 {"type":"presence","channel":"c","joined":[],"left":[]}"#;
    assert_eq!(sim.says(other, r#"{"type":"subscribe","channel":"c"}"#), [snapshot]);
    assert!(sim.says(a, r#"{"type":"publish","channel":"c","data":1}"#).is_empty());
}

#[test]
fn what_is_refused_is_refused_with_its_code() {
    let mut sim = Sim::new();
    let (free, _) = sim.connect(peer("a"));
    let narrow = peer("b").with(|identity| identity.channels = vec![ChannelPattern::new("rooms/*").unwrap()].into());
    let (narrow, _) = sim.connect(narrow);
    let (mute, _) = sim.connect(peer("c").with(|identity| identity.permissions = Permissions::from([])));
    let long = "x".repeat(257);
    for (conn, text, code) in [
        (free, r#"{"type":"subscribe","channel":"","requestId":"1"}"#.to_owned(), "invalid_channel"),
        (free, format!(r#"{{"type":"publish","channel":"{long}","data":1,"requestId":"1"}}"#), "invalid_channel"),
        (free, r#"{"type":"unsubscribe","channel":"a\n","requestId":"1"}"#.to_owned(), "invalid_channel"),
        (free, r#"{"type":"subscribe","channel":"_SYSTEM/x","requestId":"1"}"#.to_owned(), "channel_reserved"),
        (free, r#"{"type":"publish","channel":"_metered/x","data":1,"requestId":"1"}"#.to_owned(), "channel_reserved"),
        (free, r#"{"type":"send","to":"é","data":1,"requestId":"1"}"#.to_owned(), "invalid_peer_id"),
        (free, r#"{"type":"send","to":"b","requestId":"1"}"#.to_owned(), "missing_data"),
        (free, r#"{"type":"dance","requestId":"1"}"#.to_owned(), "unknown_type"),
        (narrow, r#"{"type":"subscribe","channel":"hall","requestId":"1"}"#.to_owned(), "channel_not_authorized"),
        (
            narrow,
            r#"{"type":"publish","channel":"hall","data":1,"requestId":"1"}"#.to_owned(),
            "channel_not_authorized",
        ),
        (mute, r#"{"type":"subscribe","channel":"c","requestId":"1"}"#.to_owned(), "action_not_permitted"),
        (mute, r#"{"type":"publish","channel":"c","data":1,"requestId":"1"}"#.to_owned(), "action_not_permitted"),
        (mute, r#"{"type":"send","to":"a","data":1,"requestId":"1"}"#.to_owned(), "action_not_permitted"),
    ] {
        let expected = format!(r#"{} {{"type":"error","code":"{code}","requestId":"1"}}"#, conn.0);
        assert_eq!(sim.says(conn, &text), [expected], "{text}");
    }
    assert_eq!(sim.says(free, "nope"), [r#"1 {"type":"error","code":"malformed_message"}"#]);
    assert_eq!(sim.says(free, r#"{"type":"ping"}"#), [r#"1 {"type":"pong"}"#]);
}

#[test]
fn a_request_id_that_is_too_long_is_not_repeated() {
    let mut sim = Sim::new();
    let (a, _) = sim.connect(peer("a"));
    let malformed = r#"1 {"type":"error","code":"malformed_message"}"#;
    let id = "é".repeat(65);
    assert_eq!(sim.says(a, &format!(r#"{{"type":"subscribe","channel":"c","requestId":"{id}"}}"#)), [malformed]);
    assert!(sim.hub.channels.is_empty());
    let unknown = r#"1 {"type":"error","code":"unknown_type"}"#;
    assert_eq!(sim.says(a, &format!(r#"{{"type":"dance","requestId":"{id}"}}"#)), [unknown]);
    let fits = "x".repeat(128);
    assert_eq!(sim.says(a, &format!(r#"{{"type":"subscribe","channel":"c","requestId":"{fits}"}}"#)).len(), 2);
}

#[test]
fn the_hundred_and_first_channel_is_one_too_many() {
    let mut sim = Sim::new();
    let (a, _) = sim.connect(peer("a"));
    for n in 0..100 {
        assert_eq!(sim.says(a, &format!(r#"{{"type":"subscribe","channel":"c{n}"}}"#)).len(), 1);
    }
    let more = r#"{"type":"subscribe","channel":"c100","requestId":"1"}"#;
    assert_eq!(sim.says(a, more), [r#"1 {"type":"error","code":"channel_limit_exceeded","requestId":"1"}"#]);
    // One that is there already is not one more.
    assert_eq!(sim.says(a, r#"{"type":"subscribe","channel":"c7"}"#).len(), 1);
    sim.says(a, r#"{"type":"unsubscribe","channel":"c7"}"#);
    assert_eq!(sim.says(a, more).len(), 2);
    sim.input(Input::Disconnected { conn: a });
    assert!(sim.hub.channels.is_empty() && sim.hub.peers.is_empty());
}

#[test]
fn presence_is_for_those_who_may_see_it() {
    let mut sim = Sim::new();
    let blind = Permissions::from([Permission::Subscribe]);
    let (a, _) = sim.connect(peer("a").with(|identity| identity.permissions = blind));
    assert!(sim.says(a, r#"{"type":"subscribe","channel":"c"}"#).is_empty());
    let (b, _) = sim.connect(peer("b"));
    // It is seen itself, and is not told of others.
    assert_eq!(
        sim.says(b, r#"{"type":"subscribe","channel":"c"}"#),
        [r#"2 {"type":"presence","channel":"c","joined":[{"peerId":"a"}],"left":[]}"#]
    );
    assert!(sim.input(Input::Disconnected { conn: b }).is_empty());
}

#[test]
fn a_payload_over_the_cap_closes_with_1009() {
    let mut sim = Sim::new();
    sim.hub.limits.max_message_size = 4;
    let (a, _) = sim.connect(peer("a"));
    assert!(sim.says(a, r#"{"type":"publish","channel":"c","data":"xx"}"#).is_empty());
    assert_eq!(sim.says(a, r#"{"type":"send","to":"a","data":"xxx"}"#), ["1 close 1009"]);
    assert!(sim.says(a, r#"{"type":"ping"}"#).is_empty());
}

#[test]
fn a_full_hub_and_one_that_refuses_close_before_welcome() {
    let mut sim = Sim::new();
    sim.hub.limits.max_connections = 1;
    let (a, _) = sim.connect(peer("a"));
    assert_eq!(sim.connect(peer("b")).1, ["2 close 4010"]);
    sim.input(Input::Disconnected { conn: a });
    sim.input(Input::Refuse(Some(CloseCode::ACCOUNT_SUSPENDED)));
    assert_eq!(sim.connect(peer("b")).1, ["3 close 4012"]);
    sim.input(Input::Refuse(None));
    assert!(sim.connect(peer("b")).1[0].contains("welcome"));
}

#[test]
fn a_peer_has_so_many_sockets_and_not_one_more() {
    let mut sim = Sim::new();
    for _ in 0..3 {
        assert!(sim.connect(peer("a")).1[0].contains("welcome"));
    }
    assert_eq!(sim.connect(peer("a")).1, ["4 close 4010"]);
    assert!(sim.connect(peer("b")).1[0].contains("welcome"), "another peer is not touched");
    let other = peer("a").with(|identity| identity.tenant = TenantId::new("other"));
    assert!(sim.connect(other).1[0].contains("welcome"), "nor the same name of another tenant");
    sim.input(Input::Disconnected { conn: ConnId(1) });
    assert!(sim.connect(peer("a")).1[0].contains("welcome"));
}

#[test]
fn an_administrator_closes_every_socket_of_a_peer_and_the_others_see_it_leave_once() {
    let mut sim = Sim::new();
    sim.join(peer("w"), "c");
    sim.join(peer("a"), "c");
    sim.join(peer("a"), "c");
    let input =
        Input::DisconnectPeer { tenant: None, peer: PeerId::new("a").unwrap(), code: CloseCode::ADMIN_DISCONNECT };
    assert_eq!(
        sim.input(input),
        ["2 close 4020", "3 close 4020", r#"1 {"type":"presence","channel":"c","joined":[],"left":[{"peerId":"a"}]}"#,]
    );
}

#[test]
fn going_away_is_announced_and_then_closed() {
    let mut sim = Sim::new();
    sim.join(peer("a"), "c");
    sim.join(peer("b"), "c");
    let frame = |ms| format!(r#"{{"type":"going_away","retryAfterMs":{ms}}}"#);
    let outputs = sim.input(Input::GoAway { retry_after: Duration::from_millis(250) });
    let told = [format!("1 {}", frame(250)), "1 close 1001".into(), format!("2 {}", frame(252)), "2 close 1001".into()];
    assert_eq!(outputs, told);
    assert_eq!(sim.hub.connections(), 0);
}

#[test]
fn no_two_clients_are_asked_to_come_back_at_once_and_none_later_than_the_protocol_allows() {
    let announced = |retry_after| {
        let mut sim = Sim::new();
        for n in 0..200 {
            sim.join(peer(&format!("p{n}")), "c");
        }
        let outputs = sim.input(Input::GoAway { retry_after });
        let waits =
            outputs.iter().filter_map(|line| line.split("retryAfterMs\":").nth(1)?.strip_suffix('}')?.parse().ok());
        waits.collect::<Vec<u64>>()
    };
    assert_eq!(announced(Duration::from_secs(1)), (0..200).map(|n| 1000 + 2 * n).collect::<Vec<_>>());
    let late = announced(Duration::from_millis(299_900));
    assert_eq!((late[0], late[50], late[199]), (299_900, 300_000, 300_000));
    assert_eq!(announced(Duration::from_secs(600)), [600_000; 200]);
}

/// A channel `c` of 64 peers, none of whom but the first, connection 1, sees presence.
fn large_channel() -> Sim {
    let mut sim = Sim::new();
    sim.join(peer("watcher"), "c");
    for n in 1..64 {
        let blind = Permissions::from([Permission::Subscribe, Permission::Publish, Permission::Send]);
        sim.join(peer(&format!("p{n:02}")).with(|identity| identity.permissions = blind), "c");
    }
    sim.input(Input::FlushPresence);
    sim
}

const JOIN: &str = r#"{"type":"subscribe","channel":"c"}"#;
const LEAVE: &str = r#"{"type":"unsubscribe","channel":"c"}"#;

fn presence(joined: &str, left: &str) -> String {
    let peer = |name: &str| if name.is_empty() { String::new() } else { format!(r#"{{"peerId":"{name}"}}"#) };
    let list = |names: &str| names.split(' ').map(peer).collect::<Vec<_>>().join(",");
    format!(r#"1 {{"type":"presence","channel":"c","joined":[{}],"left":[{}]}}"#, list(joined), list(left))
}

#[test]
fn a_large_channel_tells_of_changes_together_and_newcomers_at_once() {
    let mut sim = large_channel();
    let (a, _) = sim.connect(peer("a"));
    let (b, _) = sim.connect(peer("b"));
    let told = sim.says(a, JOIN);
    assert!(told.len() == 2 && told[0].contains("p63") && told[1] == "presence waits", "{told:?}");
    let told = sim.says(b, JOIN);
    assert!(told.len() == 1 && told[0].contains(r#""peerId":"a""#), "{told:?}");
    let flushed = sim.input(Input::FlushPresence);
    assert_eq!(flushed.len(), 3, "the watcher, and the two themselves");
    assert_eq!(flushed[0], presence("a b", ""));
    assert_eq!(sim.says(a, LEAVE), ["presence waits"]);
    assert!(sim.input(Input::Disconnected { conn: b }).is_empty());
    assert_eq!(sim.input(Input::FlushPresence), [presence("", "a b")]);
    assert!(sim.input(Input::FlushPresence).is_empty());
}

#[test]
fn who_comes_and_goes_at_once_is_told_of_in_order() {
    let mut sim = large_channel();
    let (a, _) = sim.connect(peer("a"));
    sim.says(a, JOIN);
    assert_eq!(sim.says(a, LEAVE), [presence("a", "")]);
    let again = sim.says(a, JOIN);
    assert!(again.contains(&presence("", "a")), "{again:?}");
    assert!(sim.input(Input::FlushPresence).contains(&presence("a", "")));
}

#[test]
fn a_peer_is_seen_before_it_is_heard() {
    for text in [r#"{"type":"publish","channel":"c","data":1}"#, r#"{"type":"send","to":"watcher","data":1}"#] {
        let mut sim = large_channel();
        let (a, _) = sim.connect(peer("a"));
        sim.says(a, JOIN);
        let to_watcher: Vec<_> = sim.says(a, text).into_iter().filter(|output| output.starts_with("1 ")).collect();
        assert_eq!(to_watcher.len(), 2);
        assert_eq!(to_watcher[0], presence("a", ""));
        assert!(to_watcher[1].contains(r#""from":"a""#));
    }
}

#[test]
fn a_channel_that_is_left_by_all_holds_nothing() {
    let mut sim = large_channel();
    for conn in 1..=64 {
        sim.input(Input::Disconnected { conn: ConnId(conn) });
    }
    assert!(sim.hub.channels.is_empty() && sim.hub.presence_waits.is_empty());
    assert!(sim.input(Input::FlushPresence).is_empty());
}

#[test]
fn a_tenant_has_its_connections_and_not_one_more() {
    let mut sim = Sim::new();
    let quota = Quota { connections: Some(2), messages: None };
    sim.input(Input::SetQuotas(vec![(TenantId::new("t"), quota)]));
    sim.connect(peer("a"));
    sim.connect(peer("b"));
    assert_eq!(sim.connect(peer("c")).1, ["3 close 4010"]);
    let other = peer("c").with(|identity| identity.tenant = TenantId::new("other"));
    assert!(sim.connect(other).1[0].contains("welcome"), "other tenants are not touched");
    sim.input(Input::Disconnected { conn: ConnId(1) });
    sim.input(Input::Disconnected { conn: ConnId(1) });
    assert!(sim.connect(peer("c")).1[0].contains("welcome"));
    assert_eq!(sim.connect(peer("d")).1, ["6 close 4010"]);
    sim.input(Input::GoAway { retry_after: Duration::from_secs(1) });
    assert_eq!(sim.hub.usage(&TenantId::new("t")).connections, 0);
}

#[test]
fn a_tenant_has_its_messages_in_each_period_and_not_one_more() {
    let mut sim = Sim::new();
    let tenant = TenantId::new("t");
    sim.input(Input::SetQuotas(vec![(tenant.clone(), Quota { connections: None, messages: Some(2) })]));
    let (a, _) = sim.connect(peer("a"));
    let (other, _) = sim.connect(peer("b").with(|identity| identity.tenant = TenantId::new("other")));
    let publish = r#"{"type":"publish","channel":"c","data":1,"requestId":"1"}"#;
    let send = r#"{"type":"send","to":"a","data":1,"requestId":"1"}"#;
    let refused = r#"1 {"type":"error","code":"over_message_quota","requestId":"1"}"#;
    assert!(sim.says(a, r#"{"type":"send","to":"x","data":1,"requestId":"1"}"#)[0].contains("peer_not_found"));
    assert!(sim.says(a, publish)[0].contains("ack") && sim.says(a, send)[0].contains("ack"));
    for text in [publish, send] {
        assert_eq!(sim.says(a, text), [refused]);
    }
    assert!(sim.says(other, publish)[0].contains("ack"));
    assert!(sim.says(a, JOIN)[0].contains("presence"), "only messages are counted");
    assert_eq!(sim.hub.usage(&tenant).messages, 2);
    sim.input(Input::StartPeriod(tenant.clone()));
    assert!(sim.says(a, publish)[0].contains("ack"));
    assert_eq!(sim.hub.usage(&tenant).messages, 1);
    sim.input(Input::SetQuotas(Vec::new()));
    assert!((0..5).all(|_| sim.says(a, publish)[0].contains("ack")));
}
