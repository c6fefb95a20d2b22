"""Small apps that tests run."""

PYTHON = """
name: app
type: 'python:3.11'
web: {commands: {start: "exec python server.py"}}
"""

# Answers with what it was asked: method, path and headers as JSON; some paths do something special.
SERVER = """
import http.server, json, os, signal, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        path = self.path.partition("?")[0]
        if path == "/slow":
            time.sleep(1.5)
        if path == "/stream":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for number in range(3):
                self.wfile.write(f"data: {number}\\\\n\\\\n".encode())
                self.wfile.flush()
                time.sleep(0.4)
            self.close_connection = True
            return
        if self.headers.get("Upgrade"):
            self.send_response(101)
            self.send_header("Upgrade", self.headers["Upgrade"])
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.wfile.write(b"hello")
            self.wfile.flush()
            self.close_connection = True
            return
        said = {"path": self.path, "method": self.command, "body": body, "env": dict(os.environ), "pid": os.getpid(),
                "headers": {name.lower(): value for name, value in self.headers.items()}}
        data = json.dumps(said).encode()
        self.send_response(401 if path == "/401" else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def log_message(self, *args):
        print("asked", self.path, flush=True)

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
""".replace("\\\\n", "\\n")

FILES = {"server.py": SERVER}

PHP = """
name: app
type: 'php:8.2'
build: {flavor: none}
disk: 256
mounts: {"files": {source: local, source_path: files}}
variables: {php: {memory_limit: 77M}}
web:
  locations:
    "/":
      root: public
      passthru: "/index.php"
      index: [index.php]
      expires: 5m
      headers: {X-Shop: "yes"}
      rules:
        '\\.secret$': {allow: false}
        '^/sitemap(.*)\\.xml$': {passthru: "/media/sitemap$1.xml"}
    "/static":
      root: assets
      expires: 1w
      scripts: false
      passthru: "/front.php"
      rules:
        '^/static/version\\d+/(?<resource>.*)$': {passthru: "/static/$resource"}
    "/upload": {root: files, scripts: false, passthru: false}
"""

_PHP_PAGE = (
    "<?php header('Content-Type: application/json'); echo json_encode(['page' => '%s', 'server' => $_SERVER,"
    " 'limit' => ini_get('memory_limit'), 'get' => $_GET, 'cookie' => $_COOKIE]);"
)
PHP_FILES = {
    "public/index.php": _PHP_PAGE % "index",
    "public/front.php": _PHP_PAGE % "front",
    "public/admin/index.php": _PHP_PAGE % "admin",
    "public/logo.css": "a{}",
    "public/keys.secret": "hidden",
    "public/.env": "hidden",
    "public/media/sitemap-a.xml": "<map/>",
    "assets/js/app.js": "app()",
    "assets/run.php": "<?php echo 'source';",
}
