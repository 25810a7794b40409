// Every scenario: its name, who takes part (in the order of joining, unless it says otherwise), and what happens.
import { channel, channelsAtOnce } from "./channels.mjs";
import { playing, recording } from "./files.mjs";
import { glareInCall } from "./glare.mjs";
import { bothSend, media } from "./media.mjs";
import { mesh } from "./mesh.mjs";
import { messages } from "./messages.mjs";
import { browsersRestart, cable, ourRestart } from "./outage.mjs";
import { presence } from "./presence.mjs";
import { cutOff, serverRestarted } from "./reconnect.mjs";
import { replaced, screenShare } from "./tracks.mjs";

const PAIRS = [
  ["browser", "rust"],
  ["rust", "browser"],
];

function* ours() {
  for (const kinds of PAIRS) {
    const name = kinds.join(", then ");
    yield { name: `presence: ${name}; first leaves`, kinds, run: (t, a, b) => presence(t, a, b, "first") };
    yield { name: `presence: ${name}; second leaves`, kinds, run: (t, a, b) => presence(t, a, b, "second") };
    yield { name: `messages: ${name}`, kinds, run: messages };
    yield { name: `channel: ${name} opens`, kinds, run: channel };
    yield { name: `channels from both sides at once: ${name}`, kinds, run: channelsAtOnce };
    yield {
      name: `channels from both sides at once, after media: ${name}`,
      kinds,
      run: (t, a, b) => channelsAtOnce(t, a, b, "before"),
    };
    yield {
      name: `channels and media from both sides at once: ${name}`,
      kinds,
      run: (t, a, b) => channelsAtOnce(t, a, b, "both"),
    };
    const [sender] = kinds;
    for (const when of ["before", "after"]) {
      for (const senderJoins of ["first", "second"]) {
        yield {
          name: `media of ${sender}, added ${when} join, who joins ${senderJoins}`,
          kinds,
          run: (t, a, b) => media(t, a, b, { when, senderJoins }),
        };
      }
    }
    yield { name: `media from both sides at once: ${name}`, kinds, run: bothSend };
    for (const polite of kinds) {
      yield { name: `glare in a call: ${name}; ${polite} is polite`, kinds, run: (t, a, b) => glareInCall(t, a, b, polite) };
    }
    yield { name: `screen share of ${sender}`, kinds, run: screenShare };
    yield { name: `replaced track of ${sender}`, kinds, run: replaced };
    for (const dropped of [["browser"], ["rust"], kinds]) {
      const who = dropped.length > 1 ? "both" : dropped[0];
      yield {
        name: `reconnect of ${who}, ${sender} sends`,
        kinds,
        run: (t, a, b) => cutOff(t, a, b, dropped),
      };
    }
    yield { name: `server restarted, ${sender} sends`, kinds, run: serverRestarted };
  }
  yield { name: "the browser restarts ICE", kinds: PAIRS[0], run: browsersRestart };
  yield { name: "the example plays files", kinds: ["browser"], run: playing };
  yield { name: "the example records", kinds: ["browser"], run: recording };
}

/**
 * The official SDK with itself through our server: tells our server's faults, and the test's, from our peer's. Not from
 * both sides at once: in a collision the SDK sometimes loses the candidates of its own kind, and nothing connects.
 */
function* reference() {
  const kinds = ["browser", "browser"];
  yield { name: "reference: presence", kinds, run: (t, a, b) => presence(t, a, b, "second") };
  yield { name: "reference: messages", kinds, run: messages };
  yield { name: "reference: channel", kinds, run: channel };
  yield {
    name: "reference: media",
    kinds,
    run: (t, a, b) => media(t, a, b, { when: "before", senderJoins: "second" }),
  };
}

/** Those that take long for what they are: once in a run. */
function* heavy() {
  const once = true;
  yield { name: "media is lost, and our side restarts ICE", kinds: ["browser"], run: ourRestart, once, limit: 240_000 };
  yield { name: "the network goes for ten seconds", kinds: ["browser"], run: cable, once, limit: 240_000 };
  yield { name: "eight browsers and eight Rust peers", kinds: [], run: mesh, once, limit: 300_000 };
}

export const scenarios = [...reference(), ...ours(), ...heavy()];
