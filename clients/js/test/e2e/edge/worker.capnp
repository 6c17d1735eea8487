# The package in workerd, the runtime of Cloudflare Workers: nothing of Node is there.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    (name = "src/index.js", esModule = embed "../../../src/index.js"),
    (name = "src/client.js", esModule = embed "../../../src/client.js"),
    (name = "src/endpoint.js", esModule = embed "../../../src/endpoint.js"),
    (name = "src/errors.js", esModule = embed "../../../src/errors.js"),
    (name = "src/events.js", esModule = embed "../../../src/events.js"),
    (name = "src/instance.js", esModule = embed "../../../src/instance.js"),
    (name = "src/shared-request.js", esModule = embed "../../../src/shared-request.js"),
    (name = "src/time.js", esModule = embed "../../../src/time.js"),
  ],
  bindings = [
    (name = "WIXOAUTH_URL", fromEnvironment = "WIXOAUTH_URL"),
    (name = "WIXOAUTH_KEY", fromEnvironment = "WIXOAUTH_KEY"),
    (name = "WIX_API_URL", fromEnvironment = "WIX_API_URL"),
    (name = "EVENTS_SECRET", fromEnvironment = "EVENTS_SECRET"),
  ],
  compatibilityDate = "2025-09-01",
);
