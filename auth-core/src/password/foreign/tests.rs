use proptest::prelude::*;

use super::super::PasswordHash;
use super::super::params::Argon2Ceilings;
use super::super::stored::StoredHash;
use super::*;

const OUTPUT_16: &str = "AAECAwQFBgcICQoLDA0ODw";
const OUTPUT_20: &str = "AAECAwQFBgcICQoLDA0ODxAREhM=";
const OUTPUT_32: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OUTPUT_64: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
const BCRYPT: &str = "abcdefghijklmnopqrstuuFiPhXf1sVd3pCCRO.uVh34H/qI/ZsuS";

fn ceilings() -> Ceilings {
    Ceilings {
        argon2: Argon2Ceilings::new(1024, 4, 4),
        foreign: ForeignCeilings::default()
            .with_pbkdf2_iterations(1000)
            .with_scrypt_memory_kib(2048)
            .with_scrypt_work_kib(4096)
            .with_bcrypt_cost(5),
    }
}

fn parse(string: &str) -> Result<(), Unusable> {
    StoredHash::parse(&PasswordHash::from_stored(string), ceilings()).map(|_| ())
}

#[test]
fn every_form_is_read() {
    for string in [
        format!("pbkdf2_sha256$1000$salt${OUTPUT_32}"),
        format!("pbkdf2_sha256$1${}${OUTPUT_32}", "ä".repeat(64)),
        format!("pbkdf2_sha1$1000$salt${OUTPUT_20}"),
        format!("$pbkdf2$i=1000$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$pbkdf2-sha1$i=1000,l=16$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$pbkdf2-sha256$1000$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$pbkdf2-sha512$i=1000$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("scrypt$1024$salt$8$1${OUTPUT_64}"),
        format!("$scrypt$ln=10,r=8,p=1$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$2a$05${BCRYPT}"),
        format!("$2b$04${BCRYPT}"),
        format!("$2y$05${BCRYPT}"),
        format!("bcrypt$$2b$05${BCRYPT}"),
        format!("bcrypt_sha256$$2b$05${BCRYPT}"),
        format!("argon2$argon2id$v=19$m=1024,t=4,p=4$c2FsdHNhbHQ${OUTPUT_16}"),
    ] {
        assert_eq!(parse(&string), Ok(()), "{string}");
    }
}

#[test]
fn s1_3_what_is_no_hash_of_another_system_is_refused() {
    let long = "A".repeat(1 << 20);
    for string in [
        "pbkdf2_sha256$".to_owned(),
        "pbkdf2_sha256$1000$salt".to_owned(),
        "pbkdf2_sha256$1000$salt$".to_owned(),
        "pbkdf2_sha256$1000$salt$AAAA".to_owned(),
        format!("pbkdf2_sha256$1000$salt${OUTPUT_20}"),
        format!("pbkdf2_sha256$1000$salt${OUTPUT_32}="),
        format!("pbkdf2_sha256$1000$salt${OUTPUT_32}$"),
        format!("pbkdf2_sha256$1000$salt${OUTPUT_32}\n"),
        format!("pbkdf2_sha256$1000$salt${long}"),
        format!("pbkdf2_sha256$1000${long}${OUTPUT_32}"),
        format!("pbkdf2_sha256$1000$${OUTPUT_32}"),
        format!("pbkdf2_sha1$1000$salt${OUTPUT_32}"),
        "$pbkdf2-sha256$i=1000$c2FsdHNhbHQ$AAECAwQFBgcICQoLDA0O".to_owned(),
        format!(
            "$pbkdf2-sha256$i=1000$c2FsdHNhbHQ$AA{}",
            OUTPUT_64.trim_end_matches('=')
        ),
        "$pbkdf2-sha256$i=1000$c2FsdHNhbHQ$".to_owned(),
        format!("$pbkdf2-sha256$i=1000$${OUTPUT_16}"),
        format!("$pbkdf2-sha256$i=1000,l=32$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$pbkdf2-sha256$i=1000,x=1$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$pbkdf2-sha256$i=1000$c2FsdHNhbHQ${OUTPUT_20}"),
        format!("$pbkdf2-sha256$i=1000$a.a.a.a.$${OUTPUT_16}"),
        format!("$pbkdf2-sha256$1000$a+a+a+a+$${OUTPUT_16}"),
        format!("scrypt$1000$salt$8$1${OUTPUT_64}"),
        format!("scrypt$1$salt$8$1${OUTPUT_64}"),
        format!("scrypt$1024$salt$0$1${OUTPUT_64}"),
        format!("scrypt$1024$salt$8$0${OUTPUT_64}"),
        format!("scrypt$1024$salt$65536$65536${OUTPUT_64}"),
        format!("scrypt$1024$salt$4294967295$4294967295${OUTPUT_64}"),
        format!("scrypt$1024$$8$1${OUTPUT_64}"),
        "scrypt$1024$salt$8$1$".to_owned(),
        format!("scrypt$salt$1024$8$1${OUTPUT_64}"),
        format!("$scrypt$ln=0,r=8,p=1$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$scrypt$ln=10,r=8$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$scrypt$ln=10,r=8,p=1,x=1$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$scrypt$v=1$ln=10,r=8,p=1$c2FsdHNhbHQ${OUTPUT_16}"),
        "$scrypt$ln=10,r=8,p=1$c2FsdHNhbHQ".to_owned(),
        format!("$2b$05${BCRYPT}x"),
        format!("$2b$05${}", &BCRYPT[1..]),
        format!("$2b$05${}ä", &BCRYPT[2..]),
        format!("$2b$5${BCRYPT}"),
        format!("$2b$+5${BCRYPT}"),
        format!("$2b$03${BCRYPT}"),
        format!("$2b$00${BCRYPT}"),
        "bcrypt$$2b$05$".to_owned(),
        "argon2$argon2id$v=19$m=1024,t=4,p=4".to_owned(),
    ] {
        assert_eq!(parse(&string), Err(Unusable::Malformed), "{string:.99}");
    }
    for iterations in ["", "0", "-1", "+1", "01", "1e3", " 1", "4294967296"] {
        let string = format!("pbkdf2_sha256${iterations}$salt${OUTPUT_32}");
        assert_eq!(parse(&string), Err(Unusable::Malformed), "{iterations:?}");
    }
}

#[test]
fn s1_3_other_algorithms_are_unknown() {
    for string in [
        format!("$2x$05${BCRYPT}"),
        format!("bcrypt$$2x$05${BCRYPT}"),
        format!("bcrypt$bcrypt$$2b$05${BCRYPT}"),
        "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99".to_owned(),
        "sha1$salt$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8".to_owned(),
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0".to_owned(),
        "$6$salt$x".to_owned(),
        format!("PBKDF2_SHA256$1000$salt${OUTPUT_32}"),
    ] {
        assert_eq!(parse(&string), Err(Unusable::Algorithm), "{string}");
    }
    let keyid = "argon2$argon2id$v=19$m=32,t=1,p=1,keyid=MjAyNg$AAECAwQFBgcICQoLDA0ODw";
    assert_eq!(
        parse(&format!("{keyid}${OUTPUT_16}")),
        Err(Unusable::Pepper)
    );
}

#[test]
fn s1_3_a_hash_of_another_system_above_the_ceilings_is_refused() {
    for string in [
        format!("pbkdf2_sha256$1001$salt${OUTPUT_32}"),
        format!("pbkdf2_sha256$4294967295$salt${OUTPUT_32}"),
        format!("$pbkdf2-sha256$i=4294967295$c2FsdHNhbHQ${OUTPUT_16}"),
        // Two blocks of output are twice the work.
        format!(
            "$pbkdf2-sha256$i=501$c2FsdHNhbHQ${}",
            OUTPUT_64.trim_end_matches('=')
        ),
        format!("scrypt$2048$salt$8$1${OUTPUT_64}"),
        format!("scrypt$1024$salt$16$1${OUTPUT_64}"),
        format!("scrypt$1024$salt$8$5${OUTPUT_64}"),
        format!("scrypt$2$salt$1$16384${OUTPUT_64}"),
        format!("scrypt$2147483648$salt$4294967295$1${OUTPUT_64}"),
        format!("scrypt$2$salt$1$4294967295${OUTPUT_64}"),
        format!("$scrypt$ln=11,r=8,p=1$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$scrypt$ln=63,r=1,p=1$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$scrypt$ln=64,r=1,p=1$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$scrypt$ln=128,r=1,p=1$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$scrypt$ln=4294967295,r=1,p=1$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$2b$06${BCRYPT}"),
        format!("bcrypt_sha256$$2b$31${BCRYPT}"),
        format!("argon2$argon2id$v=19$m=1025,t=4,p=4$c2FsdHNhbHQ${OUTPUT_16}"),
    ] {
        assert_eq!(parse(&string), Err(Unusable::Cost), "{string}");
    }
}

/// The largest parameters that are common stay below the default ceilings.
#[test]
fn the_ceilings_have_room_for_what_other_systems_make() {
    for string in [
        format!("pbkdf2_sha256$1200000$salt${OUTPUT_32}"),
        format!("$pbkdf2$i=1400000$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("scrypt$16384$salt$8$5${OUTPUT_64}"),
        format!("scrypt$131072$salt$8$1${OUTPUT_64}"),
        format!("$scrypt$ln=17,r=8,p=1$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$scrypt$ln=13,r=8,p=10$c2FsdHNhbHQ${OUTPUT_16}"),
        format!("$2b$15${BCRYPT}"),
        format!("argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHQ${OUTPUT_16}"),
    ] {
        let stored = PasswordHash::from_stored(string.as_str());
        assert!(
            StoredHash::parse(&stored, Ceilings::default()).is_ok(),
            "{string}"
        );
    }
}

/// Whether the string is a hash of the password.
fn is_of(string: &str, password: &str) -> bool {
    let scheme = string.split_inclusive('$').next().unwrap();
    let scheme = match scheme {
        "$" => &string[..=string[1..].find('$').unwrap()],
        _ => scheme.trim_end_matches('$'),
    };
    let hash = ForeignHash::parse(scheme, string, Ceilings::default());
    let argon2 = |_: &Argon2Hash| Err(HashError::failed("not computed here"));
    bool::from(hash.ok().unwrap().is_of(password, argon2).unwrap())
}

/// Made by Django 5.2, as `tests/vectors` tells.
const HASHES_OF_A: [&str; 4] = [
    "pbkdf2_sha256$1000$jUKBqLSJaUH6b5Nh0wYVWy$hubWLfTsTGt1pcKBgdLVDlFrZL15GHqghy/yRhpy5HE=",
    "pbkdf2_sha1$1000$jUKBqLSJaUH6b5Nh0wYVWy$vMK6gCpMRhlreTq6rebY885TfbE=",
    "bcrypt$$2b$04$abcdefghijklmnopqrstuuMFdJu9yVgmagVAIC24fOZkaFqd3s9JC",
    "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuABv4ioqRwm4Iqrt5uUyWxGne6Dqbk9.",
];

#[test]
fn s2_5_a_password_with_a_nul_matches_no_hash_of_another_system() {
    for string in HASHES_OF_A {
        assert!(is_of(string, "a"), "{string}");
        for password in ["a\0", "a\0b", "\0a", ""] {
            assert!(!is_of(string, password), "{string} {password:?}");
        }
    }
}

#[test]
fn s1_5_the_output_of_another_system_is_compared_as_a_whole() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    let (before, output) = HASHES_OF_A[0].rsplit_once('$').unwrap();
    let output = STANDARD.decode(output).unwrap();
    for index in 0..output.len() {
        let mut tampered = output.clone();
        tampered[index] ^= 1;
        let string = format!("{before}${}", STANDARD.encode(tampered));
        assert!(!is_of(&string, "a"), "{string}");
    }
    // The last digit of bcrypt's output has four bits, the others six.
    let bcrypt = HASHES_OF_A[2];
    for index in bcrypt.len() - 31..bcrypt.len() {
        let mut tampered = bcrypt.to_owned();
        let other = if &bcrypt[index..=index] == "." {
            "O"
        } else {
            "."
        };
        tampered.replace_range(index..=index, other);
        assert!(!is_of(&tampered, "a"), "{tampered}");
    }
}

proptest! {
    #[test]
    fn s1_3_no_string_of_another_system_panics(
        string in "(pbkdf2_sha(1|256)|scrypt|bcrypt(_sha256)?|argon2|\\$pbkdf2(-sha512)?|\\$scrypt|\\$2[aby])?\
            (\\$(i=|ln=)?[0-9]{0,11})?(,?[rpl]=[0-9]{0,11}){0,2}(\\$[0-9a-zA-Z+/.]{0,60}={0,2}){0,4}\\PC{0,9}"
    ) {
        let _ = parse(&string);
    }

    #[test]
    fn s1_3_no_fields_of_scrypt_panic(n in any::<u32>(), log_n in any::<u32>(), r: u32, p: u32) {
        let _ = parse(&format!("scrypt${n}$salt${r}${p}${OUTPUT_64}"));
        let _ = parse(&format!("scrypt${}$salt${r}${p}${OUTPUT_64}", 1_u32 << (n % 32)));
        let _ = parse(&format!("$scrypt$ln={log_n},r={r},p={p}$c2FsdHNhbHQ${OUTPUT_16}"));
        let _ = parse(&format!("$scrypt$ln={},r={r},p={p}$c2FsdHNhbHQ${OUTPUT_16}", log_n % 130));
    }
}
