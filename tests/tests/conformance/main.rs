//! One suite for every way of running: the same scenarios over real sockets on this machine, on tokio, smol, async-std and the
//! executor of the example.
//!
//! A scenario is a function over the runtime. What it needs around the peers, such as the server, runs on a runtime of its
//! own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a scenario fails the test"
)]

mod calls;
mod cancellation;
mod data_channels;
mod dropped_handles;
mod endings;
mod handles;
mod measured;
mod media;
mod misbehaving_servers;
mod recovery_room;
mod renewal;
mod room;
mod room_channels;
mod sharing;
mod shutdown;
mod signalling;
mod support;
mod tls;
mod tokens;
mod turn;
mod unreachable;
mod ways;

/// Each scenario of each module as a test, on each way of running.
macro_rules! conformance {
    ($($module:ident { $($scenario:ident)* })*) => {
        conformance! { @on tokio_current_thread TokioCurrentThread $($module { $($scenario)* })* }
        conformance! { @on tokio_multi_thread TokioMultiThread $($module { $($scenario)* })* }
        conformance! { @on smol_one_thread SmolOneThread $($module { $($scenario)* })* }
        conformance! { @on smol_several_threads SmolSeveralThreads $($module { $($scenario)* })* }
        conformance! { @on async_std AsyncStd $($module { $($scenario)* })* }
        conformance! { @on custom_executor Custom $($module { $($scenario)* })* }
    };
    (@on $name:ident $way:ident $($module:ident { $($scenario:ident)* })*) => {
        mod $name {
            use crate::ways::{self, Way};

            $(mod $module {
                use super::{Way, ways};

                $(#[test]
                fn $scenario() {
                    ways::$way::run(crate::$module::$scenario::<<ways::$way as Way>::Runtime>());
                })*
            })*
        }
    };
}

/// The end of a runtime as a test, on each way of running that has one: async-std's executor runs as long as the process.
macro_rules! shutdown {
    ($($name:ident $way:ident)*) => {
        $(#[test]
        fn $name() {
            let held = <ways::$way as ways::Way>::run(shutdown::peers_alive::<<ways::$way as ways::Way>::Runtime>());
            smol::block_on(shutdown::everything_has_ended(held));
        })*
    };
}

shutdown! {
    peers_outlive_tokio_with_one_thread TokioCurrentThread
    peers_outlive_tokio_with_several_threads TokioMultiThread
    peers_outlive_smol_with_one_thread SmolOneThread
    peers_outlive_smol_with_several_threads SmolSeveralThreads
    peers_outlive_the_executor_of_the_example Custom
}

