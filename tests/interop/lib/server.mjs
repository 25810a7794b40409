// Our signalling server, as its binary.
import { start, stop } from "./process.mjs";
import { SECRET } from "./token.mjs";

const KEY = "pk_live_interop";

/** Starts it on a port the system chooses, or on the given one; resolves when it listens. */
export async function startServer(binary, { port = 0 } = {}) {
  let listening;
  const ready = new Promise((resolve) => (listening = resolve));
  const credentials = ["--key", KEY, "--secret", `${SECRET.id}:${SECRET.secret}`];
  const process = start(binary, ["--listen", `127.0.0.1:${port}`, ...credentials], {
    onLine: (line) => listening(line.match(/^listening on ws:\/\/[^ :]+:(\d+)/)?.[1]),
  });
  const chosen = await Promise.race([ready, process.ended]);
  if (!(Number(chosen) > 0)) throw new Error(`the server did not start: ${chosen}\n${process.errors.join("\n")}`);
  return {
    port: Number(chosen),
    // The SDK takes ws: for localhost only.
    access: { url: `ws://localhost:${chosen}`, key: KEY },
    stop: () => stop(process),
    /** As if the machine had lost its power. */
    kill: () => stop(process, { signal: "SIGKILL" }),
    errors: process.errors,
  };
}
