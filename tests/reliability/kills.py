"""Runs that are killed at random moments and at named ones, then resumed: they end as if nothing had happened."""

import os
import random
import signal
from types import SimpleNamespace

from child import Child, complaint
from families import FAMILIES, argv, difference

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
CODES = {signal.SIGKILL: (-9,), signal.SIGTERM: (143, -15), signal.SIGINT: (130, -2)}
RESUMES = 3


def cases(options):
    for family in FAMILIES:
        for n in range(options.kills):
            yield f"kill {family} {n}", random_kill, (family, n, options.seed)
        for moment in MOMENTS:
            yield f"kill {family} in {moment}", named_kill, (family, moment)


def random_kill(work, family, n, seed):
    """One signal at a random moment of the time that the whole run takes."""
    rng = random.Random(f"{seed} {family} {n}")
    sign = rng.choice(SIGNALS)
    _, seconds = work.reference(family)
    return _killed(work, family, {"kill_at": rng.random() * seconds, "sign": sign}, None, CODES[sign])


def named_kill(work, family, moment):
    """Death within a method of the model such as the projection, or while the checkpoint or the page is written."""
    return _killed(work, family, {}, MOMENTS[moment], (-9,))


def _killed(work, family, how, hook, codes):
    whole, _ = work.reference(family)
    out = work.folder()
    first = Child(argv(family, out), out.with_suffix(".log"), hook=hook)
    code = first.wait(**how)
    if code == "hang":
        return "failed", "hang before the kill"
    if code != 0 and code not in codes:
        return "failed", f"exit code {code}: {complaint(first.text)}"
    if "Traceback" in first.text:
        return "failed", complaint(first.text)
    for _ in range(RESUMES):
        resume = ["--resume"] if (out / "config.yaml").exists() else []
        again = Child([*argv(family, out), *resume], out.with_suffix(".log"))
        code = again.wait()
        if code == 0:
            break
        return "failed", f"resume: {'hang' if code == 'hang' else complaint(again.text) or again.text[-200:]}"
    reason = difference(whole, out)
    return ("failed", reason) if reason else ("same result", "")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def in_method():
    """Die at the second batch of the first method that reads the training split."""
    from zoo.training import phases

    def dying(loader, **_):
        for i, batch in enumerate(loader):
            if i == 1:
                die()
            yield batch

    phases.tqdm = dying


def in_checkpoint():
    """Die between the files of the checkpoint."""
    from zoo import checkpoint

    checkpoint.json = SimpleNamespace(dumps=lambda *_, **__: die(), loads=checkpoint.json.loads)


def in_page():
    """Die when half of the page is written."""
    from zoo.reporting import page

    def half(path, text):
        path.with_name(f".{path.name}.{os.getpid()}").write_text(text[: len(text) // 2])
        die()

    page.write_whole = half


MOMENTS = {"a method": in_method, "the checkpoint": in_checkpoint, "the page": in_page}
