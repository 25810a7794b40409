//! The token provider's answers, as the room sees them.

use super::world::{World, secs};
use crate::peer::{PeerError, PeerState};
use crate::signalling::{ConnectError, TokenError};

#[test]
fn a_join_without_a_token_fails_and_may_be_tried_again() {
    let mut world = World::named(1);
    for (answer, error) in [
        (Some(Err(TokenError::Failed)), TokenError::Failed),
        (Some(Ok("")), TokenError::Empty),
        (None, TokenError::Timeout),
    ] {
        world.nodes[0].tokens = answer;
        assert_eq!(world.join(0), Err(ConnectError::Token(error).into()));
        assert_eq!(world.nodes[0].peer.state(), PeerState::Idle);
    }
    world.nodes[0].tokens = Some(Ok("a.token"));
    world.join(0).unwrap();
    assert!(world.nodes[0].errors().is_empty());
}

#[test]
fn from_the_third_failure_in_a_row_on_each_is_an_error_and_the_peer_lives_on() {
    let mut world = World::named(2).all_joined();
    world.nodes[0].tokens = Some(Err(TokenError::Failed));
    world.drop_socket(0);
    world.forget();
    world.until("three are told", |world| world.nodes[0].errors().len() == 3);
    let told: Vec<u32> = world.nodes[0]
        .errors()
        .iter()
        .map(|error| match error {
            PeerError::TokenProvider { failures, error: TokenError::Failed } => *failures,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [3, 4, 5]);
    assert_eq!(world.nodes[0].errors()[0].name(), "token_provider_failed");
    assert!(world.nodes[0].states().is_empty(), "it goes on reconnecting");
    world.nodes[0].tokens = Some(Ok("a.token"));
    world.until_state(0, PeerState::Joined);
    world.pass(secs(5));
    assert_eq!(world.nodes[0].comings_and_goings(), ["*named-1"]);
}

#[test]
fn a_late_token_of_a_peer_that_is_closed_changes_nothing() {
    let mut world = World::named(1);
    world.start_join(0).unwrap();
    world.call(0, |peer, now| peer.close(now, None));
    world.pass(secs(20));
    assert_eq!(world.nodes[0].peer.state(), PeerState::Closed);
    assert_eq!(world.nodes[0].latest_socket(), 0);
}
