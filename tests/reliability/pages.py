"""Hostile names on pages, opened in headless Chromium: nothing runs, nothing is requested, names are text."""

import os
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer

import torch
from child import Child, complaint

HOSTILE = (
    "<script>document.title='ran'</script>",
    "<img src=x onerror=document.title='ran'>",
    "<img src={url}/img>",
    '"><svg onload=document.title="ran">',
    "</style><style>@import url({url}/css);</style>",
    "</title><script src={url}/js></script>",
    "<iframe src={url}/frame></iframe>",
    "<a href=javascript:document.title='ran'>x</a>",
    "<meta http-equiv=refresh content='0;url={url}/meta'>",
    "<base href={url}/><link rel=stylesheet href=base.css>",
    "<form action={url}/form><button autofocus formaction={url}/b>",
    "{{{{7*7}}}}",
    "${{7*7}}",
    "&lt;b&gt;",
    "[/b][red]x",
    "\x1b[31mred\x1b]0;run\x07",
    "\u202eevil",
    "-->",
    "]]>",
    "' or '1'='1",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def cases(options):
    for n in range(len(HOSTILE)):
        yield f"page {n}", hostile_page, (n,)


class Server:
    """A server on this machine that notes every request."""

    def __init__(self):
        self.requests = requests = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def browser():
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def hostile_page(work, n):
    """A table whose column, class and concept have a hostile name: trained, and its page and explanation are opened."""
    chromium = browser()
    if chromium is None:
        return "skipped", "no Chromium here"
    out = work.folder()
    out.mkdir()
    server = Server()
    name = HOSTILE[n].format(url=server.url)
    _write_table(out / "rows.csv", name)
    settings = ["data.file=rows.csv", "data.target=label", "phases.concepts.epochs=1", "trainer.accelerator=cpu"]
    quoted = '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in name) + '"'
    command = ["train", "cbm/table", *settings, f"data.concept_columns=[{quoted}, fever]", "--out", "run"]
    child = Child(command, out / "train.log", hook=lambda: os.chdir(out))
    code = child.wait()
    if "\x1b" in child.text or "\x07" in child.text:
        return "failed", "a control character reached the terminal"
    if code == 2 and not complaint(child.text):
        return "one clear line", ""
    if code:
        return "failed", f"exit code {code}: {complaint(child.text) or child.text[-200:]}"
    page = Child(["explain", "run", "0", "--out", "pages"], out / "explain.log", hook=lambda: os.chdir(out))
    code = page.wait()
    files = sorted(file for file in out.rglob("*.html") if file.is_file())
    if code or len(files) < 2:
        return "failed", f"explain: exit code {code}: {page.text[-200:]}"
    for file in files:
        reason = _look(chromium, file, server)
        if reason:
            return "failed", f"{file.name}: {reason}"
    return "same result", ""


def _write_table(file, name):
    import csv

    rng = torch.Generator().manual_seed(0)
    values = torch.rand(80, 2, generator=rng)
    concepts = torch.randint(0, 2, (80, 2), generator=rng)
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["a", f"col {name}", name, "fever", "label"])
        for (a, b), (c, d) in zip(values.tolist(), concepts.tolist(), strict=True):
            writer.writerow([f"{a:.4f}", f"{b:.4f}", c, d, f"class {name}" if c ^ d else "other"])


def _look(chromium, file, server):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    profile = f"--user-data-dir={file.parent / 'profile'}"
    done = subprocess.run([chromium, *flags, profile, file.as_uri()], capture_output=True, text=True, timeout=120)
    shutil.rmtree(file.parent / "profile", ignore_errors=True)
    if "</html>" not in done.stdout:
        return f"the browser showed nothing: {done.stderr[-100:]}"
    if server.requests:
        return f"a request was sent: {server.requests[0]}"
    page = Elements()
    page.feed(done.stdout)
    if page.title.strip() == "ran":
        return "a name ran as a script"
    return f"a name became {page.foreign[0]}" if page.foreign else ""


class Elements(HTMLParser):
    """The title of a page, and what no page of zoo has: frames, forms, links to elsewhere, handlers, other scripts.

    A page has one script, its own, and data beside it; its fields and buttons have a ``data-`` attribute.
    """

    FOREIGN = ("script", "iframe", "form", "base", "object", "embed", "link", "button", "input")

    def __init__(self):
        super().__init__()
        self.title = ""
        self.foreign = []
        self._in_title = False
        self._scripts = 0

    def handle_starttag(self, tag, attributes):
        self._in_title = tag == "title"
        values = {key: value or "" for key, value in attributes}
        handlers = [key for key in values if key.startswith("on")]
        source = values.get("src", values.get("href", ""))
        refresh = values.get("http-equiv", "").lower() == "refresh"
        elsewhere = source and not source.startswith(("data:", "#"))
        own = tag in ("button", "input") and any(key.startswith("data-") for key in values)
        if tag == "script":
            self._scripts += not values
            own = values == {"type": "application/json"} | {k: v for k, v in values.items() if k == "id"}
            own = own or (not values and self._scripts == 1)
        if (tag in self.FOREIGN and not own) or handlers or refresh or elsewhere:
            self.foreign.append(f"<{tag} {' '.join(values)}>")

    def handle_data(self, data):
        if self._in_title:
            self.title += data
