// Every scenario: its name, who takes part (in the order of joining, unless it says otherwise), and what happens.
import { channel, channelsAtOnce } from "./channels.mjs";
import { control } from "./descriptions.mjs";
import { playing, recording } from "./files.mjs";
import { glareInCall } from "./glare.mjs";
import { bothSend, media } from "./media.mjs";
import { mesh } from "./mesh.mjs";
import { messages } from "./messages.mjs";
import { mixed } from "./mixed.mjs";
import { browsersRestart, cable, ourRestart } from "./outage.mjs";
import { presence } from "./presence.mjs";
import { cutOff, serverRestarted } from "./reconnect.mjs";
import { replaced, screenShare } from "./tracks.mjs";

/** Our peer with one browser. */
function* ours(browser) {
  const pairs = [[browser, "rust"], ["rust", browser]];
  for (const kinds of pairs) {
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
    for (const dropped of [[browser], ["rust"], kinds]) {
      const who = dropped.length > 1 ? "both" : dropped[0];
      yield {
        name: `reconnect of ${who}, ${sender} sends`,
        kinds,
        run: (t, a, b) => cutOff(t, a, b, dropped),
      };
    }
    yield { name: `server restarted, ${sender} sends`, kinds, run: serverRestarted };
  }
  yield { name: `${browser} restarts ICE`, kinds: pairs[0], run: browsersRestart };
  yield { name: `the example plays files to ${browser}`, kinds: [browser], run: playing };
  yield { name: `the example records ${browser}`, kinds: [browser], run: recording };
}

/**
 * The official SDK with itself through our server: tells our server's faults, and the test's, from our peer's. Not from
 * both sides at once: in a collision the SDK sometimes loses the candidates of its own kind, and nothing connects.
 */
function* reference(...kinds) {
  const name = `reference, ${kinds.join(" and ")}`;
  yield { name: `${name}: presence`, kinds, run: (t, a, b) => presence(t, a, b, "second") };
  yield { name: `${name}: messages`, kinds, run: messages };
  yield { name: `${name}: channel`, kinds, run: channel };
  yield {
    name: `${name}: media`,
    kinds,
    run: (t, a, b) => media(t, a, b, { when: "before", senderJoins: "second" }),
  };
}

/** Those that take long for what they are: once in a run. */
function* heavy(browser) {
  const kinds = [browser];
  const once = true;
  yield { name: `media to ${browser} is lost, and our side restarts ICE`, kinds, run: ourRestart, once, limit: 240_000 };
  yield { name: `the network to ${browser} goes for ten seconds`, kinds, run: cable, once, limit: 240_000 };
}

/** Not with anyone: what the browser itself takes. */
function* controls() {
  yield { name: "control: Chromium takes what is recorded of it", kinds: ["chromium"], run: control, once: true };
}

/** More than two, of different kinds. */
function* rooms() {
  const once = true;
  const limit = 300_000;
  const three = ["chromium", "firefox", "rust"];
  for (const kinds of [three, three.toReversed()]) yield { name: `media in a room of ${kinds.join(", ")}`, kinds, run: mixed };
  const some = (kinds, count) => (t) => mesh(t, kinds, count);
  yield { name: "eight Chromium pages and eight Rust peers", kinds: [], run: some(["chromium", "rust"], 8), once, limit };
  yield { name: "four Chromium pages, four Firefox pages and four Rust peers", kinds: [], run: some(three, 4), once, limit };
}

export const scenarios = [
  ...reference("chromium", "chromium"),
  ...reference("firefox", "firefox"),
  ...reference("chromium", "firefox"),
  ...reference("firefox", "chromium"),
  ...ours("chromium"),
  ...ours("firefox"),
  ...heavy("chromium"),
  ...heavy("firefox"),
  ...rooms(),
  ...controls(),
];
