//! The system's limit of open files, which bounds the sockets.

/// Files that are open beside the sockets.
const OTHER_FILES: usize = 64;

/// Raises the limit of open files as far as this process may, and says in the log where that is not enough for `sockets`.
#[cfg(unix)]
pub(crate) fn raise(sockets: usize) {
    let wanted = u64::try_from(sockets.saturating_add(OTHER_FILES)).unwrap_or(u64::MAX);
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit >= wanted => tracing::debug!(limit, "open files"),
        Ok(limit) => tracing::warn!(
            limit,
            wanted,
            "the system allows fewer open files than the server may want; raise it (ulimit -n, LimitNOFILE=) or lower \
             --max-connections"
        ),
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
}

/// There is no such limit.
#[cfg(not(unix))]
pub(crate) fn raise(_sockets: usize) {}
