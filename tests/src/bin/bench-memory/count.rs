//! Allocations and bytes.

use crate::ALLOCATOR;

/// Allocations that one call makes, reallocations included.
pub(crate) fn allocations(calls: u32, mut call: impl FnMut()) -> f64 {
    let count = || {
        let stats = ALLOCATOR.stats();
        stats.allocations + stats.reallocations
    };
    let before = count();
    for _ in 0..calls {
        call();
    }
    (count() - before) as f64 / f64::from(calls)
}

/// Bytes the process has allocated.
pub(crate) fn held_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    // What a reallocation adds or takes is in both counts already.
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}
