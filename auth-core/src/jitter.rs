//! Lifetimes that differ a little, so that what began together does not end together.

use std::time::Duration;

/// Shortens a lifetime by up to 5 %, in whole seconds; `random` decides by how much.
///
/// After a restart or an outage many clients log in at the same time: without this they would
/// refresh, and log in again, at the same time too.
pub(crate) fn shorten(lifetime: Duration, random: [u8; 2]) -> Duration {
    let share = f64::from(u16::from_be_bytes(random)) / 65_536.0;
    let shorter = (lifetime / 20).mul_f64(share);
    lifetime - Duration::from_secs(shorter.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_shortened_by_five_percent_at_most_and_never_lengthened() {
        for lifetime in [1, 19, 300, 14 * 24 * 3600].map(Duration::from_secs) {
            assert_eq!(shorten(lifetime, [0, 0]), lifetime);
            let shortest = shorten(lifetime, [255, 255]);
            assert!(shortest >= lifetime - lifetime / 20, "{lifetime:?}");
            assert_eq!(shortest < lifetime, lifetime.as_secs() > 20);
        }
        assert!(shorten(Duration::MAX, [255, 255]) > Duration::MAX / 20 * 19);
    }
}
