import base64
import http.server
import json
import os
import urllib.request

RELATIONSHIPS = json.loads(base64.b64decode(os.environ["PLATFORM_RELATIONSHIPS"]))


class Front(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        given = RELATIONSHIPS["backend"][0]
        body = {"app": "front", "path": self.path}
        if self.path == "/ask":
            url = "http://{host}:{port}/inside".format(**given)
            with urllib.request.urlopen(url, timeout=5) as answer:
                body["api"] = json.load(answer)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Front).serve_forever()
