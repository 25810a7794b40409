// One peer of the official SDK. The runner calls `command`; everything that happens goes to `window.log` and, through
// the binding `report`, to the runner. Names of commands and events are those of the Rust peer (interop-peer).
import { ConsoleLogger, MeteredPeer } from "/sdk.mjs";

window.log = [];
const remotes = new Map();
const channels = new Map();
const localStreams = new Map();
const localTracks = new Map();
const started = performance.now();
let peer;

function tell(event, fields = {}) {
  const entry = { event, at: performance.now() - started, ...fields };
  window.log.push(entry);
  window.report(entry);
}

/** The description that a frame carries, if it carries one, and the other peer. */
function description(text) {
  const { type, to, from, data } = JSON.parse(text);
  if ((type !== "send" && type !== "direct") || data?.type !== "rtc-description") return;
  return { peer: to ?? from, ...data.description };
}

function tellDescription(sent, payload) {
  const found = typeof payload === "string" && description(payload);
  if (found) tell("description", { sent, ...found });
}

window.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", ({ data }) => tellDescription(false, data));
  }

  send(data) {
    tellDescription(true, data);
    super.send(data);
  }
};

// For the log of a failed scenario: how ICE fared.
const Native = RTCPeerConnection;
window.RTCPeerConnection = function (...args) {
  const pc = new Native(...args);
  for (const state of ["iceGatheringState", "iceConnectionState"]) {
    pc.addEventListener(state.toLowerCase() + "change", () => console.debug(`${state}: ${pc[state]}`));
  }
  pc.addEventListener("icecandidate", ({ candidate }) =>
    console.debug(`candidate in ${pc.signalingState}: ${candidate?.candidate ?? "end"}`));
  pc.firstCandidate = new Promise((resolve) => pc.addEventListener("icecandidate", resolve, { once: true }));
  return pc;
};
window.RTCPeerConnection.prototype = Native.prototype;

// Chromium loses the candidates of a connection for ever, and no ICE restart brings them, if its first offer is withdrawn
// in the millisecond or two before the first candidate (15 of 100 pages of its own do, without any peer). No other side
// can help that, so it is kept from happening.
const losesCandidates = navigator.userAgent.includes("Chrome");
async function untilGathering(pc) {
  if (!losesCandidates) return;
  await pc.settingLocal;
  const limit = new Promise((resolve) => setTimeout(resolve, 2_000));
  if (pc.signalingState === "have-local-offer") await Promise.race([pc.firstCandidate, limit]);
}

// Firefox never fires `negotiationneeded` for a data channel that is created while a remote description is being applied
// (always so, on a page of its own too), and such a channel is not offered. No other side can help that either.
async function untilApplied(pc) {
  while (pc.settingRemote) await pc.settingRemote;
}

// … and what was negotiated.
for (const method of ["setLocalDescription", "setRemoteDescription"]) {
  const original = RTCPeerConnection.prototype[method];
  RTCPeerConnection.prototype[method] = async function (...args) {
    if (method === "setRemoteDescription") await untilGathering(this);
    const before = this.signalingState;
    const done = original.apply(this, args);
    if (method === "setLocalDescription") this.settingLocal = done.catch(() => {});
    else this.settingRemote = done.catch(() => {}).finally(() => (this.settingRemote = undefined));
    try {
      await done;
    } finally {
      const { type, sdp } = args[0] ?? this.localDescription ?? {};
      console.debug(`${method} in ${before}, now ${this.signalingState}: ${type}\n${sdp ?? ""}`);
    }
  };
}

const toBase64 = (bytes) => btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(""));
const fromBase64 = (text) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));

function watchChannel(remote, channel, { echo, opened }) {
  const name = { peer: remote.id, label: channel.label };
  channels.set(`${remote.id}/${channel.label}`, channel);
  channel.binaryType = "arraybuffer";
  const open = () =>
    tell("channel-open", { ...name, opened, protocol: channel.protocol, ordered: channel.ordered,
      maxRetransmits: channel.maxRetransmits, maxPacketLifeTime: channel.maxPacketLifeTime });
  if (channel.readyState === "open") open();
  else channel.addEventListener("open", open);
  channel.addEventListener("close", () => tell("channel-closed", name));
  channel.addEventListener("message", ({ data }) => {
    const body = typeof data === "string" ? { text: data } : { base64: toBase64(data) };
    tell("channel-message", { ...name, ...body });
    if (echo) channel.send(data);
  });
}

/** Plays what arrives, so that it is decoded: an element that shows it, as an application would have it. */
function play(stream) {
  const element = document.createElement("video");
  Object.assign(element, { autoplay: true, playsInline: true, srcObject: stream });
  element.dataset.stream = stream.id;
  document.body.append(element);
}

