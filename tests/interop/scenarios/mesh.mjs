// Many in one room, browsers and Rust peers, everyone connected to everyone.
/** Sixteen peers make 120 connections, on a machine with two cores. */
const PATIENCE = { within: 120_000 };

/** @param {number} count how many of each kind */
export async function mesh(t, kinds, count) {
  const everyone = [];
  for (let number = 0; number < count; number++) {
    for (const kind of kinds) everyone.push(await t.invite(kind));
  }
  for (const [number, newcomer] of everyone.entries()) {
    await newcomer.join(t.room);
    const present = everyone.slice(0, number);
    // Whoever comes opens to those that are there: browsers among themselves lose candidates when their offers collide.
    await Promise.all(present.map(async (other) => {
      await newcomer.event("peer-joined", { peer: other.id }, PATIENCE);
      await newcomer.call("openChannel", { peer: other.id, label: "mesh" });
    }));
  }
  const others = (someone) => everyone.filter((other) => other !== someone);
  const each = (what, ask) =>
    Promise.all(everyone.map((someone) =>
      t.check(`${someone.name} ${what}`, Promise.all(others(someone).map((other) => ask(someone, other)))),
    ));
  await each(`sees ${everyone.length - 1} others connected`, (someone, other) =>
    someone.event("remote-state", { peer: other.id, to: "connected" }, PATIENCE),
  );
  await each("has a channel with each of them", (someone, other) =>
    someone.event("channel-open", { peer: other.id, label: "mesh" }, PATIENCE),
  );
  const text = (from, to) => `${from.name} to ${to.name}`;
  await Promise.all(everyone.flatMap((from) => others(from).map((to) =>
    from.call("channelSend", { peer: to.id, label: "mesh", text: text(from, to) }),
  )));
  await each("hears from each of them", (someone, other) =>
    someone.event("channel-message", { peer: other.id, label: "mesh", text: text(other, someone) }, PATIENCE),
  );
  for (const someone of everyone) {
    t.equal(`${someone.name} lost nobody`, someone.log.filter(({ event }) => /^(peer-left|error|connection-reset)/.test(event)), []);
  }
}
