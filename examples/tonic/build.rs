//! Compiles the service's description, without a `protoc` on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let description = protox::compile(["greeter.proto"], ["proto"])?;
    Ok(tonic_prost_build::compile_fds(description)?)
}
