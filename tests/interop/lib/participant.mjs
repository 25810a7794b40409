// Someone in the room: a browser page or a Rust peer. Both take the same commands and report the same events.
import { isDeepStrictEqual } from "node:util";

/** A wait that ran out; the text says what came instead. */
export class Timeout extends Error {}

const matches = (entry, wanted) =>
  typeof wanted === "function"
    ? wanted(entry)
    : Object.entries(wanted).every(([key, value]) => isDeepStrictEqual(entry[key], value));

export class Participant {
  #waiting = new Set();
  #ended;

  /** @param {string} name shown in failures */
  constructor(name) {
    this.name = name;
    /** Every event so far, in order; `received` is this process's clock. */
    this.log = [];
  }

  /** Takes an event in. */
  record(entry) {
    entry.received = performance.now();
    this.log.push(entry);
    for (const waiting of this.#waiting) waiting.offer(entry);
  }

  /** Nothing comes any more: every wait fails now instead of at its limit. */
  end(reason) {
    this.#ended ??= new Error(`${this.name} ended: ${reason}`);
    for (const waiting of this.#waiting) waiting.fail(this.#ended);
  }

  /** Where the log is now: `event` can be told to look only at what comes after. */
  get mark() {
    return this.log.length;
  }

  /**
   * The first event of this name that matches, past or to come.
   * @param {string} event
   * @param {object | ((entry: object) => boolean)} wanted fields that must be equal, or a test
   */
  event(event, wanted = {}, { within = 20_000, after = 0 } = {}) {
    const fits = (entry) => entry.event === event && matches(entry, wanted);
    const past = this.log.slice(after).find(fits);
    if (past) return Promise.resolve(past);
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      const finish = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
        settle(value);
      };
      const waiting = {
        offer: (entry) => fits(entry) && finish(resolve, entry),
        fail: (error) => finish(reject, error),
      };
      const timer = setTimeout(() => finish(reject, new Timeout(this.#missed(event, wanted, within))), within);
      this.#waiting.add(waiting);
    });
  }

  /** Whether such an event came so far. */
  saw(event, wanted = {}) {
    return this.log.some((entry) => entry.event === event && matches(entry, wanted));
  }

  #missed(event, wanted, within) {
    const what = typeof wanted === "function" ? "" : ` ${JSON.stringify(wanted)}`;
    const seen = this.log.slice(-12).map(({ received, at, ...rest }) => JSON.stringify(rest).slice(0, 200));
    return `${this.name}: no ${event}${what} within ${within / 1000} s; last events:\n    ${seen.join("\n    ")}`;
  }

  /** Joins and remembers our id. */
  async join(room) {
    const { peerId } = await this.call("join", { ...this.server, room });
    this.id = peerId;
  }

  leave(reason) {
    return this.call("leave", { reason });
  }
}

/** Asks again until the answer holds; for statistics, which have no events. */
export async function until(what, ask, { within = 20_000, every = 100 } = {}) {
  const limit = performance.now() + within;
  for (;;) {
    const { ok, ...rest } = await ask();
    if (ok) return rest;
    if (performance.now() > limit) throw new Timeout(`not within ${within / 1000} s: ${what}; ${JSON.stringify(rest)}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}