function watchRemote(remote) {
  remotes.set(remote.id, remote);
  tell("peer-joined", { peer: remote.id, metadata: remote.metadata });
  remote.on("state-change", ({ from, to }) => tell("remote-state", { peer: remote.id, from, to }));
  remote.on("negotiation-error", ({ err }) => tell("negotiation-error", { peer: remote.id, error: String(err) }));
  remote.on("ice-candidate-error", ({ err }) => tell("candidate-error", { peer: remote.id, error: String(err) }));
  remote.on("connection-reset", () => tell("connection-reset", { peer: remote.id }));
  remote.on("track", ({ track, streams, metadata }) => {
    tell("track", { peer: remote.id, track: track.id, kind: track.kind, streams: streams.map((s) => s.id), metadata });
    if (!streams.length) play(new MediaStream([track]));
  });
  remote.on("stream-added", ({ stream, metadata }) => {
    tell("stream-added", { peer: remote.id, stream: stream.id, metadata });
    play(stream);
  });
  remote.on("stream-removed", ({ stream }) => tell("stream-removed", { peer: remote.id, stream: stream.id }));
  remote.on("data-channel", ({ channel }) => watchChannel(remote, channel, { echo: true, opened: "remote" }));
}

/** A small picture that changes: it stands for a screen, and differs from the camera in size. */
function drawing() {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: 160, height: 120 });
  const context = canvas.getContext("2d");
  let frame = 0;
  const draw = () => {
    context.fillStyle = `hsl(${(frame * 7) % 360} 80% 50%)`;
    context.fillRect(frame++ % 80, 20, 80, 80);
  };
  draw();
  setInterval(draw, 50);
  return canvas.captureStream(20);
}

async function record({ audio, video, film }) {
  if (film === "screen") return drawing();
  return navigator.mediaDevices.getUserMedia({ audio, video: video && { width: 320, height: 240 } });
}

/** The statistics of what one remote peer sends us and we send it, with codecs by name. */
async function statsOf(remote) {
  const all = await remote.pc.getStats();
  const codec = (id) => all.get(id)?.mimeType;
  const media = (type) =>
    [...all.values()].filter((entry) => entry.type === type).map((entry) => ({ ...entry, codec: codec(entry.codecId) }));
  return {
    state: remote.state,
    inbound: media("inbound-rtp"),
    outbound: media("outbound-rtp"),
    pairs: [...all.values()].filter((entry) => entry.type === "candidate-pair"),
  };
}

const commands = {
  async join({ url, key, token, room }) {
    const credential = token ? { tokenProvider: async () => token } : { apiKey: key };
    peer = new MeteredPeer({ url, ...credential, logger: ConsoleLogger });
    peer.on("joined", ({ peerId, channel }) => tell("joined", { peerId, room: channel }));
    peer.on("left", ({ peerId, channel, reason }) => tell("left", { peerId, room: channel, reason }));
    peer.on("state-change", ({ from, to }) => tell("state", { from, to }));
    peer.on("peer-joined", ({ peer: remote }) => watchRemote(remote));
    peer.on("peer-left", ({ peer: remote }) => tell("peer-left", { peer: remote.id }));
    peer.on("data", ({ senderPeerId, data, kind }) => tell("data", { from: senderPeerId, data, kind }));
    peer.on("error", ({ err }) => tell("error", { error: String(err) }));
    for (const [stream, metadata] of localStreams.values()) peer.addStream(stream, metadata);
    await peer.join(room);
    return { peerId: peer.peerId };
  },
  async send({ data }) {
    await peer.send(data);
  },
  async sendTo({ peer: id, data }) {
    await peer.sendTo(id, data);
  },
  /** Opens a channel; the event `channel-open` follows. */
  async openChannel({ peer: id, label, options }) {
    const remote = remotes.get(id);
    await untilApplied(remote.pc);
    watchChannel(remote, remote.pc.createDataChannel(label, options), { echo: false, opened: "local" });
  },
  channelSend({ peer: id, label, text, base64 }) {
    channels.get(`${id}/${label}`).send(text ?? fromBase64(base64));
  },
  channelClose({ peer: id, label }) {
    channels.get(`${id}/${label}`).close();
  },
  /** The fake camera and microphone or a drawing, now or (before `join`) with the join. */
  async addStream({ metadata, audio = true, video = true, film = "camera" }) {
    const stream = await record({ audio, video, film });
    localStreams.set(stream.id, [stream, metadata]);
    for (const track of stream.getTracks()) localTracks.set(track.id, track);
    peer?.addStream(stream, metadata);
    return { stream: stream.id, tracks: stream.getTracks().map(({ id, kind }) => ({ id, kind })) };
  },
  removeStream({ stream: id }) {
    const [stream] = localStreams.get(id);
    localStreams.delete(id);
    peer.removeStream(stream);
  },
  /** Sends something else where a track is sent; without `play`, nothing. */
  async replaceTrack({ track, play }) {
    const [next] = play ? (await record({ audio: false, video: true, film: play })).getTracks() : [null];
    await peer.replaceTrack(localTracks.get(track), next);
    if (next) localTracks.set(next.id, next);
    return { track: next?.id ?? null };
  },
  removeTrack({ track }) {
    return peer.removeTrack(localTracks.get(track));
  },
  /** Asks for new ICE credentials, as the SDK does when the way is lost. */
  restartIce({ peer: id }) {
    remotes.get(id).pc.restartIce();
  },
  stats({ peer: id }) {
    return statsOf(remotes.get(id));
  },
  async leave({ reason }) {
    for (const [stream] of localStreams.values()) stream.getTracks().forEach((track) => track.stop());
    await peer?.close(reason);
  },
};

window.command = async (name, fields) => commands[name](fields);
tell("ready");
