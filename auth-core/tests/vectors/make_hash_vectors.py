#!/usr/bin/env python3
"""Makes `hashes.json`: password hashes as other systems store them.

    python3 auth-core/tests/vectors/make_hash_vectors.py > auth-core/tests/vectors/hashes.json

It installs the systems below from PyPI, each set into a virtual environment of its own in a temporary
folder, and lets them do the hashing. What an earlier system made as well is left out. Salts are fixed,
so that another run gives the same file. Made with Python 3.11.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import venv

# Django with three sets of defaults; bcrypt before and after it began to refuse long passwords instead
# of cutting them.
SYSTEMS = {
    "Django 3.2": ["Django==3.2.25", "argon2-cffi==21.3.0", "bcrypt==3.2.2"],
    "Django 4.2": ["Django==4.2.30", "argon2-cffi==23.1.0", "bcrypt==4.0.1"],
    "Django 5.2": ["Django==5.2.19", "argon2-cffi==25.1.0", "bcrypt==5.0.0"],
    "reference": ["argon2-cffi==25.1.0", "bcrypt==4.0.1", "passlib==1.7.4"],
}

ASCII = "correct horse battery staple"
# NFC, as browsers send it; the second holds a letter and its accent apart, as some keyboards do.
UNICODE = "пароль Ünïcödé \N{CROISSANT}"
APART = "cafe\N{COMBINING ACUTE ACCENT} cre\N{COMBINING GRAVE ACCENT}me"
LONG = "0123456789" * 12


def wrong(password):
    """The password with its first character changed."""
    return ("x" if password[0] != "x" else "y") + password[1:]


def django():
    import django
    from django.conf import settings

    prefix = "django.contrib.auth.hashers."
    names = ["PBKDF2", "PBKDF2SHA1", "Argon2", "BCryptSHA256", "BCrypt", "Scrypt"]
    settings.configure(PASSWORD_HASHERS=[f"{prefix}{name}PasswordHasher" for name in names if has(name)])
    django.setup()
    from django.contrib.auth.hashers import check_password, get_hasher

    salt = "jUKBqLSJaUH6b5Nh0wYVWy"
    bcrypt_salt = b"$2b$04$abcdefghijklmnopqrstuu"

    def vector(algorithm, password, **options):
        hasher = get_hasher(algorithm)
        with_salt = bcrypt_salt if algorithm.startswith("bcrypt") else salt
        encoded = hasher.encode(password, with_salt, **options)
        assert check_password(password, encoded) and not check_password(wrong(password), encoded)
        return {"hash": encoded, "password": password, "wrong": wrong(password)}

    # With the parameters of this version.
    yield vector("pbkdf2_sha256", ASCII)
    for algorithm in ["argon2", "scrypt"] if has("Scrypt") else ["argon2"]:
        for password in [ASCII, UNICODE, APART]:
            yield vector(algorithm, password)
    # Cheaply, so that the tests do not take minutes.
    for password in [UNICODE, APART, LONG, "a", " spaces "]:
        yield vector("pbkdf2_sha256", password, iterations=1000)
        yield vector("pbkdf2_sha1", password, iterations=1000)
        yield vector("bcrypt_sha256", password)
        if len(password.encode()) <= 72:
            yield vector("bcrypt", password)
    yield vector("bcrypt", LONG[:72])


def has(name):
    from django.contrib.auth import hashers

    return hasattr(hashers, f"{name}PasswordHasher")


def reference():
    import argon2.low_level
    import bcrypt
    import passlib.hash

    def vector(encoded, password):
        if isinstance(encoded, bytes):
            encoded = encoded.decode("ascii")
        return {"hash": encoded, "password": password, "wrong": wrong(password)}

    salt = bytes(range(16))
    for password in [ASCII, UNICODE, LONG]:
        secret = password.encode()
        for kind in [argon2.low_level.Type.I, argon2.low_level.Type.ID]:
            yield vector(argon2.low_level.hash_secret(secret, salt, 2, 1024, 2, 32, kind), password)
        yield vector(passlib.hash.scrypt.using(salt=salt, rounds=10, block_size=8, parallelism=2).hash(secret), password)
        for digest in ["pbkdf2_sha1", "pbkdf2_sha256", "pbkdf2_sha512"]:
            encoded = getattr(passlib.hash, digest).using(salt=salt, rounds=1000).hash(secret)
            yield vector(encoded, password)
            # The same as a PHC string: https://github.com/P-H-C/phc-string-format
            _, name, rounds, encoded_salt, output = encoded.replace(".", "+").split("$")
            yield vector(f"${name}$i={rounds}${encoded_salt}${output}", password)
        # This bcrypt cuts what is longer than 72 bytes.
        for version in ["2a", "2b", "2y"]:
            encoded = bcrypt.hashpw(secret, b"$2b$05$abcdefghijklmnopqrstuu").replace(b"$2b", f"${version}".encode())
            assert bcrypt.checkpw(secret, encoded)
            yield vector(encoded, password)
    yield vector(bcrypt.hashpw(ASCII.encode(), b"$2b$12$abcdefghijklmnopqrstuu"), ASCII)
    yield vector(passlib.hash.scrypt.using(salt=salt, rounds=16, block_size=8, parallelism=1).hash(ASCII), ASCII)


def main():
    systems = []
    known = set()
    for system, packages in SYSTEMS.items():
        with tempfile.TemporaryDirectory() as folder:
            venv.create(folder, with_pip=True)
            python = pathlib.Path(folder, "bin", "python")
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True, stdout=sys.stderr)
            made = subprocess.run([python, __file__, "--inside", system], check=True, stdout=subprocess.PIPE)
        vectors = [vector for vector in json.loads(made.stdout) if vector["hash"] not in known]
        known.update(vector["hash"] for vector in vectors)
        systems.append({"packages": packages, "vectors": vectors})
    made_by = f"python3 auth-core/tests/vectors/{pathlib.Path(__file__).name}"
    json.dump({"made_by": made_by, "systems": systems}, sys.stdout, indent=1, ensure_ascii=False)
    print()


if sys.argv[1:2] == ["--inside"]:
    json.dump(list(reference() if sys.argv[2] == "reference" else django()), sys.stdout)
else:
    main()
