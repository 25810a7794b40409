// A room of different kinds: everyone sends a camera to everyone.
import { flows } from "./media.mjs";

/** They begin one after another: when offers of official SDKs collide, some lose their candidates. */
export async function mixed(t, ...everyone) {
  const others = (someone) => everyone.filter((other) => other !== someone);
  for (const someone of everyone) await someone.join(t.room);
  for (const someone of everyone) {
    for (const other of others(someone)) await someone.event("peer-joined", { peer: other.id });
  }
  for (const sender of everyone) {
    const metadata = { role: "camera", of: sender.name };
    const { stream } = await sender.call("addStream", { metadata });
    for (const receiver of others(sender)) {
      const added = await t.check(
        `${receiver.name} sees the stream of ${sender.name}`,
        receiver.event("stream-added", { peer: sender.id, stream }),
      );
      // Tracks that go both ways in one media section lose their names, by which the official SDK finds metadata.
      if (!receiver.isBrowser) t.equal("with its metadata", added?.metadata, metadata);
      for (const kind of ["audio", "video"]) await t.check(`and its ${kind}`, () => flows(receiver, sender, { kind }));
    }
  }
  for (const receiver of everyone) {
    for (const sender of others(receiver)) {
      const kind = "video";
      await t.check(`${receiver.name} goes on receiving from ${sender.name}`, () => flows(receiver, sender, { kind }));
    }
    if (!receiver.isBrowser) t.holds("it had no negotiation error", !receiver.saw("negotiation-error"));
  }
}
