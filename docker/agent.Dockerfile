# The trap agent for a stock Raspberry Pi OS (64 bit) or any other arm64 or amd64 board; USB cameras.
# The base is pinned by its digest: --build-arg BASE_DIGEST=sha256:... (docker/pin prints it).
ARG BASE=docker.io/library/debian:trixie-slim
ARG BASE_DIGEST

FROM ${BASE}${BASE_DIGEST:+@${BASE_DIGEST}} AS base
ENV DEBIAN_FRONTEND=noninteractive PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN groupadd --gid 10001 trap && useradd --uid 10001 --gid 10001 --groups video --create-home --home-dir /var/lib/trap-agent trap

FROM base AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir "$(grep '^uv==' constraints.txt)" \
 && /opt/uv/bin/uv venv /opt/zancudo \
 && /opt/uv/bin/uv pip install --no-cache --python /opt/zancudo -c constraints.txt '.[agent,onnx]'

FROM base
RUN apt-get update && apt-get install -y --no-install-recommends python3 ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/zancudo /opt/zancudo
COPY models/yolov8n_kd.tflite /usr/share/trap/yolov8n_kd.tflite
ENV PATH=/opt/zancudo/bin:$PATH TRAP_STATE_DIR=/var/lib/trap-agent TRAP_MODEL=/usr/share/trap/yolov8n_kd.tflite
USER 10001:10001
WORKDIR /var/lib/trap-agent
VOLUME /var/lib/trap-agent
# A window is stored at least every few minutes, also while the schedule says to sleep.
HEALTHCHECK --interval=60s --timeout=10s --start-period=180s CMD \
  ["sh", "-c", "find /var/lib/trap-agent -name 'outbox*' -mmin -5 | grep -q ."]
ENTRYPOINT ["trap-agent"]
