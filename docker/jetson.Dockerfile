# The trap agent for a Jetson: NVIDIA's L4T with TensorRT, and ONNX Runtime's TensorRT provider.
# L4T r36 has Python 3.10, the agent needs 3.11 or newer: uv brings one, and ORT names the wheel of ONNX Runtime that
# was built for it and for this JetPack. PyPI has none with TensorRT for arm64: give its file in the build context or
# its address: --build-arg ORT=onnxruntime_gpu-1.23.0-cp312-cp312-linux_aarch64.whl
# The base is pinned by its digest: --build-arg BASE_DIGEST=sha256:... (docker/pin prints it).
ARG BASE=nvcr.io/nvidia/l4t-tensorrt:r10.3.0-runtime
ARG BASE_DIGEST

FROM ${BASE}${BASE_DIGEST:+@${BASE_DIGEST}}
ARG PYTHON=3.12
ARG ORT
ENV DEBIAN_FRONTEND=noninteractive PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 UV_PYTHON_INSTALL_DIR=/opt/python
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3-pip \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 trap \
 && useradd --uid 10001 --gid 10001 --groups video --create-home --home-dir /var/lib/trap-agent trap
WORKDIR /src
COPY . .
RUN test -n "${ORT}" || { echo 'give --build-arg ORT=WHEEL: see the head of this file' >&2; exit 1; } \
 && pip3 install --no-cache-dir "$(grep '^uv==' constraints.txt)" \
 && uv venv --python "${PYTHON}" /opt/zancudo \
 && uv pip install --no-cache --python /opt/zancudo -c constraints.txt '.[agent]' \
 && uv pip install --no-cache --python /opt/zancudo "${ORT}"
ENV PATH=/opt/zancudo/bin:$PATH TRAP_STATE_DIR=/var/lib/trap-agent
USER 10001:10001
WORKDIR /var/lib/trap-agent
VOLUME /var/lib/trap-agent
HEALTHCHECK --interval=60s --timeout=10s --start-period=600s CMD \
  ["sh", "-c", "find /var/lib/trap-agent -name 'outbox*' -mmin -5 | grep -q ."]
ENTRYPOINT ["trap-agent"]
