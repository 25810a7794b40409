#!/usr/bin/env python3
"""The files, folders and functions that docs/ARCHITECTURE.md names exist, and the tests of its rules hold tests.

A line that begins with `file`: names functions of that file in backquotes, up to the end of the line.
"""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
NAME = re.compile(r"`([^`\s]+)`")
# Scenarios of the conformance suite are generic over the runtime, and become tests by a macro.
TEST = re.compile(r"#\[(tokio::)?test\b|pub\(crate\) async fn \w+<R: Runtime")
STEP = re.compile(r"^\d+\. `([^`]+\.rs)`: (.*)$")


def problems(text):
    for number, line in enumerate(text.splitlines(), 1):
        paths = [name for name in NAME.findall(line) if "/" in name]
        missing = [path for path in paths if not (TOP / path).exists()]
        yield from (f"{number}: {path} does not exist" for path in missing)
        if missing:
            continue
        if step := STEP.match(line):
            source = (TOP / step[1]).read_text()
            for name in NAME.findall(step[2]):
                if re.fullmatch(r"[a-z_]+", name) and not re.search(rf"\bfn {name}\b", source):
                    yield f"{number}: {step[1]} has no function {name}"
        if line.startswith("|"):
            for path in NAME.findall(line.rsplit("|", 2)[-2]):
                if path.endswith(".rs"):
                    files = [TOP / path] + ([*(TOP / path).parent.glob("*.rs")] if path.endswith("mod.rs") else [])
                    if not any(TEST.search(file.read_text()) for file in files):
                        yield f"{number}: {path} has no test"


if __name__ == "__main__":
    page = TOP / "docs/ARCHITECTURE.md"
    found = list(problems(page.read_text()))
    print("\n".join(f"docs/ARCHITECTURE.md:{problem}" for problem in found) or "docs/ARCHITECTURE.md names what exists")
    sys.exit(bool(found))
