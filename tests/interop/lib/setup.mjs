// What the test needs from the machine: npm packages, browsers, ffmpeg, and our own programs.
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

import { run } from "./process.mjs";

const interop = fileURLToPath(new URL("..", import.meta.url));
const workspace = fileURLToPath(new URL("../../..", import.meta.url));
export const output = join(interop, "output");

const onPath = (program) =>
  process.env.PATH.split(delimiter).map((folder) => join(folder, program)).find((path) => existsSync(path));

/** Installs Debian packages, if that can be done. */
export async function debianPackages(names) {
  if (process.getuid?.() !== 0 || !onPath("apt-get")) throw new Error(`please install ${names.join(", ")}`);
  console.log(`installing ${names.join(", ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["update", "-q"], { env });
  await run("apt-get", ["install", "-q", "-y", "--no-install-recommends", ...names], { env });
}

/** The installed program, after installing its Debian package if that can be done. */
async function program(names, debianPackage) {
  const find = () => names.map(onPath).find(Boolean);
  if (find()) return find();
  await debianPackages([debianPackage]);
  return find() ?? Promise.reject(new Error(`${debianPackage} brought no ${names[0]}`));
}

/** Builds what is asked of a Cargo manifest, in our workspace's target directory; `program` gives the paths. */
export async function builtPrograms(manifest, what) {
  const target = ["--locked", "--target-dir", process.env.CARGO_TARGET_DIR ?? join(workspace, "target")];
  const args = ["build", "--manifest-path", manifest, ...target, ...what, "--message-format=json-render-diagnostics"];
  const built = (await run("cargo", args)).split("\n").map((line) => JSON.parse(line || "{}"));
  return {
    program(name) {
      const { executable } = built.find((message) => message.executable && message.target.name === name) ?? {};
      if (!executable) throw new Error(`cargo built no ${name}`);
      return executable;
    },
  };
}

/** Builds our programs and gives their paths. The whole workspace, as its tests do, so that nothing is built twice. */
async function build() {
  const { program } = await builtPrograms(join(workspace, "Cargo.toml"), ["--workspace", "--bins", "--examples"]);
  return { server: program("metered-realtime-server"), peer: program("interop-peer"), room: program("room") };
}

/** Short files to play: VP8 in IVF with a key frame a second, Opus in Ogg. */
async function samples(ffmpeg) {
  const folder = join(output, "samples");
  await mkdir(folder, { recursive: true });
  const video = join(folder, "video.ivf");
  const screen = join(folder, "screen.ivf");
  const audio = join(folder, "audio.ogg");
  const make = async (path, ...args) =>
    existsSync(path) || (await run(ffmpeg, ["-v", "error", "-nostdin", "-y", "-f", "lavfi", ...args, path]));
  await make(video, "-i", "testsrc=size=320x240:rate=30:duration=10", "-c:v", "libvpx", "-b:v", "400k", "-g", "30");
  await make(screen, "-i", "testsrc=size=160x120:rate=30:duration=4", "-c:v", "libvpx", "-b:v", "200k", "-g", "15");
  await make(audio, "-i", "sine=frequency=440:duration=10", "-c:a", "libopus", "-b:a", "48k", "-ar", "48000");
  return { video, screen, audio };
}

/** Our programs and what they play. Paths given in the environment are taken as they are, for development. */
export async function setUpOurs() {
  const ffmpeg = await program(["ffmpeg"], "ffmpeg");
  const given = process.env.INTEROP_BINARIES;
  const binaries = given
    ? { server: join(given, "metered-realtime-server"), peer: join(given, "interop-peer"), room: join(given, "examples/room") }
    : await build();
  return { binaries, samples: await samples(ffmpeg) };
}

/** Everything for the browsers, installed and built. */
export async function setUp() {
  const npm = ["ci", "--no-audit", "--no-fund", "--prefix", interop];
  const modules = ["puppeteer-core", "@metered-ca/realtime"].map((name) => join(interop, "node_modules", name));
  if (!modules.every(existsSync)) await run("npm", npm);
  const chromium = await program(["chromium", "chromium-browser", "google-chrome"], "chromium");
  const firefox = await program(["firefox-esr", "firefox"], "firefox-esr");
  const ffprobe = await program(["ffprobe"], "ffmpeg");
  await program(["ip"], "iproute2");
  await program(["nft"], "nftables");
  return { ...(await setUpOurs()), executables: { chromium, firefox }, ffprobe };
}
