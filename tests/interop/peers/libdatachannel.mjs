// libdatachannel, through node-datachannel.
import { Audio, PeerConnection } from "node-datachannel";

import { playSilence, serve } from "./client.mjs";

const SSRC = 0x51c0ffee;
const OPUS = 111;

const adapted = (channel) => ({
  label: channel.getLabel(),
  protocol: channel.getProtocol(),
  send: (data) => (typeof data === "string" ? channel.sendMessage(data) : channel.sendMessageBinary(data)),
  close: () => channel.close(),
  onOpen: (then) => (channel.isOpen() ? then() : channel.onOpen(then)),
  onClose: (then) => channel.onClosed(then),
  onMessage: (then) => channel.onMessage((data) => then(typeof data === "string" ? data : Buffer.from(data))),
});

class Connection {
  audioPackets = 0;
  #pc = new PeerConnection("peer", { iceServers: [] });
  #tracks = [];

  constructor({ description, candidate, state, channel }) {
    this.#pc.onLocalDescription((sdp, type) => description(type, sdp));
    this.#pc.onLocalCandidate((text, sdpMid) => candidate({ candidate: text.replace(/^a=/, ""), sdpMid }));
    this.#pc.onStateChange(state);
    this.#pc.onDataChannel((opened) => channel(adapted(opened)));
    this.#pc.onTrack((track) => this.#receive(track));
  }

  #receive(track) {
    this.#tracks.push(track);
    // RTP and RTCP come mixed: packet types 64 to 95 are RTCP's (RFC 5761).
    if (track.type() === "audio") track.onMessage((packet) => ((packet[1] & 0x7f) < 64 || (packet[1] & 0x7f) > 95) && this.audioPackets++);
  }

  addAudio() {
    const audio = new Audio("sound", "SendOnly");
    audio.addOpusCodec(OPUS);
    audio.addSSRC(SSRC, "peer", "stream", "track");
    const track = this.#pc.addTrack(audio);
    this.#tracks.push(track);
    track.onOpen(() => playSilence(SSRC, OPUS, (packet) => track.isOpen() && track.sendMessageBinary(packet)));
  }

  // Opening the first channel makes the offer, and a remote offer its answer.
  open(label) {
    return adapted(this.#pc.createDataChannel(label));
  }
  offer() {}
  offered(sdp) {
    this.#pc.setRemoteDescription(sdp, "offer");
  }
  answered(sdp) {
    this.#pc.setRemoteDescription(sdp, "answer");
  }
  candidate({ candidate, sdpMid }) {
    this.#pc.addRemoteCandidate(candidate, sdpMid ?? "0");
  }
}

serve(Connection);
