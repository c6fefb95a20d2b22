const attempt = (read) => {
  try {
    return read();
  } catch (error) {
    return { error: error.constructor.name };
  }
};

exports.report = (config) => ({
  valid: config.isValidPlatform(),
  inBuild: config.inBuild(),
  inRuntime: config.inRuntime(),
  onProduction: attempt(() => config.onProduction()),
  app: attempt(() => config.application().name),
  currency: attempt(() => config.variable("shop:currency")),
  primary: attempt(() => config.getPrimaryRoute().url),
  upstreams: attempt(() => Object.values(config.getUpstreamRoutes("web")).map((route) => route.url)),
  port: attempt(() => config.port),
  database: attempt(() => config.credentials("database").scheme),
});

if (require.main === module) {
  console.log(JSON.stringify(exports.report(require("platformsh-config").config())));
}
