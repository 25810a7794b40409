// The example program `room`: plays and records files.
import { start, stop } from "./process.mjs";

/** Starts it; `stop` asks it to leave, as a user would with Ctrl-C, and gives its exit code. */
export function startRoom(binary, { server, room, play = [], record }) {
  const args = ["--url", server.url, "--key", server.key, "--room", room, "--loopback"];
  args.push(...play.flatMap((file) => ["--play", file]), ...(record ? ["--record", record] : []));
  const said = [];
  const process = start(binary, args, { onLine: (line) => said.push(line) });
  return {
    ended: process.ended,
    /** The last of what it said, for failures. */
    get said() {
      return [...said, ...process.errors].slice(-30);
    },
    stop: () => stop(process, { signal: "SIGINT", within: 10_000 }),
  };
}