conformance! {
    room {
        two_peers_meet_and_send_to_the_room_and_to_each_other
        arguments_and_states_are_refused_by_name
        a_refused_key_fails_the_join_with_the_close_code
        a_server_that_is_not_there_fails_the_join
        close_ends_every_stream_and_later_calls_find_it_closed
        dropping_the_last_handle_leaves_the_room
        a_slow_reader_is_told_what_it_missed_and_others_miss_nothing
        a_drop_is_made_good_and_everyone_keeps_their_identity
        an_administrator_s_disconnect_is_an_error_and_the_end
        a_token_provider_that_fails_or_panics_fails_the_join_with_its_error_as_the_source_alone
    }
    calls {
        of_many_who_join_at_once_one_does_and_the_others_are_told_why_not
        a_join_nobody_waits_for_goes_on
        a_message_and_a_close_nobody_waits_for_happen
        each_call_while_joining_gets_its_own_answer_and_does_not_disturb_the_join
        a_peer_that_is_closed_while_it_joins_answers_the_join_first_and_every_call_after
        a_client_answers_every_call_in_every_state
        a_client_answers_every_call_while_it_reconnects
        a_connect_and_requests_nobody_waits_for_go_on
        a_reader_of_a_client_that_does_not_read_is_told_what_it_missed_and_holds_nothing_up
        the_answer_of_a_provider_that_is_no_longer_waited_for_is_not_used
        a_client_nobody_holds_any_more_closes_though_its_events_are_still_read
    }
    media {
        a_data_channel_echoes
        a_channel_that_came_before_anyone_looked_is_there_with_its_messages
        more_than_may_be_buffered_waits_its_turn_and_all_arrives
        frames_reach_the_other_peer_with_stream_and_metadata
        one_track_serves_two_rooms_and_a_replaced_one_falls_silent
        a_track_nobody_reads_holds_up_nothing
    }
    handles {
        the_metadata_of_a_sender_comes_with_broadcasts_if_asked_for
        options_may_be_changed_all_at_once
        a_writer_may_wait_until_the_channel_has_room
        what_a_peer_gets_wrong_is_told_of_that_peer
        an_option_that_cannot_be_is_named
    }
    dropped_handles {
        ice_is_restarted_without_an_interruption
        a_channel_whose_opener_has_gone_is_closed
        a_message_whose_sender_has_gone_arrives_in_its_place
        a_sink_that_was_closed_takes_nothing_more
        another_handle_for_a_track_takes_over_who_receives_it
        numbers_of_a_peer_that_left_end
    }
    data_channels {
        the_other_side_sees_a_channel_as_it_was_opened
        a_channel_agreed_on_beforehand_is_opened_by_both
        impossible_options_are_refused_by_name
        too_many_waiting_sends_overflow_and_closing_releases_the_others
        sends_end_in_order_and_the_low_mark_is_told
        either_side_may_close_and_both_learn_of_it
        a_channel_is_opened_again_when_the_connection_was_replaced
        a_channel_is_a_stream_and_a_sink
        bytes_arrive_whatever_the_sizes_of_writes_and_reads_and_closing_ends_them
        a_byte_stream_needs_order_and_reliability_and_no_text
        a_reader_that_falls_far_behind_is_told_what_it_missed
        a_handle_kept_after_the_end_says_so
        closing_the_peer_waits_for_what_was_accepted
        a_message_with_no_lifetime_is_sent_once_both_ways
    }
    recovery_room {
        a_server_that_dies_and_comes_back_on_its_port_finds_the_room_whole
        a_server_that_is_stopped_in_order_and_started_again_finds_the_room_whole
        everyone_dropped_at_once_and_again_before_they_are_whole_finds_each_other
        tracks_added_and_removed_while_the_server_is_away_are_so_when_it_is_back
    }
    signalling {
        a_channel_carries_messages_and_presence
        handles_of_a_channel_share_one_subscription_that_ends_with_the_last
        a_payload_of_exactly_the_cap_goes_through_whatever_the_channel_is_called
    }
    tokens {
        a_token_that_expires_is_replaced_by_a_fresh_one
        every_close_with_4002_asks_for_a_fresh_token
        a_token_that_expires_ends_a_peer_that_does_not_reconnect
        a_token_that_had_expired_and_one_of_another_secret_fail_the_join_with_their_codes
        a_token_that_is_refused_on_the_way_back_ends_the_peer_with_one_error
        a_provider_that_fails_on_the_way_back_is_asked_until_it_answers_and_told_of_from_the_third_time_on
        a_provider_that_takes_its_time_holds_up_nothing_else
    }
    renewal {
        a_token_is_renewed_while_the_room_is_busy_and_nobody_notices
    }
    measured {
        a_sender_learns_of_its_receivers_and_the_bandwidth_to_them
        a_receiver_learns_of_pauses
        numbers_are_taken_of_peers_tracks_and_channels
        without_being_asked_nothing_is_measured
    }
    room_channels {
        everybody_hears_a_broadcast_and_the_end
        a_message_to_one_peer_is_for_that_peer_alone
        what_cannot_be_is_refused_by_name
        who_comes_later_hears_and_who_goes_is_not_waited_for
        a_room_channel_is_open_again_after_a_reconnect
        a_room_channel_closes_with_its_last_handle
    }
    endings {
        close_ends_a_peer_in_every_state
        the_last_handle_dropped_ends_a_peer_in_every_state
        a_client_ends_in_every_state
    }
    unreachable {
        a_refused_port_is_named_with_its_server
        a_server_without_tls_and_one_with_it_alone_are_told_apart
        a_status_of_http_and_a_name_that_cannot_be_are_told
        why_a_peer_reconnects_is_told_with_each_attempt
    }
    misbehaving_servers {
        closing_sends_a_close_frame_and_the_last_handle_closes_too
        a_message_over_the_limit_is_answered_with_1009_and_a_reconnect
        a_server_that_does_not_read_is_given_up
        a_socket_and_a_token_in_the_making_are_given_up_by_close
    }
    tls {
        a_root_of_one_s_own_is_trusted_and_an_unknown_one_is_not
    }
    turn {
        relays_alone_without_a_relay_are_told_of_at_once
        two_peers_that_offer_relays_alone_meet
        servers_that_misbehave_are_told_of_and_hold_nobody_up
        servers_that_cannot_be_are_refused_by_name
    }
    cancellation {
        every_method_of_a_room_may_be_dropped_half_way
        a_receive_dropped_half_way_loses_no_message
        every_method_of_a_client_may_be_dropped_half_way
        a_builder_that_joins_and_is_dropped_half_way_leaves_nobody_behind
        a_join_or_a_close_dropped_half_way_goes_on
        a_close_of_a_channel_dropped_half_way_goes_on
        a_stream_or_a_sink_dropped_half_way_loses_nothing
        every_method_of_a_room_channel_may_be_dropped_half_way
        a_room_channel_that_nobody_got_is_closed
        a_close_of_a_room_channel_dropped_half_way_ends_it
    }
    sharing {
        handles_are_used_from_several_tasks_and_threads
        room_channels_and_clients_are_used_from_several_tasks_and_threads
        handles_can_be_cloned_printed_and_shared_between_threads
    }
}
