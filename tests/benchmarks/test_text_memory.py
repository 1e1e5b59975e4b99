"""Memory of a long text: read, tokenized, hashed and served in windows.

``ZOO_TEXT_MB=1000 pytest -s tests/benchmarks/test_text_memory.py`` measures a text of 1 GB; the default is 100 MB.
"""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import itertools, json, sys, threading, time
from zoo.data import create_data

peak = {"RssAnon": 0, "VmHWM": 0}
def status():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    for key in peak:
        peak[key] = max(peak[key], int(lines[key].split()[0]) // 1024)
def sample_memory():
    while True:
        status()
        time.sleep(0.02)
threading.Thread(target=sample_memory, daemon=True).start()
start = time.time()
data = create_data("text", file=sys.argv[1], context=128)
status()
before = dict(peak)
n = len(data.splits["train"])
data.fingerprint()
for batch in itertools.islice(data.train_dataloader(), 200):
    pass
tokens = sum(part.numel() for part in itertools.islice(data.window_parts("test"), 3))
status()
print(json.dumps({"windows": n, "before": before, "peak": peak, "seconds": round(time.time() - start, 1)}))
"""
LINE = "So it was said, and so it was written down by the %d clerks of the king's own house.\n"


def measured(folder, megabytes):
    """Peak memory in MB of a process that reads a text of a size, and that before it was read."""
    file = folder / f"{megabytes}.txt"
    block = "".join(LINE % i for i in range(12_000))
    with file.open("w") as out:
        for _ in range(megabytes * 1_000_000 // len(block)):
            out.write(block)
    env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(file)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    file.unlink()
    print(f"text of {megabytes} MB: {result}")
    return result


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")
def test_memory_does_not_grow_with_the_text(tmp_path):
    large = int(os.environ.get("ZOO_TEXT_MB", "100"))
    results = [measured(tmp_path, size) for size in (large // 5, large)]
    used = [result["peak"]["RssAnon"] - result["before"]["RssAnon"] for result in results]
    assert results[1]["windows"] > 4 * results[0]["windows"]
    assert used[1] - used[0] < 20  # MB: tokens, starts, classes and order of the windows are in files
