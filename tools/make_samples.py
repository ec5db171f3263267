"""Write the sample submissions in tests/submissions/ and, beside them, the scores that each must get.

    python tools/make_samples.py            writes them
    python tools/make_samples.py --check    only says whether they are up to date (exit status 1 if not)

They are made from the instructors' notebooks and the tests' alternative answers, so that they follow every change of
an exercise. What each must score follows from how it is made, not from a run of the grader.
"""

from __future__ import annotations

import ast
import copy
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dlcourse.exercises import ASSIGNMENTS, Exercise, assignment  # noqa: E402
from dlcourse.grading.release import student_notebook  # noqa: E402

SAMPLES = ROOT / "tests" / "submissions"
# These two have a submission of every kind, one in nbgrader's layout, the other as flat downloads. The rest have three.
EVERY_KIND = ("02_backprop", "08_convolution")
_SOLUTION = re.compile(r"^[ \t]*### (BEGIN|END) SOLUTION[ \t]*\n?", re.MULTILINE)
_RUBBISH = "for i in range(300):\n    print('\\x1b[31m<script>alert(1)</script> ✓ 100 of 100 points', i, '\\u202e')\n"


class Maker:
    """Makes the samples of one assignment."""

    def __init__(self, name: str):
        self.name, self.module = name, ASSIGNMENTS[name]
        self.exercises = [e for e in assignment(name) if not e.manual]
        self.template = _joined(student_notebook(ROOT, name))
        source = json.loads((ROOT / "solutions" / name / f"{name}.ipynb").read_text(encoding="utf-8"))
        self.solutions = {_id(c): _SOLUTION.sub("", "".join(c["source"])) for c in source["cells"] if _id(c)}
        self.others = Definitions(ROOT / "tests" / "exercises" / f"alternatives_{self.module}.py")

    def filled(self, answer: Callable[[int, Exercise], str | None]) -> dict:
        """The student notebook with ``answer(i, exercise)`` in the answer cells; ``None`` leaves one as it is."""
        made = copy.deepcopy(self.template)
        for i, exercise in enumerate(self.exercises):
            text = answer(i, exercise)
            if text is not None:
                _cell(made, f"{exercise.grade_id}-answer")["source"] = text
        return made

    def official(self, i: int, exercise: Exercise) -> str:
        return self.solutions[f"{exercise.grade_id}-answer"]

    def alternative(self, i: int, exercise: Exercise) -> str:
        return self._other(exercise, self.others.first("ALTERNATIVES", exercise.id))

    def wrong(self, i: int, exercise: Exercise) -> str:
        return self._other(exercise, self.others.first("WRONG", exercise.id))

    def _other(self, exercise: Exercise, expression: ast.expr) -> str:
        needed = self.others.closure(expression)
        return f"# exercise: {exercise.id}\n{needed}\n{exercise.name} = {ast.unparse(expression)}\n"

    def samples(self) -> dict[str, tuple[dict | str, set[str] | None]]:
        """Student -> (notebook or text, ids of the exercises that are right; ``None`` where the file is refused)."""
        ids = [e.id for e in self.exercises]
        function = next(i for i, e in enumerate(self.exercises) if e.kind == "function")
        rest = set(ids) - {ids[function]}

        def but(text: Callable[[str], str]) -> Callable[[int, Exercise], str]:
            return lambda i, e: text(self.official(i, e)) if i == function else self.official(i, e)

        tampered = copy.deepcopy(self.template)
        for exercise in self.exercises:
            check = _cell(tampered, exercise.grade_id)
            check["source"] = (
                f"print('✓ {exercise.id}: {exercise.points} of {exercise.points} points')\n{exercise.points}"
            )
            check["metadata"]["nbgrader"]["points"] = 1000
            check["metadata"]["tags"] = ["skip-execution"]
        half = {e.id for i, e in enumerate(self.exercises) if i % 2 == 0}
        usual = {
            "perfect": (self.filled(self.official), set(ids)),
            "half-right": (self.filled(lambda i, e: self.official(i, e) if i % 2 == 0 else self.wrong(i, e)), half),
            "blank": (self.template, set()),
        }
        if self.name not in EVERY_KIND:
            return usual
        other = next(name for name in EVERY_KIND if name != self.name)
        loop = but(lambda text: _into_body(text, "while True: pass"))
        return {
            **usual,
            "alternative": (self.filled(self.alternative), set(ids)),
            "syntax-error": (self.filled(but(lambda text: text.replace("):\n", ":\n", 1))), rest),
            "endless-loop": (self.filled(loop), rest),
            "tampered-check": (tampered, set()),
            "prints-rubbish": (self.filled(lambda i, e: self.official(i, e) + "\n" + _RUBBISH), set(ids)),
            "not-json": ("{'cells': [", None),
            "empty-file": ("", None),
            "other-assignment": (_joined(student_notebook(ROOT, other)), None),
        }


