import http.server
import json
import os

from queue_client import ask


class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = {"app": "api", "path": self.path, "worked": ask("GET", "worked")}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Api).serve_forever()
