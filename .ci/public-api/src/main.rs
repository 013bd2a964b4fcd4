//! Prints the public items of a crate, one a line, from the JSON that rustdoc made of it.
//!
//! Left out is what a reader knows anyway: the methods of an implementation, which its trait
//! decides, `Debug`, which every public type has, and the traits that the compiler implements by
//! itself, which `tests/auto_traits.rs` of both crates check.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::error::Error;
use std::io::Write;

use public_api::{Builder, PublicItem};
use rustdoc_types::{FORMAT_VERSION, Id};

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args()
        .nth(1)
        .ok_or("usage: public-api-lines FILE")?;
    let json = std::fs::read_to_string(&file)?;
    check_format(&json)?;
    let api = Builder::from_rustdoc_json(&file)
        .omit_auto_trait_impls(true)
        .omit_blanket_impls(true)
        .include_function_parameter_names(true)
        .build()?;
    let mut implementations = HashSet::new();
    let mut out = std::io::stdout().lock();
    for item in api.items() {
        let line = item.to_string();
        if is_implementation(&line) {
            implementations.insert(item.id());
        }
        if !is_decided_by_a_trait(item, &line, &implementations) {
            writeln!(out, "{}", as_written(&line))?;
        }
    }
    Ok(())
}

/// A compiler of another form would else fail with the place of a byte in the JSON.
fn check_format(json: &str) -> Result<(), Box<dyn Error>> {
    if json.ends_with(&format!("\"format_version\":{FORMAT_VERSION}}}")) {
        return Ok(());
    }
    Err(format!(
        "this rustdoc writes another JSON than form {FORMAT_VERSION}: \
         change the versions in .ci/public-api/Cargo.toml with the compiler"
    )
    .into())
}

fn is_implementation(line: &str) -> bool {
    line.starts_with("impl") && line.contains(" for ")
}

fn is_decided_by_a_trait(item: &PublicItem, line: &str, implementations: &HashSet<Id>) -> bool {
    const UNTOLD: [&str; 3] = [
        "core::fmt::Debug for ",
        "core::marker::StructuralPartialEq for ",
        "core::marker::Unpin for ",
    ];
    let in_implementation = item
        .parent_id()
        .is_some_and(|id| implementations.contains(&id));
    (in_implementation && line.contains("fn "))
        || (is_implementation(line) && UNTOLD.iter().any(|head| line.contains(head)))
}

/// A method of an `async_trait` as its author wrote it, and every other item as it is.
fn as_written(line: &str) -> String {
    let boxed = " -> core::pin::Pin<alloc::boxed::Box<(dyn core::future::future::Future<Output = ";
    let Some((signature, future)) = line.split_once(boxed) else {
        return line.to_owned();
    };
    let Some((output, _)) = future.split_once("> + core::marker::Send + 'async_trait)>>") else {
        return line.to_owned();
    };
    let Some((name, parameters)) = signature.split_once("'async_trait>") else {
        return line.to_owned();
    };
    let name = name.split_once("<'life").map_or(name, |(name, _)| name);
    let name = name.replacen("fn ", "async fn ", 1);
    let parameters = (0..10).fold(parameters.to_owned(), |parameters, n| {
        parameters.replace(&format!("&'life{n} "), "&")
    });
    format!("{name}{parameters} -> {output}")
}
