// Data channels opened by either side, echoed by the other.
import { meet } from "./presence.mjs";

const base64 = (bytes) => Buffer.from(bytes).toString("base64");
const SMALL = base64(Uint8Array.from({ length: 256 }, (_, i) => i));
const LARGE = base64(Uint8Array.from({ length: 60_000 }, (_, i) => (i * 7) % 251));
const MESSAGES = [
  ["text", { text: "grüße \u{1f44b}" }],
  ["binary", { base64: SMALL }],
  ["a large binary", { base64: LARGE }],
  ["an empty text", { text: "" }],
  ["an empty binary", { base64: "" }],
];

/** `opener` joined second, and opens as soon as it sees the other. */
export async function channel(t, waits, opener) {
  await waits.join(t.room);
  const before = performance.now();
  await opener.join(t.room);
  await opener.event("peer-joined", { peer: waits.id });
  await opener.call("openChannel", { peer: waits.id, label: "echo", options: { protocol: "interop" } });
  const open = await t.check("it opens", opener.event("channel-open", { peer: waits.id, label: "echo" }));
  if (!open) return;
  t.measure(`join to open data channel, ${opener.name} joins ${waits.name}`, open.received - before);
  const other = await t.check(
    `${waits.name} is told of it`,
    waits.event("channel-open", { peer: opener.id, label: "echo", opened: "remote" }),
  );
  t.equal("label, protocol and order are as opened", { label: other?.label, protocol: other?.protocol, ordered: other?.ordered }, {
    label: "echo",
    protocol: "interop",
    ordered: true,
  });
  for (const [what, body] of MESSAGES) {
    const after = opener.mark;
    await opener.call("channelSend", { peer: waits.id, label: "echo", ...body });
    const key = Object.keys(body)[0];
    await t.check(`${what} comes back`, async () => {
      const echo = await opener.event("channel-message", { label: "echo" }, { after });
      if (echo[key] !== body[key]) throw new Error(`changed to ${JSON.stringify(echo).slice(0, 200)}`);
    });
  }
  await t.check("both sides are connected", Promise.all([
    opener.event("remote-state", { peer: waits.id, to: "connected" }),
    waits.event("remote-state", { peer: opener.id, to: "connected" }),
  ]));
  await opener.call("channelClose", { peer: waits.id, label: "echo" });
  await t.check("closing it closes the other end", waits.event("channel-closed", { peer: opener.id, label: "echo" }));
}

/**
 * An unordered channel of bounded retransmission, and a second one opened from the other side at the same moment: the offers
 * collide. Media of the first one may have been negotiated before; media of both may be negotiated at the same time.
 * @param {"none" | "before" | "both"} media
 */
export async function channelsAtOnce(t, first, second, media = "none") {
  if (media !== "none") await first.call("addStream", { metadata: { role: "camera" } });
  if (media === "both") await second.call("addStream", { metadata: { role: "camera" } });
  await meet(t, first, second);
  if (media === "before") {
    await Promise.all([first, second].map((someone) => someone.event("remote-state", { to: "connected" })));
  }
  const open = (from, to, label) =>
    from.call("openChannel", { peer: to.id, label, options: { ordered: false, maxRetransmits: 9 } });
  await Promise.all([open(first, second, "there"), open(second, first, "back")]);
  for (const [from, to, label] of [[first, second, "there"], [second, first, "back"]]) {
    const open = from.event("channel-open", { label, opened: "local" });
    if (!(await t.check(`${from.name} opens, both at once`, open))) continue;
    const far = await t.check(`${to.name} is told`, to.event("channel-open", { label, opened: "remote" }));
    t.equal("unordered, with as many retransmissions", [far?.ordered, far?.maxRetransmits], [false, 9]);
    await from.call("channelSend", { peer: to.id, label, text: label });
    await t.check("its message comes back", from.event("channel-message", { label, text: label }));
    if (media === "both") await t.check(`${to.name} gets its video`, to.event("track", { peer: from.id, kind: "video" }));
  }
}

/** A channel is opened and takes a message there and back. */
export async function opens(t, opener, other, label) {
  await t.check(`a channel opened ${label} works`, async () => {
    await opener.call("openChannel", { peer: other.id, label });
    await opener.event("channel-open", { peer: other.id, label });
    await opener.call("channelSend", { peer: other.id, label, text: label });
    await opener.event("channel-message", { peer: other.id, label, text: label });
  });
}
