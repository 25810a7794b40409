//! A data channel as a byte stream of tokio's.

mod support;

use metered_realtime_tokio::DataChannelOptions;
use support::{next, pair, soon};
use tokio_util::compat::FuturesAsyncReadCompatExt;

/// Bytes that repeat late.
fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[tokio::test]
async fn a_byte_stream_is_one_of_tokio_s_through_compat() {
    let pair = pair().await;
    let ours = soon(pair.ben_for_ada.open_data_channel(DataChannelOptions::default())).await.unwrap();
    let theirs = next(&mut pair.ada_for_ben.on_data_channel()).await;
    let mut ours = ours.byte_stream().unwrap().compat();
    let echo = tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(theirs.byte_stream().unwrap().compat());
        tokio::io::copy(&mut read, &mut write).await
    });
    let request = noise(100_000);
    let mut reply = vec![0; request.len()];
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    soon(async {
        ours.write_all(&request).await.unwrap();
        ours.flush().await.unwrap();
        ours.read_exact(&mut reply).await.unwrap();
        ours.shutdown().await.unwrap();
    })
    .await;
    assert!(reply == request);
    assert_eq!(soon(echo).await.unwrap().unwrap(), request.len() as u64);
}