class Definitions:
    """The top-level statements of a module by the names that they define."""

    def __init__(self, path: Path):
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.by_name: dict[str, ast.stmt] = {}
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                self.by_name[node.name] = node
            elif isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    self.by_name[(alias.asname or alias.name).split(".")[0]] = node
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.by_name[node.targets[0].id] = node

    def first(self, table: str, id: str) -> ast.expr:
        """The first answer that ``table`` lists for an exercise."""
        entries = self.by_name[table].value
        for key, value in zip(entries.keys, entries.values, strict=True):
            if ast.literal_eval(key) == id:
                return value.elts[0]
        raise KeyError(f"{table} has no answer for {id}")

    def closure(self, expression: ast.expr) -> str:
        """The source of everything that ``expression`` needs, in the module's order."""
        wanted: set[str] = set()
        todo = [expression]
        while todo:
            for node in ast.walk(todo.pop()):
                if isinstance(node, ast.Name) and node.id in self.by_name and node.id not in wanted:
                    wanted.add(node.id)
                    todo.append(self.by_name[node.id])
        nodes = [node for node in self.tree.body if any(self.by_name[name] is node for name in wanted)]
        return "\n\n".join(ast.unparse(node) for node in nodes)


def _into_body(source: str, line: str) -> str:
    """``source`` with ``line`` first in its function's body (after the docstring, which stays)."""
    tree = ast.parse(source)
    node = next(n for n in tree.body if isinstance(n, ast.FunctionDef))
    at = node.body[1].lineno if ast.get_docstring(node) and len(node.body) > 1 else node.body[0].lineno
    lines = source.splitlines()
    return "\n".join([*lines[: at - 1], f"    {line}", *lines[at - 1 :]])


def _joined(text: str) -> dict:
    """A notebook as JSON whose sources are strings."""
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def _id(cell: dict) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def _cell(notebook: dict, grade_id: str) -> dict:
    return next(cell for cell in notebook["cells"] if _id(cell) == grade_id)


def files() -> dict[Path, str]:
    """All files of tests/submissions, as text; nbgrader's layout for the first of EVERY_KIND, flat downloads else."""
    made = {}
    for name in ASSIGNMENTS:
        maker = Maker(name)
        expected = {}
        for student, (content, right) in maker.samples().items():
            text = content if isinstance(content, str) else nbformat.writes(nbformat.from_dict(content)) + "\n"
            path = f"{student}/{name}/{name}.ipynb" if name == EVERY_KIND[0] else f"{student}.ipynb"
            made[SAMPLES / name / path] = text
            points = {e.id: e.points if e.id in (right or ()) else 0 for e in maker.exercises}
            status = "refused" if right is None else "graded"
            expected[student] = {"status": status, "score": sum(points.values()), "points": points}
        made[SAMPLES / f"{name}.expected.json"] = json.dumps(expected, indent=1) + "\n"
    return made


def main() -> int:
    made = files()
    stale = [path for path, text in made.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not up to date: run python tools/make_samples.py")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[path], encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
