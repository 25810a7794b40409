// The example program: it plays files to the browser, and records what the browser sends.
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";

import { until } from "../lib/participant.mjs";
import { run } from "../lib/process.mjs";
import { startRoom } from "../lib/room.mjs";
import { output } from "../lib/setup.mjs";

/** How long is recorded, in seconds. */
const RECORDED = 4;

/** Runs the example for as long as `then` takes; it must end well when it is asked to. */
async function withRoom(t, options, then) {
  const { binaries, server } = t.world;
  const example = startRoom(binaries.room, { server: server.access, room: t.room, ...options });
  let code;
  try {
    await Promise.race([then(), example.ended.then((code) => Promise.reject(new Error(`it ended early: ${code}`)))]);
  } catch (error) {
    t.fail("the example runs", new Error(`${error.message}\n    ${example.said.join("\n    ")}`));
  } finally {
    code = await example.stop();
  }
  t.equal("the example ends well when asked to", code, 0);
}

/** The browser hears and sees the files that the example plays. */
export async function playing(t, browser) {
  const { video, audio } = t.world.samples;
  await browser.join(t.room);
  await withRoom(t, { play: [video, audio] }, async () => {
    const { peer } = await browser.event("peer-joined");
    for (const [kind, codec] of [["video", "video/VP8"], ["audio", "audio/opus"]]) {
      const track = await t.check(`the ${kind} track is seen`, browser.event("track", { peer, kind }));
      const stats = await t.check(`the ${kind} file arrives`, () =>
        until(kind, () => browser.received({ id: peer }, kind, track?.track, 30)),
      );
      t.equal("with its codec", stats?.codec, codec);
    }
  });
  await t.check("the browser sees it leave", browser.event("peer-left"));
}

/** The example records the browser's camera and microphone into files that others can read. */
export async function recording(t, browser) {
  const record = join(output, "recordings", t.room.replaceAll(/[^a-z0-9]+/gi, "-"));
  await rm(record, { recursive: true, force: true });
  await mkdir(record, { recursive: true });
  await browser.call("addStream", { metadata: { role: "camera" } });
  await browser.join(t.room);
  await withRoom(t, { record }, async () => {
    const { peer } = await browser.event("peer-joined");
    await t.check(`the browser sends for ${RECORDED} s`, () =>
      until("enough was sent", async () => {
        const { outbound } = await browser.call("stats", { peer });
        const video = outbound.find(({ kind }) => kind === "video");
        const audio = outbound.find(({ kind }) => kind === "audio");
        // The microphone makes 50 packets a second.
        return { ok: audio?.packetsSent >= RECORDED * 50 && video?.framesSent >= 30, audio: audio?.packetsSent };
      }),
    );
  });
  const files = (await readdir(record)).sort();
  t.equal("one file for each track", files.map((name) => name.split(".").pop()).sort(), ["ivf", "ogg"]);
  for (const name of files) {
    const kind = name.endsWith(".ogg") ? "audio" : "video";
    const found = await t.check(`the ${kind} recording opens in ffprobe`, () => probe(t.world.ffprobe, join(record, name)));
    if (!found) continue;
    const { stream, packets, duration } = found;
    t.equal("with the right codec", stream.codec_name, kind === "audio" ? "opus" : "vp8");
    t.holds("with about the right duration", Math.abs(duration - RECORDED) < RECORDED / 2, `${duration} s`);
    if (kind === "video") t.equal("with the right size", [stream.width, stream.height], [320, 240]);
    t.holds("with enough packets", packets >= (kind === "audio" ? RECORDED * 40 : 25), `${packets} packets`);
  }
}

/** What ffprobe says of the one stream of a file, from reading every packet of it. */
async function probe(ffprobe, file) {
  const show = ["-show_streams", "-show_entries", "packet=pts_time,duration_time", "-count_packets", "-of", "json"];
  const { streams, packets } = JSON.parse(await run(ffprobe, ["-v", "error", ...show, file]));
  if (streams.length !== 1) throw new Error(`${streams.length} streams`);
  const times = packets.map(({ pts_time }) => Number(pts_time)).filter(Number.isFinite);
  const duration = Math.max(...times) - Math.min(...times);
  return { stream: streams[0], packets: packets.length, duration };
}
