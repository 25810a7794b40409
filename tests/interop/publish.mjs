// The official client publishing as fast as it can: `publish.mjs URL KEY PUBLISHES`. Prints how many it made for each
// second of processor time of this process. What it says, and how much at once, is as in our benchmark.
import { SignallingClient } from "@metered-ca/realtime";
import WebSocket from "ws";

const [url, apiKey, count] = process.argv.slice(2);
const inFlight = 64;
const text = "All happy families are alike; each unhappy family is unhappy in its own way.";

const webSocketFactory = (address) => new WebSocket(address, { perMessageDeflate: false });
const client = new SignallingClient({ url, apiKey, webSocketFactory });

async function publish(publishes) {
  let next = 0;
  const publisher = async () => {
    while (next < publishes) await client.publish("room-0", { n: next++, text });
  };
  await Promise.all(Array.from({ length: inFlight }, publisher));
}

await client.connect();
await publish(count / 10);
const before = process.cpuUsage();
await publish(Number(count));
const { user, system } = process.cpuUsage(before);
console.log((count * 1e6) / (user + system));
await client.close();
process.exit(0);
