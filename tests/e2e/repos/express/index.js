const fs = require("fs");
const express = require("express");
const { Client } = require("pg");
const config = require("platformsh-config").config();
const { report } = require("./conformance");

const app = express();

app.get("/", (request, response) => response.send("Hello from Express"));

app.get("/conformance", async (request, response, next) => {
  try {
    const given = config.credentials("database");
    const client = new Client({
      host: given.host,
      port: given.port,
      user: given.username,
      password: given.password,
      database: given.path,
    });
    await client.connect();
    const found = await client.query("SELECT current_database() AS name, current_user AS who");
    await client.end();
    response.json({
      runtime: report(config),
      build: JSON.parse(fs.readFileSync("build.json")),
      asked: found.rows[0],
      given: { name: given.path, who: given.username },
    });
  } catch (error) {
    next(error);
  }
});

app.listen(config.port);
