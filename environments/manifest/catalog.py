"""What the configuration format knows: languages, service types, their endpoints, ports and smallest disks."""

from dataclasses import dataclass

LANGUAGES = ("php", "python", "nodejs", "ruby", "golang", "java", "dotnet", "elixir", "rust", "lisp", "composable")
APP_ENDPOINTS = ("http", "php")  # "php" is the name of before 2016


@dataclass(frozen=True)
class ServiceType:
    engine: str  # what is started for it: mysql and mariadb are one engine
    endpoint: str | None  # the default one; None when nothing connects to it (it is mounted)
    scheme: str = "http"
    port: int = 80
    min_disk: int | None = None  # MB
    more_endpoints: tuple[str, ...] = ()


_MYSQL = ServiceType("mariadb", "mysql", "mysql", 3306, 256)
_REDIS = ServiceType("redis", "redis", "redis", 6379)
_VALKEY = ServiceType("valkey", "valkey", "redis", 6379)
_SEARCH = ServiceType("elasticsearch", "elasticsearch", "http", 9200, 256)
_MONGODB = ServiceType("mongodb", "mongodb", "mongodb", 27017, 512)

SERVICES: dict[str, ServiceType] = {
    "mariadb": _MYSQL,
    "mysql": _MYSQL,
    "mariadb-replica": ServiceType("mariadb-replica", "mysql", "mysql", 3306, 256),
    "oracle-mysql": ServiceType("oracle-mysql", "mysql", "mysql", 3306, 256),
    "postgresql": ServiceType("postgresql", "postgresql", "pgsql", 5432, 256),
    "redis": _REDIS,
    "redis-persistent": ServiceType("redis", "redis", "redis", 6379, 256),
    "valkey": _VALKEY,
    "valkey-persistent": ServiceType("valkey", "valkey", "redis", 6379, 256),
    "memcached": ServiceType("memcached", "memcached", "memcached", 11211),
    "rabbitmq": ServiceType("rabbitmq", "rabbitmq", "amqp", 5672, 512),
    "opensearch": ServiceType("opensearch", "opensearch", "http", 9200, 256),
    "elasticsearch": _SEARCH,
    "elasticsearch-enterprise": ServiceType("elasticsearch-enterprise", "elasticsearch", "http", 9200, 256),
    "solr": ServiceType("solr", "solr", "solr", 8080, 256),
    "mongodb": _MONGODB,
    "mongodb-enterprise": ServiceType("mongodb-enterprise", "mongodb", "mongodb", 27017, 512),
    "influxdb": ServiceType("influxdb", "influxdb", "http", 8086, 256),
    "kafka": ServiceType("kafka", "kafka", "kafka", 9092, 512),
    "clickhouse": ServiceType("clickhouse", "clickhouse", "http", 9000, 256, ("clickhouse-http",)),
    "network-storage": ServiceType("network-storage", None, min_disk=256),
    "varnish": ServiceType("varnish", "http", "http", 80, None, ("http+stats",)),
    "mercure": ServiceType("mercure", "mercure", "http", 80, None, ("http",)),
    "chrome-headless": ServiceType("chrome-headless", "http", "http", 9222),
    "gotenberg": ServiceType("gotenberg", "http", "http", 3000),
    "vault-kms": ServiceType("vault-kms", "vault", "http", 8200, 256),
}
