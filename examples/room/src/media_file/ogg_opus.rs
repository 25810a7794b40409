//! Opus in Ogg (RFC 7845).

use std::io::{self, Read, Write};
use std::time::Duration;

use ogg::reading::{BasePacketReader, OggReadError, PageParser};
use ogg::{PacketWriteEndInfo, PacketWriter};

use super::error::Problem;
use super::opus_packet::{OPUS_RATE, packet_samples};
use super::source::Source;
use super::ticks::{from_ticks, to_ticks};
use super::{MAX_FRAME_BYTES, TimedFrame};

const PAGE_HEADER_BYTES: usize = 27;

/// Reads the Opus packets of an Ogg file.
///
/// The first stream of the file has to be the Opus one. Other streams multiplexed with it are skipped, and of a chain of
/// streams (RFC 7845 §3) the first is read.
pub(super) struct OggOpusReader<R> {
    source: Source<R>,
    packets: BasePacketReader,
    /// The Opus stream's serial number, from its first page on.
    serial: Option<u32>,
    /// Where the latest page of the stream begins.
    page_offset: u64,
    /// How many bytes of pages hold the packet that the latest page leaves unfinished.
    unfinished: usize,
    /// Whether the stream's last page was read.
    ended: bool,
    /// How much sound came before.
    samples: u64,
}

