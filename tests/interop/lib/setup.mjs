// What the test needs from the machine: npm packages, Chromium, ffmpeg, and our own programs.
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

/** The installed program, after installing its Debian package if that can be done. */
async function program(names, debianPackage) {
  const find = () => names.map(onPath).find(Boolean);
  if (find()) return find();
  if (process.getuid?.() !== 0 || !onPath("apt-get")) throw new Error(`please install ${debianPackage}`);
  console.log(`installing ${debianPackage}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["update", "-q"], { env });
  await run("apt-get", ["install", "-q", "-y", "--no-install-recommends", debianPackage], { env });
  return find() ?? Promise.reject(new Error(`${debianPackage} brought no ${names[0]}`));
}

/** Builds our programs and gives their paths. Nearly the whole workspace, as its tests do, so that little is built twice;
 *  without smol's package, whose example `room` has the name of tokio's. */
async function build() {
  const manifest = ["--manifest-path", join(workspace, "Cargo.toml"), "--locked"];
  const packages = ["--workspace", "--exclude", "metered-realtime-smol"];
  const what = [...packages, "--bins", "--examples", "--message-format=json-render-diagnostics"];
  const messages = await run("cargo", ["build", ...manifest, ...what]);
  const built = messages.split("\n").map((line) => JSON.parse(line || "{}"));
  const program = (name) => {
    const { executable } = built.find((message) => message.executable && message.target.name === name) ?? {};
    if (!executable) throw new Error(`cargo built no ${name}`);
    return executable;
  };
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

/** Everything, installed and built. Paths given in the environment are taken as they are, for development. */
export async function setUp() {
  const npm = ["ci", "--no-audit", "--no-fund", "--prefix", interop];
  const modules = ["playwright-core", "@metered-ca/realtime"].map((name) => join(interop, "node_modules", name));
  if (!modules.every(existsSync)) await run("npm", npm);
  const chromium = await program(["chromium", "chromium-browser", "google-chrome"], "chromium");
  const ffmpeg = await program(["ffmpeg"], "ffmpeg");
  const ffprobe = await program(["ffprobe"], "ffmpeg");
  await program(["ip"], "iproute2");
  await program(["nft"], "nftables");
  const given = process.env.INTEROP_BINARIES;
  const binaries = given
    ? { server: join(given, "metered-realtime-server"), peer: join(given, "interop-peer"), room: join(given, "examples/room") }
    : await build();
  return { chromium, ffprobe, binaries, samples: await samples(ffmpeg) };
}
