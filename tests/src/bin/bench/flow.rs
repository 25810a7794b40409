//! Data channels and media between two peers over UDP on this machine, ours against bare `str0m`: in one process and one
//! thread, in turns.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use futures_util::SinkExt;
use metered_realtime_tokio::{Codec, DataChannel, EncodedFrame, LocalTrack, RemoteTrack};
use socket2::SockRef;
use tokio::net::UdpSocket;

use metered_realtime_tests::Wandering;
use metered_realtime_tests::benchmark::{Bare, Load, Outcome, Report, Room, Target, first};

use crate::Effort;

const MESSAGE: usize = 16 * 1024;

/// One Opus packet of a good voice.
const FRAME: usize = 160;

/// Frames on their way at any time: few enough for the system's buffers.
const WINDOW: u64 = 32;

/// Not less than this part of what bare `str0m` does.
const TARGET: Target = Target::AtLeast(0.9);

/// What a turn took, a unit of work.
#[derive(Debug, Clone, Copy)]
struct Took {
    wall: f64,
    cpu: f64,
}

async fn measure(units: u64, work: impl Future<Output = Outcome<()>>) -> Outcome<Took> {
    let (wall, cpu) = (Instant::now(), ProcessTime::now());
    work.await?;
    let per = |time: Duration| time.as_secs_f64() / units as f64;
    Ok(Took { cpu: per(cpu.elapsed()), wall: per(wall.elapsed()) })
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(effort: Effort, report: &mut Report) -> Outcome<()> {
    let room = Room::new().await?;
    let sockets = [socket()?, socket()?];
    let addresses: [SocketAddr; 2] = [sockets[0].local_addr()?, sockets[1].local_addr()?];
    // One address, so that both sides have as many sockets, and as many ways to look after.
    let runtime = Wandering::at(addresses[0].ip());
    let [ada, ben] = [room.join_on(runtime.clone()).await?, room.join_on(runtime).await?];
    let (ben_for_ada, ada_for_ben) = (first(&ada).await?, first(&ben).await?);
    let microphone = LocalTrack::audio();
    ada.add_track(&microphone, None, None).await?;
    let channel = ben_for_ada.open_data_channel(Default::default()).await?;
    let theirs = ada_for_ben.on_data_channel().next().await.ok_or("no channel")?;
    let track = ada_for_ben.on_track().next().await.ok_or("no track")?;
    microphone.received().await;
    let mut bare = Bare::pair([&addresses[..1], &addresses[1..]], true).await?;

    let (warm_up, messages, frames) = (64, effort.pick(1024, 4096), effort.pick(10_000, 50_000));
    let mut number = 0;
    ours_messages(&channel, &theirs, warm_up).await?;
    ours_frames(&microphone, &track, &mut number, warm_up).await?;
    bare_load(&mut bare, &sockets, Load::Messages { count: warm_up, size: MESSAGE }, warm_up).await?;

    let (mut data, mut media) = (Vec::new(), Vec::new());
    for _ in 0..effort.pick(3, 5) {
        let load = Load::Messages { count: messages, size: MESSAGE };
        let ours = measure(messages, ours_messages(&channel, &theirs, messages)).await?;
        data.push([ours, measure(messages, bare_load(&mut bare, &sockets, load, messages)).await?]);
        let load = Load::Frames { count: frames, size: FRAME, window: WINDOW };
        let ours = measure(frames, ours_frames(&microphone, &track, &mut number, frames)).await?;
        media.push([ours, measure(frames, bare_load(&mut bare, &sockets, load, frames)).await?]);
    }

    let mib = |seconds: f64| (MESSAGE as f64 / 1024.0 / 1024.0) / seconds;
    let [ours, theirs] = median(&data, |took| took.wall)?;
    let details = format!("{:.0} MiB/s, bare {:.0} MiB/s, messages of 16 KiB", mib(ours), mib(theirs));
    report.judged("data channel throughput / bare str0m", theirs / ours, TARGET, &details)?;
    let [ours, theirs] = median(&data, |took| took.cpu)?;
    let details = format!("{:.2} ms, bare {:.2} ms, both ends", 1e3 / mib(ours), 1e3 / mib(theirs));
    report.judged("data channel, CPU a MiB: bare str0m / ours", theirs / ours, TARGET, &details)?;
    let [ours, theirs] = median(&media, |took| took.cpu)?;
    let details = format!("{:.2} us, bare {:.2} us, both ends, {FRAME} bytes each", ours * 1e6, theirs * 1e6);
    report.judged("media, CPU a packet: bare str0m / ours", theirs / ours, TARGET, &details)
}

/// A socket as ours are.
fn socket() -> Outcome<UdpSocket> {
    let socket = std::net::UdpSocket::bind("[::1]:0").or_else(|_| std::net::UdpSocket::bind("127.0.0.1:0"))?;
    socket.set_nonblocking(true)?;
    SockRef::from(&socket).set_recv_buffer_size(1024 * 1024)?;
    Ok(UdpSocket::from_std(socket)?)
}

/// Of ours and theirs, over the rounds.
fn median(rounds: &[[Took; 2]], of: impl Fn(&Took) -> f64) -> Outcome<[f64; 2]> {
    let mut medians = [0.0; 2];
    for (side, median) in medians.iter_mut().enumerate() {
        let mut times: Vec<f64> = rounds.iter().filter_map(|round| round.get(side).map(&of)).collect();
        times.sort_by(f64::total_cmp);
        *median = *times.get(times.len() / 2).ok_or("no rounds")?;
    }
    Ok(medians)
}

async fn ours_messages(channel: &DataChannel, theirs: &DataChannel, count: u64) -> Outcome<()> {
    let mut sink = channel.clone();
    let send = async {
        for _ in 0..count {
            sink.feed(vec![7; MESSAGE]).await?;
        }
        SinkExt::<Vec<u8>>::flush(&mut sink).await
    };
    let receive = async {
        for _ in 0..count {
            theirs.recv().await.ok_or("closed")??;
        }
        Outcome::Ok(())
    };
    let (sent, received) = tokio::join!(send, receive);
    sent?;
    received
}

async fn ours_frames(track: &LocalTrack, theirs: &RemoteTrack, number: &mut u32, count: u64) -> Outcome<()> {
    let data: Arc<[u8]> = vec![7; FRAME].into();
    let (mut sent, mut here) = (0, 0);
    while here < count {
        while sent < count && sent < here + WINDOW {
            let timestamp = Duration::from_millis(20) * *number;
            *number += 1;
            if track.write(EncodedFrame { codec: Codec::Opus, timestamp, data: data.clone() }) != Ok(1) {
                return Err("a frame was not taken".into());
            }
            sent += 1;
        }
        theirs.recv().await.ok_or("the track ended")?;
        here += 1;
    }
    Ok(())
}

async fn bare_load(ends: &mut [Bare; 2], sockets: &[UdpSocket; 2], load: Load, count: u64) -> Outcome<()> {
    let [a, b] = ends;
    let received = b.received();
    let nothing = a.received();
    let goal = received.so_far() + count;
    tokio::select! {
        done = a.drive(&sockets[0], load, received.clone()) => done,
        done = b.drive(&sockets[1], Load::Nothing, nothing) => done,
        () = received.reach(goal) => Ok(()),
    }
}
