# Training and export: trap-data, trap-train, trap-export.
# GPU: as it is (PyPI's torch brings CUDA), run with --gpus all. CPU only, and some 5 GB smaller:
#   --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
# The base is pinned by its digest: --build-arg BASE_DIGEST=sha256:... (docker/pin prints it).
ARG BASE=docker.io/library/debian:trixie-slim
ARG BASE_DIGEST

FROM ${BASE}${BASE_DIGEST:+@${BASE_DIGEST}} AS base
ENV DEBIAN_FRONTEND=noninteractive PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN groupadd --gid 10001 trainer && useradd --uid 10001 --gid 10001 --create-home --home-dir /work trainer

FROM base AS build
ARG TORCH_INDEX
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# uv, not pip: it knows the override that keeps one owner of cv2. torch and torchvision come from one index, both.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
RUN python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir "$(grep '^uv==' constraints.txt)" \
 && /opt/uv/bin/uv venv /opt/zancudo \
 && if [ -n "${TORCH_INDEX}" ]; then /opt/uv/bin/uv pip install --no-cache --python /opt/zancudo \
      --index "${TORCH_INDEX}" "$(grep '^torch==' constraints.txt)" "$(grep '^torchvision==' constraints.txt)"; fi \
 && /opt/uv/bin/uv pip install --no-cache --python /opt/zancudo -c constraints.txt '.[training,export]'

FROM base
RUN apt-get update && apt-get install -y --no-install-recommends python3 ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/zancudo /opt/zancudo
ENV PATH=/opt/zancudo/bin:$PATH
USER 10001:10001
WORKDIR /work
VOLUME /work
HEALTHCHECK NONE
CMD ["trap-train", "--help"]
