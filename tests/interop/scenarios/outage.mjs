// The network between the two goes away and comes back: the Rust peer lives on a host of its own (a network namespace).
import { until } from "../lib/participant.mjs";
import { makeNamespace } from "../lib/namespace.mjs";
import { opens } from "./channels.mjs";
import { flows } from "./media.mjs";
import { meet } from "./presence.mjs";

const METADATA = { role: "camera" };
const seconds = (count) => new Promise((resolve) => setTimeout(resolve, count * 1_000));

async function onTwoHosts(t, browser) {
  const host = await makeNamespace(t.world.server);
  t.defer(() => host.remove());
  const server = { ...host.access, loopback: false };
  const rust = await t.invite("rust", { server, inside: host.inside });
  for (const someone of [browser, rust]) await someone.call("addStream", { metadata: METADATA });
  await meet(t, browser, rust);
  await t.check("media flows both ways between two hosts", () => bothWays(browser, rust));
  await opens(t, rust, browser, "before");
  return { host, rust };
}

function bothWays(browser, rust, options) {
  return Promise.all([flows(browser, rust, options), flows(rust, browser, options)]);
}

/** How much sound has come so far. */
const counts = (browser, rust) =>
  Promise.all([[browser, rust], [rust, browser]].map(async ([to, from]) => (await to.received(from, "audio", null, 0)).count));

/** Nothing gets through for ten seconds. */
export async function cable(t, browser) {
  const { host, rust } = await onTwoHosts(t, browser);
  const after = new Map([browser, rust].map((someone) => [someone, someone.mark]));
  await host.pull();
  await seconds(2);
  const then = await counts(browser, rust);
  await seconds(8);
  t.equal("nothing gets through meanwhile", await counts(browser, rust), then);
  await host.plugIn();
  await t.check("media flows again both ways", () => bothWays(browser, rust, { within: 90_000 }));
  for (const [someone, other] of [[browser, rust], [rust, browser]]) {
    await t.check(`${someone.name} is connected`, () =>
      until("connected", () => {
        const states = someone.log.filter(({ event, peer }) => event === "remote-state" && peer === other.id);
        return { ok: states.at(-1)?.to === "connected", states };
      }, { within: 60_000 }),
    );
    const lost = someone.log.slice(after.get(someone)).filter(({ event }) => /^(error|peer-left|stream-removed)/.test(event));
    t.equal("and has lost nobody and nothing", lost, []);
  }
  const text = { peer: browser.id, label: "before", text: "still here" };
  await rust.call("channelSend", text);
  await t.check("the channel opened before lives on", rust.event("channel-message", text));
}

/** Media is lost until our side has restarted ICE and the browser has answered. */
export async function ourRestart(t, browser) {
  const { host, rust } = await onTwoHosts(t, browser);
  const after = rust.mark;
  const former = ufrags(browser);
  await host.blockMedia();
  await t.check("our side notices the loss", rust.event("remote-state", { to: "reconnecting" }, { after, within: 60_000 }));
  await t.check("it restarts ICE, and the browser answers", () =>
    until("new credentials on both sides", () => ({ ok: renewed(former, ufrags(browser)) }), { within: 60_000 }),
  );
  await host.unblockMedia();
  await t.check("it is connected again", rust.event("remote-state", { to: "connected" }, { after, within: 90_000 }));
  await t.check("media flows again both ways", () => bothWays(browser, rust, { within: 60_000 }));
}

/** The browser restarts ICE during a call. */
export async function browsersRestart(t, browser, rust) {
  for (const someone of [browser, rust]) await someone.call("addStream", { metadata: METADATA });
  await meet(t, browser, rust);
  await t.check("media flows both ways", () => bothWays(browser, rust));
  const former = ufrags(browser);
  const after = rust.mark;
  await browser.call("restartIce", { peer: rust.id });
  await t.check("our side answers with new credentials", () =>
    until("new credentials on both sides", () => ({ ok: renewed(former, ufrags(browser)) })),
  );
  await t.check("media goes on both ways", () => bothWays(browser, rust, { more: 50 }));
  const told = rust.log.slice(after).filter(({ event }) => /^(negotiation-error|track|stream|connection)/.test(event));
  t.equal("and nothing else is noticed", told, []);
}

/** The last ICE user fragment of each side, as the wire had them. */
function ufrags(browser) {
  const last = (sent) => browser.descriptions.findLast((one) => one.sent === sent)?.sdp.match(/a=ice-ufrag:(.*)/)[1].trim();
  return [last(true), last(false)];
}

const renewed = (former, now) => former.every((ufrag, i) => ufrag !== now[i]);
