# Two images from one file, with BuildKit or without:
#
#   docker build --target api    --tag sian-api .      the HTTP front end; no torch
#   docker build --target worker --tag sian-worker .   computes tiles
#
# Layers are in the order in which they change: packages, checkpoint, code. A change of the code
# installs no package again.

FROM python:3.11-slim-bookworm AS requirements
WORKDIR /requirements
COPY pyproject.toml .
# Lists of their own, so that only a change of these makes the steps below run again.
RUN python3 -c 'import pathlib, tomllib; \
    text = tomllib.loads(pathlib.Path("pyproject.toml").read_text()); \
    project, extras = text["project"], text["project"]["optional-dependencies"]; \
    lists = { \
        "front.txt": project["dependencies"] + extras["s3"], \
        "engine.txt": extras["engine"], \
        "build.txt": text["build-system"]["requires"], \
    }; \
    [pathlib.Path(name).write_text("\n".join(lines) + "\n") for name, lines in lists.items()]'


FROM python:3.11-slim-bookworm AS front-packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ONLY_BINARY=:all:
# Without pip: the images install nothing any more.
RUN python3 -m venv --without-pip /opt/sian
WORKDIR /requirements
COPY constraints.txt .
COPY --from=requirements /requirements/front.txt .
RUN python3 -m pip --python /opt/sian/bin/python install -c constraints.txt -r front.txt


FROM front-packages AS code
COPY --from=requirements /requirements/build.txt .
RUN python3 -m pip --python /opt/sian/bin/python install -r build.txt
WORKDIR /source
COPY pyproject.toml LICENSE ./
COPY model model
COPY worker worker
COPY app app
# Into a folder that is laid over /opt/sian.
RUN PIP_ONLY_BINARY= python3 -m pip --python /opt/sian/bin/python install \
    --no-build-isolation --no-deps --prefix /code .


FROM python:3.11-slim-bookworm AS runtime
# A new volume takes the owner of the folder it is mounted on.
RUN groupadd --gid 10001 sian \
    && useradd --uid 10001 --gid sian --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin sian \
    && install -d -o sian -g sian /data
ENV PATH=/opt/sian/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SIAN_CHECKPOINT=/opt/checkpoints/sian-release.safetensors \
    SIAN_DATA_DIR=/data
WORKDIR /data
USER 10001:10001
ENTRYPOINT ["sian"]


FROM runtime AS api
COPY --from=front-packages /opt/sian /opt/sian
COPY checkpoints /opt/checkpoints
COPY --from=code /code /opt/sian
EXPOSE 8000
# Of this process alone: /readyz, which also looks at the workers, is for load balancers.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD \
    ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["serve", "--host", "0.0.0.0"]


FROM front-packages AS engine-packages
# Where torch is looked for beside the usual index. Empty: nowhere, which gives the CUDA build.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY --from=requirements /requirements/engine.txt .
RUN python3 -m pip --python /opt/sian/bin/python install -c constraints.txt -r engine.txt \
    ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"}


FROM runtime AS worker
COPY --from=engine-packages /opt/sian /opt/sian
COPY checkpoints /opt/checkpoints
COPY --from=code /code /opt/sian
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=3 CMD \
    ["sian", "worker", "--check"]
CMD ["worker"]
