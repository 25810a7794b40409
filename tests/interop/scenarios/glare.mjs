// In a call, both sides change something at the same moment, again and again: every pair of offers collides.
import { flows } from "./media.mjs";
import { meet, named } from "./presence.mjs";

const camera = { metadata: { role: "camera" }, audio: true, video: true };
const screen = { metadata: { role: "screen" }, audio: false, video: true, film: "screen" };

/** @param {"chromium" | "firefox" | "rust"} politeKind */
export async function glareInCall(t, first, second, politeKind) {
  const both = [[first, second], [second, first]];
  const polite = first.kind === politeKind ? first : second;
  named(t, polite, polite === first ? second : first);
  await meet(t, first, second);
  await Promise.all(both.map(([someone]) => someone.call("addStream", camera)));
  await connected(t, both, "they connect, both offering a camera");

  for (const [one, other] of both) {
    const marks = new Map(both.map(([someone]) => [someone, someone.mark]));
    const label = `by ${one.name}`;
    await Promise.all([
      one.call("openChannel", { peer: other.id, label }),
      other.call("addStream", screen),
    ]);
    await t.check(`a channel ${label} opens while ${other.name} adds a screen`, Promise.all([
      one.event("channel-open", { label, opened: "local" }),
      other.event("channel-open", { label, opened: "remote" }),
    ]));
    await t.check("and the screen is seen", one.event("track", { peer: other.id, kind: "video" }, { after: marks.get(one) }));
  }

  const marks = new Map(both.map(([someone]) => [someone, someone.mark]));
  const more = await Promise.all(both.map(([someone]) => someone.call("addStream", { ...screen, metadata: { role: "file" } })));
  for (const [someone, other] of both) {
    const track = someone.event("track", { peer: other.id, kind: "video" }, { after: marks.get(someone) });
    await t.check(`both add one more, and ${someone.name} sees it`, track);
  }
  await Promise.all(both.map(([someone], i) => someone.call("removeStream", { stream: more[i].stream })));
  for (const [someone, other] of both) {
    const removed = someone.event("stream-removed", { peer: other.id }, { after: marks.get(someone) });
    await t.check(`both take it away, and ${someone.name} sees that`, removed);
  }
  for (const [someone, other] of both) {
    await t.check(`${someone.name} goes on receiving`, () => flows(someone, other));
    if (!someone.isBrowser) t.holds("it had no negotiation error", !someone.saw("negotiation-error"));
  }
}

async function connected(t, both, what) {
  await t.check(what, Promise.all(both.map(([someone, other]) =>
    someone.event("remote-state", { peer: other.id, to: "connected" }),
  )));
}
