// Tokens, so that a peer has the same id after a reconnect (with a key the server gives it another).
import { createHmac } from "node:crypto";

export const SECRET = { id: "sk_id_interop", secret: "sk_secret_interop_interop_interop" };

export function token(sub) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub, exp: Math.floor(Date.now() / 1000) + 3600 };
  const signed = `${part({ alg: "HS256", typ: "JWT", kid: SECRET.id })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", SECRET.secret).update(signed).digest("base64url")}`;
}
