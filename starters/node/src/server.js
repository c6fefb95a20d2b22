import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import express from "express";
import { attachReactions } from "./reactions.js";
import { pollPage, problemPage } from "./page.js";
import { cache, port, ribbon } from "./platform.js";
import { OPTIONS, Poll } from "./poll.js";

const KEEP_ALIVE_MS = 15_000;
const STATIC = fileURLToPath(new URL("../public", import.meta.url));
const VOTER = /(?:^|;\s*)voter=([0-9a-f-]{36})(?:;|$)/;

const poll = new Poll(cache());
const app = express();
app.disable("x-powered-by");
app.use("/static", express.static(STATIC, { maxAge: "1h" }));
app.use(express.urlencoded({ extended: false, limit: "4kb" }));

app.use((request, response, next) => {
  response.set("X-Content-Type-Options", "nosniff");
  response.set("Cache-Control", "no-store");
  response.set("Content-Security-Policy", "default-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'");
  next();
});

const voterOf = (request) => VOTER.exec(request.headers.cookie ?? "")?.[1];

app.get("/", async (request, response) => {
  const voter = voterOf(request);
  const [results, choice] = await Promise.all([poll.results(), voter ? poll.choice(voter) : null]);
  response.send(pollPage({ ...results, choice, ribbon: ribbon() }));
});

app.post("/vote", async (request, response) => {
  const option = request.body?.option;
  if (request.headers["sec-fetch-site"] === "cross-site" || !Object.hasOwn(OPTIONS, option ?? "")) {
    response.status(400).send(problemPage({ title: "Nothing was counted", text: "This is not an answer to our question.", ribbon: ribbon() }));
    return;
  }
  const voter = voterOf(request) ?? randomUUID();
  response.cookie("voter", voter, { httpOnly: true, sameSite: "lax", maxAge: 365 * 86_400_000 });
  await poll.vote(voter, option);
  response.redirect(303, "/");
});

// Server-sent events: results, presence and reactions, to everyone who looks.
const streams = new Set();
app.get("/events", async (request, response) => {
  response.set({ "Content-Type": "text/event-stream", "X-Accel-Buffering": "no" });
  response.flushHeaders();
  const send = (event) => response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  const stop = poll.listen(send);
  const timer = setInterval(() => response.write(": still here\n\n"), KEEP_ALIVE_MS);
  streams.add(response);
  response.on("close", () => {
    stop();
    clearInterval(timer);
    streams.delete(response);
  });
  send({ type: "results", ...(await poll.results()) });
});

app.get("/health", async (request, response) => {
  const healthy = await poll.healthy().catch(() => false);
  response.status(healthy ? 200 : 503).json({ status: healthy ? "ok" : "failing", cache: healthy ? "ok" : "down" });
});

app.use((request, response) => {
  response.status(404).send(problemPage({ title: "This page does not exist", text: "There is only the poll.", ribbon: ribbon() }));
});

// Express knows an error handler by its four parameters.
app.use((error, request, response, next) => {
  console.error(error.message);
  if (response.headersSent) {
    response.end();
    return;
  }
  const status = error.status >= 400 && error.status < 500 ? error.status : 503;
  response.status(status).send(problemPage({ title: "A short break", text: "The poll cannot be read right now. Please try again in a minute.", ribbon: ribbon() }));
});

const server = createServer(app);
const sockets = attachReactions(server, poll);
poll.start();
server.listen(port, "127.0.0.1", () => console.log(`Listening on port ${port}`));

// The old release goes when the new one has taken over: let browsers reconnect at once instead of waiting for a timeout.
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.once(signal, () => {
    streams.forEach((stream) => stream.end());
    sockets.clients.forEach((socket) => socket.close(1001, "restarting"));
    server.close(() => {
      poll.stop();
      process.exit(0);
    });
    setTimeout(() => process.exit(0), 5000).unref();
  });
}
