"""Damaged and odd files and settings by seed: the same answer, another one where the input is another, or one line."""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import time
import traceback
from pathlib import Path

import torch
from child import SILENCE, complaint
from safetensors.torch import load_file

from zoo import paths

KINDS = ("weights", "config", "override", "checkpoint", "metrics", "picture", "csv", "text", "pgn")
ODD = (
    *("", "null", "[]", "{}", "-1", "0", "1e400", ".nan", "-.inf", "true", "NO", "???", "${x}", "[1, a]", "1.5", "@"),
    *("${oc.env:HOME}", "{a: {b: 1}}", "'", '"', "!!python/object:os.system ls", "&a [*a]", "9" * 20, "0x1F", "- a"),
    *("2024-01-01", "../../etc/passwd", "/dev/zero", "~", "a" * 3000, "[" * 300, "\u202e", "\x00", "\ud7ff", "x: y"),
)
GAMES = 60
PLIES = 20


def cases(options):
    for start in range(0, options.fuzz, BATCH):
        yield f"fuzz {start}", batch, (start, min(start + BATCH, options.fuzz), options.seed)


BATCH = 100


def batch(work, start, stop, seed):
    """Inputs ``start`` to ``stop`` in forks of this process; returns one outcome for each."""
    base = _base(work)
    results, at = [], start
    while at < stop:
        lines = _fork(base, at, stop, seed)
        results += lines
        at += len(lines)
    return results


def _fork(base, start, stop, seed):
    """Outcomes of the inputs of one process; if it hangs or crashes, that is the outcome of the last."""
    file = base / f"results-{start}-{seed}"
    file.write_text("")
    pid = os.fork()
    if not pid:
        _serve(base, file, start, stop, seed)
    size, since, code = 0, time.monotonic(), None
    while code is None:
        done, status = os.waitpid(pid, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if done else None
        if file.stat().st_size != size:
            size, since = file.stat().st_size, time.monotonic()
        if code is None and time.monotonic() - since > 2 * SILENCE:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            code = "hang"
        time.sleep(0.05)
    outcomes = [json.loads(line) for line in file.read_text().splitlines()]
    if len(outcomes) < stop - start:
        kind = KINDS[(start + len(outcomes)) % len(KINDS)]
        outcomes.append([f"fuzz {kind} {start + len(outcomes)}", "failed", f"exit code {code}"])
    return outcomes


def _serve(base, file, start, stop, seed):
    os.chdir(base)
    with file.open("a") as out:
        for n in range(start, stop):
            kind = KINDS[n % len(KINDS)]
            try:
                result = globals()[f"try_{kind}"](base, random.Random(f"{seed} {n}"))
            except BaseException as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{Path(where.filename).name}:{where.lineno}"
                result = "failed", f"{type(error).__name__} at {place}: {str(error)[:150]}"
            out.write(json.dumps([f"fuzz {kind} {n}", *result]) + "\n")
            out.flush()
    os._exit(0)


def _base(work):
    """Whole files of every kind, from which damaged ones are made."""
    base = work.root / "fuzz"
    if (base / "games.pgn").exists():
        return base
    base.mkdir(parents=True, exist_ok=True)
    cases_folder = Path(__file__).parents[1] / "cases"
    shutil.copy(cases_folder / "table" / "a.csv", base / "table.csv")
    for name in ("L8.png", "exif6.jpg", "I16.png", "F01.tif", "RGBA_hidden_black.png"):
        shutil.copy(cases_folder / "images" / name, base / name)
    shutil.copytree(paths.home() / "checkpoints" / "protopnet-digits", base / "images_model")
    shutil.copytree(paths.home() / "checkpoints" / "bilinear_mlp-digits", base / "small_model")
    command = ["train", "bilinear_mlp/table", "data.file=table.csv", "data.target=state", "phases.joint.epochs=1"]
    where = os.getcwd()
    os.chdir(base)
    code, _, err = _zoo(*command, "trainer.accelerator=cpu", "--out", "table_run")
    os.chdir(where)
    assert code == 0, err
    shutil.copytree(base / "table_run" / "checkpoint", base / "table_model")
    (base / "text.txt").write_text("It was a dark and stormy night, naïve 日本.\n" * 300, encoding="utf-8")
    (base / "games.pgn").write_text("".join(_game(random.Random(n)) for n in range(GAMES)))
    return base


def _game(rng):
    """A game of random moves as PGN."""
    import chess
    import chess.pgn

    board = chess.Board()
    for _ in range(PLIES):
        board.push(rng.choice(list(board.legal_moves)))
    game = chess.pgn.Game.from_board(board)
    game.end().comment = "a comment"
    return f"{game}\n\n"


def _zoo(*argv):
    """Exit code, standard output and error of a command in this process."""
    from zoo.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(argv))
        except SystemExit as stop:
            code = stop.code
    return code, out.getvalue(), err.getvalue()


