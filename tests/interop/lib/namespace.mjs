// A host of its own for one peer: a network namespace, joined to this one by a cable that can be pulled.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { run, start, stop } from "./process.mjs";
import { startProxy } from "./proxy.mjs";

const relay = fileURLToPath(new URL("relay.mjs", import.meta.url));
const HERE = "198.18.213.1";
const THERE = "198.18.213.2";
let made = 0;
const present = new Set();
process.on("exit", () => present.forEach((name) => spawnSync("ip", ["netns", "del", name])));

/** Makes it; programs started with `inside` before them run there, and reach our server under `access`. */
export async function makeNamespace(server) {
  const name = `interop-${process.pid}-${++made}`;
  const [near, far] = [`iop${process.pid}a`, `iop${process.pid}b`];
  const inside = ["ip", "netns", "exec", name];
  const ip = (...args) => run("ip", args);
  const there = (...args) => run(inside[0], [...inside.slice(1), ...args]);
  let proxy, bridge;
  const remove = async () => {
    if (bridge) await stop(bridge);
    proxy?.stop();
    await run("ip", ["netns", "del", name]).catch(() => {});
    present.delete(name);
  };
  try {
    present.add(name);
    await ip("netns", "add", name);
    await ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name);
    await ip("addr", "add", `${HERE}/30`, "dev", near);
    await ip("link", "set", near, "up");
    await there("ip", "addr", "add", `${THERE}/30`, "dev", far);
    await there("ip", "link", "set", far, "up");
    await there("ip", "link", "set", "lo", "up");
    proxy = await startProxy({ port: server.port, listen: HERE });
    let listening;
    const port = new Promise((resolve) => (listening = resolve));
    // Both clients take `ws:` for localhost only, so that is where the server must seem to be.
    bridge = start(inside[0], [...inside.slice(1), process.execPath, relay, HERE, String(proxy.port)], { onLine: listening });
    const access = { ...server.access, url: `ws://localhost:${await Promise.race([port, bridge.ended])}` };
    return {
      inside,
      access,
      /** Nothing gets through, and neither side is told. */
      pull: () => ip("link", "set", near, "down"),
      plugIn: () => ip("link", "set", near, "up"),
      /** Media is lost; the way to the server stays. */
      blockMedia: async () => {
        await there("nft", "add table inet cut");
        for (const hook of ["input", "output"]) {
          await there("nft", `add chain inet cut ${hook} { type filter hook ${hook} priority 0; }`);
          await there("nft", `add rule inet cut ${hook} meta l4proto udp drop`);
        }
      },
      unblockMedia: () => there("nft", "delete table inet cut"),
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}
