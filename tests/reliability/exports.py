"""Exported programs: the file answers as the model does, without zoo, and refuses odd inputs in one line."""

import json
import random
import subprocess
import sys

from child import Child, complaint

from zoo import checkpoint

ODD = ("", "999999999", "[", "a" * 5000, "\u202e", "\x1b[31m", "'; import os #", "${x}")
SAMPLES = 200
DRIVER = """
import json, sys
space = {"__name__": "exported"}
exec(compile(open(sys.argv[1]).read(), sys.argv[1], "exec"), space)
print(json.dumps([space["run"](words) for words in json.load(sys.stdin)]))
"""


def cases(options):
    for name in checkpoint.list_checkpoints("transformer_program-*"):
        yield f"export {name}", exported, (name, options.seed)


def exported(work, name, seed):
    """Export a shipped program; compare it with the model on random inputs; give it odd ones."""
    import zoo
    from zoo.programs.ir.interpreter import answer

    out = work.folder()
    out.mkdir()
    file = out / "program.py"
    child = Child(["export", name, "--to", "program", "-o", str(file)], out / "export.log")
    if child.wait():
        return "failed", complaint(child.text) or child.text[-200:]
    model = zoo.load(name)
    rng = random.Random(f"{seed} {name}")
    tokens = [token for token in model.frame.tokens if token not in (*model.frame.before, *model.frame.after)]
    tokens = [token for token in tokens if not token.startswith("<")]
    longest = model.frame.length - len(model.frame.before) - len(model.frame.after)
    inputs = [rng.choices(tokens, k=rng.randint(1, longest)) for _ in range(SAMPLES)]
    command = [sys.executable, "-I", "-S", "-c", DRIVER, str(file)]
    done = subprocess.run(command, input=json.dumps(inputs), capture_output=True, text=True, timeout=60)
    if done.returncode:
        return "failed", done.stderr[-200:]
    expected = json.loads(json.dumps(answer(model.program, inputs)))
    if json.loads(done.stdout) != expected:
        return "failed", "another answer than that of the model"
    for odd in ODD:
        done = subprocess.run([sys.executable, "-I", str(file), odd], capture_output=True, text=True, timeout=30)
        if done.returncode and (done.returncode != 1 or done.stderr.count("\n") != 1):
            return "failed", f"{odd[:20]!r}: {done.stderr[-150:]}"
    return "same result", ""
