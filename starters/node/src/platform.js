// What the environment tells the app. Nothing else reads PLATFORM_* variables.

/** The first entry of the relationship "cache": host, port, password. */
export function cache() {
  const encoded = process.env.PLATFORM_RELATIONSHIPS ?? "";
  let entry;
  try {
    entry = JSON.parse(Buffer.from(encoded, "base64").toString("utf8")).cache[0];
  } catch {
    throw new Error('PLATFORM_RELATIONSHIPS does not name the relationship "cache".');
  }
  return entry;
}

export const port = Number(process.env.PORT ?? 3000);

/** Type and branch of the environment; null on Production. */
export function ribbon() {
  const type = process.env.PLATFORM_ENVIRONMENT_TYPE ?? "development";
  return type === "production" ? null : `${type} · ${process.env.PLATFORM_BRANCH ?? "local"}`;
}
