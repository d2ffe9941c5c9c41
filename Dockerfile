# Starwise in containers: one image for each process, so that none carries what it does not use.
#     docker build --target dashboard --tag starwise-dashboard .    # the page, without torch
#     docker build --target api       --tag starwise-api .          # the service
#     docker build --target batch     --tag starwise-batch .        # the notebooks 01 to 04
#     docker build --target proxy     --tag starwise-proxy .        # nginx in front of the page
# compose.yaml builds and joins them.
#
# BASE is a Debian with a Python of 3.11 to 3.14. Its tag moves; for images that always stand on the
# same base, lib/locks/images.env has a digest of it, which ./run_all.sh lock renews:
#     (. lib/locks/images.env && docker build --build-arg "BASE=$STARWISE_BASE" --target api .)
# CPU_WHEELS is where torch without NVIDIA's libraries comes from, empty for what pip is set to.
# For an NVIDIA card: --build-arg CUDA=yes, and docker run --gpus all.
ARG BASE=python:3.11-slim-bookworm
ARG CPU_WHEELS=https://download.pytorch.org/whl/cpu/torch/
ARG CUDA=

# ---- Common to all: a user without rights, and where things lie --------------------------------
FROM ${BASE} AS base
RUN useradd --uid 1000 --home-dir /tmp --no-create-home starwise \
    && mkdir -p /app/outputs && chown starwise /app/outputs
WORKDIR /app
# HOME is where Jupyter and others keep their small change: the only place besides the outputs that
# is written, so that the rest may be read-only. PYTHONSAFEPATH: no folder stands in for a module.
ENV PATH=/opt/starwise/bin:$PATH \
    PYTHONPATH=/app/lib \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONUTF8=1 \
    HOME=/tmp

# ---- What each image installs; these stages do not become part of any ---------------------------
FROM base AS tools
# binutils has strip; python3-venv is for a base without it. Debian keeps one version of each.
# hadolint ignore=DL3008,SC2046
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
        $(python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv) \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/tools
COPY lib/deploy/install.sh lib/pyproject.toml /app/
COPY lib/locks/ /app/locks/

FROM tools AS dashboard-packages
RUN sh install.sh dashboard

FROM tools AS api-packages
ARG CPU_WHEELS
ARG CUDA
RUN sh install.sh api

FROM tools AS batch-packages
ARG CPU_WHEELS
ARG CUDA
RUN sh install.sh batch

# ---- The reverse proxy: TLS, sticky visitors, limits --------------------------------------------
FROM base AS proxy
# hadolint ignore=DL3008,SC2046
RUN apt-get update \
    && apt-get install --yes --no-install-recommends nginx-light openssl \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY lib/starwise/ lib/starwise/
USER 1000
EXPOSE 8080 8443
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python3", "-m", "starwise", "proxy", "--check"]
ENTRYPOINT ["python3", "-m", "starwise"]
CMD ["proxy", "--host=0.0.0.0"]

# ---- The page ----------------------------------------------------------------------------------
FROM base AS dashboard
COPY --from=dashboard-packages /opt/starwise /opt/starwise
COPY lib/starwise/ lib/starwise/
COPY notebooks/05_dashboard.ipynb notebooks/
# What a visitor's kernel imports is compiled once, here, for later the image is read-only.
RUN python3 -m compileall -q /opt/starwise lib/starwise
USER 1000
EXPOSE 8866
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "from urllib.request import urlopen; \
from starwise.dashboard.settings import base_url; \
urlopen(f'http://127.0.0.1:8866{base_url()}health', timeout=4)"]
ENTRYPOINT ["python3", "-m", "starwise"]
CMD ["page", "--host=0.0.0.0", "--port=8866"]

# ---- The service -------------------------------------------------------------------------------
FROM base AS api
COPY --from=api-packages /opt/starwise /opt/starwise
COPY lib/starwise/ lib/starwise/
# Scoring a text once compiles what a start imports, and shows that the image can.
RUN python3 -c "import uvicorn.loops.auto, uvicorn.protocols.http.auto, psycopg2, starwise.api; \
from starwise.score import Scorer; print(Scorer.load().score('Lovely people.'))"
USER 1000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "from urllib.request import urlopen; \
urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["python3", "-m", "starwise"]
CMD ["api", "--host=0.0.0.0", "--port=8000"]

# ---- The notebooks 01 to 04, with a browser for 01 ------------------------------------------------
FROM base AS batch
# Left out: words for people, and what draws with a graphics card (Mesa brings a compiler for that).
# A container is a sandbox already, and lacks the rights to build Chromium's own.
# hadolint ignore=DL3008,SC2016
RUN printf 'path-exclude=%s\n' '/usr/share/doc/*' '/usr/share/man/*' '/usr/share/locale/*' \
        '/usr/lib/*/libLLVM-*' '/usr/lib/*/libz3.so*' '/usr/lib/*/dri/*' \
        '/usr/lib/chromium/libVkLayer_khronos_validation.so*' >/etc/dpkg/dpkg.cfg.d/starwise \
    && apt-get update \
    && apt-get install --yes --no-install-recommends chromium chromium-driver \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/share/icons \
    && echo 'export CHROMIUM_FLAGS="$CHROMIUM_FLAGS --no-sandbox"' >/etc/chromium.d/container
COPY --from=batch-packages /opt/starwise /opt/starwise
COPY lib/starwise/ lib/starwise/
COPY notebooks/ notebooks/
# A run goes its way and ends: nobody asks how it is.
HEALTHCHECK NONE
USER 1000
VOLUME /app/outputs
ENTRYPOINT ["python3", "-m", "starwise"]
CMD ["run"]
