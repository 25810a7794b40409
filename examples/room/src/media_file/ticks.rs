use std::time::Duration;

const NANOS_A_SECOND: u128 = 1_000_000_000;

/// The tick nearest to a moment, for a clock that ticks `rate` times a second.
pub(super) fn to_ticks(moment: Duration, rate: u32) -> u64 {
    let ticks =
        (moment.as_nanos().saturating_mul(u128::from(rate)).saturating_add(NANOS_A_SECOND / 2)) / NANOS_A_SECOND;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// The moment `ticks` of a clock that ticks `rate` times in `scale` seconds, or `None` if it is out of a duration's range
/// or `rate` is zero.
pub(super) fn from_ticks(ticks: u64, scale: u32, rate: u32) -> Option<Duration> {
    let rate = u128::from(rate);
    // Two factors of 64 and 32 bits leave 32 bits of room, and a billion needs 30.
    let nanos = (u128::from(ticks) * u128::from(scale) * NANOS_A_SECOND).checked_div(rate)?;
    let seconds = u64::try_from(nanos / NANOS_A_SECOND).ok()?;
    let rest = u32::try_from(nanos % NANOS_A_SECOND).ok()?;
    Some(Duration::new(seconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_survives_the_way_through_a_duration() {
        for rate in [1_000, 48_000, 90_000] {
            for ticks in (0..1_000).chain([u64::from(u32::MAX) * 7 + 1]) {
                assert_eq!(to_ticks(from_ticks(ticks, 1, rate).unwrap(), rate), ticks);
            }
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        assert_eq!(from_ticks(u64::MAX, u32::MAX, 1), None);
        assert_eq!(from_ticks(1, 1, 0), None);
        assert_eq!(from_ticks(u64::MAX, 1, 1), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(to_ticks(Duration::MAX, 90_000), u64::MAX);
    }
}
