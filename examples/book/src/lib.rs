//! The samples of the book in `docs/`, compiled as tests of the documentation.

/// One module a page, so that a failure names its page.
#[cfg(doctest)]
mod pages {
    macro_rules! pages {
        ($($name:ident: $file:literal,)*) => {$(
            #[doc = include_str!(concat!("../../../docs/", $file))]
            mod $name {}
        )*};
    }

    pages! {
        embedding: "embedding.md",
        library: "library.md",
        storage: "storage.md",
    }
}
