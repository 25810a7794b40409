// Audio and video from one side to the other, before and after joining, from both at once, and its end.
import { meet } from "./presence.mjs";
import { metadataArrives, sameNames } from "../lib/naming.mjs";
import { until } from "../lib/participant.mjs";

const METADATA = { role: "camera", label: "front cam" };

/**
 * What `to` learns of the stream of `from`: names and metadata as sent.
 * @param {{ collided?: boolean }} options whether the offers of both sides collided
 */
async function announced(t, from, to, sent, { collided = false } = {}) {
  // A browser that sends in the same media section keeps its receiver's own track id, so that the official SDK doesn't
  // find the metadata, which goes by track id: with itself neither.
  const lost = collided && to.isBrowser;
  const known = !lost && metadataArrives(from, to);
  const added = await t.check(
    `${to.name} sees the stream`,
    to.event("stream-added", { peer: from.id, stream: sent.stream }),
  );
  if (known) t.equal("with its metadata", added?.metadata, METADATA);
  for (const { id, kind } of sent.tracks) {
    const wanted = { peer: from.id, kind, ...(!lost && sameNames(from, to) && { track: id }) };
    const track = await t.check(`${to.name} sees the ${kind} track`, to.event("track", wanted));
    t.equal("in its stream", track?.streams, [sent.stream]);
    if (known) t.equal("with its metadata", track?.metadata, METADATA);
  }
}

/** Media of `from` comes out at `to`: decoded by a browser, counted by a Rust peer. */
async function arrives(t, from, to, sent, { frames = 15 } = {}) {
  for (const { id, kind } of sent.tracks) {
    const stats = await t.check(`${kind} of ${from.name} arrives`, () =>
      until(`${kind} at ${to.name}`, () => to.received(from, kind, id, frames)),
    );
    if (!stats) continue;
    t.equal(`as ${kind === "audio" ? "Opus" : "VP8"}`, stats.codec, kind === "audio" ? "audio/opus" : "video/VP8");
    if (kind === "video") t.holds("with a key frame", stats.keyFrames > 0, JSON.stringify(stats));
  }
}

/** One side sends, from before it joins or from afterwards. */
export async function media(t, sender, receiver, { when, senderJoins }) {
  let sent;
  const add = async () => (sent = await sender.call("addStream", { metadata: METADATA }));
  if (when === "before") await add();
  await (senderJoins === "first" ? meet(t, sender, receiver) : meet(t, receiver, sender));
  if (when === "after") await add();
  await announced(t, sender, receiver, sent);
  await arrives(t, sender, receiver, sent);
  const after = receiver.mark;
  await sender.call("removeStream", { stream: sent.stream });
  await t.check(
    "removing the stream is seen",
    receiver.event("stream-removed", { peer: sender.id, stream: sent.stream }, { after }),
  );
  await sender.leave();
  await t.check("leaving is seen", receiver.event("peer-left", { peer: sender.id }));
}

/** Both have media when they meet: their offers collide. */
export async function bothSend(t, first, second) {
  const ofFirst = await first.call("addStream", { metadata: METADATA });
  const ofSecond = await second.call("addStream", { metadata: METADATA });
  await meet(t, first, second);
  for (const [from, to, sent] of [[first, second, ofFirst], [second, first, ofSecond]]) {
    await announced(t, from, to, sent, { collided: true });
    await arrives(t, from, to, sent);
  }
  for (const [someone, other] of [[first, second], [second, first]]) {
    t.holds(`${someone.name} is connected`, someone.saw("remote-state", { peer: other.id, to: "connected" }));
    // The official SDK reports some of its own when offers collide, with itself too, and goes on.
    if (!someone.isBrowser) t.holds("it had no negotiation error", !someone.saw("negotiation-error"));
  }
}

/** Sound of `from` still comes: the count grows. */
export async function flows(to, from, { kind = "audio", track, more = 10, within = 20_000 } = {}) {
  const { count = 0 } = await to.received(from, kind, track, 0);
  return until(`more ${kind} at ${to.name}`, async () => {
    const now = await to.received(from, kind, track, 0);
    return { ...now, ok: now.count >= count + more };
  }, { within });
}
