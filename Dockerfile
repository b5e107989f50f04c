# The relay without demo and ffmpeg. Run it behind a proxy that ends TLS:
#   docker run --read-only --tmpfs /tmp -v chatsync:/data -p 127.0.0.1:8040:8040 --env-file chatsync.env chatsync
# tests/test_dockerfile.py runs these steps, as they stand here, in clean virtual environments.

FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements requirements
RUN pip install --no-cache-dir --quiet --require-hashes -r requirements/build.lock
RUN python -m venv --without-pip /opt/chatsync
RUN python -m pip --python /opt/chatsync/bin/python install --no-cache-dir --quiet --require-hashes -r requirements/run.lock
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY player player
COPY chatsync chatsync
RUN python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
RUN python -m pip --python /opt/chatsync/bin/python install --quiet --no-deps --no-index dist/*.whl

FROM python:3.13-slim
COPY --from=build /opt/chatsync /opt/chatsync
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin chatsync \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
ENV PATH=/opt/chatsync/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CHATSYNC_DATA_FOLDER=/data \
    CHATSYNC_HOST=0.0.0.0 \
    CHATSYNC_PORT=8040 \
    CHATSYNC_BEHIND_PROXY=true
USER 10001
VOLUME /data
EXPOSE 8040
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['CHATSYNC_PORT']}/readyz\", timeout=2)"]
CMD ["chatsync", "serve"]
