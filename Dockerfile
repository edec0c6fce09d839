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
        --only-binary=:all: --requirement requirements-server.txt \
    # For validators of command lines and coloured source code, which no command of lamDB has.
    && python -m pip --python /opt/lamdb/bin/python uninstall --yes --quiet \
        annotated-types markdown-it-py mdurl pydantic pydantic-core pygments typing-inspection
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
    && /opt/lamdb/bin/python -m lamdb.prisma.wasm.strip \
    && printf '#!/opt/lamdb/bin/python\nfrom lamdb.__main__ import main\n\nmain()\n' > /opt/lamdb/bin/lamdb \
    && chmod 755 /opt/lamdb/bin/lamdb \
    && cd /opt/lamdb/lib/python3.13/site-packages \
    && /opt/lamdb/bin/python -m lamdb.cluster.runtime.precompile lamdb/cluster/runtime/commands.bin --commands \
    && rm -rf apsw/tests apsw/sqlite_extra_binaries wasmtime/include rapidfuzz/__pyinstaller \
    && find . \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' \) -exec rm {} + \
    # Ratios of texts, which no search asks for; what imports them falls back to Python. The distance that searches
    # ask for is as quick without AVX2.
    && rm -f rapidfuzz/fuzz_cpp*.so rapidfuzz/distance/metrics_cpp_avx2*.so \
    # Pages are sent compressed, and unpacked for clients that ask for it.
    && for packed in lamdb/server/static/vendor/*.gz lamdb/server/static/studio/*.gz; do rm -f "${packed%.gz}"; done \
    && find . -name '*.so*' -type f -exec strip --strip-unneeded {} + \
    && /opt/lamdb/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash lamdb \
    # Other packages are kept as bytecode alone.
    && /opt/lamdb/bin/python -m compileall -q -b -j 0 --invalidation-mode unchecked-hash -x '^\./lamdb/' . \
    && find . \( -name '*.py' -o -path '*/__pycache__/*' \) -type f ! -path './lamdb/*' -exec rm {} + \
    && find . -name __pycache__ -empty -delete


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
