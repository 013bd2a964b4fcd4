//! The search in a sorted list of hashes that is too large to be read.

use std::cmp::Ordering;
use std::io::{self, Read, Seek, SeekFrom};

use zeroize::Zeroizing;

/// How much is read at once: nearly 200 lines.
const WINDOW: usize = 8 * 1024;
/// So many places are guessed before the rest of the list is halved with every read. Among a
/// thousand million hashes the second guess is right, or the third.
const GUESSES: u32 = 6;
/// What is left out after the last hash would hold more hashes than this only if it was cut off:
/// by chance once in e^64 lists.
const MAX_GAP: f64 = 64.0;

/// Why a list gave no answer.
#[derive(Debug)]
pub(super) enum HashListError {
    Read(io::Error),
    Flaw(HashListFlaw),
}

/// What is wrong with a list of breached passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashListFlaw {
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It holds something else, or its end was cut off in the middle of a line.
    #[error(
        "has a line that is not a SHA-1 hash and a count, \
         such as 21BD12DC183F740EE76F27B78EB39C8AD972A757:1010"
    )]
    NotHashes,
    /// Its lines are in another order, such as that of their counts.
    #[error("is not sorted by hash")]
    Unsorted,
    /// Its end is missing, since hashes are spread evenly.
    #[error("ends too early: the download is not complete")]
    CutOff,
    /// It is a folder without some of its 1,048,576 files.
    #[error("lacks some of the files 00000.txt to FFFFF.txt: the download is not complete")]
    RangeMissing,
}

impl From<io::Error> for HashListError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl From<HashListFlaw> for HashListError {
    fn from(flaw: HashListFlaw) -> Self {
        Self::Flaw(flaw)
    }
}

/// Lines of as many hexadecimal digits as a key has, a colon and a count, sorted.
///
/// Hashes are spread evenly, so that a hash tells about where its line stands.
pub(super) struct HashLines<R> {
    source: R,
    size: u64,
    /// Wiped, since it shows which hash was looked for.
    window: Zeroizing<Vec<u8>>,
}

/// A place in the list where a line begins, or its end.
#[derive(Clone, Copy)]
struct Mark {
    offset: u64,
    /// The first 64 bits of the hash there, or of the one before.
    value: u64,
}

/// The part of the list in which a hash may stand: from the first mark to before the second.
#[derive(Clone, Copy)]
struct Span {
    low: Mark,
    high: Mark,
}

impl Span {
    /// Where a hash would stand if all were spread evenly.
    fn guess(&self, wanted: u64) -> u64 {
        let part = fraction(
            wanted.saturating_sub(self.low.value),
            self.high.value.saturating_sub(self.low.value),
        );
        let bytes = self.high.offset - self.low.offset;
        self.low.offset + ((bytes as f64 * part) as u64).min(bytes)
    }

    const fn middle(&self) -> u64 {
        self.low.offset.midpoint(self.high.offset)
    }
}

/// Where a hash is, as far as some neighbouring lines tell.
enum Finding {
    Present,
    Absent,
    Before(Mark),
    After(Mark),
}

impl<R: Read + Seek> HashLines<R> {
    pub(super) fn new(mut source: R) -> Result<Self, HashListError> {
        let size = source.seek(SeekFrom::End(0))?;
        if size == 0 {
            return Err(HashListFlaw::Empty.into());
        }
        let window = Zeroizing::new(vec![0; WINDOW]);
        Ok(Self {
            source,
            size,
            window,
        })
    }

    /// Whether a line has this hash, in upper-case hexadecimal digits.
    pub(super) fn contain(&mut self, key: &[u8]) -> Result<bool, HashListError> {
        let wanted = value(key).ok_or(HashListFlaw::NotHashes)?;
        let mut span = Span {
            low: Mark {
                offset: 0,
                value: 0,
            },
            high: Mark {
                offset: self.size,
                value: u64::MAX,
            },
        };
        let mut guesses = 0;
        while span.low.offset < span.high.offset {
            let place = if guesses < GUESSES {
                span.guess(wanted)
            } else {
                span.middle()
            };
            guesses += 1;
            match self.look(place, span, key)? {
                Finding::Present => return Ok(true),
                Finding::Absent => return Ok(false),
                Finding::Before(mark) => span.high = mark,
                Finding::After(mark) => span.low = mark,
            }
        }
        if span.low.offset >= self.size && self.is_cut_off(span.low.value, key.len()) {
            return Err(HashListFlaw::CutOff.into());
        }
        Ok(false)
    }

