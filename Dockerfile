# Slipway in one image: web, worker, ssh and edge under the launcher. docker-compose.yml puts a database and Redis
# beside it. Wants BuildKit, the builder that Docker uses by default since version 23.
FROM debian:12

ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8

# Slipway makes its own data directories for each service: what these packages prepare for one of the whole machine
# is left out. `extra_ca` is a PEM file with certificate authorities to trust, for the image and for all that it runs.
# The number of the user stays the same in every image, for it owns what is in the volume.
RUN --mount=type=secret,id=extra_ca \
    apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates postgresql-common \
    && echo "create_main_cluster = false" >> /etc/postgresql-common/createcluster.conf \
    && apt-get install -y --no-install-recommends \
        bash bubblewrap caddy composer curl git less mariadb-server memcached nano nginx-light nodejs npm openssh-client \
        openssh-sftp-server php8.2-cli php8.2-curl php8.2-fpm php8.2-gd php8.2-intl php8.2-mbstring php8.2-mysql \
        php8.2-opcache php8.2-pgsql php8.2-redis php8.2-xml php8.2-zip postgresql python3 python3-venv rabbitmq-server \
        redis-server rsync slirp4netns unzip util-linux vim-tiny zstd \
    && rm -rf /var/lib/apt/lists/* /var/lib/mysql/* \
    && if [ -s /run/secrets/extra_ca ]; then \
        cp /run/secrets/extra_ca /usr/local/share/ca-certificates/extra.crt && update-ca-certificates; \
    fi \
    && useradd --system --uid 990 --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin \
        slipway \
    && install -d -o slipway -g slipway -m 0750 /var/lib/slipway-home

# The packages are part of the image, so that a start needs no network. `pip_conf` says where else to get them from.
COPY requirements.txt /srv/requirements.txt
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    python3 -m venv /srv/venv \
    && /srv/venv/bin/pip install --cert /etc/ssl/certs/ca-certificates.crt --no-cache-dir --no-compile \
        --disable-pip-version-check --require-hashes --requirement /srv/requirements.txt

WORKDIR /srv/slipway
COPY . .

ENV SLIPWAY_HOME=/var/lib/slipway-home SLIPWAY_PORT=8000 SLIPWAY_SSH_PORT=2222 SLIPWAY_PYTHON=/srv/venv/bin/python
VOLUME /var/lib/slipway-home
EXPOSE 8000 8443 2222

# The launcher needs root only to install packages and to make control groups.
USER slipway

STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s \
    CMD ["curl", "--fail", "--silent", "--output", "/dev/null", "--max-time", "8", "http://127.0.0.1:8000/"]
CMD ["./slipway", "up"]
