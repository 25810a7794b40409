/// Samples a second that Opus durations are counted in, whatever the sound was sampled with (RFC 7845 §4).
pub(super) const OPUS_RATE: u32 = 48_000;

/// The longest packet, 120 ms (RFC 6716 §3.2.5, requirement R5).
const MAX_PACKET_SAMPLES: u32 = 5_760;

/// How many samples an Opus packet lasts, from its first bytes (RFC 6716 §3.1), or `None` if it is no Opus packet.
pub(super) fn packet_samples(packet: &[u8]) -> Option<u32> {
    let (toc, rest) = packet.split_first()?;
    let config = toc >> 3;
    let frame = match (config, config & 3) {
        // SILK: 10, 20, 40 and 60 ms.
        (0..=11, 0) => 480,
        (0..=11, 1) => 960,
        (0..=11, 2) => 1_920,
        (0..=11, _) => 2_880,
        // Hybrid: 10 and 20 ms.
        (12..=15, size) => 480 << (size & 1),
        // CELT: 2.5, 5, 10 and 20 ms.
        (_, size) => 120 << size,
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(rest.first()? & 0x3f),
    };
    let samples = frame * frames;
    (1..=MAX_PACKET_SAMPLES).contains(&samples).then_some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 2 of RFC 6716 §3.1, in tenths of a millisecond.
    const TABLE: [[u32; 4]; 8] = [
        [100, 200, 400, 600],
        [100, 200, 400, 600],
        [100, 200, 400, 600],
        [100, 200, 100, 200],
        [25, 50, 100, 200],
        [25, 50, 100, 200],
        [25, 50, 100, 200],
        [25, 50, 100, 200],
    ];

    #[test]
    fn every_configuration_code_and_channel_count() {
        for config in 0..32_u8 {
            let frame = TABLE[usize::from(config / 4)][usize::from(config % 4)] * 48 / 10;
            for stereo in [0, 4] {
                let toc = config << 3 | stereo;
                assert_eq!(packet_samples(&[toc]), Some(frame), "config {config} code 0");
                assert_eq!(packet_samples(&[toc | 1, 0]), Some(frame * 2), "config {config} code 1");
                assert_eq!(packet_samples(&[toc | 2, 0]), Some(frame * 2), "config {config} code 2");
                for count in 0..64_u8 {
                    let samples = frame * u32::from(count);
                    let expected = (count > 0 && samples <= 5_760).then_some(samples);
                    for flags in [0, 0x40, 0x80, 0xc0] {
                        assert_eq!(packet_samples(&[toc | 3, count | flags]), expected, "config {config} × {count}");
                    }
                }
            }
        }
    }

    #[test]
    fn too_short_to_be_opus() {
        assert_eq!(packet_samples(&[]), None);
        assert_eq!(packet_samples(&[0xff]), None);
    }
}
