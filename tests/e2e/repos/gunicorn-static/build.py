import json

from platformshconfig import Config

config = Config()
try:
    config.credentials("database")
    database = "readable"
except Exception as error:
    database = type(error).__name__
with open("build.json", "w") as file:
    json.dump({"in_build": config.in_build(), "database": database, "app": config.application()["name"]}, file)
