"""A full disk, two processes on one folder, and a distributed run that loses a process."""

import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from child import Child, complaint
from families import argv, difference

FAMILY = "protopnet"
SIZES = (4, 16, 64, 256, 512, 1024)  # KiB of the disk


def cases(options):
    for size in SIZES:
        yield f"disk of {size} KiB", full_disk, (size,)
        yield f"files of at most {size} KiB", limited_files, (size,)
    for n in range(3):
        yield f"two processes {n}", two_processes, (n, options.seed)
    for rank in (0, 1):
        yield f"ddp kill {rank}", killed_rank, (rank, options.seed)
    yield "ddp kill of a launched process", killed_launched, (options.seed,)


def full_disk(work, size):
    """A file system of that size: one line, and the run is resumed where there is room."""
    out = work.folder()
    out.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(out)]
    if subprocess.run(command, capture_output=True).returncode:
        return "skipped", "no file system can be mounted here"
    try:
        child = Child(argv(FAMILY, out), out.with_suffix(".log"))
        code = child.wait()
        shutil.copytree(out, out.with_suffix(".copy"))
    finally:
        subprocess.run(["umount", str(out)], check=True)
    return _resumed(work, child, code, out.with_suffix(".copy"), "No space left on device")


def limited_files(work, size):
    """No file may be larger: one line, and the run is resumed without the limit."""
    out = work.folder()

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size << 10, resource.RLIM_INFINITY))

    child = Child(argv(FAMILY, out), out.with_suffix(".log"), hook=limit)
    return _resumed(work, child, child.wait(), out, "File too large")


def _resumed(work, child, code, out, words):
    whole, _ = work.reference(FAMILY)
    if code == 0:
        reason = difference(whole, out)
        return ("failed", reason) if reason else ("same result", "")
    if code != 2 or complaint(child.text) or words not in child.text:
        return "failed", f"exit code {code}: {complaint(child.text) or child.text[-200:]}"
    started = (out / "config.yaml").exists()
    if started and "resume with: zoo train" not in child.text:
        return "failed", "the line does not say how to resume"
    again = Child([*argv(FAMILY, out), *(["--resume"] if started else [])], out.with_suffix(".log"))
    code = again.wait()
    reason = difference(whole, out) if code == 0 else f"resume: {code} {again.text[-200:]}"
    return ("failed", reason) if reason else ("one clear line", "")


def two_processes(work, n, seed):
    """Two commands on one folder, the second a moment later: one is refused, the other ends as if alone."""
    whole, seconds = work.reference(FAMILY)
    out = work.folder()
    rng = random.Random(f"{seed} two {n}")
    children = [Child(argv(FAMILY, out), out.with_suffix(".one"))]
    delay = 0.0 if n == 0 else rng.random() * seconds * 0.8
    time.sleep(delay)
    while (code := children[0].poll()) is not None:  # it was faster than the reference: begin again, and come sooner
        if code or delay < 0.1:
            return "failed", f"the first ended alone, exit code {code}"
        delay /= 2
        out = work.folder()
        children = [Child(argv(FAMILY, out), out.with_suffix(".one"))]
        time.sleep(delay)
    children.append(Child([*argv(FAMILY, out), "--resume"], out.with_suffix(".two")))
    codes = [child.wait() for child in children]
    refused = [child for child, code in zip(children, codes, strict=True) if code == 2]
    if sorted(map(str, codes)) != ["0", "2"] or complaint(refused[0].text) or "is in use by" not in refused[0].text:
        return "failed", f"exit codes {codes}: {[child.text[-100:] for child in children]}"
    reason = difference(whole, out)
    return ("failed", reason) if reason else ("same result", "")


def ranks(command, out):
    """Two processes of a gloo group, as Lightning's launcher would start them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": 2, "NODE_RANK": 0}
    return [Child(command, out.with_suffix(f".rank{r}"), env={**env, "LOCAL_RANK": r}) for r in range(2)]


def _ddp(out):
    return [*argv(FAMILY, out), "trainer.devices=2", "trainer.strategy=ddp", "data.val=0"]


def killed_rank(work, rank, seed):
    """One of two processes is killed after they have met: the other ends with one line, and both continue later.

    A process that waits for one that never comes waits half an hour, as torch does; ``torchrun`` and Lightning end it.
    """
    whole, seconds = work.ddp_reference(lambda out: [child.wait() for child in ranks(_ddp(out), out)])
    out = work.folder()
    children = ranks(_ddp(out), out)
    while not list((out / "phases").glob("*.ckpt")) and all(child.poll() is None for child in children):
        time.sleep(0.1)
    met = time.monotonic() - children[rank].start
    moment = met + 0.3 * seconds * random.Random(f"{seed} ddp {rank}").random()
    codes = {rank: children[rank].wait(kill_at=moment)}
    codes[1 - rank] = children[1 - rank].wait()
    other = children[1 - rank]
    if codes[1 - rank] not in (0, 2) or (codes[1 - rank] == 2 and complaint(other.text)):
        return "failed", f"exit codes {codes}: {complaint(other.text) or other.text[-200:]}"
    if not (out / "config.yaml").exists():
        return "failed", "killed before the run began"
    codes = [child.wait() for child in ranks([*_ddp(out), "--resume"], out)]
    reason = difference(whole, out) if codes == [0, 0] else f"resume: exit codes {codes}"
    return ("failed", reason) if reason else ("one clear line", "")


def killed_launched(work, seed):
    """The process that Lightning started is killed: the command ends, and is resumed."""
    out = work.folder()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "zoo", *_ddp(out)]
    log = out.with_suffix(".log")
    with log.open("w") as file:
        main = subprocess.Popen(command, env=env, stdout=file, stderr=file, start_new_session=True)
        ticks = 0
        while main.poll() is None and not list((out / "phases").glob("*.ckpt")) and ticks < 1200:
            time.sleep(0.1)
            ticks += 1
        launched = subprocess.run(["pgrep", "-P", str(main.pid)], capture_output=True, text=True).stdout.split()
        for pid in launched:
            os.kill(int(pid), signal.SIGKILL)
        try:
            code = main.wait(90)
        except subprocess.TimeoutExpired:
            os.killpg(main.pid, signal.SIGKILL)
            return "failed", "hang"
    if code == 0 or "Traceback" in log.read_text():
        return "failed", f"exit code {code}: {complaint(log.read_text())}"
    codes = [child.wait() for child in ranks([*_ddp(out), "--resume"], out)]
    whole, _ = work.ddp_reference(lambda folder: [child.wait() for child in ranks(_ddp(folder), folder)])
    reason = difference(whole, out) if codes == [0, 0] else f"resume: exit codes {codes}"
    return ("failed", reason) if reason else ("one clear line", "")
