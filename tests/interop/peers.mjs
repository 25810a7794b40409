// Our peer in one room with other implementations of WebRTC, through our own server.
//
//     node peers.mjs [--repeat N] [--only TEXT] [--verbose]
//
// Installs and builds what it lacks, prints a line for each check and ends with `N passed, N failed`. The exit code is
// not zero if a check failed or none ran. What happened in a scenario that failed is kept in output/.
import { parseArgs } from "node:util";

import { Bot } from "./lib/bot.mjs";
import { Peer } from "./lib/peer.mjs";
import { setUpPeers } from "./lib/peers.mjs";
import { end, playAll } from "./lib/play.mjs";
import { startServer } from "./lib/server.mjs";
import { bothOpen, connectsOrSaysWhy, theyOffer, weOffer, weOfferAChannel } from "./scenarios/peers.mjs";

const { values: options } = parseArgs({
  options: { repeat: { type: "string", default: "1" }, only: { type: "string", default: "" }, verbose: { type: "boolean" } },
});
const { binaries, samples, programs } = await setUpPeers();
console.log(`ready after ${Math.round(performance.now() / 1000)} s`);

const full = Object.keys(programs).filter((kind) => kind !== "gstreamer");
const scenarios = full.flatMap((kind) => [
  { name: `${kind} offers`, kinds: ["rust", kind], run: theyOffer },
  { name: `${kind} offers and both open channels`, kinds: ["rust", kind], run: bothOpen },
  { name: `rust offers to ${kind}`, kinds: ["rust", kind], run: weOffer },
  { name: `rust offers a channel to ${kind}`, kinds: ["rust", kind], run: weOfferAChannel },
]);
for (const [name, theirsFirst] of [["gstreamer offers", true], ["rust offers to gstreamer", false]]) {
  scenarios.push({ name, kinds: ["rust", "gstreamer"], run: (t, ours, theirs) => connectsOrSaysWhy(t, ours, theirs, theirsFirst) });
}
const server = await startServer(binaries.server);
async function invite(kind, label) {
  const { access } = server;
  if (kind === "rust") return new Bot(label, { binary: binaries.peer, server: access, films: [samples.video, samples.screen] });
  const [binary, ...inside] = programs[kind].toReversed();
  return new Peer(label, { binary, inside: inside.reverse(), server: access });
}
try {
  await playAll(scenarios, { ...options, name: "peers", repeat: Number(options.repeat), world: {}, invite });
} finally {
  await server.stop();
}
end();
