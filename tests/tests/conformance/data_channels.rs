//! Data channels over real sockets: their options, their bounds, and what else they can be read and written as.

use std::time::Duration;

use crate::support::{KEY, PATIENCE, Pair, ROOM, builder, meet, named, next, pair, peer, server, soon, spawn, until};
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use futures_util::{SinkExt, StreamExt, TryStreamExt, future, stream};
use metered_realtime_runtime::{
    ByteStreamError, ConnectionState, DataChannel, DataChannelError, DataChannelInfo, DataChannelMessage,
    DataChannelOptions, DataChannelState, OpenChannelError, OutboundMessage, Reliability, Runtime, SignallingClient,
};

fn labelled(label: &str) -> DataChannelOptions {
    DataChannelOptions { label: label.to_owned(), ..Default::default() }
}

/// Ada's end and ben's.
#[expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]
async fn open<R: Runtime>(pair: &Pair<R>, options: DataChannelOptions) -> (DataChannel, DataChannel) {
    let label = options.label.clone();
    let ours = soon(pair.ben_for_ada.open_data_channel(options)).await.unwrap();
    let mut channels = pair.ada_for_ben.on_data_channel();
    loop {
        let theirs = next(&mut channels).await;
        if theirs.label() == label {
            soon(ours.opened()).await.unwrap();
            return (ours, theirs);
        }
    }
}

/// Bytes that repeat late.
fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

pub(crate) async fn the_other_side_sees_a_channel_as_it_was_opened<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    for (n, (ordered, reliability)) in [
        (true, Reliability::Reliable),
        (false, Reliability::Reliable),
        (true, Reliability::MaxRetransmits(0)),
        (false, Reliability::MaxRetransmits(7)),
        (true, Reliability::MaxLifetime(Duration::from_millis(250))),
        (false, Reliability::MaxLifetime(Duration::from_millis(1))),
    ]
    .into_iter()
    .enumerate()
    {
        let (label, protocol) = (format!("channel {n} ü"), "chat.v1".to_owned());
        let options = DataChannelOptions { ordered, reliability, protocol: protocol.clone(), ..labelled(&label) };
        let (ours, theirs) = open(&pair, options).await;
        for (end, opened_by_remote) in [(&ours, false), (&theirs, true)] {
            let channel = end.id();
            let (label, protocol) = (label.clone(), protocol.clone());
            let expected =
                DataChannelInfo { channel, label, protocol, ordered, reliability, negotiated: None, opened_by_remote };
            assert_eq!(end.info(), expected);
        }
        soon(ours.send("there")).await.unwrap();
        assert_eq!(soon(theirs.recv()).await, Some(Ok(DataChannelMessage::Text("there".to_owned()))));
        soon(theirs.send(&[1_u8, 2][..])).await.unwrap();
        assert_eq!(soon(ours.recv()).await, Some(Ok(DataChannelMessage::Binary(vec![1, 2].into()))));
    }
}

pub(crate) async fn a_channel_agreed_on_beforehand_is_opened_by_both<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let options = || DataChannelOptions { negotiated: Some(42), ..labelled("agreed") };
    let ours = soon(pair.ben_for_ada.open_data_channel(options())).await.unwrap();
    let theirs = soon(pair.ada_for_ben.open_data_channel(options())).await.unwrap();
    let taken = soon(pair.ben_for_ada.open_data_channel(options())).await;
    assert_eq!(taken, Err(OpenChannelError::IdInUse { id: 42 }));
    soon(ours.opened()).await.unwrap();
    soon(theirs.opened()).await.unwrap();
    soon(ours.send("there")).await.unwrap();
    assert_eq!(soon(theirs.recv()).await, Some(Ok(DataChannelMessage::Text("there".to_owned()))));
    assert!(!theirs.info().opened_by_remote);
    assert_eq!(theirs.info().negotiated, Some(42));
}

