//! IVF: a header of 32 bytes, then frames with headers of 12 bytes, all little-endian.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem;
use std::time::Duration;

use super::error::Problem;
use super::source::Source;
use super::ticks::{from_ticks, to_ticks};
use super::{Codec, MAX_FRAME_BYTES, TimedFrame};

const HEADER_BYTES: u16 = 32;

/// No video is longer. A player may add this to a moment of its own without overflow.
const MAX_TIMESTAMP: Duration = Duration::from_secs(366 * 24 * 3600);

/// Reads the VP8 frames of an IVF file.
pub(super) struct IvfReader<R> {
    source: Source<R>,
    /// A tick of the file's clock lasts `scale` / `rate` seconds.
    scale: u32,
    rate: u32,
    /// The tick that is time zero.
    origin: u64,
    /// The next frame's header, read ahead, because a frame lasts until the next one. `Err` if it is broken.
    upcoming: Result<Option<FrameHeader>, Problem>,
    /// How long the latest frame lasts, which the file's last frame takes over.
    duration: Duration,
}

#[derive(Clone, Copy)]
struct FrameHeader {
    offset: u64,
    size: usize,
    ticks: u64,
}

impl<R: Read> IvfReader<R> {
    pub(super) fn new(mut source: Source<R>) -> Result<Self, Problem> {
        let Some(header) = source.array::<32>("the file's header")? else { return Err(Problem::Unknown) };
        // Signature, version, size of this header, codec, width and height, clock, number of frames.
        let [
            b'D',
            b'K',
            b'I',
            b'F',
            _,
            _,
            h0,
            h1,
            b'V',
            b'P',
            b'8',
            b'0',
            _,
            _,
            _,
            _,
            clock @ ..,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
        ] = header
        else {
            return Err(Problem::Unknown);
        };
        let [r0, r1, r2, r3, s0, s1, s2, s3] = clock;
        let rate = u32::from_le_bytes([r0, r1, r2, r3]);
        let scale = u32::from_le_bytes([s0, s1, s2, s3]);
        let (Some(tick), false) = (from_ticks(1, scale, rate), scale == 0) else {
            return Err(Problem::broken(16, format!("the time base is {scale}/{rate} of a second")));
        };
        let header_bytes = u16::from_le_bytes([h0, h1]);
        let Some(extension) = header_bytes.checked_sub(HEADER_BYTES) else {
            return Err(Problem::broken(6, format!("the header claims to have {header_bytes} bytes")));
        };
        source.bytes(extension.into(), "the file's header")?;

        let upcoming = read_frame_header(&mut source)?;
        let origin = upcoming.map_or(0, |header| header.ticks);
        Ok(Self { source, scale, rate, origin, upcoming: Ok(upcoming), duration: tick.min(MAX_TIMESTAMP) })
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<TimedFrame>, Problem> {
        let Some(header) = mem::replace(&mut self.upcoming, Ok(None))? else { return Ok(None) };
        let data = self.source.bytes(header.size, "a frame")?;
        let timestamp = self.timestamp(header)?;
        self.upcoming = read_frame_header(&mut self.source);
        if let Ok(Some(next)) = &self.upcoming {
            match self.timestamp(*next) {
                Ok(next) => self.duration = next.saturating_sub(timestamp),
                Err(problem) => self.upcoming = Err(problem),
            }
        }
        if let Ok(Some(next)) = &self.upcoming
            && next.ticks < header.ticks
        {
            self.upcoming = Err(Problem::broken(next.offset, "a frame's time is before the former frame's"));
        }
        Ok(Some(TimedFrame { timestamp, duration: self.duration, data: data.into() }))
    }

    fn timestamp(&self, header: FrameHeader) -> Result<Duration, Problem> {
        from_ticks(header.ticks.saturating_sub(self.origin), self.scale, self.rate)
            .filter(|timestamp| *timestamp <= MAX_TIMESTAMP)
            .ok_or_else(|| Problem::broken(header.offset, "a frame's time is more than a year away"))
    }
}

/// The header of the next frame that has any content: encoders write empty frames for pictures they skipped.
fn read_frame_header<R: Read>(source: &mut Source<R>) -> Result<Option<FrameHeader>, Problem> {
    loop {
        let offset = source.offset();
        let Some(header) = source.array::<12>("a frame header")? else { return Ok(None) };
        let [n0, n1, n2, n3, ticks @ ..] = header;
        let size = u32::from_le_bytes([n0, n1, n2, n3]);
        match usize::try_from(size) {
            Ok(0) => {}
            Ok(size) if size <= MAX_FRAME_BYTES => {
                return Ok(Some(FrameHeader { offset, size, ticks: u64::from_le_bytes(ticks) }));
            }
            _ => return Err(Problem::broken(offset, format!("a frame of {size} bytes, more than {MAX_FRAME_BYTES}"))),
        }
    }
}

/// Ticks a second: those of RTP video, so that nothing is rounded.
const RATE: u32 = 90_000;

/// Where the header has the file's length. libvpx counts frames there and FFmpeg, thus VLC too, ticks of the clock, which is
/// the same in the files of constant frame rate that IVF was made for. Here it is ticks, for players to show the duration.
const LENGTH_OFFSET: u64 = 24;

/// How often the file is brought up to date: what a killed process loses.
const FLUSH_TICKS: u64 = RATE as u64;

/// Writes VP8, VP9 or AV1 frames to an IVF file, from the first key frame on.
pub(super) struct IvfWriter<W: Write + Seek> {
    output: W,
    codec: IvfCodec,
    started: Option<Started>,
}

/// A codec that IVF has a name for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IvfCodec {
    Vp8,
    Vp9,
    Av1,
}