def _judge(code, err):
    if code == 0:
        return "same result", ""
    reason = complaint(err) if code == 2 else f"exit code {code}"
    return ("failed", f"{reason}: {err[-150:]}") if reason else ("one clear line", "")


def _api(call):
    """Outcome of a call of a function; the errors that the command line turns into one line."""
    try:
        call()
    except (ValueError, OSError) as error:
        return ("failed", f"two lines: {error}"[:200]) if "\n" in str(error).strip() else ("one clear line", "")
    return "same result", ""


# Damage.


def damaged(rng, data):
    """Bytes with one kind of damage."""
    data = bytearray(data)
    at = rng.randrange(max(1, len(data)))
    kind = rng.randrange(7)
    if kind == 0:
        for _ in range(rng.choice((1, 1, 10, 100))):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at:at] = data[at : at + rng.randrange(1, 2000)]
    elif kind == 3:
        data[at:at] = rng.randbytes(rng.randrange(1, 50))
    elif kind == 4:
        length = rng.randrange(1, 200)
        data[at : at + length] = bytes(min(length, len(data) - at))
    elif kind == 5:
        header = rng.randrange(min(64, len(data)))
        data[header] ^= 1 << rng.randrange(8)
    else:
        return rng.choice((b"", b"\0" * 100, rng.randbytes(300), b"{}", b"[]", b"\xff\xfe" + bytes(data[:50])))
    return bytes(data)


def odd_text(rng, text):
    """A text of lines in which something was edited."""
    lines = text.splitlines(keepends=True) or [""]
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(lines))
        kind = rng.randrange(6)
        if kind == 0:
            lines[at] = ""
        elif kind == 1:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif kind == 2:
            head, colon, _ = lines[at].partition(":")
            lines[at] = f"{head}{colon} {rng.choice(ODD)}\n"
        elif kind == 3:
            lines[at] = " " * rng.randrange(4) + lines[at].lstrip()
        elif kind == 4:
            cells = lines[at].rstrip("\n").split(",")
            cells[rng.randrange(len(cells))] = rng.choice(ODD)
            lines[at] = ",".join(cells) + "\n"
        else:
            lines.insert(at, f"{rng.choice(ODD)}: {rng.choice(ODD)}\n")
    return "".join(lines)


def edited(rng, file):
    """The content of a text file, edited or damaged."""
    if rng.random() < 0.3:
        return damaged(rng, file.read_bytes())
    return odd_text(rng, file.read_text(encoding="utf-8")).encode("utf-8", "surrogatepass")


def _copy(base, name):
    folder = base / "tried"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base / name, folder)
    return folder


# One function for each kind.


def try_weights(base, rng):
    import zoo

    folder = _copy(base, "small_model")
    file = folder / "model.safetensors"
    before = {key: value.clone() for key, value in load_file(file).items()}  # the file itself is mapped
    content = damaged(rng, file.read_bytes())
    file.write_bytes(content)
    try:
        state = zoo.load(str(folder)).state_dict()
    except ValueError as error:
        return ("failed", f"two lines: {error}"[:200]) if "\n" in str(error) else ("one clear line", "")
    changed = [key for key in before if key not in state or not torch.equal(before[key], state[key])]
    return ("failed", f"silent change of {changed[0]}") if changed else ("same result", "")


