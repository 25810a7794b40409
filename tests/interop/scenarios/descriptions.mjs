// The browser is given the descriptions that the tests of the core are given: what a browser takes, the core takes, but for
// what the files list with a reason. Here the browser is held to what they record of it.
import { descriptions, verdict } from "../lib/descriptions.mjs";

export async function control(t, browser) {
  const all = await descriptions();
  t.holds("there are descriptions", all.length > 150, `${all.length}`);
  for (const { name, sdp, chromium } of all) {
    t.equal(name, await browser.evaluate(verdict, { name, sdp }), chromium);
  }
}