impl IvfCodec {
    pub(super) fn new(codec: Codec) -> Option<Self> {
        match codec {
            Codec::Vp8 => Some(Self::Vp8),
            Codec::Vp9 => Some(Self::Vp9),
            Codec::Av1 => Some(Self::Av1),
            _ => None,
        }
    }

    fn four_cc(self) -> [u8; 4] {
        *match self {
            Self::Vp8 => b"VP80",
            Self::Vp9 => b"VP90",
            Self::Av1 => b"AV01",
        }
    }
}

/// What is known from the first key frame on.
struct Started {
    origin: Duration,
    /// The latest frame's tick, `None` before the first one's.
    last_tick: Option<u64>,
    /// How many ticks after the frame before it that was. The last frame is taken to last as long.
    interval: u64,
    flushed_tick: u64,
}

impl<W: Write + Seek> IvfWriter<W> {
    /// Nothing is written before the first key frame, which tells the picture's size.
    pub(super) fn new(output: W, codec: IvfCodec) -> Self {
        Self { output, codec, started: None }
    }

    /// Writes a frame at a moment counted from any fixed one. Drops frames before the first key frame, and empty or
    /// oversized ones.
    pub(super) fn write(&mut self, timestamp: Duration, frame: &[u8], keyframe: bool) -> io::Result<()> {
        // AV1 in RTP has no temporal delimiters, in a file every picture begins with one (AV1 §7.5).
        const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0x00];
        let delimited = |first: &u8| first >> 3 & 15 == 2;
        let delimiter: &[u8] = match frame.first() {
            None => return Ok(()),
            Some(first) if self.codec == IvfCodec::Av1 && !delimited(first) => &TEMPORAL_DELIMITER,
            _ => &[],
        };
        let size = frame.len().saturating_add(delimiter.len());
        let Some(size) = u32::try_from(size).ok().filter(|_| size <= MAX_FRAME_BYTES) else { return Ok(()) };

        let started = match &mut self.started {
            Some(started) => started,
            started => {
                let Some((width, height)) = key_frame_size(self.codec, frame, keyframe) else { return Ok(()) };
                write_header(&mut self.output, self.codec, width, height)?;
                started.insert(Started { origin: timestamp, last_tick: None, interval: 0, flushed_tick: 0 })
            }
        };
        let tick = to_ticks(timestamp.saturating_sub(started.origin), RATE);
        // Players want times that only go forward.
        let tick = started.last_tick.map_or(tick, |last| tick.max(last.saturating_add(1)));
        self.output.write_all(&size.to_le_bytes())?;
        self.output.write_all(&tick.to_le_bytes())?;
        self.output.write_all(delimiter)?;
        self.output.write_all(frame)?;
        started.interval = started.last_tick.map_or(0, |last| tick.saturating_sub(last));
        started.last_tick = Some(tick);
        if tick.saturating_sub(started.flushed_tick) >= FLUSH_TICKS {
            started.flushed_tick = tick;
            patch_length(&mut self.output, started)?;
        }
        Ok(())
    }

    /// Completes the header and gives the output back, flushed. Without a key frame, the file holds a header only.
    pub(super) fn finish(mut self) -> io::Result<W> {
        match &self.started {
            Some(started) => patch_length(&mut self.output, started)?,
            None => {
                write_header(&mut self.output, self.codec, 0, 0)?;
                self.output.flush()?;
            }
        }
        Ok(self.output)
    }
}

fn write_header(output: &mut impl Write, codec: IvfCodec, width: u16, height: u16) -> io::Result<()> {
    output.write_all(b"DKIF\0\0")?;
    output.write_all(&HEADER_BYTES.to_le_bytes())?;
    output.write_all(&codec.four_cc())?;
    output.write_all(&width.to_le_bytes())?;
    output.write_all(&height.to_le_bytes())?;
    output.write_all(&RATE.to_le_bytes())?;
    output.write_all(&1_u32.to_le_bytes())?;
    // The length, so far zero, and four unused bytes.
    output.write_all(&[0; 8])
}

fn patch_length(output: &mut (impl Write + Seek), started: &Started) -> io::Result<()> {
    let length = started.last_tick.unwrap_or(0).saturating_add(started.interval);
    output.seek(SeekFrom::Start(LENGTH_OFFSET))?;
    output.write_all(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes())?;
    output.seek(SeekFrom::End(0))?;
    output.flush()
}

/// The width and height of a key frame's picture, `None` if the frame is none. Zeros where only a decoder can tell: players
/// ask theirs.
fn key_frame_size(codec: IvfCodec, frame: &[u8], keyframe: bool) -> Option<(u16, u16)> {
    match codec {
        IvfCodec::Vp8 => vp8_key_frame_size(frame),
        IvfCodec::Vp9 | IvfCodec::Av1 => keyframe.then_some((0, 0)),
    }
}

/// RFC 6386 §9.1: a cleared bit marks a key frame, which has a start code and 14 bits for each of width and height.
fn vp8_key_frame_size(frame: &[u8]) -> Option<(u16, u16)> {
    match *frame {
        [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] if tag & 1 == 0 => {
            let size = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
            Some((size(w0, w1), size(h0, h1)))
        }
        _ => None,
    }
}
