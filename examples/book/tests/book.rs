//! Every chapter is there, every page is a chapter, every link leads somewhere, and no sample is
//! left uncompiled.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../..").canonicalize().unwrap()
}

/// The pages of the book, and those of the repository beside it.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in ["", "docs", "docs/decisions"] {
        let files = fs::read_dir(repository().join(folder)).unwrap();
        let files = files.map(|file| file.unwrap().path());
        pages.extend(files.filter(|file| file.extension().is_some_and(|end| end == "md")));
    }
    assert!(pages.len() > 30, "{pages:?}");
    pages
}

fn events(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

/// Where the links and images of a page lead.
fn destinations(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let links = events(&text).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.into_string())
        }
        _ => None,
    });
    links.collect()
}

/// What may stand behind the `#` of a link to the page.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut anchors = BTreeSet::new();
    let mut heading: Option<String> = None;
    for event in events(&text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let kept = heading.take().unwrap_or_default().to_lowercase();
                let kept = kept
                    .chars()
                    .filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
                anchors.insert(kept.collect::<String>().replace(' ', "-"));
            }
            _ => {}
        }
    }
    anchors
}

#[test]
fn every_link_leads_somewhere() {
    let mut problems = Vec::new();
    for page in pages() {
        for link in destinations(&page) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            let is_there = target.exists()
                && (anchor.is_empty() || target.is_file() && anchors(&target).contains(anchor));
            if !is_there {
                problems.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn every_page_is_a_chapter_of_the_book() {
    let docs = repository().join("docs");
    let summary = docs.join("SUMMARY.md");
    let chapters = destinations(&summary).into_iter();
    let chapters: BTreeSet<_> = chapters.map(|chapter| docs.join(chapter)).collect();
    let pages = pages().into_iter();
    let pages = pages.filter(|page| page.starts_with(&docs) && *page != summary);
    let pages: BTreeSet<_> = pages.collect();
    let one_sided: Vec<_> = chapters.symmetric_difference(&pages).collect();
    assert!(one_sided.is_empty(), "{one_sided:#?}");
}

#[test]
fn every_sample_is_compiled() {
    let compiled = include_str!("../src/lib.rs");
    for page in pages() {
        let name = page.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&page).unwrap();
        let has_samples = events(&text).any(|event| match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                language.starts_with("rust")
            }
            _ => false,
        });
        // The ten lines of the README are those of `examples/axum`, with what is around them left
        // out.
        if has_samples && name != "README.md" {
            assert!(compiled.contains(&format!("\"{name}\"")), "{name}");
        }
    }
}
