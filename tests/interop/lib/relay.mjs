// Runs inside a namespace, where it stands for a server outside: `relay.mjs HOST PORT`. Prints its port.
import { startProxy } from "./proxy.mjs";

const [host, port] = process.argv.slice(2);
const { port: own } = await startProxy({ host, port: Number(port) });
console.log(own);