impl<R: Read> OggOpusReader<R> {
    pub(super) fn new(source: Source<R>) -> Result<Self, Problem> {
        let mut reader = Self {
            source,
            packets: BasePacketReader::new(),
            serial: None,
            page_offset: 0,
            unfinished: 0,
            ended: false,
            samples: 0,
        };
        match reader.next_packet()? {
            Some(head) if head.starts_with(b"OpusHead") => check_head(&head).map_err(|what| reader.broken(what))?,
            _ => return Err(Problem::Unknown),
        }
        match reader.next_packet()? {
            Some(tags) if tags.starts_with(b"OpusTags") => Ok(reader),
            _ => Err(reader.broken("OpusHead is not followed by OpusTags")),
        }
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<TimedFrame>, Problem> {
        let Some(data) = self.next_packet()? else { return Ok(None) };
        let samples = packet_samples(&data).ok_or_else(|| self.broken("a packet on this page is not Opus"))?;
        let out_of_range = || Problem::broken(self.page_offset, "the sound is too long");
        let timestamp = from_ticks(self.samples, 1, OPUS_RATE).ok_or_else(out_of_range)?;
        let duration = from_ticks(samples.into(), 1, OPUS_RATE).ok_or_else(out_of_range)?;
        self.samples = self.samples.saturating_add(samples.into());
        Ok(Some(TimedFrame { timestamp, duration, data: data.into() }))
    }

    fn next_packet(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        loop {
            if let Some(packet) = self.packets.read_packet() {
                return Ok(Some(packet.data));
            }
            if self.ended || !self.read_page()? {
                return Ok(None);
            }
        }
    }

    /// Reads a page, of which the packets are then at hand. False at the end of the file.
    ///
    /// `ogg::PacketReader` would do this, but it looks for pages amid garbage, keeps pages of streams nobody asked for, and
    /// joins packets of any size.
    fn read_page(&mut self) -> Result<bool, Problem> {
        let offset = self.source.offset();
        let Some(header) = self.source.array::<PAGE_HEADER_BYTES>("a page header")? else {
            if self.unfinished > 0 {
                return Err(Problem::broken(offset, "the file ends within a packet"));
            }
            return Ok(false);
        };
        // RFC 3533 §6: capture pattern, version, flags, granule position, serial number.
        let [b'O', b'g', b'g', b'S', _, flags, _, _, _, _, _, _, _, _, s0, s1, s2, s3, ..] = header else {
            return Err(Problem::broken(offset, "no Ogg page begins here"));
        };
        let serial = u32::from_le_bytes([s0, s1, s2, s3]);
        let ours = *self.serial.get_or_insert(serial) == serial;
        if ours {
            self.page_offset = offset;
        }

        let (mut page, segment_count) = PageParser::new(header).map_err(|error| broken_page(offset, &error))?;
        let segments = self.source.bytes(segment_count, "a page header")?;
        let unfinished = unfinished_bytes(self.unfinished, &segments);
        let body = self.source.bytes(page.parse_segments(segments), "a page")?;
        let page = page.parse_packet_data(body).map_err(|error| broken_page(offset, &error))?;
        if !ours {
            return Ok(true);
        }
        if unfinished > MAX_FRAME_BYTES {
            return Err(Problem::broken(offset, format!("a packet is larger than {MAX_FRAME_BYTES} bytes")));
        }
        self.unfinished = unfinished;
        self.ended = flags & 4 != 0;
        self.packets.push_page(page).map_err(|error| broken_page(offset, &error))?;
        Ok(true)
    }

    fn broken(&self, what: impl Into<String>) -> Problem {
        Problem::broken(self.page_offset, what)
    }
}

/// How many bytes hold the packet left unfinished by a page with these segments, if `before` did before it. A segment
/// shorter than 255 bytes ends a packet (RFC 3533 §5). Headers count too, so that empty pages add up as well.
fn unfinished_bytes(before: usize, segments: &[u8]) -> usize {
    let size = |segments: &[u8]| segments.iter().map(|&size| usize::from(size)).sum::<usize>();
    match segments.iter().rposition(|&size| size < 255) {
        Some(end) => size(segments.get(end..).unwrap_or_default().get(1..).unwrap_or_default()),
        None if before == 0 && segments.is_empty() => 0,
        None => before.saturating_add(PAGE_HEADER_BYTES).saturating_add(size(segments)),
    }
}

/// RFC 7845 §5.1.
fn check_head(head: &[u8]) -> Result<(), String> {
    let &[_, _, _, _, _, _, _, _, version, channels, _, _, _, _, _, _, _, _, mapping_family, ..] = head else {
        return Err("OpusHead is too short".into());
    };
    match (version, channels, mapping_family) {
        // Only a change of the upper half is incompatible.
        (16.., _, _) => Err(format!("OpusHead has version {version}")),
        (_, 1 | 2, 0) => Ok(()),
        _ => Err(format!("{channels} channels of mapping family {mapping_family}, not plain mono or stereo")),
    }
}

fn broken_page(offset: u64, error: &OggReadError) -> Problem {
    Problem::broken(
        offset,
        match error {
            OggReadError::HashMismatch(..) => "the page's checksum is wrong".into(),
            OggReadError::InvalidStreamStructVer(version) => format!("the page has version {version}"),
            OggReadError::InvalidData => "the page does not go on from the one before it".into(),
            error => error.to_string(),
        },
    )
}

/// There is one stream in a file, so that any serial number is unique.
const SERIAL: u32 = 1;

/// What a decoder drops at the beginning: libopus's own delay of 6.5 ms. RFC 7845 §4.2 would have a recording that begins
/// amid a stream drop 80 ms, but then the recording would play 80 ms ahead of the video recorded beside it.
const PRE_SKIP: u16 = 312;

/// Stereo, as RTP always announces (RFC 7587 §7) whatever a packet holds. Decoders play mono packets on both sides; a
/// mono header would lose stereo that begins later.
const CHANNELS: u8 = 2;

/// How much sound makes a page full: what a killed process loses.
const PAGE_SAMPLES: u64 = OPUS_RATE as u64;

/// Up to here, a gap is the decoder's to conceal; a longer one is silence.
const MAX_CONCEALED_SAMPLES: u64 = 5_760;

/// Silent packets and how many samples each lasts, longest first: 20, 10, 5 and 2.5 ms of full-band CELT, mono.
const SILENCE: [([u8; 3], u32); 4] =
    [([0xf8, 0xff, 0xfe], 960), ([0xf0, 0xff, 0xfe], 480), ([0xe8, 0xff, 0xfe], 240), ([0xe0, 0xff, 0xfe], 120)];

/// Writes Opus packets to an Ogg file.
///
/// Gaps between timestamps are filled with packets, as RFC 7845 §4.1 wants: the granule position must not advance without
/// them. A file whose writer was never finished can be read, and lacks at most the last second.
pub(super) struct OggOpusWriter<W: Write> {
    pages: PacketWriter<'static, W>,
    /// The first packet's timestamp.
    origin: Option<Duration>,
    /// How much sound was written, the packet held back included.
    samples: u64,
    /// The newest packet and the granule position at its end. It waits, as the last packet is to be marked so.
    held: Option<(Vec<u8>, u64)>,
    /// The granule position at the beginning of the page.
    page_start: u64,
}

impl<W: Write> OggOpusWriter<W> {
    /// Begins a file. A whole page is to fit in the output's buffer (64 KiB), if the file is to be readable at all times.
    pub(super) fn new(output: W) -> io::Result<Self> {
        let mut pages = PacketWriter::new(output);
        // RFC 7845 §5.1: version 1, no output gain, mapping family 0.
        let mut head = b"OpusHead\x01".to_vec();
        head.push(CHANNELS);
        head.extend(PRE_SKIP.to_le_bytes());
        head.extend(OPUS_RATE.to_le_bytes());
        head.extend([0; 3]);
        pages.write_packet(head, SERIAL, PacketWriteEndInfo::EndPage, 0)?;
        // RFC 7845 §5.2: a vendor string and no comments.
        let vendor = b"metered-realtime";
        let mut tags = b"OpusTags".to_vec();
        tags.extend((vendor.len() as u32).to_le_bytes());
        tags.extend(vendor);
        tags.extend([0; 4]);
        pages.write_packet(tags, SERIAL, PacketWriteEndInfo::EndPage, 0)?;
        pages.inner_mut().flush()?;
        Ok(Self { pages, origin: None, samples: 0, held: None, page_start: 0 })
    }

