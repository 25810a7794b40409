// Our peer with other implementations of WebRTC: who makes the first offer, data channels both ways, and sound.
import { until } from "../lib/participant.mjs";
import { meet } from "./presence.mjs";

const BYTES = Buffer.from(Uint8Array.from({ length: 2_000 }, (_, i) => (i * 7) % 251)).toString("base64");

/** Text and bytes go from one side to the other and come back. */
async function echoes(t, from, to, label) {
  const open = from.event("channel-open", { peer: to.id, label });
  if (!(await t.check(`the channel of ${from.name} opens`, open))) return false;
  await t.check(`${to.name} is told`, to.event("channel-open", { peer: from.id, label, opened: "remote" }));
  for (const body of [{ text: "grüße \u{1f44b}" }, { base64: BYTES }]) {
    const [kind] = Object.keys(body);
    await from.call("channelSend", { peer: to.id, label, ...body });
    await t.check(`${kind} comes back`, from.event("channel-message", { peer: to.id, label, ...body }));
  }
  return true;
}

function connected(t, one, other) {
  return t.check("both are connected", Promise.all([[one, other], [other, one]].map(([someone, remote]) =>
    someone.event("remote-state", { peer: remote.id, to: "connected" }),
  )));
}

/** Sound of `from` comes out at `to`: it grows. */
async function sounds(t, to, from) {
  await t.check(`${to.name} receives sound of ${from.name}`, () =>
    until("packets", async () => {
      const { count = 0 } = await to.received(from, "audio", null, 1);
      return { ok: count >= 20, count };
    }),
  );
}

function noErrors(t, ours, theirs) {
  t.equal(`${ours.name} had no negotiation error`, ours.log.filter(({ event }) => event === "negotiation-error"), []);
  t.equal(`${theirs.name} had no error`, theirs.log.filter(({ event }) => event === "error"), []);
}

/** The other side makes the first offer; then ours adds its sound and a channel. */
export async function theyOffer(t, ours, theirs) {
  await theirs.call("addStream");
  await meet(t, ours, theirs);
  await theirs.call("openChannel", { peer: ours.id, label: "theirs" });
  if (!(await connected(t, ours, theirs))) return;
  await echoes(t, theirs, ours, "theirs");
  await sounds(t, ours, theirs);
  await ours.call("openChannel", { peer: theirs.id, label: "ours" });
  await echoes(t, ours, theirs, "ours");
  await ours.call("addStream", { video: false });
  await sounds(t, theirs, ours);
  noErrors(t, ours, theirs);
}

/** The other side makes the first offer, of a channel alone, and both open one before the connection is up. */
export async function bothOpen(t, ours, theirs) {
  await meet(t, ours, theirs);
  await theirs.call("openChannel", { peer: ours.id, label: "theirs" });
  await t.check("the offer is answered", theirs.event("description", { peer: ours.id, sent: false, type: "answer" }));
  await ours.call("openChannel", { peer: theirs.id, label: "ours" });
  if (!(await connected(t, ours, theirs))) return;
  await echoes(t, theirs, ours, "theirs");
  await echoes(t, ours, theirs, "ours");
  noErrors(t, ours, theirs);
}

/** Ours makes the first offer, of sound, a picture and a channel. */
export async function weOffer(t, ours, theirs) {
  await ours.call("addStream", {});
  await meet(t, theirs, ours);
  await ours.call("openChannel", { peer: theirs.id, label: "ours" });
  if (!(await connected(t, ours, theirs))) return;
  const open = await echoes(t, ours, theirs, "ours");
  await sounds(t, theirs, ours);
  // Where its data section came after the others, werift never learns which numbers its own channels may have.
  if (!open || theirs.kind === "werift") return noErrors(t, ours, theirs);
  await theirs.call("openChannel", { peer: ours.id, label: "theirs" });
  await echoes(t, theirs, ours, "theirs");
  noErrors(t, ours, theirs);
}

/** Ours makes the first offer, of a channel alone. */
export async function weOfferAChannel(t, ours, theirs) {
  await meet(t, theirs, ours);
  await ours.call("openChannel", { peer: theirs.id, label: "ours" });
  if (!(await connected(t, ours, theirs))) return;
  if (!(await echoes(t, ours, theirs, "ours"))) return;
  await ours.call("channelClose", { peer: theirs.id, label: "ours" });
  await t.check("closing it closes the other end", theirs.event("channel-closed", { peer: ours.id, label: "ours" }));
  noErrors(t, ours, theirs);
}

/**
 * GStreamer up to 1.22 makes RSA certificates, which our DTLS does not take: that must end with an error that says so.
 * Later ones make such as browsers do, and must connect.
 * @param {boolean} theirsFirst whether the other side makes the offer
 */
export async function connectsOrSaysWhy(t, ours, theirs, theirsFirst) {
  await meet(t, ours, theirs);
  if (theirsFirst) await theirs.call("offer", { peer: ours.id });
  else await ours.call("addStream", { video: false });
  const connects = Promise.all([
    ours.event("remote-state", { to: "connected" }, { within: 40_000 }),
    theirs.event("remote-state", { to: "connected" }, { within: 40_000 }),
  ]);
  const fails = ours.event("negotiation-error", { peer: theirs.id }, { within: 40_000 });
  const outcome = await t.check("it connects or fails", Promise.any([connects, fails]));
  if (outcome?.error) t.holds("with an error that tells of DTLS", /DTLS|certificate/.test(outcome.error), outcome.error);
}
