// werift: WebRTC in TypeScript.
import { MediaStreamTrack, RTCPeerConnection } from "werift";

import { playSilence, serve } from "./client.mjs";

const adapted = (channel) => ({
  label: channel.label,
  protocol: channel.protocol,
  send: (data) => channel.send(data),
  close: () => channel.close(),
  onOpen: (then) => (channel.readyState === "open" ? then() : channel.stateChanged.subscribe((state) => state === "open" && then())),
  onClose: (then) => channel.stateChanged.subscribe((state) => state === "closed" && then()),
  onMessage: (then) => channel.onMessage.subscribe(then),
});

class Connection {
  audioPackets = 0;
  #pc = new RTCPeerConnection({ iceServers: [] });
  #tell;

  constructor({ description, candidate, state, channel }) {
    this.#tell = description;
    this.#pc.onIceCandidate.subscribe((found) => found && candidate(found.toJSON()));
    this.#pc.connectionStateChange.subscribe(state);
    this.#pc.onDataChannel.subscribe((opened) => channel(adapted(opened)));
    this.#pc.onTrack.subscribe((track) => {
      if (track.kind === "audio") track.onReceiveRtp.subscribe(() => this.audioPackets++);
    });
  }

  addAudio() {
    const track = new MediaStreamTrack({ kind: "audio" });
    this.#pc.addTransceiver(track, { direction: "sendonly" });
    playSilence(0x51c0ffee, 96, (packet) => track.writeRtp(packet));
  }

  open(label) {
    return adapted(this.#pc.createDataChannel(label));
  }

  async #local(description) {
    await this.#pc.setLocalDescription(description);
    const { type, sdp } = this.#pc.localDescription;
    this.#tell(type, sdp);
  }
  async offer() {
    await this.#local(await this.#pc.createOffer());
  }
  async offered(sdp) {
    await this.#pc.setRemoteDescription({ type: "offer", sdp });
    await this.#local(await this.#pc.createAnswer());
  }
  async answered(sdp) {
    await this.#pc.setRemoteDescription({ type: "answer", sdp });
  }
  async candidate(candidate) {
    await this.#pc.addIceCandidate(candidate);
  }
}

serve(Connection);