pub(crate) async fn impossible_options_are_refused_by_name<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let options = DataChannelOptions { max_queued_sends: 0, ..labelled("x") };
    let refused = soon(pair.ben_for_ada.open_data_channel(options)).await;
    let Err(OpenChannelError::InvalidOption { option, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(option, "max_queued_sends");
}

pub(crate) async fn too_many_waiting_sends_overflow_and_closing_releases_the_others<R: Runtime + Default>() {
    let server = server().await;
    let ada = peer::<R>(&server);
    let mut joined = ada.on_peer_joined();
    soon(ada.join(ROOM)).await.unwrap();
    // Somebody who never answers an offer, so that the channel does not open.
    let silent = SignallingClient::<R>::api_key(KEY).url(server.url()).build().unwrap();
    soon(silent.connect()).await.unwrap();
    let _present = soon(silent.subscribe(ROOM)).await.unwrap();
    let remote = next(&mut joined).await;
    let options = DataChannelOptions { max_queued_sends: 4, ..labelled("x") };
    let channel = soon(remote.open_data_channel(options)).await.unwrap();
    let mut sends: Vec<_> = (0..10).map(|n| Box::pin(channel.send(vec![n; 10]))).collect();
    let overflow = soon(future::join_all(sends.split_off(4)));
    let mut early = future::join_all(sends);
    let overflow = tokio::select! {
        biased;
        _ = &mut early => panic!("these wait"),
        overflow = overflow => overflow,
    };
    assert!(overflow.iter().all(|result| *result == Err(DataChannelError::Overflow { queued: 4, cap: 4 })));
    let ((), early) = soon(async { tokio::join!(channel.close(), early) }).await;
    assert!(early.iter().all(|result| *result == Err(DataChannelError::Closed)), "{early:?}");
}

pub(crate) async fn sends_end_in_order_and_the_low_mark_is_told<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let options = DataChannelOptions { max_buffered_amount: 64 * 1024, ..labelled("x") };
    let (ours, theirs) = open(&pair, options).await;
    let mut low = ours.on_buffered_amount_low();
    let order = std::sync::Mutex::new(Vec::new());
    let sends = (0..40_u8).map(|n| {
        let (ours, order) = (&ours, &order);
        async move {
            ours.send(vec![n; 10_000]).await.unwrap();
            order.lock().unwrap().push(n);
        }
    });
    let receive = async {
        for n in 0..40 {
            assert_eq!(theirs.recv().await, Some(Ok(DataChannelMessage::Binary(vec![n; 10_000].into()))));
        }
    };
    soon(future::join(future::join_all(sends), receive)).await;
    assert_eq!(*order.lock().unwrap(), (0..40).collect::<Vec<_>>());
    soon(low.next()).await.unwrap();
    soon(async {
        while ours.buffered_amount().await > 0 {
            smol::future::yield_now().await;
        }
    })
    .await;
}

pub(crate) async fn either_side_may_close_and_both_learn_of_it<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    for by_opener in [true, false] {
        let (ours, theirs) = open(&pair, labelled(&format!("{by_opener}"))).await;
        soon(ours.send("last")).await.unwrap();
        soon(if by_opener { ours.close() } else { theirs.close() }).await;
        for end in [&ours, &theirs] {
            soon(end.closed()).await;
            assert_eq!(end.state(), DataChannelState::Closed);
            assert_eq!(soon(end.send("late")).await, Err(DataChannelError::Closed));
        }
        if by_opener {
            assert_eq!(soon(theirs.recv()).await, Some(Ok(DataChannelMessage::Text("last".to_owned()))));
        }
        assert_eq!(soon(ours.recv()).await, None);
    }
    assert_eq!(pair.ben_for_ada.state(), ConnectionState::Connected);
    assert!(pair.ben_for_ada.data_channels().is_empty());
}

pub(crate) async fn a_channel_is_opened_again_when_the_connection_was_replaced<R: Runtime + Default>() {
    let server = server().await;
    let ada = named::<R>("ada", server.url()).build().unwrap();
    let ben = named::<R>("ben", server.url()).build().unwrap();
    let (ben_for_ada, _) = meet(&ada, &ben).await;
    let first = soon(ben_for_ada.open_data_channel(labelled("first"))).await.unwrap();
    soon(first.opened()).await.unwrap();
    let mut resets = ben_for_ada.on_connection_reset();
    let mut joined = ben.on_peer_joined();
    next(&mut joined).await;
    server.drop_peer_sockets(&ada.peer_id().unwrap());
    next(&mut resets).await;
    soon(first.closed()).await;
    assert!(matches!(soon(first.send("x")).await, Err(DataChannelError::Closed)));
    // Ben saw ada leave and come back.
    let again = soon(ben_for_ada.open_data_channel(labelled("again"))).await.unwrap();
    let ada_for_ben = next(&mut joined).await;
    let theirs = next(&mut ada_for_ben.on_data_channel()).await;
    assert_eq!(theirs.label(), "again");
    soon(again.send("there")).await.unwrap();
    assert_eq!(soon(theirs.recv()).await, Some(Ok(DataChannelMessage::Text("there".to_owned()))));
}