    /// Compares the key with the lines around a place.
    fn look(&mut self, place: u64, span: Span, key: &[u8]) -> Result<Finding, HashListError> {
        let window = WINDOW as u64;
        let start = place
            .saturating_sub(window / 2)
            .min(span.high.offset.saturating_sub(window))
            .max(span.low.offset);
        let length = window.min(self.size - start);
        let text = self
            .window
            .get_mut(..usize::try_from(length).unwrap_or(WINDOW))
            .unwrap_or_default();
        self.source.seek(SeekFrom::Start(start))?;
        self.source.read_exact(text)?;
        // Of lines that begin or end elsewhere nothing is known.
        let is_newline = |&byte: &u8| byte == b'\n';
        let first = if start == span.low.offset {
            Some(0)
        } else {
            text.iter().position(is_newline).map(|newline| newline + 1)
        };
        let end = if start + length == self.size {
            Some(text.len())
        } else {
            text.iter().rposition(is_newline).map(|newline| newline + 1)
        };
        let (first, end) = first.zip(end).ok_or(HashListFlaw::NotHashes)?;
        let lines = text.get(first..end).unwrap_or_default();
        Ok(find_among(lines, start + first as u64, span, key)?)
    }

    /// Whether more is missing after the last hash than chance allows.
    fn is_cut_off(&self, last: u64, digits: usize) -> bool {
        let shortest_line = digits + ":1\n".len();
        let most_lines = self.size as f64 / shortest_line as f64;
        most_lines * fraction(u64::MAX - last, u64::MAX) > MAX_GAP
    }
}

/// Looks for a key in lines that begin at an offset of the list, and checks all of them.
fn find_among(lines: &[u8], offset: u64, span: Span, key: &[u8]) -> Result<Finding, HashListFlaw> {
    let mut offset = offset;
    let mut finding = None;
    let mut last: Option<Line<'_>> = None;
    for text in lines.split_inclusive(|&byte| byte == b'\n') {
        let line = Line::parse(text, key.len()).ok_or(HashListFlaw::NotHashes)?;
        let is_sorted = match &last {
            None => (span.low.value..=span.high.value).contains(&line.value),
            Some(last) => last.compare(line.digits).is_le(),
        };
        if !is_sorted {
            return Err(HashListFlaw::Unsorted);
        }
        let value = line.value;
        match line.compare(key) {
            Ordering::Less => {}
            _ if finding.is_some() => {}
            Ordering::Equal => finding = Some(Finding::Present),
            Ordering::Greater if last.is_some() => finding = Some(Finding::Absent),
            Ordering::Greater => finding = Some(Finding::Before(Mark { offset, value })),
        }
        offset += text.len() as u64;
        last = Some(line);
    }
    let value = last.ok_or(HashListFlaw::NotHashes)?.value;
    Ok(finding.unwrap_or(Finding::After(Mark { offset, value })))
}

fn fraction(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// The first 64 bits of a hash, if it begins with as many hexadecimal digits.
fn value(digits: &[u8]) -> Option<u64> {
    digits.get(..16)?.iter().try_fold(0, |value, &digit| {
        Some(value << 4 | u64::from(char::from(digit).to_digit(16)?))
    })
}

struct Line<'a> {
    digits: &'a [u8],
    value: u64,
}

impl<'a> Line<'a> {
    fn parse(text: &'a [u8], digits: usize) -> Option<Self> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let (digits, count) = text.split_at_checked(digits)?;
        let count = count.strip_prefix(b":")?;
        let is_count = !count.is_empty() && count.iter().all(u8::is_ascii_digit);
        let is_hash = digits.iter().all(u8::is_ascii_hexdigit);
        let value = value(digits)?;
        (is_hash && is_count).then_some(Self { digits, value })
    }

