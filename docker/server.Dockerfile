# The collector and its broker. Targets: server (trap-server, trap-fleet), broker (mosquitto).
# The base is pinned by its digest: --build-arg BASE_DIGEST=sha256:... (docker/pin prints it).
ARG BASE=docker.io/library/debian:trixie-slim
ARG BASE_DIGEST

FROM ${BASE}${BASE_DIGEST:+@${BASE_DIGEST}} AS base
ENV DEBIAN_FRONTEND=noninteractive PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN groupadd --gid 10001 zancudo && useradd --uid 10001 --gid 10001 --create-home --home-dir /var/lib/zancudo zancudo

FROM base AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir "$(grep '^uv==' constraints.txt)" \
 && /opt/uv/bin/uv venv /opt/zancudo \
 && /opt/uv/bin/uv pip install --no-cache --python /opt/zancudo -c constraints.txt '.[server,postgres]'

FROM base AS broker
RUN apt-get update && apt-get install -y --no-install-recommends mosquitto iproute2 \
 && rm -rf /var/lib/apt/lists/* /etc/mosquitto
USER 10001:10001
VOLUME /fleet
EXPOSE 8883
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD \
  ["sh", "-c", "kill -0 $(cat /fleet/broker/data/mosquitto.pid) && ss -Hltn 'sport = :8883' | grep -q ."]
ENTRYPOINT ["/usr/sbin/mosquitto"]
CMD ["-c", "/fleet/broker/mosquitto.conf"]

FROM base AS server
RUN apt-get update && apt-get install -y --no-install-recommends python3 ca-certificates \
 && rm -rf /var/lib/apt/lists/* && install -d -o 10001 -g 10001 /fleet /bundles
COPY --from=build /opt/zancudo /opt/zancudo
ENV PATH=/opt/zancudo/bin:$PATH TRAP_SERVER_BUNDLES=/bundles TRAP_SERVER_LOG_JSON=1 TRAP_FLEET_DIR=/fleet
USER 10001:10001
WORKDIR /var/lib/zancudo
VOLUME ["/fleet", "/bundles"]
EXPOSE 8765
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD \
  ["python3", "-c", "import os, ssl, urllib.request; s = 'https' if os.environ.get('TRAP_SERVER_HTTPS_CERT') else 'http'; urllib.request.urlopen(f'{s}://127.0.0.1:8765/healthz', timeout=5, context=ssl._create_unverified_context() if s == 'https' else None)"]
ENTRYPOINT ["trap-server"]
CMD ["run", "--host", "0.0.0.0"]
