//! Times.

use std::time::Instant;

use metered_realtime_tests::benchmark::Outcome;

/// Nanoseconds that one call of each takes: medians over rounds in which they take turns, so that whatever else the
/// machine does happens to all of them.
pub(crate) fn nanoseconds<const N: usize>(
    rounds: usize,
    calls: u32,
    mut measured: [&mut dyn FnMut(); N],
) -> Outcome<[f64; N]> {
    let mut times: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for _ in 0..rounds {
        for (call, times) in measured.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..calls {
                call();
            }
            times.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
        }
    }
    let mut medians = [0.0; N];
    for (times, median) in times.iter_mut().zip(&mut medians) {
        times.sort_by(f64::total_cmp);
        *median = *times.get(times.len() / 2).ok_or("no rounds")?;
    }
    Ok(medians)
}
