// Broadcast and direct messages through the server, both ways.
import { meet } from "./presence.mjs";

const VALUES = [
  { type: "chat", text: "grüße — \u{1f44b} \u0000 \u2028 \\ \"", nested: [1, 2.5, -0.001, 1e21, null, true, { a: {} }] },
  "a string",
  0,
  false,
  null,
  [],
];

export async function messages(t, first, second) {
  await meet(t, first, second);
  for (const [from, to] of [[first, second], [second, first]]) {
    const after = to.mark;
    for (const data of VALUES) {
      await from.call("send", { data });
      await from.call("sendTo", { peer: to.id, data });
    }
    await t.check(
      `${to.name} gets every message of ${from.name}`,
      to.event("data", ({ kind, data }) => kind === "direct" && Array.isArray(data), { after }),
    );
    const got = to.log.slice(after).filter(({ event }) => event === "data");
    const expected = VALUES.flatMap((data) => [
      { from: from.id, kind: "broadcast", data },
      { from: from.id, kind: "direct", data },
    ]);
    t.equal(
      `in order, with sender, kind and content as sent`,
      got.map(({ from, kind, data }) => ({ from, kind, data })),
      expected,
    );
  }
  for (const someone of [first, second]) {
    const own = someone.log.filter(({ event, from }) => event === "data" && from === someone.id);
    t.equal(`${someone.name} hears nothing of its own`, own, []);
  }
}
