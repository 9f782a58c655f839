"""Renames presets and variants in the rows of ``experiments/results``.

JULE's preset "paper" was the text to the letter and is "printed" now; "caffe" is "paper" and "code" is "torch".
"""

import json
from pathlib import Path

PRESETS = {"paper": "printed", "caffe": "paper", "code": "torch"}
VARIANTS = {
    "paper": "printed",
    "caffe": "paper",
    "code": "torch",
    "code-sgd": "torch-sgd",
    "code-fast": "torch-fast",
}
FILES = ("jule.jsonl", "compare.jsonl")

for name in FILES:
    path = Path("experiments/results") / name
    lines = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        changed = False
        if row["method"].startswith("jule-") and "preset" in row:
            row["preset"] = PRESETS.get(row["preset"], row["preset"])
            changed = True
        if name == "jule.jsonl" and row.get("variant") in VARIANTS:
            row["variant"] = VARIANTS[row["variant"]]
            changed = True
        lines.append(json.dumps(row) if changed else line)
    path.write_text("".join(line + "\n" for line in lines))
