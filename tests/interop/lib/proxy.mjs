// A way to the server that can be cut: every connection through it ends at once, without a goodbye.
import { connect, createServer } from "node:net";

export async function startProxy({ port, host = "127.0.0.1", listen = "127.0.0.1" }) {
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect(port, host);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, listen, resolve));
  const cut = () => sockets.forEach((socket) => socket.resetAndDestroy());
  return {
    port: server.address().port,
    cut,
    stop() {
      server.close();
      cut();
    },
  };
}
