use crate::{Generation, RotationKey, SessionId, Timestamp};

/// A session to be moved on by one generation.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SessionRotation {
    /// Which session.
    pub id: SessionId,
    /// The generation that it must be at.
    pub from: Generation,
    /// When.
    pub at: Timestamp,
    /// Whose the rotation is, if the client sent a key; a key of the rotation before goes.
    pub key: Option<RotationKey>,
    /// After when the session must have been used; `None` where no idle lifetime is set.
    pub used_after: Option<Timestamp>,
}

impl SessionRotation {
    /// Makes a rotation without a key and without an idle lifetime.
    #[must_use]
    pub const fn new(id: SessionId, from: Generation, at: Timestamp) -> Self {
        Self {
            id,
            from,
            at,
            key: None,
            used_after: None,
        }
    }
}
