// The official SDK in a headless browser: each participant is a page of its own.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { Participant } from "./participant.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const require = createRequire(import.meta.url);

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Everything runs on this machine: loopback candidates, under their addresses instead of mDNS names.
  "--allow-loopback-in-peer-connection",
  "--disable-features=WebRtcHideLocalIpsWithMdns",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
];

/** Serves the page and the SDK's own build, nothing else. */
async function servePage() {
  const sdk = fileURLToPath(new URL("index.mjs", `file://${require.resolve("@metered-ca/realtime")}`));
  const files = {
    "/": [here("../page.html"), "text/html; charset=utf-8"],
    "/page.js": [here("../page.js"), "text/javascript; charset=utf-8"],
    "/sdk.mjs": [sdk, "text/javascript; charset=utf-8"],
  };
  const server = createServer(async (request, response) => {
    const [path, type] = files[request.url] ?? [];
    if (!path) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": type }).end(await readFile(path));
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "localhost", resolve));
  return server;
}

/** The description that a frame carries, if it carries one, and the other peer. */
function description(text) {
  const { type, to, from, data } = JSON.parse(text);
  if ((type !== "send" && type !== "direct") || data?.type !== "rtc-description") return;
  return { peer: to ?? from, ...data.description };
}

class Page extends Participant {
  #page;
  /** Every description on the wire so far, sent or received. */
  descriptions = [];

  constructor(name, page) {
    super(name);
    this.#page = page;
    page.on("websocket", (socket) => {
      const note = (sent) => ({ payload }) => {
        const found = typeof payload === "string" && description(payload);
        if (found) this.descriptions.push({ sent, ...found });
      };
      socket.on("framesent", note(true));
      socket.on("framereceived", note(false));
    });
  }

  async call(command, fields = {}) {
    return this.#page.evaluate(([name, rest]) => window.command(name, rest), [command, fields]);
  }

  /** What came of one track (by kind when its identifier is not known here), and whether that is enough. */
  async received(from, kind, track, frames) {
    const { inbound } = await this.call("stats", { peer: from.id });
    const ofKind = inbound.filter((entry) => entry.kind === kind);
    const found = ofKind.find((entry) => entry.trackIdentifier === track) ?? ofKind[0];
    if (!found) return { ok: false, inbound };
    const { codec, framesDecoded, keyFramesDecoded: keyFrames, packetsReceived, totalSamplesReceived, pliCount } = found;
    const ok = kind === "video" ? framesDecoded >= frames : packetsReceived > 0 && totalSamplesReceived > 0;
    const size = kind === "video" ? [found.frameWidth, found.frameHeight] : null;
    const count = kind === "video" ? framesDecoded : packetsReceived;
    return { ok, codec, count, size, framesDecoded, keyFrames, packetsReceived, totalSamplesReceived, pliCount };
  }

  async kill() {
    this.end("its page was closed");
    await this.#page.context().close();
  }
}

/** Starts the browser; `open` gives participants. */
export async function startBrowser({ executablePath }) {
  const { chromium } = await import("playwright-core");
  const http = await servePage();
  const browser = await chromium.launch({ executablePath, args: FLAGS, headless: true, chromiumSandbox: false });
  return {
    version: browser.version(),
    /** A page of its own, for whom `server` is the way to the server. */
    async open(name, server) {
      const context = await browser.newContext();
      const page = await context.newPage();
      const participant = new Page(name, page);
      participant.server = server;
      participant.console = [];
      page.on("console", (message) => participant.console.push(`${message.type()}: ${message.text()}`));
      page.on("pageerror", (error) => participant.record({ event: "page-error", error: String(error) }));
      page.on("crash", () => participant.end("its page crashed"));
      page.on("close", () => participant.end("its page was closed"));
      await page.exposeFunction("report", (entry) => participant.record(entry));
      // A secure context, as media devices ask for.
      await page.goto(`http://localhost:${http.address().port}/`);
      await participant.event("ready");
      return participant;
    },
    async stop() {
      await browser.close();
      http.close();
      http.closeAllConnections();
    },
  };
}