def try_config(base, rng):
    name = rng.choice(paths.list_configs())
    (base / "tried.yaml").write_bytes(edited(rng, paths.config_file(name)))
    code, _, err = _zoo("validate", "tried.yaml")
    return _judge(code, err)


def try_override(base, rng):
    from zoo.config import read_yaml

    name = rng.choice(paths.list_configs())
    tree = read_yaml(paths.config_file(name))
    key = rng.choice(list(tree))
    while hasattr(tree[key], "keys") and len(tree[key]) and rng.random() < 0.9:
        child = rng.choice(list(tree[key]))
        if not hasattr(tree[key][child], "keys") or rng.random() < 0.3:
            key = f"{key}.{child}"
            break
        tree, key = {f"{key}.{child}": tree[key][child]}, f"{key}.{child}"
    text = rng.choice((f"{key}={rng.choice(ODD)}", f"~{key}", f"{key}.x={rng.choice(ODD)}", f"{key[:-1]}=1"))
    code, _, err = _zoo("validate", name, text)
    return _judge(code, err)


def try_checkpoint(base, rng):
    folder = _copy(base, "table_model")
    file = folder / rng.choice(("config.yaml", "inputs.yaml", "units.yaml", "README.md"))
    file.write_bytes(edited(rng, file))
    code, _, err = _zoo("predict", str(folder), "table.csv", "-o", str(folder / "answers.csv"))
    outcome = _judge(code, err)
    if outcome[0] != "same result":
        return outcome
    code, _, err = _zoo("show", str(folder))
    return _judge(code, err)


def try_metrics(base, rng):
    from omegaconf import OmegaConf

    from zoo.checkpoint import read
    from zoo.evaluation.reference_model import reference_rows
    from zoo.evaluation.score_table import stored_rows

    folder = _copy(base, "small_model")
    file = folder / "metrics.json"
    if rng.random() < 0.5:
        tree = json.loads(file.read_text())
        node, key = tree, rng.choice(list(tree))
        while isinstance(node[key], dict) and node[key] and rng.random() < 0.8:
            node, key = node[key], rng.choice(list(node[key]))
        if rng.random() < 0.3:
            del node[key]
        else:
            node[key] = rng.choice((None, [], {}, "x", -1, float("nan"), True, [1, {"a": 2}], "\x1b[31m"))
        file.write_text(json.dumps(tree))
    else:
        file.write_bytes(edited(rng, file))

    def use():
        run_config, metrics = read(folder)
        stored_rows(metrics)
        made = OmegaConf.create({**run_config, "reference": str(folder.parent / "ref")})
        shutil.rmtree(folder.parent / "ref", ignore_errors=True)
        shutil.copytree(folder, folder.parent / "ref" / "checkpoint")
        reference_rows(made, folder)

    return _api(use)


def try_picture(base, rng):
    name = rng.choice(("L8.png", "exif6.jpg", "I16.png", "F01.tif", "RGBA_hidden_black.png"))
    file = base / f"tried{Path(name).suffix}"
    file.write_bytes(damaged(rng, (base / name).read_bytes()))
    code, _, err = _zoo("predict", "images_model", file.name, "-o", "answers.csv", "--overwrite")
    return _judge(code, err)


def try_csv(base, rng):
    (base / "tried.csv").write_bytes(edited(rng, base / "table.csv"))
    if rng.random() < 0.5:
        code, _, err = _zoo("predict", "table_model", "tried.csv", "-o", "answers.csv", "--overwrite")
    else:
        settings = ("data.file=tried.csv", "data.target=state", "data.limit=40", "trainer.accelerator=cpu")
        code, _, err = _zoo("train", "bilinear_mlp/table", *settings, "--dry-run")
    return _judge(code, err)


def try_text(base, rng):
    from zoo.data import create_data

    (base / "tried.txt").write_bytes(edited(rng, base / "text.txt"))
    return _api(lambda: create_data("text", file=str(base / "tried.txt"), context=16).setup())


def try_pgn(base, rng):
    from zoo.data import create_data

    (base / "tried.pgn").write_bytes(edited(rng, base / "games.pgn"))
    return _api(lambda: create_data("chess", file=str(base / "tried.pgn"), context=16, n_val=5, n_test=5).setup())
