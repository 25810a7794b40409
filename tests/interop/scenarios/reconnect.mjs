// The way to the server is cut on one side or both, or the server itself dies and is started again: the peers find each
// other again by themselves, with their media, its metadata, and data channels for those who open them again.
import { expected } from "../lib/naming.mjs";
import { until } from "../lib/participant.mjs";
import { startProxy } from "../lib/proxy.mjs";
import { startServer } from "../lib/server.mjs";
import { opens } from "./channels.mjs";
import { meet, named } from "./presence.mjs";

const METADATA = { role: "camera", label: "front cam" };

/** @param {string[]} dropped the kinds of those that are cut off */
export async function cutOff(t, sender, receiver, dropped) {
  const cut = [];
  for (const someone of [sender, receiver].filter(({ kind }) => dropped.includes(kind))) {
    const proxy = await startProxy({ port: t.world.server.port });
    t.defer(() => proxy.stop());
    someone.server = { ...someone.server, url: `ws://localhost:${proxy.port}` };
    cut.push([someone, proxy]);
  }
  const call = await inCall(t, sender, receiver);
  cut.forEach(([, proxy]) => proxy.cut());
  await Promise.all(cut.map(([someone]) => rejoins(t, someone, call)));
  for (const [someone] of cut.length === 1 ? cut : []) {
    const { after, other } = call.of(someone);
    const reset = someone.event("connection-reset", { peer: other.id }, { after });
    await t.check(`${someone.name} keeps the other, with a new connection`, reset);
    const told = someone.log.slice(after).filter(({ event }) => /^(peer-|stream-removed)/.test(event));
    t.equal("and is not told that it went or came", told, []);
  }
  await asBefore(t, call);
}

export async function serverRestarted(t, sender, receiver) {
  const { server: binary } = t.world.binaries;
  let server = await startServer(binary);
  t.defer(() => server.stop());
  for (const someone of [sender, receiver]) someone.server = { ...server.access };
  const call = await inCall(t, sender, receiver);
  await server.kill();
  await t.check("both notice", Promise.all([sender, receiver].map((someone) =>
    someone.event("state", { to: "reconnecting" }, { after: call.of(someone).after }),
  )));
  server = await startServer(binary, { port: server.port });
  await Promise.all([sender, receiver].map((someone) => rejoins(t, someone, call)));
  await asBefore(t, call);
}

/** One sends, the other opens a data channel. */
async function inCall(t, sender, receiver) {
  named(t, ...[sender, receiver].sort(() => Math.random() - 0.5));
  const sent = await sender.call("addStream", { metadata: METADATA });
  await meet(t, sender, receiver);
  await t.check("media flows", () => arrives(sender, receiver, sent));
  await opens(t, receiver, sender, "before");
  const after = new Map([sender, receiver].map((someone) => [someone, someone.mark]));
  const of = (someone) => ({ after: after.get(someone), other: someone === sender ? receiver : sender });
  return { sender, receiver, sent, of };
}

async function rejoins(t, someone, call) {
  const { after } = call.of(someone);
  await t.check(`${someone.name} reconnects`, async () => {
    await someone.event("state", { to: "reconnecting" }, { after });
    await someone.event("state", { to: "joined" }, { after });
  });
}

/** Everything is there again: the connection, the media with its metadata, and a channel for who opens one. */
async function asBefore(t, { sender, receiver, sent, of }) {
  await t.check("they are connected again", Promise.all([sender, receiver].map((someone) =>
    someone.event("remote-state", { peer: of(someone).other.id, to: "connected" }, { after: of(someone).after }),
  )));
  const { after } = of(receiver);
  const added = expected(sender, receiver, { stream: sent.stream, metadata: METADATA });
  await t.check("the stream is added again, with its metadata", receiver.event("stream-added", added, { after }));
  for (const { id, kind } of sent.tracks) {
    const track = expected(sender, receiver, { id, kind, metadata: METADATA });
    await t.check(`and the ${kind} track`, receiver.event("track", track, { after }));
  }
  await t.check("media flows again", () => arrives(sender, receiver, sent));
  await opens(t, receiver, sender, "again");
  await opens(t, sender, receiver, "from the other side");
  for (const someone of [sender, receiver]) t.holds(`${someone.name} had no error`, !someone.saw("error"));
}

function arrives(sender, receiver, sent) {
  return Promise.all(sent.tracks.map(({ id, kind }) =>
    until(`${kind} at ${receiver.name}`, () => receiver.received(sender, kind, id, 15), { within: 40_000 }),
  ));
}
