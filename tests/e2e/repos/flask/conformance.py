"""What platformshconfig reads here, as JSON."""

import json

from platformshconfig import Config


def attempt(read):
    try:
        return read()
    except Exception as error:
        return {"error": type(error).__name__}


def report(config):
    return {
        "valid": config.is_valid_platform(),
        "in_build": config.in_build(),
        "in_runtime": config.in_runtime(),
        "on_production": attempt(config.on_production),
        "project": config.project,
        "app": attempt(lambda: config.application()["name"]),
        "branch": attempt(lambda: config.branch),
        "environment": attempt(lambda: config.environment),
        "port": attempt(lambda: config.port),
        "color": attempt(lambda: config.variable("theme:color")),
        "primary": attempt(lambda: config.get_primary_route()["original_url"]),
        "main": attempt(lambda: config.get_route("main")["original_url"]),
        "upstreams": attempt(lambda: list(config.get_upstream_routes("app"))),
        "database": attempt(lambda: config.credentials("database")["scheme"]),
    }


if __name__ == "__main__":
    print(json.dumps(report(Config())))
