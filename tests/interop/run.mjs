// Our peers in one room with the official browser SDK in a headless Chromium, on this machine, through our own server.
//
//     node run.mjs [--repeat N] [--only TEXT] [--verbose]
//
// With --repeat, everything is played N times, but for the few heavy scenarios, which are played once.
//
// Installs and builds what it lacks, prints a line for each check and ends with `N passed, N failed`. The exit code is
// not zero if a check failed or none ran. What happened in a scenario that failed is kept in output/.
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { startBrowser } from "./lib/browser.mjs";
import { Bot } from "./lib/bot.mjs";
import { Checks, count, summary } from "./lib/checks.mjs";
import { startServer } from "./lib/server.mjs";
import { output, setUp } from "./lib/setup.mjs";
import { scenarios } from "./scenarios/index.mjs";

const SCENARIO_LIMIT = 90_000;

const { values: options } = parseArgs({
  options: { repeat: { type: "string", default: "1" }, only: { type: "string", default: "" }, verbose: { type: "boolean" } },
});
const chosen = scenarios.filter(({ name }) => name.includes(options.only));

/** Runs one scenario in a room of its own, with participants of its own. */
async function play({ name, kinds, run, limit = SCENARIO_LIMIT }, round, world) {
  const t = new Checks(name);
  t.room = `interop ${round} ${name}`;
  t.world = world;
  const participants = [];
  const endings = [];
  /** Does it at the end, however that comes. */
  t.defer = (ending) => endings.push(ending);
  t.invite = async (kind, { server = world.server.access, inside } = {}) => {
    const number = participants.filter((someone) => someone.kind === kind).length + 1;
    const label = number > 1 ? `${kind} ${number}` : kind;
    const someone =
      kind === "browser"
        ? await world.browser.open(label, server)
        : new Bot(label, { binary: world.binaries.peer, server, films: [world.samples.video, world.samples.screen], inside });
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
  if (t.failed || options.verbose) await keep(`${round} ${name}`, participants);
}

/** Writes down everything the participants reported. */
async function keep(name, participants) {
  const lines = participants.flatMap((someone) => [
    `# ${someone.name} ${someone.id}`,
    ...someone.log.map((entry) => JSON.stringify(entry)),
    ...(someone.console ?? someone.errors ?? []),
  ]);
  const path = join(output, "logs", `${name.replaceAll(/[^a-z0-9]+/gi, "-")}.log`);
  await writeFile(path, `${lines.join("\n")}\n`);
  console.log(`     see ${path}`);
}

const began = performance.now();
const { chromium, ffprobe, binaries, samples } = await setUp();
await rm(join(output, "logs"), { recursive: true, force: true });
await mkdir(join(output, "logs"), { recursive: true });
console.log(`ready after ${Math.round((performance.now() - began) / 1000)} s`);

const server = await startServer(binaries.server);
let browser;
try {
  browser = await startBrowser({ executablePath: chromium });
  console.log(`Chromium ${browser.version}`);
  const world = { server, browser, binaries, ffprobe, samples };
  for (let round = 1; round <= Number(options.repeat); round++) {
    for (const scenario of chosen) if (round === 1 || !scenario.once) await play(scenario, round, world);
  }
} finally {
  await browser?.stop();
  await server.stop();
}
console.log(`done after ${Math.round((performance.now() - began) / 1000)} s`);
summary();
process.exit(count.failed === 0 && count.passed > 0 ? 0 : 1);
