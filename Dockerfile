# One image serves, migrates and runs the long jobs. docs/image.md tells how to build and run it, docs/adr/0027-one-image.md why it is so.
# The digest is that of the index of all architectures. Another base, a mirror's or one made by hand: --build-arg PYTHON_IMAGE=...
ARG PYTHON_IMAGE=docker.io/library/python:3.12.14-slim-trixie@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea

FROM ${PYTHON_IMAGE} AS build
# Certificates are the base's, so that a company's own can be put there.
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PROJECT_ENVIRONMENT=/opt/venv UV_PYTHON_DOWNLOADS=never UV_SYSTEM_CERTS=1
WORKDIR /build
COPY .ci/uv.txt ./
RUN mkdir data && python -m venv /uv && /uv/bin/python -m pip install --no-cache-dir --require-hashes --requirement uv.txt
# From the lock, by hash, and wheels only: no code of a dependency runs while it is installed.
COPY pyproject.toml uv.lock ./
RUN /uv/bin/uv sync --frozen --no-dev --extra export --extra tracing --no-install-project --no-build --python /usr/local/bin/python3.12 \
    && find /opt/venv/lib/python3.12/site-packages/numpy /opt/venv/lib/python3.12/site-packages/scipy -type d -name tests -prune -exec rm -rf {} + \
    && find /opt/venv/lib/python3.12/site-packages/pyarrow -maxdepth 1 \( -name '*flight*' -o -name '*s3*' -o -name include -o -name tests -o -name src \) -exec rm -rf {} +
COPY app /opt/centwise/app
COPY migrations /opt/centwise/migrations
COPY LICENSE /opt/centwise/LICENSE
# Nothing of it changes any more, so nothing need be compared with its source. The root is read-only: what is not compiled here is compiled at each start.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib /opt/centwise

# The base without what the service has no use for. dpkg forgets what is taken out, so scanners see what is left.
FROM ${PYTHON_IMAGE} AS root
COPY .ci/trim-image.sh /trim-image.sh
RUN sh /trim-image.sh && rm /trim-image.sh

# From nothing, because what a layer removes is still in the layers below it. That is why a whole filesystem is copied.
FROM scratch
ARG PYTHON_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Centwise" \
    org.opencontainers.image.description="A dynamic pricing service that is exact, fast and explains each cent" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.base.name="${PYTHON_IMAGE}"
# hadolint ignore=DL3067
COPY --from=root / /
COPY --from=build /opt /opt
COPY --from=build --chown=10001:10001 /build/data /data
# Modules come from these folders and never from the one that the process happens to be in, which may be writable.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/opt/centwise \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PRICING_DATA_DIR=/data \
    PRICING_HOST=0.0.0.0
WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('PRICING_PORT', '8080') + '/livez', timeout=2)"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
