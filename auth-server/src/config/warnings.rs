//! What can be meant, and rarely is.

use super::Config;

impl Config {
    /// What the operator should know of the settings, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.ignored_variables.is_empty() {
            warnings.push(format!(
                "ignored as variables that Kubernetes sets for a service, and not settings: {}; \
                 `enableServiceLinks: false` in the pod keeps them away",
                self.ignored_variables.join(", ")
            ));
        }
        if let Some(all) = self.trusted_proxies.iter().find(|it| it.prefix_len() == 0) {
            warnings.push(format!(
                "AUTH_TRUSTED_PROXIES={all} trusts everybody: each client can name itself as any other, \
                 and no limit by address binds it; name the proxies only"
            ));
        }
        if !self.throttle && !self.is_embedded() {
            warnings.push(
                "AUTH_THROTTLE=off: passwords can be guessed without limit, and no client has a budget"
                    .to_owned(),
            );
        }
        warnings
    }
}
