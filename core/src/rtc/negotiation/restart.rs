//! The need for an ICE restart.

/// Whether the next offer restarts ICE.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    #[default]
    None,
    /// The path is lost: until the connection is up again.
    WhileLost,
    /// The user wants it, even if the connection is up.
    Wanted,
}

/// The need for an ICE restart, until an offer that does it is concluded.
#[derive(Debug, Default)]
pub(super) struct Restart {
    need: Need,
}

impl Restart {
    /// The path is lost.
    pub(super) fn lost(&mut self) {
        self.need = self.need.max(Need::WhileLost);
    }

    /// The user wants a restart.
    pub(super) fn wanted(&mut self) {
        self.need = Need::Wanted;
    }

    /// The connection is up.
    pub(super) fn connected(&mut self) {
        if self.need == Need::WhileLost {
            self.need = Need::None;
        }
    }

    /// Both sides have agreed to a restart.
    pub(super) fn agreed(&mut self) {
        self.need = Need::None;
    }

    /// Whether the next offer restarts ICE.
    pub(super) fn is_due(&self) -> bool {
        self.need != Need::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_up_again_needs_none_unless_the_user_wants_it() {
        let mut restart = Restart::default();
        assert!(!restart.is_due());
        restart.lost();
        assert!(restart.is_due());
        restart.connected();
        assert!(!restart.is_due());
        for wanted_first in [true, false] {
            if wanted_first {
                restart.wanted();
                restart.lost();
            } else {
                restart.lost();
                restart.wanted();
            }
            restart.connected();
            assert!(restart.is_due());
            restart.agreed();
            assert!(!restart.is_due());
        }
    }
}
