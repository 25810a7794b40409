// What Chromium makes of the descriptions in tests/descriptions, told as the files tell it.
import { readdir, readFile } from "node:fs/promises";

const folder = new URL("../../descriptions/", import.meta.url);

/** Every description: its name, text, and the verdicts that its file records. */
export async function descriptions() {
  const files = (await readdir(folder)).filter((name) => name.endsWith(".sdp")).sort();
  return Promise.all(
    files.map(async (file) => {
      const text = await readFile(new URL(file, folder), "utf8");
      const end = text.indexOf("\n\n");
      const fields = Object.fromEntries(text.slice(0, end).split("\n").map((line) => line.split(/: (.*)/s)));
      return { name: file.replace(".sdp", ""), ...fields, sdp: text.slice(end + 2) };
    }),
  );
}

/** Runs in the page. Gives `accepted` or `rejected` for each section, `refused`, or `accepted nothing` without sections. */
export async function verdict({ name, sdp }) {
  const connection = new RTCPeerConnection();
  try {
    if (!name.startsWith("answer-")) {
      await connection.setRemoteDescription({ type: "offer", sdp });
      const { sdp: answer } = await connection.createAnswer();
      const lines = answer.split("\r\n").filter((line) => line.startsWith("m="));
      return lines.map((line) => (line.split(" ")[1] === "0" ? "rejected" : "accepted")).join(" ") || "accepted nothing";
    }
    const media = ["audio", "video"].map((kind) => connection.addTransceiver(kind, { direction: "sendonly" }));
    connection.createDataChannel("");
    await connection.setLocalDescription();
    const mids = [...connection.localDescription.sdp.matchAll(/a=mid:(.*)\r\n/g)].map(([, mid]) => mid);
    const answer = mids.reduce((text, mid, at) => text.replaceAll(`{${at}}`, mid), sdp);
    await connection.setRemoteDescription({ type: "answer", sdp: answer });
    const accepted = [...media.map(({ currentDirection }) => currentDirection !== "stopped"), connection.sctp !== null];
    return accepted.map((good) => (good ? "accepted" : "rejected")).join(" ");
  } catch (error) {
    return "refused";
  } finally {
    connection.close();
  }
}
