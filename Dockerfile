# lamDB's standalone server: `docker build -t lamdb .`. docs/docker.md describes the image.

ARG NODE_IMAGE=node:22-slim
ARG PYTHON_BUILD_IMAGE=python:3.13
ARG PYTHON_IMAGE=python:3.13-slim

# Prisma's engines as WebAssembly, and the files of GraphiQL and the studio.
FROM ${NODE_IMAGE} AS web
WORKDIR /src
COPY layers/sqlite-engine/.npmrc layers/sqlite-engine/package.json layers/sqlite-engine/package-lock.json ./
RUN npm ci --ignore-scripts
COPY layers/sqlite-engine/graphiql graphiql
COPY layers/sqlite-engine/studio studio
RUN cd graphiql && npm ci --ignore-scripts && node build.mjs /vendor && cd ../studio && npm ci --ignore-scripts && node build.mjs /studio


# All of lamDB in one directory, compiled. The engines are for any processor of this kind, not only the builder's.
FROM ${PYTHON_BUILD_IMAGE} AS build
# "no" leaves the operator API (/admin/graphql) out: it needs a C++ compiler in the build image.
ARG OPERATOR=yes
WORKDIR /src
COPY requirements-server.txt ./
RUN python -m venv --without-pip /opt/lamdb \
    && python -m pip --python /opt/lamdb/bin/python --no-cache-dir install --no-compile --require-hashes \
        --only-binary=:all: --requirement requirements-server.txt
COPY layers/sqlite-engine/build-operator.sh layers/sqlite-engine/requirements-operator.txt \
    layers/sqlite-engine/requirements-operator-build.txt ./
RUN test "${OPERATOR}" = no || { sh build-operator.sh python /tmp/operator \
    && python -m pip --python /opt/lamdb/bin/python --no-cache-dir install --no-compile --no-index --no-deps \
        /tmp/operator/wheels/*.whl; }
COPY layers/sqlite-engine/lamdb /opt/lamdb/lib/python3.13/site-packages/lamdb
COPY --from=web /vendor /opt/lamdb/lib/python3.13/site-packages/lamdb/server/static/vendor
COPY --from=web /studio /opt/lamdb/lib/python3.13/site-packages/lamdb/server/static/studio
COPY --from=web /src/node_modules node_modules
RUN /opt/lamdb/bin/python -m lamdb.prisma.wasm.build node_modules --target "$(uname -m)-unknown-linux-gnu" \
    && printf '#!/opt/lamdb/bin/python\nfrom lamdb.__main__ import main\n\nmain()\n' > /opt/lamdb/bin/lamdb \
    && chmod 755 /opt/lamdb/bin/lamdb \
    && cd /opt/lamdb/lib/python3.13/site-packages \
    && /opt/lamdb/bin/python -m lamdb.cluster.runtime.precompile lamdb/cluster/runtime/commands.bin --commands \
    && rm -rf apsw/tests apsw/sqlite_extra_binaries wasmtime/include \
    && find . \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' \) -exec rm {} + \
    && find pygments/lexers -name '*.py' ! -name '__init__.py' ! -name '_mapping.py' ! -name 'python.py' -exec rm {} + \
    && for packed in lamdb/server/static/vendor/*.gz; do rm -f "${packed%.gz}"; done \
    && find . -name '*.so*' -type f -exec strip --strip-unneeded {} + \
    && /opt/lamdb/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash .


FROM ${PYTHON_IMAGE}
COPY --from=build /opt/lamdb /opt/lamdb
# No name is needed for a user that owns one directory.
RUN mkdir /data && chown 10001:10001 /data
ENV PATH=/opt/lamdb/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    LAMDB_HOST=0.0.0.0 \
    LAMDB_PORT=8000 \
    LAMDB_STORE=file:///data
WORKDIR /
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=2s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", "\
import http.client, os, sys; \
server = http.client.HTTPConnection('127.0.0.1', int(os.environ['LAMDB_PORT']), timeout=2); \
server.request('GET', '/healthz'); \
sys.exit(server.getresponse().status != 200)"]
ENTRYPOINT ["lamdb"]
CMD ["serve"]