    fn compare(&self, other: &[u8]) -> Ordering {
        let upper = |digits: &'a [u8]| digits.iter().map(u8::to_ascii_uppercase);
        upper(self.digits).cmp(other.iter().map(u8::to_ascii_uppercase))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Cursor;

    use proptest::prelude::*;
    use sha1::{Digest, Sha1};

    use super::*;

    /// Counts what is read of a list.
    struct Counted<R> {
        list: R,
        reads: usize,
    }

    impl<R: Read> Read for Counted<R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            assert!(buffer.len() <= WINDOW);
            self.reads += 1;
            self.list.read(buffer)
        }
    }

    impl<R: Seek> Seek for Counted<R> {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.list.seek(to)
        }
    }

    fn look_up(list: impl Read + Seek, key: &str) -> Result<(bool, usize), HashListFlaw> {
        let lines = HashLines::new(Counted { list, reads: 0 });
        let found = lines.and_then(|mut lines| {
            let found = lines.contain(key.as_bytes())?;
            Ok((found, lines.source.reads))
        });
        found.map_err(|error| match error {
            HashListError::Flaw(flaw) => flaw,
            HashListError::Read(error) => panic!("{error}"),
        })
    }

    fn find(list: &str, key: &str) -> Result<bool, HashListFlaw> {
        look_up(Cursor::new(list), key).map(|(found, _)| found)
    }

    fn sha1(number: usize) -> String {
        let digest = Sha1::digest(number.to_string());
        digest.iter().map(|byte| format!("{byte:02X}")).collect()
    }

    fn hashes(count: usize) -> Vec<String> {
        let mut hashes: Vec<_> = (0..count).map(sha1).collect();
        hashes.sort();
        hashes
    }

    /// The list of some hashes, each with a count of its own length.
    fn list<'a>(hashes: impl IntoIterator<Item = &'a String>, end: &str) -> String {
        let lines = hashes.into_iter().enumerate();
        let lines = lines.map(|(at, hash)| format!("{hash}:{}{end}", 10_usize.pow(at as u32 % 5)));
        lines.collect()
    }

    /// The hashes just before and just after.
    fn neighbours(hash: &str) -> impl Iterator<Item = String> {
        let (start, end) = hash.split_at(20);
        let end = u128::from_str_radix(end, 16).unwrap();
        [end.wrapping_sub(1), end + 1]
            .map(|end| format!("{start}{:020X}", end & ((1 << 80) - 1)))
            .into_iter()
    }

    #[test]
    fn s2_6_a_list_has_its_hashes_and_not_their_neighbours() {
        for (count, step) in [(1, 1), (2, 1), (3, 1), (180, 1), (400, 3), (50_000, 97)] {
            let hashes = hashes(count);
            for end in ["\n", "\r\n"] {
                let list = list(&hashes, end);
                for list in [list.as_str(), list.trim_end()] {
                    let some = hashes.iter().step_by(step).chain(hashes.last());
                    for hash in some {
                        assert_eq!(find(list, hash), Ok(true), "{hash} of {count}");
                        for other in neighbours(hash) {
                            assert_eq!(find(list, &other), Ok(false), "{other} of {count}");
                        }
                    }
                    for end in ["0", "F"] {
                        assert_eq!(find(list, &end.repeat(40)), Ok(false));
                    }
                }
            }
        }
    }

    #[test]
    fn s2_6_the_digits_of_a_list_may_be_in_lower_case() {
        let hashes = hashes(400);
        let list = list(&hashes, "\n").to_lowercase();
        assert!(hashes.iter().all(|hash| find(&list, hash) == Ok(true)));
    }

    #[test]
    fn s2_6_a_look_up_reads_three_times_at_most_in_a_list_of_fifty_thousand() {
        let hashes = hashes(50_000);
        let list = list(&hashes, "\r\n");
        for hash in hashes.iter().step_by(31) {
            let (found, reads) = look_up(Cursor::new(&list), hash).unwrap();
            assert!(found && reads <= 3, "{reads} reads for {hash}");
        }
    }

    /// As many lines as the corpus has, made up where they are read.
    struct Imagined {
        position: u64,
    }

    impl Imagined {
        const LINES: u64 = 1 << 30;
        const LINE: u64 = 45;

        /// The value of a line: half of all lines stand before a value about the middle, as much
        /// beside it as chance would have it; and so on in each half.
        fn value(index: u64) -> u64 {
            let (mut first, mut lines) = (0, Self::LINES);
            let (mut low, mut width) = (0.0, (u64::MAX - (1 << 32)) as f64);
            while lines > 1 {
                let noise = Sha1::digest(format!("{first} {lines}"));
                let noise = noise.iter().take(12).map(|&byte| f64::from(byte) / 256.0);
                let noise = noise.sum::<f64>() - 6.0;
                let share = 0.5 + (noise / (2.0 * (lines as f64).sqrt())).clamp(-0.4, 0.4);
                lines /= 2;
                if index < first + lines {
                    width *= share;
                } else {
                    first += lines;
                    low += width * share;
                    width *= 1.0 - share;
                }
            }
            low as u64
        }

        fn key(index: u64) -> String {
            format!("{:016X}{index:024X}", Self::value(index))
        }
    }

    impl Read for Imagined {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let mut filled = 0;
            while filled < buffer.len() {
                let line = format!("{}:12\r\n", Self::key(self.position / Self::LINE));
                let rest = &line.as_bytes()[(self.position % Self::LINE) as usize..];
                let length = rest.len().min(buffer.len() - filled);
                buffer[filled..filled + length].copy_from_slice(&rest[..length]);
                filled += length;
                self.position += length as u64;
            }
            Ok(filled)
        }
    }

    impl Seek for Imagined {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.position = match to {
                SeekFrom::Start(position) => position,
                SeekFrom::End(0) => Self::LINES * Self::LINE,
                _ => unreachable!("the search does not seek so"),
            };
            Ok(self.position)
        }
    }

    #[test]
    fn s2_6_a_look_up_reads_three_times_at_most_in_a_list_of_48_gigabytes() {
        const TRIALS: u64 = 50;
        for trial in 0..TRIALS {
            let key = Imagined::key(Imagined::LINES / TRIALS * trial + 7 * trial);
            let (found, reads) = look_up(Imagined { position: 0 }, &key).unwrap();
            assert!(found && reads <= 3, "{reads} reads for {key}");
        }
    }

    #[test]
    fn s2_6_a_list_that_is_not_spread_evenly_costs_a_bounded_number_of_reads() {
        let crowd = (0..100_000_u64).map(|at| format!("7{:039X}", at * at));
        let hashes: Vec<_> = crowd.chain(["F".repeat(40)]).collect();
        let list = list(&hashes, "\n");
        let most = GUESSES as usize + (list.len() / WINDOW).ilog2() as usize + 2;
        for hash in hashes.iter().step_by(997) {
            let (found, reads) = look_up(Cursor::new(&list), hash).unwrap();
            assert!(found && reads <= most, "{reads} reads for {hash}");
        }
    }

    #[test]
    fn s2_6_what_is_no_whole_list_is_refused() {
        let hashes = hashes(2_000);
        let whole = list(&hashes, "\r\n");
        let greatest = "F".repeat(40);
        let middle = &whole[..whole.len() / 90 * 45];
        let in_a_hash = &middle[..middle.rfind('\n').unwrap() + 21];
        let at_a_count = &middle[..middle.rfind(':').unwrap() + 1];
        let at_a_line = &middle[..middle.rfind('\n').unwrap() + 1];
        for (list, flaw) in [
            ("", HashListFlaw::Empty),
            ("\n", HashListFlaw::NotHashes),
            (in_a_hash, HashListFlaw::NotHashes),
            (at_a_count, HashListFlaw::NotHashes),
            (at_a_line, HashListFlaw::CutOff),
            (&whole.replace(':', ";"), HashListFlaw::NotHashes),
            (&whole.replace("\r\n", " "), HashListFlaw::NotHashes),
            (&"x".repeat(3 * WINDOW), HashListFlaw::NotHashes),
            (&"\n".repeat(3 * WINDOW), HashListFlaw::NotHashes),
            // NTLM hashes have 32 digits.
            (
                "32ED87BDB5FDC5E9CBA88547376818D4:24",
                HashListFlaw::NotHashes,
            ),
        ] {
            assert_eq!(find(list, &greatest), Err(flaw), "{list:.60}");
        }
    }

    #[test]
    fn s2_6_an_unsorted_list_is_refused() {
        let mut hashes = hashes(2_000);
        hashes.sort_by(|a, b| a[20..].cmp(&b[20..]));
        let by_count = list(&hashes, "\n");
        hashes.sort();
        hashes.rotate_left(1_000);
        let rotated = list(&hashes, "\n");
        for key in ["0", "4", "9", "F"].map(|digit| digit.repeat(40)) {
            assert_eq!(find(&by_count, &key), Err(HashListFlaw::Unsorted));
        }
        let found = hashes.iter().map(|key| find(&rotated, key));
        assert!(
            found
                .into_iter()
                .any(|it| it == Err(HashListFlaw::Unsorted))
        );
    }

    proptest! {
        #[test]
        fn s2_6_the_search_finds_what_a_set_holds(
            hashes in prop::collection::btree_set("[0-9A-F]{2}[07F]{3}0{10}[0F]{5}", 0..400),
            others in prop::collection::vec("[0-9A-F]{2}[07F]{3}0{10}[0F]{5}", 8),
            end in "\r?\n",
        ) {
            // Without it, what stands in one corner alone would look cut off.
            let hashes: BTreeSet<_> = hashes.into_iter().chain(["F".repeat(20)]).collect();
            let list = list(&hashes, &end);
            for key in hashes.iter().step_by(29).chain(&others) {
                prop_assert_eq!(find(&list, key), Ok(hashes.contains(key)));
            }
        }

        #[test]
        fn no_list_panics(
            list in prop::collection::vec("[0-9A-F]{16}:[0-9]\n|[0-9A-F:\r\n]{0,30}", 0..900),
            key in "[0-9A-F]{16}",
        ) {
            let _ = find(&list.concat(), &key);
        }
    }
}
