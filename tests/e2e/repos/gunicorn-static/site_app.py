import json
import os
from pathlib import Path

import psycopg
from platformshconfig import Config

config = Config()
HERE = Path("/app")


def dsn():
    return _url(config.credentials("database"))


def _url(given):
    return "postgresql://{username}:{password}@{host}:{port}/{path}".format(**given)


def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = json.dumps(answer(path)).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("X-From", "app")])
    return [body]


def answer(path):
    if path == "/conformance":
        return conformance()
    if path == "/write":
        return {where: write(where) for where in ("uploads/seen.txt", "var/cache/seen.txt", "new.txt", "/tmp/x")}
    return {"path": path}


def write(where):
    try:
        with open(HERE / where, "a") as file:
            file.write("x")
    except OSError as error:
        return error.strerror
    return "written"


def conformance():
    with psycopg.connect(dsn()) as connection:
        deploys, version = connection.execute("SELECT count(*), version() FROM deploys").fetchone()
    return {
        "build": json.loads((HERE / "build.json").read_text()),
        "in_build": config.in_build(),
        "primary": config.get_primary_route()["original_url"],
        "scheme": config.credentials("database")["scheme"],
        "deploys": deploys,
        "version": version,
        "log": (HERE / "uploads/deploys.txt").read_text().splitlines(),
        "ticks": ticks() if (HERE / "uploads/ticks.txt").exists() else 0,
        "app_dir": os.environ["PLATFORM_APP_DIR"],
        "socket": os.environ.get("SOCKET", ""),
    }


def ticks():
    return len((HERE / "uploads/ticks.txt").read_text().splitlines())
