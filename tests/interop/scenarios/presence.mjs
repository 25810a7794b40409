// Who is in the room: joining in both orders, leaving from both sides.
import { token } from "../lib/token.mjs";

/** `first` is in the room when `second` joins; then one of them leaves. */
export async function presence(t, first, second, leaves) {
  await t.check(`${first.name} joins an empty room`, first.join(t.room));
  await t.check(`${second.name} joins`, second.join(t.room));
  await t.check(`${first.name} sees ${second.name} join`, first.event("peer-joined", { peer: second.id }));
  await t.check(`${second.name} sees ${first.name} in the room`, second.event("peer-joined", { peer: first.id }));
  const [leaver, stays] = leaves === "first" ? [first, second] : [second, first];
  await t.check(`${leaver.name} leaves`, leaver.leave("done"));
  await t.check(
    `${leaver.name} is told that it left`,
    leaver.event("left", { peerId: leaver.id, room: t.room, reason: "done" }),
  );
  await t.check(`${stays.name} sees it leave`, stays.event("peer-left", { peer: leaver.id }));
  for (const someone of [first, second]) {
    const joined = someone.log.filter(({ event }) => event === "peer-joined").length;
    t.equal(`${someone.name} saw one peer join`, joined, 1);
    t.holds(`${someone.name} saw no error`, !someone.saw("error") && !someone.saw("page-error"));
  }
}

/** Both join, and see each other. */
export async function meet(t, first, second) {
  await first.join(t.room);
  await second.join(t.room);
  await Promise.all([
    first.event("peer-joined", { peer: second.id }),
    second.event("peer-joined", { peer: first.id }),
  ]);
}

/** Two with ids by which `polite` gives way (the lesser id does), whoever joins first. */
export function named(t, polite, other) {
  polite.server = { ...polite.server, token: token(`a ${t.room}`.slice(-100)) };
  other.server = { ...other.server, token: token(`b ${t.room}`.slice(-100)) };
}
