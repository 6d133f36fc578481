#!/bin/sh
# Make .venv with every package pinned, and bring the programs that pip cannot; with the argument `nss` NSS as well.
# Most `make` targets start here, so when nothing has changed it looks around and ends.
# It writes nothing outside this folder, but what apt installs.
set -eu
cd "$(dirname "$0")/.."

wanted=${1:-}

say() { printf '%s\n' "$*" >&2; }

# Sets `python` to the first Python from 3.11 that can make virtual environments: Debian packs that part separately.
find_python() {
    for python in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11; do
        "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    return 1
}

# The Debian packages of what is not there.
missing() {
    [ -x .venv/bin/python ] || find_python || echo python3-venv
    command -v softhsm2-util >/dev/null || echo softhsm2
    command -v "${KMSKIT_CHROMIUM:-chromium}" >/dev/null || echo chromium
    command -v openssl >/dev/null || echo openssl
    # The Node.js inside Playwright is linked with it.
    has_library libatomic.so.1 || echo libatomic1
    [ "$wanted" != nss ] || has_library libsoftokn3.so || echo libnss3
}

has_library() { PATH="$PATH:/sbin" ldconfig -p 2>/dev/null | grep -q "$1"; }

# Nobody is asked for a password: without one to spare, what needs root is left to the user.
bring() {
    if [ "$(id -u)" = 0 ]; then root=env; else root="sudo -n"; fi
    $root apt-get --version >/dev/null 2>&1 || return 0
    say "Installing with apt:" "$@"
    $root apt-get update -qq || return 0
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$@" >/dev/null || return 0
}

packages=$(missing | xargs)
if [ -n "$packages" ]; then
    bring $packages
    packages=$(missing | xargs)
fi
if [ -n "$packages" ]; then
    say "Not on this machine: $packages"
    say "To install on Debian, as root: apt-get update && apt-get install --no-install-recommends $packages"
    case "${CI:-} $packages" in true\ * | *python3-venv*) exit 1 ;; esac
    say "Going on without; what needs it is skipped."
fi

# What .venv was made from. A folder that was moved or a Python that was upgraded needs it made again.
stamp() { echo "$PWD, $(.venv/bin/python -V 2>&1), $(cat pyproject.toml constraints.txt tools/setup.sh | cksum)"; }
[ "$(cat .venv/stamp 2>/dev/null)" != "$(stamp)" ] || exit 0

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    find_python || { say "No Python from 3.11 with its venv module was found; PYTHON=... names one."; exit 1; }
    "$python" -m venv --clear .venv
fi
rm -f .venv/stamp
say "Installing into .venv; this takes a minute or two."

# The variables, unlike -c, also reach the environments in which pip builds packages. The paths are relative because pip
# would split an absolute one at a space.
export PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
.venv/bin/python -m pip install --quiet pip
.venv/bin/python -m pip install --quiet --editable '.[all,dev]'

# JupyterLab would ask at its first start whether to fetch its project's news.
settings=.venv/share/jupyter/lab/settings
mkdir -p "$settings"
echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' \
    >"$settings/overrides.json"

stamp >.venv/stamp
