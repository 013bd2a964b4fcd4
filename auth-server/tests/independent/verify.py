"""Verifies an access token as a service in Python would: PyJWT with its JWKS client.

The token comes from standard input; the issuer and the algorithm are arguments.
"""

import sys

import jwt


def verify(token, issuer, algorithm, keys):
    key = keys.get_signing_key_from_jwt(token)
    return jwt.decode(
        token,
        key,
        algorithms=[algorithm],
        issuer=issuer,
        audience=issuer,
        options={"require": ["exp", "iat", "sub", "jti"]},
    )


def changed(token):
    """The same claims, and a signature of which one character in the middle is another."""
    signed, signature = token.rsplit(".", 1)
    middle = len(signature) // 2
    other = "B" if signature[middle] == "A" else "A"
    return f"{signed}.{signature[:middle]}{other}{signature[middle + 1:]}"


def main():
    issuer, algorithm = sys.argv[1:]
    token = sys.stdin.read().strip()
    keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json")
    claims = verify(token, issuer, algorithm, keys)
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert claims["roles"] == ["superuser"], claims
    try:
        verify(changed(token), issuer, algorithm, keys)
    except jwt.InvalidSignatureError:
        print(f"PyJWT {jwt.__version__}: {algorithm} verified, and refused when changed")
    else:
        sys.exit("PyJWT accepts a changed signature")


main()
