//! stub
use std::path::PathBuf;
#[derive(Debug, Default)]
pub struct ServeSettings {
    pub hsts: bool,
    pub tls: Option<TlsFiles>,
}
#[derive(Debug)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("x")]
    X,
}
pub async fn shutdown_signal() {}
pub async fn serve<S>(
    _l: tokio::net::TcpListener,
    _s: S,
    _set: ServeSettings,
    _until: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    Ok(())
}
