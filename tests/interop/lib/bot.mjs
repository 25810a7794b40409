// A Rust peer: the program interop-peer, one JSON object a line in and out.
import { Participant } from "./participant.mjs";
import { start, stop } from "./process.mjs";

export class Bot extends Participant {
  isBrowser = false;
  #process;
  #next = 1;
  #replies = new Map();

  /**
   * @param films IVF files of VP8 for its video tracks: a camera's and a screen's
   * @param inside what runs the program, with the arguments before it, if it is not to run here
   */
  constructor(name, { binary, server, films = [], inside = [] }) {
    super(name);
    this.server = server;
    const [program, ...args] = [...inside, binary, ...films];
    this.#process = start(program, args, { onLine: (line) => this.#take(line) });
    this.errors = this.#process.errors;
    this.#process.child.stdin.on("error", () => {});
    this.#process.ended.then((code) => {
      this.end(`exit ${code}\n    ${this.errors.slice(-20).join("\n    ")}`);
      for (const { reject } of this.#replies.values()) reject(new Error(`${name} ended: exit ${code}`));
    });
  }

  #take(line) {
    const entry = JSON.parse(line);
    const { reply, ok, error } = entry;
    if (reply === undefined) return this.record(entry);
    const { resolve, reject } = this.#replies.get(reply);
    this.#replies.delete(reply);
    if (error === undefined) resolve(ok);
    else reject(new Error(`${this.name}: ${error}`));
  }

  call(command, fields = {}) {
    const id = this.#next++;
    this.#process.child.stdin.write(`${JSON.stringify({ id, do: command, ...fields })}\n`);
    return new Promise((resolve, reject) => this.#replies.set(id, { resolve, reject }));
  }

  /** What came of one track, and whether that is enough. */
  async received(from, kind, track, frames) {
    const tracks = await this.call("received", { peer: from.id });
    const ofKind = tracks.filter((entry) => entry.kind === kind);
    const found = ofKind.find((entry) => entry.track === track) ?? ofKind[0];
    if (!found) return { ok: false, tracks };
    return { ok: found.frames >= frames && found.keyFrames > 0, count: found.frames, ...found };
  }

  async kill() {
    await stop(this.#process, { signal: "SIGKILL" });
  }
}
