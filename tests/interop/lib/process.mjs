// Child processes: each is killed when the runner ends, however it ends.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const running = new Set();

function killAll() {
  for (const child of running) child.kill("SIGKILL");
}
process.on("exit", killAll);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** Starts a program with piped input and output; its last lines of standard error are kept for failures. */
export function start(program, args, { env, onLine = () => {}, stdin = "pipe" } = {}) {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: [stdin, "pipe", "pipe"] });
  running.add(child);
  const errors = [];
  const trouble = new Promise((resolve) => child.once("error", resolve));
  createInterface({ input: child.stdout }).on("line", onLine);
  createInterface({ input: child.stderr }).on("line", (line) => {
    errors.push(line);
    if (errors.length > 400) errors.shift();
  });
  const ended = Promise.race([
    new Promise((resolve) => child.once("close", (code, signal) => resolve(signal ?? code))),
    trouble.then((error) => error.message),
  ]).finally(() => running.delete(child));
  return { child, ended, errors };
}

/** Runs a program to its end and gives its output; throws with its errors if it fails. */
export async function run(program, args, { env, show = false } = {}) {
  const lines = [];
  const { ended, errors } = start(program, args, { env, stdin: "ignore", onLine: (line) => lines.push(line) });
  const code = await ended;
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: ${code}\n${errors.slice(-30).join("\n")}`);
  if (show) console.log(lines.join("\n"));
  return lines.join("\n");
}

/** Asks a process to end, and makes it end if it doesn't within the limit. */
export async function stop({ child, ended }, { signal = "SIGTERM", within = 5_000 } = {}) {
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), within);
  const code = await ended;
  clearTimeout(timer);
  return code;
}
