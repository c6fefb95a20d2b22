// A WebSocket per open page: it says who is here, and carries the little signs people send each other.
import { randomUUID } from "node:crypto";
import { WebSocketServer } from "ws";
import { REACTIONS } from "./poll.js";

const BEAT_MS = 10_000;
const GAP_MS = 200;

export function attachReactions(server, poll) {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 256 });
  const quietly = (work) => work.catch((error) => console.error(error.message));

  server.on("upgrade", (request, socket, head) => {
    // A page of another site may open a socket with the visitor's cookies: only our own may.
    const ours = URL.canParse(request.headers.origin ?? "") && new URL(request.headers.origin).host === request.headers.host;
    if (request.url !== "/live" || !ours) {
      socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, socket, head, (connection) => sockets.emit("connection", connection));
  });

  sockets.on("connection", (connection) => {
    const id = randomUUID();
    let alive = true;
    let last = 0;
    quietly(poll.present(id));
    const beat = setInterval(() => {
      if (!alive) {
        connection.terminate();
        return;
      }
      alive = false;
      connection.ping();
      quietly(poll.present(id));
    }, BEAT_MS);
    connection.on("pong", () => (alive = true));
    connection.on("error", (error) => console.error(error.message));
    connection.on("message", (data) => {
      const reaction = data.toString();
      if (REACTIONS.includes(reaction) && Date.now() - last > GAP_MS) {
        last = Date.now();
        quietly(poll.react(reaction));
      }
    });
    connection.on("close", () => {
      clearInterval(beat);
      quietly(poll.present(id, false));
    });
  });
  return sockets;
}
