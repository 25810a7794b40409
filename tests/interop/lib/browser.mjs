// The official SDK in a headless browser, Chromium or Firefox: each participant is a page of its own.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { Participant } from "./participant.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const require = createRequire(import.meta.url);

// Everything runs on this machine: loopback candidates, under their addresses instead of mDNS names. Cameras and
// microphones are fake and need no permission, and media plays without a click.
const LAUNCH = {
  chromium: {
    browser: "chrome",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--allow-loopback-in-peer-connection",
      "--disable-features=WebRtcHideLocalIpsWithMdns",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      "--autoplay-policy=no-user-gesture-required",
    ],
  },
  firefox: {
    browser: "firefox",
    extraPrefsFirefox: {
      "media.navigator.streams.fake": true,
      "media.navigator.permission.disabled": true,
      // Without permission for a camera or microphone, only the address of the default route is used.
      "permissions.default.camera": 1,
      "permissions.default.microphone": 1,
      "media.peerconnection.ice.loopback": true,
      "media.peerconnection.ice.obfuscate_host_addresses": false,
      "media.autoplay.default": 0,
      "media.gmp-manager.updateEnabled": false,
    },
  },
};

/** Firefox slows down the timers and canvases of tabs in the background, so that each page has a window. */
const NEW_PAGE = { chromium: { type: "tab" }, firefox: { type: "window" } };

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

class Page extends Participant {
  isBrowser = true;
  #page;

  constructor(name, page) {
    super(name);
    this.#page = page;
  }

  /** Every description on the wire so far, sent or received. */
  get descriptions() {
    return this.log.filter(({ event }) => event === "description");
  }

  async call(command, fields = {}) {
    return this.#page.evaluate((name, rest) => window.command(name, rest), command, fields);
  }

  /** Runs a function in the page. */
  async evaluate(run, argument) {
    return this.#page.evaluate(run, argument);
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
    await this.#page.browserContext().close();
  }
}

/**
 * Starts the browser; `open` gives participants.
 * @param {"chromium" | "firefox"} kind
 */
export async function startBrowser(kind, executablePath) {
  const { launch } = await import("puppeteer-core");
  const http = await servePage();
  // A secure context, as media devices ask for.
  const origin = `http://localhost:${http.address().port}`;
  const browser = await launch({ ...LAUNCH[kind], executablePath, headless: true });
  return {
    version: await browser.version(),
    /** A page of its own, for whom `server` is the way to the server. */
    async open(name, server) {
      const context = await browser.createBrowserContext();
      const page = await context.newPage(NEW_PAGE[kind]);
      const participant = new Page(name, page);
      participant.server = server;
      participant.console = [];
      page.on("console", (message) => participant.console.push(`${message.type()}: ${message.text()}`));
      page.on("pageerror", (error) => participant.record({ event: "page-error", error: String(error) }));
      page.on("error", () => participant.end("its page crashed"));
      page.on("close", () => participant.end("its page was closed"));
      await page.exposeFunction("report", (entry) => participant.record(entry));
      await page.goto(origin);
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
