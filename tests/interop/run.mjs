// Our peers in one room with the official browser SDK in headless browsers, on this machine, through our own server.
//
//     node run.mjs [--repeat N] [--only TEXT] [--verbose]
//
// With --repeat, everything is played N times, but for the few heavy scenarios, which are played once.
//
// Installs and builds what it lacks, prints a line for each check and ends with `N passed, N failed`. The exit code is
// not zero if a check failed or none ran. What happened in a scenario that failed is kept in output/.
import { parseArgs } from "node:util";

import { startBrowser } from "./lib/browser.mjs";
import { Bot } from "./lib/bot.mjs";
import { end, playAll } from "./lib/play.mjs";
import { startServer } from "./lib/server.mjs";
import { setUp } from "./lib/setup.mjs";
import { scenarios } from "./scenarios/index.mjs";

const { values: options } = parseArgs({
  options: { repeat: { type: "string", default: "1" }, only: { type: "string", default: "" }, verbose: { type: "boolean" } },
});
const { executables, ffprobe, binaries, samples } = await setUp();
console.log(`ready after ${Math.round(performance.now() / 1000)} s`);

const server = await startServer(binaries.server);
const browsers = {};
/** The browser of that kind, started when it is first needed. */
const browser = (kind) => (browsers[kind] ??= startBrowser(kind, executables[kind]));
async function invite(kind, label, { server: access = server.access, inside }) {
  if (kind !== "rust") return (await browser(kind)).open(label, access);
  return new Bot(label, { binary: binaries.peer, server: access, films: [samples.video, samples.screen], inside });
}
try {
  const world = { server, binaries, ffprobe, samples };
  await playAll(scenarios, { ...options, name: "logs", repeat: Number(options.repeat), world, invite });
} finally {
  for (const started of Object.values(browsers)) await started.then((browser) => browser.stop(), () => {});
  await server.stop();
}
end();
