#!/usr/bin/env python3
"""No two files of a crate depend on each other, directly or through others.

Reads `mod` and `use` lines, and paths that begin with `crate::` or `super::`. A re-export (`pub use`) is no dependency of
the file that has it: a name is followed through re-exports to the file that defines it. Tests are left out.
"""

import pathlib
import re
import sys

CRATES = ["core", "runtime", "server"]

COMMENT = re.compile(r"//[^\n]*")
TEST_MODULE = re.compile(r"#\[cfg\(test\)\]\s*(?:pub(?:\([a-z]+\))? )?mod (\w+)\s*(;|\{)")
USE = re.compile(r"^[ \t]*(pub(?:\([a-z ]+\))?\s+)?use\s+([^;]+);", re.M)
MODULE = re.compile(r"^[ \t]*(?:pub(?:\([a-z ]+\))?\s+)?mod\s+(\w+)\s*;", re.M)
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
        self.read(root / "lib.rs", ())

    def read(self, path, module):
        text, test_modules = without_tests(COMMENT.sub("", path.read_text()))
        self.files[module] = path
        self.uses[module], self.exports[module] = [], {}
        for is_export, tree in USE.findall(text):
            for segments, name in expand(tree):
                if is_export:
                    self.exports[module][name] = segments
                else:
                    self.uses[module].append(segments)
        self.inline[module] = [match.split("::") for match in INLINE.findall(USE.sub("", text))]
        folder = path.parent if path.name in ("lib.rs", "mod.rs") else path.parent / path.stem
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


def main():
    sys.setrecursionlimit(10_000)
    top = pathlib.Path(__file__).resolve().parent.parent
    failed = False
    for name in CRATES:
        crate = Crate(top / name / "src")
        graph = dict(crate.edges())
        for circle in circles(graph):
            failed = True
            print(f"{name}: a circle of {len(circle)} files:")
            for module in circle:
                targets = sorted(str(crate.files[t].relative_to(top)) for t in graph[module] if t in circle)
                print(f"  {crate.files[module].relative_to(top)} -> {', '.join(targets)}")
    print("there are circles" if failed else "no circles")
    return failed


if __name__ == "__main__":
    sys.exit(main())