pub(crate) async fn a_channel_is_a_stream_and_a_sink<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let (ours, theirs) = open(&pair, labelled("x")).await;
    // An echo in one line: what comes goes back.
    let (to_ada, from_ada) = theirs.split();
    let echo = spawn::<R, _>(from_ada.map_err(|_| DataChannelError::Closed).forward(to_ada));
    let mut receiver = ours.clone();
    let mut sender = ours;
    let messages = || (0..300_u32).map(|n| n.to_string().repeat(n as usize % 50 + 1));
    let send = async {
        let mut messages = stream::iter(messages().map(|text| Ok(OutboundMessage::from(text))));
        sender.send_all(&mut messages).await.unwrap();
    };
    let receive = async {
        for text in messages() {
            assert_eq!(receiver.next().await, Some(Ok(DataChannelMessage::Text(text))));
        }
    };
    soon(future::join(send, receive)).await;
    // An error belongs to its message; the sink lives on.
    let too_large = || vec![0; 2 * 1024 * 1024];
    assert!(matches!(soon(DataChannel::send(&sender, too_large())).await, Err(DataChannelError::TooLarge { .. })));
    soon(SinkExt::send(&mut sender, too_large())).await.unwrap_err();
    for empty in
        [DataChannelMessage::Text(String::new()), DataChannelMessage::Binary(metered_realtime_runtime::Bytes::new())]
    {
        soon(SinkExt::send(&mut sender, empty.clone())).await.unwrap();
        assert_eq!(soon(receiver.next()).await, Some(Ok(empty)));
    }
    soon(SinkExt::send(&mut sender, "fine")).await.unwrap();
    assert_eq!(soon(receiver.next()).await, Some(Ok(DataChannelMessage::Text("fine".to_owned()))));
    soon(SinkExt::<&str>::close(&mut sender)).await.unwrap();
    assert_eq!(soon(receiver.next()).await, None);
    // The sink it was forwarded to closed with it.
    let _closed = soon(echo).await;
    assert_eq!(soon(SinkExt::send(&mut sender, "late")).await, Err(DataChannelError::Closed));
}

pub(crate) async fn bytes_arrive_whatever_the_sizes_of_writes_and_reads_and_closing_ends_them<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let (ours, theirs) = open(&pair, labelled("bytes")).await;
    let bytes = noise(3_000_000);
    let mut writer = ours.byte_stream().unwrap();
    let write = async {
        let mut rest = &bytes[..];
        for size in [1, 16_384, 16_385, 100, 70_000].into_iter().cycle() {
            let (now, later) = rest.split_at(usize::min(size, rest.len()));
            writer.write_all(now).await.unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        writer.close().await.unwrap();
    };
    let mut reader = theirs.byte_stream().unwrap();
    let read = async {
        let mut read = Vec::new();
        let mut buffer = vec![0; 10_007];
        loop {
            let n = reader.read(&mut buffer).await.unwrap();
            if n == 0 {
                return read;
            }
            read.extend_from_slice(&buffer[..n]);
        }
    };
    let ((), read) = soon(future::join(write, read)).await;
    assert!(read == bytes, "{} of {} bytes, or others", read.len(), bytes.len());
    let error = soon(reader.write_all(b"late")).await.and(soon(reader.flush()).await).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

pub(crate) async fn a_byte_stream_needs_order_and_reliability_and_no_text<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let unordered = DataChannelOptions { ordered: false, ..labelled("a") };
    let unreliable =
        DataChannelOptions { reliability: Reliability::MaxLifetime(Duration::from_millis(100)), ..labelled("b") };
    for (options, error) in [(unordered, ByteStreamError::Unordered), (unreliable, ByteStreamError::Unreliable)] {
        let channel = soon(pair.ben_for_ada.open_data_channel(options)).await.unwrap();
        assert_eq!(channel.byte_stream().unwrap_err(), error);
    }
    let (ours, theirs) = open(&pair, labelled("c")).await;
    let mut stream = theirs.byte_stream().unwrap();
    soon(ours.send(vec![1, 2])).await.unwrap();
    soon(ours.send("text")).await.unwrap();
    soon(ours.send(vec![3])).await.unwrap();
    let mut buffer = [0; 8];
    assert_eq!(soon(stream.read(&mut buffer)).await.unwrap(), 2);
    for _ in 0..2 {
        let error = soon(stream.read(&mut buffer)).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    }
}

