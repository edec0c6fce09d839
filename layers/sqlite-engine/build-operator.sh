#!/bin/sh
# Makes the wheels of the operator API: tartiflette, which is compiled here, and what it needs.
#
#   build-operator.sh PYTHON DIRECTORY      the wheels are then in DIRECTORY/wheels
#
# Exit code 3 and one line if there is no C++ compiler or no make. cmake comes from a wheel: tartiflette's build
# files are too old for cmake 4, and systems have one or the other.
set -eu

python=$1 directory=$2
here=$(cd "$(dirname "$0")" && pwd)

for tool in "${CXX:-c++}" make; do
    command -v "$tool" >/dev/null || {
        echo "lamDB goes without the operator API (/admin/graphql): there is no $tool to compile it" \
            "(Debian: apt-get install g++ make)." >&2
        exit 3
    }
done

rm -rf "$directory"
mkdir -p "$directory/wheels"
tools=$(cd "$directory" && pwd)/tools

pip() { "$python" -m pip --disable-pip-version-check "$@"; }

pip install --quiet --no-warn-conflicts --no-deps --require-hashes --only-binary=:all: --target "$tools" \
    --requirement "$here/requirements-operator-build.txt"
# Linked to the system's C++ library: a static one wants as new a glibc as the machine that compiles has.
export CXXFLAGS="-O2 ${CXXFLAGS:-}" PATH="$tools/bin:$PATH" PYTHONPATH="$tools"
if test "$(uname -s)" = Linux; then
    export LDFLAGS="-s ${LDFLAGS:-}"
fi
# Not from the cache: a wheel that pip made before may want more of the system.
pip wheel --quiet --no-cache-dir --no-deps --no-build-isolation --require-hashes --no-binary tartiflette \
    --requirement "$here/requirements-operator.txt" --wheel-dir "$directory/wheels"
rm -rf "$tools"
