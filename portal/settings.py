"""Django's settings, read from the environment and from files below SLIPWAY_HOME; the launcher sets both."""

from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from portal.paths import Home

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent
SLIPWAY_HOME = Path(env.str("SLIPWAY_HOME", str(BASE_DIR / "var"))).absolute()
HOME = Home(SLIPWAY_HOME)
DEBUG = env.bool("SLIPWAY_DEBUG", False)

SLIPWAY_PORT = env.int("SLIPWAY_PORT", 8000)
SLIPWAY_SSH_PORT = env.int("SLIPWAY_SSH_PORT", 2222)
BASE_DOMAIN = env.str("SLIPWAY_BASE_DOMAIN", "localhost")
# What people see and copy; a proxy or a port mapping in front may make it differ from the port above.
HTTPS_PORT = env.int("SLIPWAY_HTTPS_PORT", 0)  # 0: the edge does not speak TLS
PUBLIC_SCHEME = env.str("SLIPWAY_SCHEME", "https" if HTTPS_PORT else "http")
PUBLIC_PORT = env.int("SLIPWAY_PUBLIC_PORT", HTTPS_PORT or SLIPWAY_PORT)
PUBLIC_ADDRESSES = env.str("SLIPWAY_PUBLIC_ADDRESSES", "").replace(",", " ").split()  # where domains must lead
DNS_SERVERS = env.str("SLIPWAY_DNS_SERVERS", "")  # "192.0.2.53:53"; empty: those of the machine
PUBLIC_SSH_PORT = env.int("SLIPWAY_PUBLIC_SSH_PORT", SLIPWAY_SSH_PORT)
_DEFAULT_PORT = {"http": 80, "https": 443}[PUBLIC_SCHEME]
PORT_SUFFIX = "" if PUBLIC_PORT == _DEFAULT_PORT else f":{PUBLIC_PORT}"
PUBLIC_URL = f"{PUBLIC_SCHEME}://{BASE_DOMAIN}{PORT_SUFFIX}"


def _secret(name: str) -> str:
    path = HOME.secrets / name
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{path} cannot be read ({error.strerror}). Start Slipway with ./slipway up"
        ) from error


SECRET_KEY = env.str("SLIPWAY_SECRET_KEY", "") or _secret("django.key")
FIELD_KEYS = env.str("SLIPWAY_FIELD_KEYS", "").split()  # instead of those in the file
FIELD_KEYS_FILE = HOME.secrets / "fields.keys"  # read by portal.crypto, which notices when it changes
if not FIELD_KEYS:
    _secret(FIELD_KEYS_FILE.name)

ALLOWED_HOSTS = [BASE_DOMAIN, "localhost", "127.0.0.1", "[::1]", "." + BASE_DOMAIN]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SITE_ID = 1

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "django_htmx",
    "csp",
    "lucide",
    "portal",
    "environments",
    "deployments",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "portal.hosts.own",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.middleware.doors",
]

ROOT_URLCONF = "portal.urls"
# Answers, before Django does, at names that are not the portal's own: see portal/asgi.py.
SITES = "deployments.views.sleeping.find"
ASGI_APPLICATION = "portal.asgi.application"
AUTH_USER_MODEL = "portal.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.portal",
            ],
            "builtins": ["django.templatetags.static", "lucide.templatetags.lucide"],
        },
    }
]

if env.str("DATABASE_URL", ""):
    DATABASES = {"default": env.db("DATABASE_URL")}
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": HOME.database,
            "OPTIONS": {
                # Writers queue on the lock instead of failing when they upgrade a read transaction.
                "transaction_mode": "IMMEDIATE",
                "timeout": 30,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    }

REDIS_URL = env.str("REDIS_URL", "") or f"unix://{HOME.redis_socket}"
CACHES = {
    # Per process and small: nothing that matters may live here.
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        # Counts of wrong passwords are kept here: nobody shall push them out by making many entries.
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    },
}

AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "portal.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key"}

SESSION_COOKIE_NAME = "slipway_portal"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = PUBLIC_SCHEME == "https"
CSRF_COOKIE_NAME = "slipway_csrf"
CSRF_COOKIE_SECURE = PUBLIC_SCHEME == "https"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "manifest-src": ["'self'"],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000  # a table of variables is sent as a whole

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = HOME.static
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    "backups": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": HOME.backups,
            "base_url": None,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
}
if env.str("SLIPWAY_BACKUP_S3_BUCKET", ""):
    STORAGES["backups"] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": env.str("SLIPWAY_BACKUP_S3_BUCKET"),
            "location": env.str("SLIPWAY_BACKUP_S3_PREFIX", ""),
            "endpoint_url": env.str("SLIPWAY_BACKUP_S3_ENDPOINT", "") or None,
            "region_name": env.str("SLIPWAY_BACKUP_S3_REGION", "") or None,
            "access_key": env.str("SLIPWAY_BACKUP_S3_ACCESS_KEY", "") or None,
            "secret_key": env.str("SLIPWAY_BACKUP_S3_SECRET_KEY", "") or None,
            "addressing_style": env.str("SLIPWAY_BACKUP_S3_ADDRESSING", "") or None,
            "default_acl": None,
            "querystring_auth": True,
        },
    }
