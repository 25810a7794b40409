// A peer in a room of our server, written from the protocol alone: one JSON object a line in and out, with the commands
// and events of the other participants. What is special to a WebRTC library is a class of connections:
//
//     new Connection({ description, candidate, state, channel })     to tell what it makes
//     addAudio(), open(label) if it has channels, offer()             the local side
//     offered(sdp), answered(sdp), candidate(candidate)               what the remote peer sent
//     audioPackets, close()
//
// A channel is { label, protocol, send(text or bytes), close(), onOpen(), onMessage(text or bytes), onClose() }.
import { createInterface } from "node:readline";
import WebSocket from "ws";

const tell = (event, fields = {}) => console.log(JSON.stringify({ event, ...fields }));

export function serve(Connection) {
  const connections = new Map();
  let socket, sendsAudio;
  const send = (frame) => socket.send(JSON.stringify(frame));
  const signal = (to, data) => send({ type: "send", to, data });

  function watch(peer, channel, opened) {
    const name = { peer, label: channel.label };
    connections.get(peer).channels.set(channel.label, channel);
    channel.onOpen(() => tell("channel-open", { ...name, opened, protocol: channel.protocol }));
    channel.onClose(() => tell("channel-closed", name));
    channel.onMessage((data) => {
      tell("channel-message", { ...name, ...(typeof data === "string" ? { text: data } : { base64: data.toString("base64") }) });
      if (opened === "remote") channel.send(data);
    });
  }

  /** The connection to that peer, made when it is first needed. */
  function connection(peer) {
    if (connections.has(peer)) return connections.get(peer);
    const made = { channels: new Map(), candidates: [] };
    connections.set(peer, made);
    made.rtc = new Connection({
      description(type, sdp) {
        tell("description", { peer, sent: true, type, sdp });
        signal(peer, { type: "rtc-description", description: { type, sdp } });
      },
      candidate: (candidate) => signal(peer, { type: "rtc-ice", candidate }),
      state: (to) => tell("remote-state", { peer, to }),
      channel: (channel) => watch(peer, channel, "remote"),
    });
    if (sendsAudio) made.rtc.addAudio();
    return made;
  }

  async function take(peer, data) {
    const made = connection(peer);
    if (data?.type === "rtc-description") {
      const { type, sdp } = data.description;
      tell("description", { peer, sent: false, type, sdp });
      await (type === "offer" ? made.rtc.offered(sdp) : made.rtc.answered(sdp));
      made.described = true;
      for (const candidate of made.candidates.splice(0)) await made.rtc.candidate(candidate);
    } else if (data?.type === "rtc-ice" && data.candidate?.candidate) {
      if (made.described) await made.rtc.candidate(data.candidate);
      else made.candidates.push(data.candidate);
    }
  }

  // Signals are taken one after another.
  let taken = Promise.resolve();
  const queue = (peer, data) =>
    (taken = taken.then(() => take(peer, data)).catch((error) => tell("error", { error: String(error.stack ?? error) })));

  const commands = {
    async join({ url, key, room }) {
      socket = new WebSocket(`${url}/v1?key=${encodeURIComponent(key)}`, { perMessageDeflate: false });
      return new Promise((resolve, reject) => {
        let peerId;
        socket.on("error", reject);
        socket.on("close", (code) => reject(new Error(`closed with ${code}`)));
        socket.on("message", (text) => {
          const frame = JSON.parse(text);
          if (frame.type === "welcome") {
            peerId = frame.peerId;
            send({ type: "subscribe", channel: room, requestId: "room" });
          } else if (frame.type === "ack" && frame.requestId === "room") resolve({ peerId });
          else if (frame.type === "presence") {
            const others = frame.joined.filter((peer) => peer.peerId !== peerId);
            for (const { peerId: peer } of others) tell("peer-joined", { peer });
          } else if (frame.type === "direct") queue(frame.from, frame.data);
          else if (frame.type === "error") tell("error", { error: frame.code });
        });
      });
    },
    /** Sends sound on every connection made from now on. */
    addStream: () => (sendsAudio = true),
    async openChannel({ peer, label }) {
      const made = connection(peer);
      watch(peer, made.rtc.open(label), "local");
      if (!made.described) await made.rtc.offer();
    },
    async offer({ peer }) {
      await connection(peer).rtc.offer();
    },
    channelSend({ peer, label, text, base64 }) {
      connections.get(peer).channels.get(label).send(text ?? Buffer.from(base64, "base64"));
    },
    channelClose: ({ peer, label }) => connections.get(peer).channels.get(label).close(),
    received: ({ peer }) => connections.get(peer)?.rtc.audioPackets ?? 0,
  };

  createInterface({ input: process.stdin })
    .on("line", async (line) => {
      const { id, do: name, ...fields } = JSON.parse(line);
      const answer = (result) => console.log(JSON.stringify({ reply: id, ...result }));
      try {
        answer({ ok: (await commands[name](fields)) ?? null });
      } catch (error) {
        answer({ error: String(error.stack ?? error) });
      }
    })
    .on("close", () => process.exit(0));
}

/** Calls with an RTP packet of Opus silence every 20 ms; gives a function that ends it. */
export function playSilence(ssrc, payloadType, write) {
  let number = 0;
  const timer = setInterval(() => {
    const packet = Buffer.alloc(15);
    packet.set([0x80, payloadType], 0);
    packet.writeUInt16BE(number & 0xffff, 2);
    packet.writeUInt32BE((number * 960) >>> 0, 4);
    packet.writeUInt32BE(ssrc, 8);
    packet.set([0xf8, 0xff, 0xfe], 12);
    number++;
    write(packet);
  }, 20);
  return () => clearInterval(timer);
}
