#!/usr/bin/env python3
"""No two files of a crate depend on each other, directly or through others.

Reads `mod` and `use` lines, and paths that begin with `crate::`, `super::` or the name of a child module. A name is followed
through re-exports (`pub use`) to the file that defines it; a re-export is a dependency only where the file also uses the
name itself. Tests are left out.

    no_circles.py           checks the crates of the workspace
    no_circles.py --test    checks this script
"""

import pathlib
import re
import sys
import tempfile

# The root files. A binary beside a library is a crate of its own.
CRATES = [
    "core/src/lib.rs", "runtime/src/lib.rs", "runtime-tokio/src/lib.rs", "runtime-smol/src/lib.rs", "server/src/lib.rs",
    "server/src/main.rs",
]

COMMENT = re.compile(r"//[^\n]*")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
TEST_MODULE = re.compile(r"#\[cfg\(test\)\]\s*(?:pub(?:\([a-z]+\))? )?mod (\w+)\s*(;|\{)")
USE = re.compile(r"^[ \t]*(pub(?:\([a-z ]+\))?\s+)?use\s+([^;]+);", re.M)
MODULE = re.compile(r"^[ \t]*(?:pub(?:\([a-z ]+\))?\s+)?mod\s+(\w+)\s*;", re.M)
VISIBILITY = re.compile(r"pub\(in [^)]*\)")
INLINE = re.compile(r"\b(?:crate|super)(?:::\w+)+")


def expand(tree):
    """The paths of a `use` tree: `a::{b, c as d}` gives [(a::b, b), (a::c, d)]."""
    tree = tree.strip()
    if not tree.endswith("}"):
        path, _, alias = tree.partition(" as ")
        segments = [segment.strip() for segment in path.split("::")]
        if segments[-1] == "self":
            segments.pop()
        return [(segments, alias.strip() or (segments or [""])[-1])]
    prefix, inner = tree[:-1].split("{", 1)
    parts, depth, start = [], 0, 0
    for at, char in enumerate(inner + ","):
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            parts.append(inner[start:at])
            start = at + 1
    before = [segment.strip() for segment in prefix.split("::") if segment.strip()]
    found = []
    for part in parts:
        if part.strip():
            for segments, alias in expand(part):
                name = before[-1] if not segments and before else alias
                found.append((before + segments, name))
    return found


def without_tests(text):
    """The text without inline test modules, and the names of test modules in files of their own."""
    names = set()
    while match := TEST_MODULE.search(text):
        end = match.end()
        if match[2] == "{":
            depth = 1
            while depth and end < len(text):
                depth += (text[end] == "{") - (text[end] == "}")
                end += 1
        else:
            names.add(match[1])
        text = text[: match.start()] + text[end:]
    return text, names


class Crate:
    def __init__(self, root):
        self.files, self.uses, self.exports, self.inline = {}, {}, {}, {}
        self.read(root, ())

    def read(self, path, module):
        text, test_modules = without_tests(STRING.sub('""', COMMENT.sub("", path.read_text())))
        self.files[module] = path
        self.uses[module], self.exports[module] = [], {}
        for is_export, tree in USE.findall(text):
            for segments, name in expand(tree):
                if is_export:
                    self.exports[module][name] = segments
                else:
                    self.uses[module].append(segments)
        body = VISIBILITY.sub("", USE.sub("", text))
        children = [name for name in MODULE.findall(text) if name not in test_modules]
        self.inline[module] = [match.split("::") for match in INLINE.findall(body)]
        for name in children:
            self.inline[module] += [match.split("::") for match in re.findall(rf"(?<![\w:]){name}(?:::\w+)+", body)]
        for name, segments in self.exports[module].items():
            if re.search(rf"(?<![\w:]){name}\b", body):
                self.uses[module].append(segments)
        folder = path.parent if path.name in ("lib.rs", "main.rs", "mod.rs") else path.parent / path.stem
        for name in MODULE.findall(text):
            if name not in test_modules:
                child = folder / f"{name}.rs"
                self.read(child if child.exists() else folder / name / "mod.rs", (*module, name))

    def resolve(self, module, segments, depth=0):
        """The module that defines what a path names, or None if it is not of this crate."""
        if depth > 16 or not segments:
            return module
        head, rest = segments[0], segments[1:]
        if head == "crate":
            return self.resolve((), rest, depth + 1)
        if head == "super":
            return self.resolve(module[:-1], rest, depth + 1)
        if head == "self":
            return self.resolve(module, rest, depth + 1)
        if (*module, head) in self.files:
            return self.resolve((*module, head), rest, depth + 1)
        if head in self.exports[module]:
            return self.resolve(module, self.exports[module][head] + rest, depth + 1)
        return module

    def edges(self):
        for module in self.files:
            found = set()
            for segments in self.uses[module] + self.inline[module]:
                if segments[0] in ("crate", "super", "self") or (*module, segments[0]) in self.files:
                    found.add(self.resolve(module, segments))
            yield module, {target for target in found if target != module}