STARTERS_DIR = BASE_DIR / "starters"

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": env.int("SLIPWAY_VISIBILITY_TIMEOUT", 3600),
    "socket_connect_timeout": 1,
    "socket_timeout": 1.5,
    # Without these, sending to a Redis that is away takes 2 s (measured); a request must not wait for a nudge.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_DEFAULT_QUEUE = "housekeeping"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

# The activity engine (seconds).
LEASE = env.float("SLIPWAY_LEASE", 30)
HEARTBEAT = env.float("SLIPWAY_HEARTBEAT", 5)
SWEEP = env.float("SLIPWAY_SWEEP", 5)
BUILD_TIMEOUT = env.int("SLIPWAY_BUILD_TIMEOUT", 3600)
HOOK_TIMEOUT = env.int("SLIPWAY_HOOK_TIMEOUT", 3600)
SILENCE_TIMEOUT = env.int("SLIPWAY_SILENCE_TIMEOUT", 900)
START_TIMEOUT = env.int("SLIPWAY_START_TIMEOUT", 60)
# How long a deployment waits for crons that run; then they are stopped.
CRON_PATIENCE = env.float("SLIPWAY_CRON_PATIENCE", 60)
# How long an activity follows a run that a person asked for; longer ones go on by themselves.
CRON_FOLLOW = env.float("SLIPWAY_CRON_FOLLOW", 600)
# Days without a deployment after which crons outside Production sleep; 0: they never do.
CRON_IDLE_DAYS = env.int("SLIPWAY_CRON_IDLE_DAYS", 14)
# Days for which runs of crons are remembered, the latest of each cron.
CRON_HISTORY_DAYS = env.int("SLIPWAY_CRON_HISTORY_DAYS", 30)
CLONE_TIMEOUT = env.int("SLIPWAY_CLONE_TIMEOUT", 900)
ALLOW_PRIVATE_REMOTES = env.bool("SLIPWAY_ALLOW_PRIVATE_REMOTES", False)  # Git URLs inside the own network
CLONE_MAX_BYTES = env.int("SLIPWAY_CLONE_MAX_BYTES", 4 * 1024**3)
PUSH_MAX_BYTES = env.int("SLIPWAY_PUSH_MAX_BYTES", 2 * 1024**3)
PUSH_MEMORY = env.int("SLIPWAY_PUSH_MEMORY", 4 * 1024**3)
LOG_MAX_BYTES = env.int("SLIPWAY_LOG_MAX_BYTES", 16 * 1024**2)
APP_MEMORY = env.int("SLIPWAY_APP_MEMORY", 1024**3)
BUILD_MEMORY = env.int("SLIPWAY_BUILD_MEMORY", 4 * 1024**3)
DISK_RESERVE = env.int("SLIPWAY_DISK_RESERVE", 512 * 1024**2)  # of the disk under SLIPWAY_HOME, for what runs already
BUILD_DISK = env.int("SLIPWAY_BUILD_DISK", 8 * 1024**3)
# Variables for builds alone, such as those of a package registry: a JSON object.
BUILD_ENVIRONMENT: dict[str, str] = {key: str(value) for key, value in env.json("SLIPWAY_BUILD_ENV", {}).items()}
MAX_ACTIVE_INTEGRATION = 8
# Where mail of environments that send is handed on: smtp://user:password@host:587, smtps://... or smtp://...?plain
SMTP_URL = env.str("SLIPWAY_SMTP_URL", "")
MAIL_MAX_BYTES = env.int("SLIPWAY_MAIL_MAX_BYTES", 25 * 1024**2)  # of one message
MAIL_KEPT = env.int("SLIPWAY_MAIL_KEPT", 500)  # messages of one environment
MAIL_KEPT_BYTES = env.int("SLIPWAY_MAIL_KEPT_BYTES", 256 * 1024**2)  # of all of them
RUNTIME = env.str("SLIPWAY_RUNTIME", "local")
# Private networks that programs of environments may reach, such as 10.20.0.0/16.
NETWORK_ALLOW: list[str] = [network.strip() for network in env.list("SLIPWAY_NETWORK_ALLOW", default=[])]
# Port inside an environment -> port of this host's 127.0.0.1 where the same is served to visitors.
NETWORK_RELAYS = {PUBLIC_PORT: HTTPS_PORT or (SLIPWAY_PORT if PUBLIC_SCHEME == "http" else PUBLIC_PORT)}
if HTTPS_PORT:
    NETWORK_RELAYS[SLIPWAY_PORT] = SLIPWAY_PORT

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env.str("SLIPWAY_LOG_LEVEL", "INFO")},
    "loggers": {
        "asyncssh": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "httpx": {"level": "WARNING"},
        "mail.log": {"level": "WARNING"},  # aiosmtpd's, which would tell who writes to whom
        # Three lines for each sweep, every five seconds.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}
