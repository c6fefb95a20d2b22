// The poll lives in Redis, so that any number of processes count together and nobody's vote depends on who heard it.
import { createClient } from "redis";

export const QUESTION = "Where shall we have Friday's coffee?";
export const OPTIONS = {
  pier: "Out on the pier",
  galley: "In the galley, next to the cake",
  roastery: "At the roastery around the corner",
  deck: "On the roof deck, with blankets",
};
export const REACTIONS = ["♥", "★", "☀", "☕"];

const CHANNEL = "poll:events";
const PRESENT_MS = 30_000;

// One step in Redis: a changed vote is never counted twice and never lost between two commands.
const VOTE = `
local before = redis.call("HGET", KEYS[1], ARGV[1])
if before == ARGV[2] then return 0 end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
redis.call("HINCRBY", KEYS[2], ARGV[2], 1)
if before then redis.call("HINCRBY", KEYS[2], before, -1) end
return 1`;

export class Poll {
  #client;
  #subscriber;
  #listeners = new Set();

  constructor({ host, port, username, password }) {
    this.#client = createClient({
      socket: { host, port, connectTimeout: 3000, reconnectStrategy: (tries) => Math.min(tries * 100, 2000) },
      username: username || undefined,
      password: password || undefined,
      disableOfflineQueue: true, // a page that says "not now" is better than one that never answers
    });
    this.#subscriber = this.#client.duplicate({ disableOfflineQueue: false });
    for (const client of [this.#client, this.#subscriber]) {
      client.on("error", (error) => console.error(`Redis: ${error.message || error.code}`));
    }
  }

  /** Connects in the background and keeps trying; health() tells whether it worked. */
  start() {
    this.#client.connect().catch((error) => console.error(error.message));
    this.#subscriber
      .connect()
      .then(() => this.#subscriber.subscribe(CHANNEL, (text) => this.#listeners.forEach((listen) => listen(JSON.parse(text)))))
      .catch((error) => console.error(error.message));
  }

  stop() {
    this.#client.destroy();
    this.#subscriber.destroy();
  }

  /** @param {(event: object) => void} listener @returns {() => void} ends it */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async healthy() {
    return (await this.#client.ping()) === "PONG";
  }

  /** @returns {Promise<{counts: Record<string, number>, total: number}>} */
  async results() {
    const stored = await this.#client.hGetAll("poll:counts");
    const counts = Object.fromEntries(Object.keys(OPTIONS).map((key) => [key, Number(stored[key] ?? 0)]));
    return { counts, total: Object.values(counts).reduce((sum, count) => sum + count, 0) };
  }

  async choice(voter) {
    return this.#client.hGet("poll:votes", voter);
  }

  async vote(voter, option) {
    const changed = await this.#client.eval(VOTE, { keys: ["poll:votes", "poll:counts"], arguments: [voter, option] });
    if (changed) await this.#publish({ type: "results", ...(await this.results()) });
  }

  async react(reaction) {
    await this.#publish({ type: "reaction", reaction });
  }

  /** Marks a connection as present, or as gone, and tells everyone how many there are. */
  async present(connection, here = true) {
    const now = Date.now();
    if (here) await this.#client.zAdd("poll:present", { score: now, value: connection });
    else await this.#client.zRem("poll:present", connection);
    await this.#client.zRemRangeByScore("poll:present", 0, now - PRESENT_MS);
    await this.#publish({ type: "present", count: await this.#client.zCard("poll:present") });
  }

  async #publish(event) {
    await this.#client.publish(CHANNEL, JSON.stringify(event));
  }
}
