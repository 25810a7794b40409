//! Futures that are dropped half-way: nothing is lost, nothing is left over, and what was begun is done.

mod client;
mod data_channel;
mod room;
mod room_channel;

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;

pub(crate) use client::every_method_of_a_client_may_be_dropped_half_way;
pub(crate) use data_channel::{
    a_close_of_a_channel_dropped_half_way_goes_on, a_receive_dropped_half_way_loses_no_message,
    a_stream_or_a_sink_dropped_half_way_loses_nothing,
};
pub(crate) use room::{
    a_builder_that_joins_and_is_dropped_half_way_leaves_nobody_behind, a_join_or_a_close_dropped_half_way_goes_on,
    every_method_of_a_room_may_be_dropped_half_way,
};
pub(crate) use room_channel::{
    a_close_of_a_room_channel_dropped_half_way_ends_it, a_room_channel_that_nobody_got_is_closed,
    every_method_of_a_room_channel_may_be_dropped_half_way,
};

use crate::support::sleep;

/// After how many polls a future is dropped: the driver has not seen the command, is at it, or has answered.
const POLLS: std::ops::Range<usize> = 0..5;

/// Polls a call so many times, lets others run between, and drops it, unless it ends before.
async fn drop_after<T>(polls: usize, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    for poll in 0..polls {
        if let Some(output) = call.as_mut().now_or_never() {
            return Some(output);
        }
        match poll {
            0 => {}
            1 => smol::future::yield_now().await,
            _ => sleep(Duration::from_millis(1)).await,
        }
    }
    None
}

/// The files of the runtime that have asynchronous methods, and what a handle of each is called in these scenarios.
const HANDLES: [(&str, &str); 11] = [
    ("builder/peer.rs", "newcomer"),
    ("peer/mod.rs", "ada"),
    ("peer/remote.rs", "ben_for_ada"),
    ("data_channel/mod.rs", "channel"),
    ("room_channel/mod.rs", "room"),
    ("peer/typed_data.rs", "typed"),
    ("track/local.rs", "kept"),
    ("track/remote.rs", "track"),
    ("signalling/subscription.rs", "subscription"),
    ("signalling/mod.rs", "client"),
    ("events.rs", "events"),
];

/// All Rust files beneath a folder, by their paths from there, with their texts.
fn sources(folder: &std::path::Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let beneath = sources(&path).into_iter();
            found.extend(beneath.map(|(file, text)| (format!("{name}/{file}"), text)));
        } else if name.ends_with(".rs") {
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

#[test]
fn each_asynchronous_method_of_the_handles_is_dropped_half_way_in_a_scenario() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let scenarios = sources(&root.join("tests/conformance/cancellation"));
    let drops: Vec<&str> = scenarios.iter().flat_map(|(_, text)| text.lines()).collect();
    let mut methods = 0;
    for (file, text) in sources(&root.join("../runtime/src")) {
        for declared in text.split("pub async fn ").skip(1) {
            let method = declared.split('(').next().unwrap();
            let handle = HANDLES.iter().find(|(of, _)| *of == file).map(|(_, handle)| *handle);
            let handle = handle.unwrap_or_else(|| panic!("{file} has {method}, and no handle here"));
            let call = format!(", {handle}.{method}(");
            let is_dropped = drops.iter().any(|line| line.contains("drop_after(") && line.contains(&call));
            assert!(is_dropped, "{method} of {file} is never dropped half-way");
            methods += 1;
        }
    }
    assert!(methods > 40, "{methods} were found");
}
