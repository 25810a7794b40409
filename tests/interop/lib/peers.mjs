// The programs of other WebRTC implementations, installed and built where they are missing.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { run } from "./process.mjs";
import { builtPrograms, debianPackages, output, setUpOurs } from "./setup.mjs";

const folder = fileURLToPath(new URL("../peers", import.meta.url));
const here = (name) => join(folder, name);

async function nodePackages() {
  const modules = ["node-datachannel", "werift", "ws"].map((name) => here(join("node_modules", name)));
  if (!modules.every(existsSync)) await run("npm", ["ci", "--no-audit", "--no-fund", "--prefix", folder]);
}

/** An environment of its own for Python, with the packages as pinned; gives its interpreter. */
async function python() {
  const venv = join(output, "venv");
  const interpreter = join(venv, "bin", "python");
  const stamp = join(venv, "requirements");
  const wanted = createHash("sha256").update(await readFile(here("requirements.txt"))).digest("hex");
  if (existsSync(stamp) && (await readFile(stamp, "utf8")) === wanted) return interpreter;
  const make = () => run("python3", ["-m", "venv", "--clear", venv]);
  // Debian's own Python has no `ensurepip` without this package.
  await make().catch(() => debianPackages(["python3-venv"]).then(make));
  await run(interpreter, ["-m", "pip", "install", "-q", "--no-deps", "-r", here("requirements.txt")]);
  await writeFile(stamp, wanted);
  return interpreter;
}

/** GStreamer with its WebRTC and the codecs, for Debian's own Python. */
async function gstreamer() {
  const packages = ["python3-gst-1.0", "gir1.2-gst-plugins-bad-1.0", "gstreamer1.0-nice"];
  packages.push(...["base", "good", "bad"].map((plugins) => `gstreamer1.0-plugins-${plugins}`));
  const there = packages.map((name) => run("dpkg-query", ["-W", "-f", "${Version}", name]).then(Boolean, () => false));
  if (!(await Promise.all(there)).every(Boolean)) await debianPackages(packages);
}

/** Everything, installed and built: our programs, and for each implementation how its peer is started. */
export async function setUpPeers() {
  const ours = await setUpOurs();
  await nodePackages();
  const interpreter = await python();
  await gstreamer();
  const { program } = await builtPrograms(here("webrtc-rs/Cargo.toml"), ["--bins"]);
  const node = (name) => [process.execPath, here(name)];
  const programs = {
    libdatachannel: node("libdatachannel.mjs"),
    werift: node("werift.mjs"),
    gstreamer: node("gstreamer.mjs"),
    aiortc: [interpreter, here("aiortc_peer.py")],
    "webrtc-rs": [program("webrtc-rs-peer")],
  };
  return { ...ours, programs };
}
