// Verifies an access token from standard input: node verify.mjs JWKS_URL ISSUER CALLER_ADDRESS, with jose from npm.
import { readFileSync } from "node:fs";
import { BlockList, isIP } from "node:net";
import { createRemoteJWKSet, jwtVerify } from "jose";

const [url, issuer, caller] = process.argv.slice(2);
// Keeps the keys for as long as the issuer says, and asks again for a kid that it does not know.
const keys = createRemoteJWKSet(new URL(url), { cacheMaxAge: 300_000 });

/** The claims of a token that is valid for a caller at this address. */
async function verify(token, address) {
  const { payload } = await jwtVerify(token, keys, {
    issuer,
    algorithms: ["ES256"],
    typ: "JWT",
    requiredClaims: ["sub", "iat", "exp", "ipn", "ses", "scope"],
  });
  if (payload.iat > Date.now() / 1000 + 30) {
    throw new Error("not yet valid");
  }
  // An IPv4 caller on an IPv6 socket.
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, "");
  const family = (text) => `ipv${isIP(text)}`;
  const [network, length] = payload.ipn.split("/");
  const networks = new BlockList();
  networks.addSubnet(network, Number(length), family(network));
  if (family(network) !== family(plain) || !networks.check(plain, family(plain))) {
    throw new Error("not given to this network");
  }
  return payload;
}

try {
  console.log(JSON.stringify(await verify(readFileSync(0, "utf8").trim(), caller)));
} catch (error) {
  console.error(`refused: ${error.message}`);
  process.exitCode = 1;
}
