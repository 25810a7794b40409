// Named checks: one line each, a count at the end.
import { isDeepStrictEqual } from "node:util";

export const count = { passed: 0, failed: 0 };
/** Times worth knowing, by what was measured. */
export const measured = new Map();

function line(good, name, detail = "") {
  count[good ? "passed" : "failed"]++;
  console.log(`${good ? "ok  " : "FAIL"} ${name}${detail && `: ${detail}`}`);
}

/** The checks of one scenario. */
export class Checks {
  constructor(scenario) {
    this.scenario = scenario;
    this.failed = 0;
  }

  /** Passes when the promise (or function) gives a value; gives that value, or undefined when it failed. */
  async check(name, attempt) {
    const began = performance.now();
    try {
      const value = await (typeof attempt === "function" ? attempt() : attempt);
      line(true, `${this.scenario}: ${name} (${Math.round(performance.now() - began)} ms)`);
      return value;
    } catch (error) {
      this.fail(name, error);
    }
  }

  equal(name, actual, expected) {
    const good = isDeepStrictEqual(actual, expected);
    if (!good) this.failed++;
    line(good, `${this.scenario}: ${name}`, good ? "" : `${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`);
  }

  holds(name, good, detail = "") {
    if (!good) this.failed++;
    line(good, `${this.scenario}: ${name}`, good ? "" : detail);
  }

  fail(name, error) {
    this.failed++;
    line(false, `${this.scenario}: ${name}`, error?.message ?? String(error));
  }

  /** Notes a time in milliseconds for the summary. */
  measure(what, milliseconds) {
    measured.set(what, [...(measured.get(what) ?? []), milliseconds]);
  }
}

export function summary() {
  for (const [what, times] of measured) {
    const sorted = times.toSorted((a, b) => a - b).map(Math.round);
    console.log(`time ${what}: ${sorted.join(", ")} ms`);
  }
  console.log(`${count.passed} passed, ${count.failed} failed`);
}
