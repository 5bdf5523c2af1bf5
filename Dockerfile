# The service as an image: docker build -t modelwatch .
# Both stages use one base image, so that the environment of the first runs in the second.
ARG PYTHON_IMAGE=docker.io/library/python:3.13.18-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/modelwatch
ENV PATH=/opt/modelwatch/bin:$PATH
WORKDIR /build
# The dependencies change less often than the code, and make a layer of their own.
COPY requirements.txt requirements-build.txt ./
RUN pip install --require-hashes --only-binary :all: -r requirements.txt \
    && python3 -m venv /opt/builder \
    && /opt/builder/bin/pip install --require-hashes --only-binary :all: -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY clients/python ./clients/python
COPY src ./src
RUN /opt/builder/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /build/dist ./clients/python . \
    && pip install --no-deps --no-index /build/dist/*.whl \
    && python3 -m compileall -q /opt/modelwatch/lib \
    && pip uninstall --yes --quiet pip

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="modelwatch" \
      org.opencontainers.image.description="Watches machine-learning models in production" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The folder of the data is the only one that is written to; a volume belongs there.
RUN mkdir -p /var/lib/modelwatch /etc/modelwatch \
    && chown 10001:10001 /var/lib/modelwatch
COPY --from=build /opt/modelwatch /opt/modelwatch
# In a container every address is needed: what reaches it is chosen by what publishes the port.
ENV PATH=/opt/modelwatch/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    DATA_DIR=/var/lib/modelwatch
USER 10001:10001
# A file modelwatch.yaml or .env that is mounted here is read.
WORKDIR /etc/modelwatch
VOLUME ["/var/lib/modelwatch"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["modelwatch", "health"]
ENTRYPOINT ["modelwatch"]
CMD ["serve"]
