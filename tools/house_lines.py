"""Lines of Python source: which kind each is, and which runs of code stand twice. Used by tools/house.py."""

import ast
import io
import re
import tokenize
from collections import defaultdict

LEAST = 6
"""Lines of code that must be equal in a row to count as repeated."""


def docstring_lines(tree):
    """Numbers of the lines of strings that stand alone: docstrings, and descriptions below attributes."""
    alone = (n for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))
    return {line for n in alone if isinstance(n.value.value, str) for line in range(n.lineno, n.end_lineno + 1)}


def split_lines(source):
    """Kind (code, docstring, comment, blank) -> numbers of its lines, from 1. A blank line inside a docstring belongs to it."""
    described = docstring_lines(ast.parse(source))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {
        token.start[0]
        for token in tokens
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip()
    }
    kinds = {"code": [], "docstring": [], "comment": [], "blank": []}
    for number, line in enumerate(source.splitlines(), start=1):
        kind = (
            "docstring"
            if number in described
            else "comment"
            if number in comments
            else "code"
            if line.strip()
            else "blank"
        )
        kinds[kind].append(number)
    return kinds


def code_lines(source):
    """(number, text) of the lines that are compared: code without imports and without lines of brackets alone."""
    tree = ast.parse(source)
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    left_out = {line for node in imports for line in range(node.lineno, node.end_lineno + 1)}
    lines = source.splitlines()
    texts = (
        (number, " ".join(lines[number - 1].split()))
        for number in split_lines(source)["code"]
        if number not in left_out
    )
    return [(number, text) for number, text in texts if re.search(r"\w", text)]


def repeated(sources, least=LEAST):
    """Runs of equal lines of code: pairs of them, none inside of a longer one, and lines that stand in any.

    Args:
        sources: name -> text of a file.
        least: lines of the shortest run.

    Returns:
        `pairs`, `lines`, and `runs`: (lines, `file:line` of one, `file:line` of the other), longest first.
    """
    files = {name: code_lines(source) for name, source in sources.items()}
    windows = defaultdict(list)
    for name, lines in files.items():
        texts = [text for _, text in lines]
        for start in range(len(texts) - least + 1):
            windows[tuple(texts[start : start + least])].append((name, start))

    def same(one, other, step):
        (a, i), (b, j) = one, other
        inside = min(i, j) + step >= 0 and i + step < len(files[a]) and j + step < len(files[b])
        return inside and (a != b or i + step < j) and files[a][i + step][1] == files[b][j + step][1]

    runs, covered = [], set()
    for places in windows.values():
        for number, one in enumerate(places):
            for other in places[number + 1 :]:
                apart = one[0] != other[0] or other[1] - one[1] >= least
                if not apart or same(one, other, -1):
                    continue
                length = least
                while same(one, other, length):
                    length += 1
                runs.append((length, *(f"{name}:{files[name][start][0]}" for name, start in (one, other))))
                covered |= {(name, start + step) for name, start in (one, other) for step in range(length)}
    return {"pairs": len(runs), "lines": len(covered), "runs": sorted(runs, reverse=True)}
