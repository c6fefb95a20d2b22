# Slipway in one image: web, worker, ssh and edge under the launcher. See docker-compose.yml for the database and Redis.
FROM debian:12

ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        bubblewrap ca-certificates caddy composer curl git mariadb-server nginx-light nodejs npm openssh-client \
        php8.2-cli php8.2-curl php8.2-fpm php8.2-gd php8.2-intl php8.2-mbstring php8.2-mysql php8.2-opcache \
        php8.2-pgsql php8.2-redis php8.2-xml php8.2-zip postgresql python3 python3-venv redis-server unzip util-linux \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin slipway \
    && install -d -o slipway -g slipway -m 0750 /var/lib/slipway-home

WORKDIR /srv/slipway
COPY . .

ENV SLIPWAY_HOME=/var/lib/slipway-home SLIPWAY_PORT=8000 SLIPWAY_SSH_PORT=2222
VOLUME /var/lib/slipway-home
EXPOSE 8000 2222

# The packages are part of the image, so that a start needs no network.
RUN python3 -m venv /srv/venv \
    && /srv/venv/bin/pip install --no-cache-dir --require-hashes --requirement requirements.txt
ENV SLIPWAY_PYTHON=/srv/venv/bin/python

# The launcher needs root only to install packages and to make control groups.
USER slipway

STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s CMD ["./slipway", "status"]
CMD ["./slipway", "up"]
