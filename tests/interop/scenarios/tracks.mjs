// A screen beside the camera, one track in place of another, and the end of a stream, in a call.
import { expected } from "../lib/naming.mjs";
import { until } from "../lib/participant.mjs";
import { flows } from "./media.mjs";
import { meet } from "./presence.mjs";

const CAMERA = { role: "camera", label: "front cam" };
const SCREEN = { role: "screen" };
const CAMERA_SIZE = [320, 240];
const SCREEN_SIZE = [160, 120];

const videoOf = (stream) => stream.tracks.find(({ kind }) => kind === "video").id;

/** The stream and its video are announced, with their metadata; gives the receiver's name of the video track. */
async function announced(sender, receiver, { stream, ...sent }, metadata, options) {
  const added = expected(sender, receiver, { stream, metadata });
  await receiver.event("stream-added", added, options);
  const video = expected(sender, receiver, { id: videoOf(sent), kind: "video", streams: [stream], metadata });
  return (await receiver.event("track", video, options)).track;
}

/** Pictures of that size come in on the track. */
function shows(to, from, track, size) {
  return until(`pictures of ${size} at ${to.name}`, async () => {
    const found = await to.received(from, "video", track, 5);
    return { ...found, ok: found.ok && JSON.stringify(found.size) === JSON.stringify(size) };
  });
}

async function inCall(t, sender, receiver) {
  const camera = await sender.call("addStream", { metadata: CAMERA });
  await meet(t, sender, receiver);
  const video = await t.check("the camera is seen", announced(sender, receiver, camera, CAMERA));
  await t.check("its pictures arrive", () => shows(receiver, sender, video, CAMERA_SIZE));
  return { camera, video };
}

/** A second stream is added during the call, and taken away again. */
export async function screenShare(t, sender, receiver) {
  const { camera, video } = await inCall(t, sender, receiver);
  const after = receiver.mark;
  const screen = await sender.call("addStream", { metadata: SCREEN, audio: false, film: "screen" });
  const shown = await t.check("the screen is a stream of its own", announced(sender, receiver, screen, SCREEN, { after }));
  await t.check("its pictures arrive", () => shows(receiver, sender, shown, SCREEN_SIZE));
  await t.check("the camera's still do", () => flows(receiver, sender, { kind: "video", track: video }));

  await sender.call("removeStream", { stream: screen.stream });
  const removed = receiver.event("stream-removed", { peer: sender.id, stream: screen.stream }, { after });
  await t.check("its end is seen", removed);
  t.holds("the camera's is not", !receiver.saw("stream-removed", { stream: camera.stream }));
  await t.check("the camera goes on", () => flows(receiver, sender, { kind: "video", track: video }));
  await sender.call("removeStream", { stream: camera.stream });
  await t.check("until it is removed too", receiver.event("stream-removed", { stream: camera.stream }, { after }));
}

/** What is sent changes, and nothing is negotiated. */
export async function replaced(t, sender, receiver) {
  const { camera, video } = await inCall(t, sender, receiver);
  const [page] = [sender, receiver].filter(({ isBrowser }) => isBrowser);
  const [after, descriptions] = [receiver.mark, page.descriptions.length];
  t.holds("descriptions are counted", descriptions >= 2, `${descriptions}`);
  const { track } = await sender.call("replaceTrack", { track: videoOf(camera), play: "screen" });
  await t.check("another picture comes on the same track", () => shows(receiver, sender, video, SCREEN_SIZE));
  const back = await sender.call("replaceTrack", { track, play: "camera" });
  await t.check("and the first one again", () => shows(receiver, sender, video, CAMERA_SIZE));
  await sender.call("replaceTrack", { track: back.track });
  await t.check("and none", () => ceases(receiver, sender, video));
  await t.check("the sound goes on", () => flows(receiver, sender));
  t.equal("no description went either way", page.descriptions.length, descriptions);
  const seen = receiver.log.slice(after).filter(({ event }) => /^(track|stream)(?!-metadata)/.test(event));
  t.equal("and the receiver was told of no track", seen, []);
}

/** Next to nothing comes within a second: Chromium sends no picture then, Firefox a black one every second. */
function ceases(to, from, track) {
  let last;
  return until("no more pictures", async () => {
    const { count } = await to.received(from, "video", track, 0);
    const ok = count <= last + 2;
    last = count;
    return { ok, count };
  }, { every: 1_000 });
}
