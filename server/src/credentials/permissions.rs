//! What a credential permits.

/// One permission of a credential (Metered Realtime Messaging wire protocol).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Broadcast on channels.
    Publish,
    /// Receive what is published on channels.
    Subscribe,
    /// See who is in a channel.
    Presence,
    /// Send to one peer.
    Send,
}

impl Permission {
    /// Every permission there is.
    pub const ALL: [Permission; 4] = [Self::Publish, Self::Subscribe, Self::Presence, Self::Send];

    /// The name in a token's `permissions` claim.
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Presence => "presence",
            Self::Send => "send",
        }
    }

    /// The permission of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.name() == name)
    }

    fn bit(self) -> u8 {
        match self {
            Self::Publish => 1,
            Self::Subscribe => 2,
            Self::Presence => 4,
            Self::Send => 8,
        }
    }
}

/// A set of permissions.
///
/// ```
/// use metered_realtime_server::{Permission, Permissions};
/// let listener = Permissions::from([Permission::Subscribe, Permission::Presence]);
/// assert!(listener.allow(Permission::Subscribe));
/// assert!(!listener.allow(Permission::Publish));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions(u8);

impl Permissions {
    /// All of them: what a credential has that names none.
    pub fn all() -> Self {
        Permission::ALL.into_iter().collect()
    }

    /// Whether the set holds `permission`.
    pub fn allow(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// The permissions in both sets.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The permissions in the set.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.allow(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |set, permission| set | permission.bit()))
    }
}

impl<const N: usize> From<[Permission; N]> for Permissions {
    fn from(permissions: [Permission; N]) -> Self {
        permissions.into_iter().collect()
    }
}