    /// Writes a packet at a moment counted from any fixed one, after filling the gap before it if that is no shorter than
    /// the packet. Drops what is no Opus packet, and packets that come after their time, such as duplicates.
    ///
    /// The gap is filled however long it is: [`super::timeline`] keeps a sender from making it long.
    pub(super) fn write(&mut self, timestamp: Duration, packet: &[u8]) -> io::Result<()> {
        let Some(samples) = packet_samples(packet).filter(|_| packet.len() <= MAX_FRAME_BYTES) else { return Ok(()) };
        let origin = *self.origin.get_or_insert(timestamp);
        let Some(place) = timestamp.checked_sub(origin) else { return Ok(()) };
        let place = to_ticks(place, OPUS_RATE);
        if place.saturating_add(samples.into()) <= self.samples {
            return Ok(());
        }
        let gap = place.saturating_sub(self.samples);
        if gap >= samples.into() {
            self.fill(gap)?;
        }
        self.push(packet.to_vec(), samples)
    }

    /// Ends the stream and gives the output back, flushed.
    pub(super) fn finish(mut self) -> io::Result<W> {
        if let Some((packet, granule)) = self.held.take() {
            self.pages.write_packet(packet, SERIAL, PacketWriteEndInfo::EndStream, granule)?;
        }
        self.pages.inner_mut().flush()?;
        Ok(self.pages.into_inner())
    }

    fn fill(&mut self, mut gap: u64) -> io::Result<()> {
        // RFC 7845 §4.1: packets without data, of the same kind as the last one, ask for concealment.
        let last = self.held.as_ref().and_then(|(packet, _)| packet.first());
        if let Some(lost) = last.map(|toc| vec![toc & !3]).filter(|_| gap <= MAX_CONCEALED_SAMPLES)
            && let Some(samples) = packet_samples(&lost)
        {
            while let Some(rest) = gap.checked_sub(samples.into()) {
                self.push(lost.clone(), samples)?;
                gap = rest;
            }
        }
        for (packet, samples) in SILENCE {
            while let Some(rest) = gap.checked_sub(samples.into()) {
                self.push(packet.to_vec(), samples)?;
                gap = rest;
            }
        }
        Ok(())
    }

    fn push(&mut self, packet: Vec<u8>, samples: u32) -> io::Result<()> {
        self.samples = self.samples.saturating_add(samples.into());
        if let Some((packet, granule)) = self.held.replace((packet, self.samples)) {
            if granule.saturating_sub(self.page_start) < PAGE_SAMPLES {
                return self.pages.write_packet(packet, SERIAL, PacketWriteEndInfo::NormalPacket, granule);
            }
            self.pages.write_packet(packet, SERIAL, PacketWriteEndInfo::EndPage, granule)?;
            self.pages.inner_mut().flush()?;
            self.page_start = granule;
        }
        Ok(())
    }
}
