// Prints what the library reads from the environment, for the test that started it to compare.
const config = require("platformsh-config").config();

const attempt = (read) => {
  try {
    return read();
  } catch (error) {
    return { error: error.constructor.name };
  }
};

console.log(
  JSON.stringify({
    valid: config.isValidPlatform(),
    build: config.inBuild(),
    runtime: config.inRuntime(),
    production: config.onProduction(),
    application: attempt(() => config.application().name),
    project: config.project,
    appDir: config.appDir,
    port: attempt(() => config.port),
    environment: attempt(() => config.environment),
    primary: attempt(() => config.getPrimaryRoute()),
    upstream: attempt(() => Object.keys(config.getUpstreamRoutes(config.applicationName))),
    route: attempt(() => config.getRoute("main").url),
    credentials: attempt(() => config.credentials("database")),
    mongodb: attempt(() => config.formattedCredentials("database", "mongodb")),
    solr: attempt(() => config.formattedCredentials("search", "solr-node")),
    has: attempt(() => [config.hasRelationship("database"), config.hasRelationship("nothing")]),
    variable: attempt(() => config.variable("theme:color", "none")),
  }),
);
