// Plays scenarios: each in a room of its own, with participants of its own.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { Checks, count, summary } from "./checks.mjs";
import { output } from "./setup.mjs";

const SCENARIO_LIMIT = 90_000;

/**
 * @param {(kind: string, label: string, options: object) => Promise<Participant>} invite
 * @param world what scenarios may need besides
 */
export async function playAll(scenarios, { name, repeat, only, verbose, world, invite }) {
  const logs = join(output, name);
  await rm(logs, { recursive: true, force: true });
  await mkdir(logs, { recursive: true });
  const chosen = scenarios.filter((scenario) => scenario.name.includes(only));
  for (let round = 1; round <= repeat; round++) {
    for (const scenario of chosen) {
      if (round === 1 || !scenario.once) await play(scenario, round, { logs, verbose, world, invite });
    }
  }
}

async function play({ name, kinds, run, limit = SCENARIO_LIMIT }, round, { logs, verbose, world, invite }) {
  const t = new Checks(name);
  t.room = `interop ${round} ${name}`;
  t.world = world;
  const participants = [];
  const endings = [];
  /** Does it at the end, however that comes. */
  t.defer = (ending) => endings.push(ending);
  t.invite = async (kind, options = {}) => {
    const number = participants.filter((someone) => someone.kind === kind).length + 1;
    const someone = await invite(kind, number > 1 ? `${kind} ${number}` : kind, options);
    someone.kind = kind;
    participants.push(someone);
    return someone;
  };
  let timer;
  const tooLate = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${limit / 1000} s`)), limit);
  });
  try {
    const steps = async () => {
      const invited = [];
      for (const kind of kinds) invited.push(await t.invite(kind));
      await run(t, ...invited);
    };
    const running = steps();
    running.catch(() => {});
    await Promise.race([running, tooLate]);
  } catch (error) {
    t.fail("runs to its end", error);
  } finally {
    clearTimeout(timer);
    await Promise.all(participants.map((someone) => someone.kill()));
    for (const ending of endings.reverse()) await ending();
  }
  if (t.failed || verbose) await keep(logs, `${round} ${name}`, participants);
}

/** Writes down everything the participants reported. */
async function keep(logs, name, participants) {
  const lines = participants.flatMap((someone) => [
    `# ${someone.name} ${someone.id}`,
    ...someone.log.map((entry) => JSON.stringify(entry)),
    ...(someone.console ?? someone.errors ?? []),
  ]);
  const path = join(logs, `${name.replaceAll(/[^a-z0-9]+/gi, "-")}.log`);
  await writeFile(path, `${lines.join("\n")}\n`);
  console.log(`     see ${path}`);
}

/** Says how it went, and ends. */
export function end() {
  console.log(`done after ${Math.round(performance.now() / 1000)} s`);
  summary();
  process.exit(count.failed === 0 && count.passed > 0 ? 0 : 1);
}
