// Verifies an access token as a service in JavaScript would: jose with its remote JWKS.
// The token comes from standard input; the issuer and the algorithm are arguments.

import assert from "node:assert/strict";
import { text } from "node:stream/consumers";
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const [issuer, algorithm] = process.argv.slice(2);
const token = (await text(process.stdin)).trim();
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));

const verify = (token) =>
  jwtVerify(token, keys, {
    algorithms: [algorithm],
    issuer,
    audience: issuer,
    typ: "at+jwt",
    requiredClaims: ["exp", "iat", "sub", "jti"],
  });

// The same claims, and a signature of which one character in the middle is another.
const changed = (token) => {
  const [header, claims, signature] = token.split(".");
  const middle = signature.length >> 1;
  const other = signature[middle] === "A" ? "B" : "A";
  return [header, claims, signature.slice(0, middle) + other + signature.slice(middle + 1)].join(".");
};

const { payload } = await verify(token);
assert.deepEqual(payload.roles, ["superuser"]);
await assert.rejects(verify(changed(token)), errors.JWSSignatureVerificationFailed);
console.log(`jose: ${algorithm} verified, and refused when changed`);
