// A peer of another implementation: a program with the commands and events of ours, one JSON object a line.
import { Bot } from "./bot.mjs";

export class Peer extends Bot {
  /** How much of that kind came so far. */
  async received(from) {
    const count = await this.call("received", { peer: from.id });
    return { ok: count > 0, count };
  }
}
