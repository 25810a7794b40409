// webrtcbin of GStreamer, as installed from Debian: it sends sound and opens no channels.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { serve } from "./client.mjs";

const PROGRAM = fileURLToPath(new URL("gstreamer.py", import.meta.url));

class Connection {
  audioPackets = 0;
  #program = spawn("/usr/bin/python3", [PROGRAM], { stdio: ["pipe", "pipe", "inherit"] });

  constructor({ description, candidate, state }) {
    createInterface({ input: this.#program.stdout }).on("line", (line) => {
      const { tell, ...fields } = JSON.parse(line);
      if (tell === "description") description(fields.type, fields.sdp);
      else if (tell === "candidate") candidate({ candidate: fields.candidate, sdpMLineIndex: fields.line });
      else state(fields.to);
    });
  }

  #do(name, fields = {}) {
    this.#program.stdin.write(`${JSON.stringify({ do: name, ...fields })}\n`);
  }

  addAudio() {}
  offer() {
    this.#do("offer");
  }
  offered(sdp) {
    this.#do("offered", { sdp });
  }
  answered(sdp) {
    this.#do("answered", { sdp });
  }
  candidate({ candidate, sdpMLineIndex }) {
    this.#do("candidate", { candidate, line: sdpMLineIndex ?? 0 });
  }
}

serve(Connection);
