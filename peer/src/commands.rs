//! The verbs of the command line, one module each.

use p2p_ci::{client::registry::RegistryClient, registry_url::RegistryUrl, transport::Dialer};

use crate::{
    config::{Cli, Command},
    error::{Exit, PeerError},
};

/// What every command needs.
#[derive(Debug, Clone)]
pub struct Context {
    /// The registry to ask.
    pub registry: RegistryUrl,
    /// How connections are made.
    pub dialer: Dialer,
}

impl Context {
    /// Connects to the registry.
    ///
    /// # Errors
    ///
    /// [`PeerError::Registry`].
    pub async fn connect(&self) -> Result<RegistryClient, PeerError> {
        RegistryClient::connect(&self.dialer, &self.registry).await.map_err(|source| self.registry_error(source))
    }

    /// An error of the registry, with its name.
    #[must_use]
    pub fn registry_error(&self, source: p2p_ci::client::CallError) -> PeerError {
        PeerError::Registry { url: self.registry.to_string(), source }
    }
}
