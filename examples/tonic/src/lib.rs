//! What the server, and the client in its test, know of each other.

/// The messages and services of `proto/greeter.proto`.
pub mod greeter {
    #![expect(
        missing_docs,
        clippy::missing_errors_doc,
        reason = "the code is generated"
    )]

    tonic::include_proto!("greeter");
}