def circles(graph):
    """The strongly connected components of more than one file (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in graph[node]:
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            component = []
            while True:
                component.append(stack.pop())
                if component[-1] == node:
                    break
            if len(component) > 1:
                found.append(sorted(component))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def report(root, top):
    """One text for each circle of a crate."""
    crate = Crate(root)
    name = {module: str(path.relative_to(top)) for module, path in crate.files.items()}
    graph = {module: targets for module, targets in crate.edges()}
    texts = []
    for circle in circles(graph):
        lines = [f"a circle of {len(circle)} files:"]
        for module in circle:
            lines.append(f"  {name[module]} -> {', '.join(sorted(name[t] for t in graph[module] if t in circle))}")
        texts.append("\n".join(lines))
    return texts


def check_itself():
    """Small crates, each with the number of circles it has."""
    cases = [
        ("two files that import each other", 1, {
            "lib.rs": "mod a;\nmod b;", "a.rs": "use crate::b::B;", "b.rs": "use super::a::{A, other as x};"}),
        ("a chain", 0, {"lib.rs": "mod a;\nmod b;", "a.rs": "use crate::b::B;", "b.rs": "// use crate::a::A;"}),
        ("a circle of three, one arrow of which is a path in the code", 1, {
            "lib.rs": "mod a;\nmod b;\nmod c;", "a.rs": "use super::b::B;", "b.rs": "fn f() { crate::c::g() }",
            "c.rs": "use crate::a;"}),
        ("a parent that re-exports", 0, {"lib.rs": "mod a;\nmod b;\npub use a::A;", "a.rs": "pub struct A;",
                                         "b.rs": "use crate::A;"}),
        ("a parent that re-exports a name and uses it", 1, {
            "lib.rs": "mod a;\npub use a::A;\npub struct B(A);", "a.rs": "use super::B;\npub struct A;"}),
        ("a parent that calls its child, which imports the parent", 1, {
            "lib.rs": "mod a;\nfn f() { a::g(); }", "a.rs": "use super::f;"}),
        ("a visibility", 0, {"lib.rs": "mod a;", "a/mod.rs": "mod b;\nuse b::B;",
                             "a/b.rs": "pub(in crate::a) struct B;"}),
        ("tests that import everything", 0, {
            "lib.rs": "mod a;\nuse a::A;\n#[cfg(test)]\nmod tests;", "tests.rs": "use super::*;",
            "a.rs": "pub struct A;\n#[cfg(test)]\nmod tests { use crate::f; }"}),
        ("a folder with a module file", 1, {
            "lib.rs": "mod a;", "a/mod.rs": "mod b;\nuse b::B;", "a/b.rs": "use super::A;"}),
    ]
    for what, expected, files in cases:
        with tempfile.TemporaryDirectory() as folder:
            top = pathlib.Path(folder)
            for file, text in files.items():
                (top / file).parent.mkdir(exist_ok=True)
                (top / file).write_text(text)
            found = report(top / "lib.rs", top)
            assert len(found) == expected, (what, found)
            assert all(".rs -> " in text for text in found), found


def main():
    sys.setrecursionlimit(10_000)
    check_itself()
    if "--test" in sys.argv:
        return False
    top = pathlib.Path(__file__).resolve().parent.parent
    found = [text for root in CRATES for text in report(top / root, top)]
    print("\n".join(found) or "no files import each other in a circle")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
