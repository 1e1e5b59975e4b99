"""A model hub on this machine: an HTTP server that speaks the endpoints of the hub which pushing and pulling use."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_standin"


class Hub:
    """Repositories in memory: ``repos[name]`` is a list of commits, each the whole content ``{path: bytes}``.

    ``fails`` holds words of paths of requests that are answered with 500; ``cuts`` those whose body ends too early.
    """

    def __init__(self):
        self.repos = {}
        self.blobs = {}
        self.cards = {}
        self.fails = set()
        self.cuts = set()
        self.requests = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def commit(self, repo, lines):
        content = dict(self.repos[repo][-1]) if self.repos[repo] else {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                content[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                content[value["path"]] = self.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del content[value["path"]]
        self.repos[repo].append(content)
        return self.sha(repo)

    def sha(self, repo):
        return hashlib.sha1(f"{repo} {len(self.repos[repo])}".encode()).hexdigest()


def handler(hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, value=None, status=200, headers=(), body=None):
            body = json.dumps(value or {}).encode() if body is None else body
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for key, text in headers:
                self.send_header(key, text)
            self.end_headers()
            if self.command == "HEAD":
                return
            if any(word in self.path for word in hub.cuts):
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            self.wfile.write(body)

        def handle_request(self):
            path = unquote(urlsplit(self.path).path)
            size = int(self.headers.get("Content-Length") or 0)
            data = self.rfile.read(size)
            hub.requests.append((self.command, path))
            if any(word in path for word in hub.fails):
                return self.answer({"error": "out of order"}, 500)
            reads = self.command in ("GET", "HEAD") or "/blobs/" in path
            if not reads and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.answer({"error": "no token"}, 401)
            return self.route(path, data)

        do_GET = do_POST = do_PUT = do_HEAD = handle_request

        def route(self, path, data):
            if path == "/api/repos/create":
                given = json.loads(data)
                repo = f"{given['organization']}/{given['name']}"
                status = 409 if repo in hub.repos else 200
                hub.repos.setdefault(repo, [])
                return self.answer({"url": f"{hub.address}/{repo}", "name": repo}, status)
            if path == "/api/validate-yaml":
                return self.answer({"warnings": [], "errors": []})
            if path.startswith("/blobs/"):
                hub.blobs[path.removeprefix("/blobs/")] = data
                return self.answer()
            if path.endswith(".git/info/lfs/objects/batch"):
                objects = [
                    {**o, "actions": {"upload": {"href": f"{hub.address}/blobs/{o['oid']}"}}}
                    for o in json.loads(data)["objects"]
                ]
                return self.answer({"transfer": "basic", "objects": objects})
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                return self.api("/".join(parts[2:4]), parts[4:], data)
            if len(parts) > 4 and parts[2] == "resolve":
                return self.file("/".join(parts[:2]), "/".join(parts[4:]))
            return self.answer({"error": f"no endpoint {path}"}, 404)

        def api(self, repo, rest, data):
            if repo not in hub.repos:
                return self.answer({"error": "Repository not found"}, 404, [("X-Error-Code", "RepoNotFound")])
            content = hub.repos[repo][-1] if hub.repos[repo] else {}
            if rest[:1] == ["preupload"]:
                names = [file["path"] for file in json.loads(data)["files"]]
                modes = [
                    {"path": n, "uploadMode": "lfs" if n.endswith(".safetensors") else "regular", "shouldIgnore": False}
                    for n in names
                ]
                return self.answer({"files": modes})
            if rest[:1] == ["commit"]:
                sha = hub.commit(repo, [json.loads(line) for line in data.splitlines()])
                address = f"{hub.address}/{repo}/commit/{sha}"
                return self.answer({"success": True, "commitOid": sha, "commitUrl": address})
            if rest[:1] == ["tree"]:
                return self.answer(
                    body=json.dumps(
                        [{"type": "file", "path": n, "size": len(b), "oid": git_hash(b)} for n, b in content.items()]
                    ).encode()
                )
            siblings = [{"rfilename": n} for n in content]
            return self.answer({"id": repo, "modelId": repo, "sha": hub.sha(repo), "siblings": siblings, "tags": []})

        def file(self, repo, name):
            content = (hub.repos.get(repo) or [{}])[-1]
            if name not in content:
                return self.answer({"error": "Entry not found"}, 404, [("X-Error-Code", "EntryNotFound")])
            etag = git_hash(content[name])
            headers = [("ETag", f'"{etag}"'), ("X-Repo-Commit", hub.sha(repo))]
            return self.answer(headers=headers, body=content[name])

    return Handler


def git_hash(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
