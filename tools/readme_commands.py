"""The commands of README.md in their order, one file each, for tools/newcomer.sh.

    python tools/readme_commands.py README.md FOLDER

Writes FOLDER/NN.sh, one for each line of a shell block, and FOLDER/NN.py for a Python block, which is one command. Prints how many.
Only the standard library: it runs before anything is installed.
"""

import re
import sys
from pathlib import Path


def commands(text):
    """Pairs of a language and a command. Blocks that need data of one's own are left out, by the mark above them."""
    blocks = r"^(?:<!-- block: ([^\n]*) -->\n)?```(sh|python)\n(.*?)^```"
    for mark, language, block in re.findall(blocks, text, re.MULTILINE | re.DOTALL):
        if mark.startswith("not run") and "tools/newcomer.sh" not in mark:
            continue
        if language == "python":
            yield "py", block
        else:
            joined = block.replace("\\\n", " ")
            yield from (("sh", line + "\n") for line in joined.splitlines() if line.strip() and line[0] != "#")


def main():
    page, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    found = list(commands(page.read_text(encoding="utf-8")))
    for number, (kind, text) in enumerate(found):
        (folder / f"{number:02d}.{kind}").write_text(text, encoding="utf-8")
    print(f"{len(found)} commands in {page.name}")


if __name__ == "__main__":
    main()
