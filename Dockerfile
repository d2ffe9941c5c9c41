# Starwise in a container. It takes the arguments of run_all.sh:
#     docker build -t starwise .
#     docker run --rm -v "$PWD/outputs:/app/outputs" starwise
#     docker run --rm -p 127.0.0.1:8866:8866 starwise dashboard --host 0.0.0.0
# For an NVIDIA card: docker build --build-arg CPU_WHEELS= ..., and docker run --gpus all ...
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

# The browser is for notebook 01 only, which the batch run needs; python3-venv is for a base
# without a Python of its own. Debian keeps one version of each, so there is none to name.
# hadolint ignore=DL3008,SC2016
RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium chromium-driver \
        $(python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv) \
    && rm -rf /var/lib/apt/lists/* \
    # A container is a sandbox already, and lacks the rights to build Chromium's own.
    && echo 'export CHROMIUM_FLAGS="$CHROMIUM_FLAGS --no-sandbox"' >/etc/chromium.d/container

RUN useradd --create-home --uid 1000 starwise \
    && mkdir -p /app/outputs /opt/starwise \
    && chown starwise:starwise /app /app/outputs /opt/starwise
USER 1000
WORKDIR /app

# What Starwise needs, in a layer that stays while only its code changes. Without the CPU wheels
# pip takes a torch for NVIDIA cards, of several GB.
ARG CPU_WHEELS=https://download.pytorch.org/whl/cpu/torch/
COPY --chown=starwise lib/pyproject.toml lib/
RUN python3 -m venv /opt/starwise \
    && python3 -c 'import tomllib; project = tomllib.load(open("lib/pyproject.toml", "rb"))["project"]; \
        print(*project["dependencies"], *project["optional-dependencies"]["test"], sep="\n")' \
        >/tmp/requirements.txt \
    && /opt/starwise/bin/python -m pip install --no-cache-dir \
        ${CPU_WHEELS:+--find-links "$CPU_WHEELS"} --requirement /tmp/requirements.txt

COPY --chown=starwise . .
ENV STARWISE_ENV=/opt/starwise
# Showing the parameters runs nothing, but has the script finish its set-up.
RUN PIP_NO_CACHE_DIR=1 ./run_all.sh run --list

VOLUME /app/outputs
EXPOSE 8866 8000
ENTRYPOINT ["./run_all.sh"]
