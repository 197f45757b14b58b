"""Mutation testing: changes one place of the package at a time and looks whether a test notices.

Most kinds of changes are mutmut's; negated conditions, removed calls and lost return values are
ours. Prose (a string with a space in it), annotations and decorators are left alone. A mutant runs
in a copy of the tree against the test files of its own module, then against the unit and functional
tests of its room; it is killed when one fails or does not end in time. Everything else is a
survivor: a test to write, or a change that means the same.
"""

from __future__ import annotations

import argparse
import difflib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).resolve().parents[1]
COPY = ROOT / ".cache/mutants/tree"
PACKAGE = "metrics_apiserver"
ROOMS = ("core", "provider", "kube", "api")
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "site", "build")
UNTOUCHED = (cst.Annotation, cst.Decorator, cst.ImportFrom, cst.Import)
SLACK_SECONDS = 15.0

Operator = Callable[[cst.CSTNode], Iterable[cst.CSTNode]]


@dataclass(frozen=True, eq=False)
class Mutant:
    """One change of a module.

    Attributes:
        module: relative to the tree.
        line: where it is, from 1.
        tree: the module as it is.
        node: of the tree.
        changed: what stands there instead.
    """

    module: Path
    line: int
    tree: cst.Module
    node: cst.CSTNode
    changed: cst.CSTNode

    @cached_property
    def text(self) -> str:
        """The module with the change; empty where Python could not read it."""
        mutated = self.tree.deep_replace(self.node, self.changed)
        assert isinstance(mutated, cst.Module)
        try:
            compile(mutated.code, "mutant", "exec")
        except SyntaxError:
            return ""
        return mutated.code if mutated.code != self.tree.code else ""

    def diff(self) -> str:
        """The change without the lines around it."""
        lines = difflib.unified_diff(
            self.tree.code.splitlines(), self.text.splitlines(), n=0, lineterm=""
        )
        return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


# --- changes -------------------------------------------------------------------------------


def negate(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """`if x` to `if not (x)`, `while x` likewise."""
    if isinstance(node, cst.If | cst.While):
        test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        yield node.with_changes(test=cst.UnaryOperation(cst.Not(), test))


def remove(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A statement that is a call or a raise to `pass`."""
    if isinstance(node, cst.Raise) or (
        isinstance(node, cst.Expr) and isinstance(node.value, cst.Call | cst.Await)
    ):
        yield cst.Pass()


def lose(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """`return x` to `return None`."""
    if isinstance(node, cst.Return) and node.value is not None:
        yield node.with_changes(value=cst.Name("None"))


OPERATORS: Sequence[tuple[type, Operator]] = (
    *mutation_operators,
    (cst.CSTNode, negate),
    (cst.CSTNode, remove),
    (cst.CSTNode, lose),
)


def places(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Every node in which a change may matter."""
    if isinstance(node, UNTOUCHED) or (isinstance(node, cst.SimpleString) and " " in node.value):
        return
    yield node
    for child in node.children:
        yield from places(child)


def mutants(module: Path) -> Iterator[Mutant]:
    """Every mutant of a module."""
    wrapper = MetadataWrapper(cst.parse_module((ROOT / module).read_text()))
    positions = wrapper.resolve(PositionProvider)
    for node in places(wrapper.module):
        for kind, operator in OPERATORS:
            if isinstance(node, kind):
                for changed in operator(node):
                    line = positions[node].start.line
                    yield Mutant(module, line, wrapper.module, node, changed)


def sample(known: Sequence[Mutant], size: int, seed: int) -> list[Mutant]:
    """Some of them by chance, the same for the same seed, in the order of the files."""
    shuffled = random.Random(seed).sample(known, len(known))
    chosen = islice((mutant for mutant in shuffled if mutant.text), size)
    return sorted(chosen, key=lambda mutant: (mutant.module, mutant.line))


# --- runs ----------------------------------------------------------------------------------


def stages(module: Path) -> list[list[str]]:
    """What is run against a mutant of the module, one after the other until a test fails."""
    inside = module.relative_to(PACKAGE)
    test = inside.with_name(f"test_{inside.name}")
    floors = [Path("tests/unit"), Path("tests/functional")]
    own = [floor / test for floor in floors]
    room = [floor / inside.parts[0] for floor in floors]
    found = ([str(path) for path in paths if (ROOT / path).exists()] for paths in (own, room))
    return [paths for paths in found if paths]


def run(tests: Sequence[str], seconds: float | None = None) -> bool:
    """Whether the tests pass in the copy, and in time."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    process = subprocess.Popen(
        [*command, *tests],
        cwd=COPY,
        env={**os.environ, "PYTHONPATH": str(COPY), "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@cache
def allowed_seconds(tests: tuple[str, ...]) -> float:
    """How long these tests may take; they must pass without a change."""
    began = time.monotonic()
    if not run(tests):
        raise SystemExit(f"without any mutant these tests fail: {' '.join(tests)}")
    return SLACK_SECONDS + 4 * (time.monotonic() - began)


def is_killed(mutant: Mutant, turn: int) -> bool:
    """Runs the tests against the mutant; `turn` makes each state of a file another one in time."""
    limits = [(tests, allowed_seconds(tuple(tests))) for tests in stages(mutant.module)]
    target = COPY / mutant.module
    original = target.read_text()
    try:
        write(target, mutant.text, 2 * turn)
        return any(not run(tests, seconds) for tests, seconds in limits)
    finally:
        write(target, original, 2 * turn + 1)


def write(target: Path, text: str, turn: int) -> None:
    """Writes a module so that Python takes no compiled file of before for it."""
    target.write_text(text)
    os.utime(target, (1_000_000_000 + turn, 1_000_000_000 + turn))


def main() -> int:
    """Runs a sample and prints the survivors; 1 when too few mutants were killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=60, help="how many mutants are run")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--floor", type=float, default=0.0, help="the least percentage killed")
    parser.add_argument("paths", nargs="*", help="modules or folders; the four rooms by default")
    arguments = parser.parse_args()
    paths = [Path(path) for path in arguments.paths or (f"{PACKAGE}/{room}" for room in ROOMS)]
    files = [file for path in paths for file in ([path] if path.suffix else path.rglob("*.py"))]
    known = [mutant for file in sorted(files) for mutant in mutants(file)]
    chosen = sample(known, arguments.sample, arguments.seed)
    print(f"{len(chosen)} of {len(known)} mutants in {len(files)} modules", flush=True)
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(ROOT, COPY, ignore=LEFT_OUT)
    killed = 0
    for turn, mutant in enumerate(chosen):
        if is_killed(mutant, turn):
            killed += 1
        else:
            print(f"\n{mutant.module}:{mutant.line} survived\n{mutant.diff()}", flush=True)
    percentage = 100 * killed / max(1, len(chosen))
    print(f"\nkilled {killed} of {len(chosen)} ({percentage:.0f} %)")
    return int(percentage < arguments.floor)


if __name__ == "__main__":
    sys.exit(main())
