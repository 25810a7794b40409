#!/usr/bin/env python3
"""The core's dependencies are the ones named here, and its lint that denies clocks, sockets, threads and locks is on."""

import json
import pathlib
import subprocess
import sys

ALLOWED = {
    "bytes", "crc", "dimpl", "fastrand", "secrecy", "serde", "serde_json", "str0m", "thiserror", "tracing",
    "turn-client-proto", "url",
    # Behind features: the cryptography beneath str0m.
    "aes", "aes-gcm", "ctr", "hmac", "openssl", "p256", "rcgen", "sha1", "sha2",
}
MUST_BE_DENIED = {
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::thread::sleep",
    "std::net::UdpSocket",
    "std::net::TcpStream",
    "std::sync::Mutex",
    "std::sync::OnceLock",
    "fastrand::Rng::new",
}

metadata = json.loads(
    subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"])
)
core = next(package for package in metadata["packages"] if package["name"] == "metered-realtime-core")
found = {dependency["name"] for dependency in core["dependencies"] if dependency["kind"] != "dev"}
problems = [f"dependency {name} is not allowed in the core" for name in sorted(found - ALLOWED)]

root = pathlib.Path(core["manifest_path"]).parent
denied = (root / "clippy.toml").read_text()
problems += [f"{path} is not denied in {root.name}/clippy.toml" for path in sorted(MUST_BE_DENIED) if path not in denied]

for source in sorted(root.glob("src/**/*.rs")):
    text = source.read_text()
    for word in ("async fn", "async move", ".await", "static mut", "thread_local!", "lazy_static!"):
        if word in text:
            problems.append(f"{source.relative_to(root)}: {word}")

print("\n".join(problems) or "the core is pure")
sys.exit(bool(problems))
