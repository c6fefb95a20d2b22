import os

import pymysql
import redis
from conformance import report
from flask import Flask, jsonify
from platformshconfig import Config

app = Flask(__name__)
config = Config()


@app.get("/")
def home():
    return f"{os.environ['GREETING']} from {config.branch}\n"


@app.get("/conformance")
def conformance():
    with open("/app/build.json") as file:
        return jsonify(runtime=report(config), build=app.json.loads(file.read()), mysql=ask_mysql(), redis=ask_redis())


def ask_mysql():
    given = config.credentials("database")
    connection = pymysql.connect(
        host=given["host"],
        port=given["port"],
        user=given["username"],
        password=given["password"],
        database=given["path"],
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS visits (id INT AUTO_INCREMENT PRIMARY KEY)")
        cursor.execute("INSERT INTO visits VALUES ()")
        connection.commit()
        cursor.execute("SELECT COUNT(*), VERSION() FROM visits")
        return list(cursor.fetchone())


def ask_redis():
    given = config.credentials("rediscache")
    client = redis.Redis(given["host"], given["port"], password=given.get("password"))
    return client.incr("visits")