pub(crate) async fn a_reader_that_falls_far_behind_is_told_what_it_missed<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let (mut ours, theirs) = open(&pair, labelled("bulk")).await;
    const WAITING: usize = 16_384;
    let sent = WAITING + 20;
    for n in 0..sent {
        soon(ours.feed(vec![n as u8])).await.unwrap();
    }
    soon(SinkExt::<Vec<u8>>::flush(&mut ours)).await.unwrap();
    soon(SinkExt::<Vec<u8>>::close(&mut ours)).await.unwrap();
    soon(theirs.closed()).await;
    let (mut missed, mut read) = (0, 0);
    while let Some(message) = soon(theirs.recv()).await {
        match message {
            Ok(message) => {
                assert_eq!(message.as_bytes()[0], (missed as usize + read) as u8);
                read += 1;
            }
            Err(lost) => missed += lost.0,
        }
    }
    assert_eq!((missed as usize + read, read), (sent, WAITING));
    let mut bytes = theirs.byte_stream().unwrap();
    assert_eq!(soon(bytes.read(&mut [0; 8])).await.unwrap(), 0, "the gap was told already, and nothing is left");
}

pub(crate) async fn a_handle_kept_after_the_end_says_so<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let (mut ours, theirs) = open(&pair, labelled("x")).await;
    soon(pair.ada.close()).await;
    soon(ours.closed()).await;
    assert_eq!(soon(SinkExt::send(&mut ours, "late")).await, Err(DataChannelError::Closed));
    let error = soon(ours.byte_stream().unwrap().write(b"late")).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    soon(theirs.closed()).await;
    until(|| pair.ben.remote_peers().is_empty()).await;
}

pub(crate) async fn closing_the_peer_waits_for_what_was_accepted<R: Runtime + Default>() {
    let server = server().await;
    let (ben, ada) = (peer::<R>(&server), builder::<R>(&server).close_timeout(PATIENCE).build().unwrap());
    let (ben_for_ada, ada_for_ben) = meet(&ada, &ben).await;
    let pair = Pair { server, ada, ben, ben_for_ada, ada_for_ben };
    let options = DataChannelOptions { max_buffered_amount: 4 * 1024 * 1024, ..labelled("x") };
    let (ours, theirs) = open(&pair, options).await;
    for n in 0..200 {
        soon(ours.send(vec![n; 10_000])).await.unwrap();
    }
    soon(pair.ada.close()).await;
    assert_eq!(ours.state(), DataChannelState::Closed);
    for n in 0..200 {
        assert_eq!(soon(theirs.recv()).await, Some(Ok(DataChannelMessage::Binary(vec![n; 10_000].into()))));
    }
    assert_eq!(soon(theirs.recv()).await, None);
}

pub(crate) async fn a_message_with_no_lifetime_is_sent_once_both_ways<R: Runtime + Default>() {
    let pair = pair::<R>().await;
    let options = DataChannelOptions { reliability: Reliability::MaxLifetime(Duration::ZERO), ..labelled("x") };
    let (ours, theirs) = open(&pair, options).await;
    for (from, to) in [(&ours, &theirs), (&theirs, &ours)] {
        for n in 0..20 {
            soon(from.send(vec![n; 100])).await.unwrap();
            assert_eq!(soon(to.recv()).await, Some(Ok(DataChannelMessage::Binary(vec![n; 100].into()))));
        }
    }
}
