#!/usr/bin/env bash
# Starwise on one command: makes its environment once, then does what was asked.
# Works with bash 3.2, which is what macOS has.
set -euo pipefail

HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
LOG=$HERE/outputs/setup.log
LOCK=$HERE/outputs/.setup.lock
CPU_WHEELS=${STARWISE_CPU_WHEELS:-https://download.pytorch.org/whl/cpu/torch/}

usage() {
    cat <<'END'
Starwise: collect reviews, learn to read them letter by letter, rate a review as it is typed.

  ./run_all.sh                    run the notebooks 01 to 04 on the practice site
  ./run_all.sh dashboard          serve the dashboard on this machine until Ctrl-C
  ./run_all.sh lab                open JupyterLab to step through the notebooks
  ./run_all.sh practice           browse the practice review site
  ./run_all.sh score FILE ...     score the reviews of a CSV or parquet file
  ./run_all.sh proxy ...          serve the page to everybody, behind nginx
  ./run_all.sh env                make .env, the secrets that docker compose reads
  ./run_all.sh backup FILE        write all stored reviews to a file
  ./run_all.sh restore FILE       put the reviews of such a file back, none twice
  ./run_all.sh prune ...          delete the reviews older than so many days
  ./run_all.sh bench              measure speed on this machine
  ./run_all.sh report             make the executed notebooks a book to read in a browser
  ./run_all.sh test               run every test (--images, --cloud: the slow ones too)
  ./run_all.sh lock               renew lib/locks, what images and CI install, by hash

Options of a run:
  --corpus FILE                   your own reviews, a CSV or parquet file
  --site practice|trustpilot      where notebook 01 collects
  --from N, --to N                first and last notebook
  -p NOTEBOOK.NAME VALUE          set a parameter, as in -p 03_train.epochs 2
  --list                          show every parameter, run nothing
  --fresh                         start over, also what is up to date
  --cell-timeout SECONDS          stop a cell that takes longer (1800)

The first time it makes an environment (conda or mamba if there, else .venv) and takes some
minutes; then seconds. Each command explains itself: ./run_all.sh dashboard --help.
Results go to outputs/ or $STARWISE_OUTPUTS. $STARWISE_ENV names an environment folder to use.
END
}

say() { printf '%s\n' "$*" >&2; }

die() {
    say "run_all.sh: $*"
    exit 1
}

# step WHAT COMMAND...: one line with its seconds; the command's own words go to the log.
step() {
    local what=$1 start=$SECONDS child guard status=0
    shift
    printf '%s ... ' "$what" >&2
    printf '\n== %s: %s\n' "$what" "$*" >>"$LOG"
    "$@" >>"$LOG" 2>&1 </dev/null &
    child=$!
    # Whatever ends this script, kill -9 included, its child must not go on alone.
    (while kill -0 $$ && kill -0 "$child"; do sleep 1; done; kill "$child") >/dev/null 2>&1 </dev/null &
    guard=$!
    wait "$child" || status=$?
    kill "$guard" 2>/dev/null || true
    wait "$guard" 2>/dev/null || true
    if [ "$status" = 0 ]; then
        say "$((SECONDS - start)) s"
    else
        say "failed after $((SECONDS - start)) s"
    fi
    return "$status"
}

# must WHAT COMMAND...: a step without which there is no going on.
must() {
    step "$@" || {
        say "The last lines of $LOG:"
        tail -n 20 "$LOG" >&2
        die "could not finish: ${1}. Mend what the lines above say, then start again."
    }
}

is_debian_root() { [ -f /etc/debian_version ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"
}

# ---- Python and the environment --------------------------------------------------------------

python_works() {
    "$1" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' \
        >/dev/null 2>&1
}

find_python() {
    local name
    # 3.11 is what the tests ran with.
    for name in python3.11 python3.12 python3.13 python3.14 python3 python; do
        if command -v "$name" >/dev/null && python_works "$name"; then
            command -v "$name"
            return
        fi
    done
    return 1
}

find_conda() {
    local name
    for name in mamba conda micromamba; do
        if command -v "$name" >/dev/null; then
            printf '%s\n' "$name"
            return
        fi
    done
    return 1
}

# Which folder holds the environment: the one named, the one there is, or a new one.
choose_environment() {
    if [ -n "${STARWISE_ENV:-}" ]; then
        ENVIRONMENT=$STARWISE_ENV
        [ -x "$ENVIRONMENT/bin/python" ] ||
            die "STARWISE_ENV names $ENVIRONMENT, which has no bin/python; make it or unset it."
        ENVIRONMENT=$(cd -- "$ENVIRONMENT" && pwd -P)
    elif [ -x "$HERE/.conda/bin/python" ]; then
        ENVIRONMENT=$HERE/.conda
    elif [ -x "$HERE/.venv/bin/python" ]; then
        ENVIRONMENT=$HERE/.venv
    # conda does not promise to work in a folder with a space in its name; venv does.
    elif find_conda >/dev/null && { [ "$HERE" = "${HERE// /}" ] || ! find_python >/dev/null; }; then
        ENVIRONMENT=$HERE/.conda
    else
        ENVIRONMENT=$HERE/.venv
    fi
    PYTHON=$ENVIRONMENT/bin/python
    STAMP=$ENVIRONMENT/.starwise-stamp
    UNFINISHED=$HERE/outputs/.unfinished${ENVIRONMENT##*/}
}

# What the environment was made from. A moved project counts as another one.
fingerprint() {
    cat "$HERE/lib/pyproject.toml" "$HERE/environment.yml" | cksum
    "$PYTHON" -c 'import sys; print(sys.version)' 2>/dev/null || true
    printf '%s\n' "$HERE"
}

is_ready() { [ -f "$STAMP" ] && [ ! -e "$UNFINISHED" ] && [ "$(fingerprint)" = "$(cat "$STAMP")" ]; }

# Two set-ups at once: the second waits for the first. The lock is a link that names its holder.
lock() {
    local holder waiting=
    mkdir -p "$HERE/outputs"
    while true; do
        if ln -s "$$" "$LOCK" 2>/dev/null; then
            trap unlock EXIT
            # If two took over a dead holder's lock in the same instant, the later one has it.
            [ -z "$waiting" ] || sleep 0.3
            [ "$(readlink "$LOCK")" = "$$" ] && return
            trap - EXIT
        fi
        holder=$(readlink "$LOCK" || true)
        if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
            waiting=taken
            rm -f "$LOCK"
            continue
        fi
        [ -n "$waiting" ] || say "Another set-up is at work here; waiting for it."
        waiting=yes
        sleep 1
    done
}

unlock() {
    [ "$(readlink "$LOCK" || true)" != "$$" ] || rm -f "$LOCK"
    trap - EXIT
}

has_card() {
    [ "$(uname -s)" = Linux ] && command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1
}

# On Linux pip takes a torch for NVIDIA cards, of several GB, unless it is shown a smaller one.
prefer_cpu_torch() {
    [ "$(uname -s)" = Linux ] && ! has_card || return 0
    # Where the wheels cannot be reached we notice within seconds and take what pip finds.
    if "$1" - "$CPU_WHEELS" >/dev/null 2>&1 <<'END'; then
import os, sys, threading, urllib.request
threading.Timer(5, os._exit, [1]).start()  # a name server may hang longer than any timeout
urllib.request.urlopen(sys.argv[1], timeout=4).close()
os._exit(0)
END
        export PIP_FIND_LINKS="${PIP_FIND_LINKS:-} $CPU_WHEELS"
    fi
}

make_venv() {
    local base
    if ! base=$(find_python); then
        is_debian_root && step "Installing Python and its venv module" apt_install python3-venv || true
        base=$(find_python) || die "this needs Python 3.11 to 3.14 with its venv module; install" \
            "it (Debian, Ubuntu: sudo apt-get install python3-venv; macOS: brew install python)."
    fi
    must "Making $ENVIRONMENT with $("$base" --version)" "$base" -m venv --clear "$ENVIRONMENT"
}

PIP=(pip install --no-input --disable-pip-version-check)

# pip_locked NAME...: what lib/locks/NAME.txt lists, each file only if its hash is the one there.
# Nothing is built: what a build needs is in no lock.
pip_locked() {
    local name
    for name in "$@"; do
        "${PIP_PYTHON:-$PYTHON}" -m "${PIP[@]}" --no-deps --require-hashes --only-binary :all: \
            --requirement "$HERE/lib/locks/$name.txt" || return
    done
}

make_conda() {
    local conda verb=create file=$HERE/environment.yml
    conda=$(find_conda) || die "the environment .conda needs conda, which is not on the PATH;" \
        "put it there, or remove the folder .conda to use a venv."
    [ ! -x "$PYTHON" ] || verb=update
    prefer_cpu_torch "${CONDA_PYTHON_EXE:-python3}"
    # Locked, conda makes Python alone; the rest is installed as into a venv.
    if [ -n "${STARWISE_LOCKED:-}" ]; then
        file=$HERE/outputs/environment-locked.yml
        sed '/- pip:/,$d' "$HERE/environment.yml" >"$file"
    fi
    if [ "$conda" = micromamba ]; then
        must "Making .conda with micromamba" \
            micromamba "$verb" --yes --prefix "$ENVIRONMENT" --file "$file"
    else
        must "Making .conda with $conda" \
            "$conda" env "$verb" --prefix "$ENVIRONMENT" --file "$file"
    fi
}

set_up() {
    lock
    choose_environment # somebody else may just have made it
    if is_ready; then
        unlock
        return
    fi
    local began=$SECONDS
    date >"$LOG"
    say "Setting up Starwise once (log: $LOG)"
    if [ -z "${STARWISE_ENV:-}" ] && { [ -e "$UNFINISHED" ] || has_moved; }; then
        must "Removing an environment that was not finished, or made elsewhere" remove_environment
    fi
    touch "$UNFINISHED"
    local made=
    if [ "$ENVIRONMENT" = "$HERE/.conda" ]; then
        make_conda
        made=whole
    else
        "$PYTHON" -m pip --version >/dev/null 2>&1 || make_venv
        prefer_cpu_torch "$PYTHON"
    fi
    if [ -n "${STARWISE_LOCKED:-}" ]; then
        # What lib/locks lists, each file by its hash, as CI does; and nothing else is fetched.
        must "Installing the locked versions (some minutes)" \
            pip_locked "$(has_card && echo cuda || echo torch)" test
        must "Installing Starwise" "$PYTHON" -m "${PIP[@]}" --no-deps --no-build-isolation \
            --editable "$HERE/lib[test]"
    elif [ -z "$made" ]; then
        must "Installing Starwise and what it needs (some minutes)" \
            "$PYTHON" -m "${PIP[@]}" --editable "$HERE/lib[test]"
    fi
    fingerprint >"$STAMP"
    rm -f "$UNFINISHED"
    say "Set up in $((SECONDS - began)) s."
    unlock
}

# After a kill the child of that set-up may live for another second, and write.
remove_environment() { sleep 2 && rm -rf "$ENVIRONMENT"; }

has_moved() { [ -f "$STAMP" ] && [ "$(tail -n 1 "$STAMP")" != "$HERE" ]; }

# ---- The browser ------------------------------------------------------------------------------

find_any() {
    local name
    for name in "$@"; do
        ! command -v "$name" >/dev/null || return 0
    done
    return 1
}

find_browser() {
    { [ -n "${STARWISE_CHROME:-}" ] || find_any chromium chromium-browser google-chrome \
        google-chrome-stable; } && { [ -n "${STARWISE_CHROMEDRIVER:-}" ] || find_any chromedriver; }
}

need_browser() {
    ! find_browser || return 0
    # Ubuntu's packages of that name only point to a snap, which does not run headless for us.
    if is_debian_root && grep -q '^ID=debian' /etc/os-release; then
        mkdir -p "$HERE/outputs"
        step "Installing chromium and its driver" apt_install chromium chromium-driver && return 0
    fi
    say "No Chromium or Chrome with its chromedriver on the PATH: Selenium will look for one, or" \
        "fetch one."
}

# ---- Servers that some tests run against -------------------------------------------------------

find_servers() {
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && find_any redis-server && find_any skopeo &&
        { find_any nginx || [ -x /usr/sbin/nginx ]; }
}

need_servers() {
    ! find_servers || return 0
    if is_debian_root; then
        mkdir -p "$HERE/outputs"
        step "Installing Postgres, Redis, nginx and skopeo for the tests" \
            apt_install postgresql redis-server nginx-light skopeo && return 0
    fi
    say "No Postgres, Redis, nginx or skopeo of this machine's own: tests that need them skip," \
        "saying so."
}

# ---- The checkers of lib/deploy/aws, in an environment of their own -----------------------------

need_checkers() {
    local folder=$HERE/.cloud made
    made=$(cksum <"$HERE/lib/locks/cloud.txt")
    [ "$(cat "$folder/.starwise-stamp" 2>/dev/null || true)" != "$made" ] || return 0
    must "Making $folder for the checkers" "$PYTHON" -m venv --clear "$folder"
    PIP_PYTHON=$folder/bin/python must "Installing the checkers (a minute)" pip_locked cloud
    printf '%s\n' "$made" >"$folder/.starwise-stamp"
}

# ---- The secrets that compose.yaml reads --------------------------------------------------------

random_hex() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# Needs no environment: whoever only uses containers has none. Written whole or not at all, and
# never over another: the password there is the one that the database was made with.
make_env() {
    local target=$HERE/.env draft=$HERE/.env.$$
    if [ -e "$target" ] || [ -L "$target" ]; then
        die ".env is there already, and the database was made with its password: move it away" \
            "to have another one made."
    fi
    (
        umask 077
        sed -e "s/^STARWISE_DB_PASSWORD=.*/STARWISE_DB_PASSWORD=$(random_hex)/" \
            -e "s/^STARWISE_ADMIN_TOKEN=.*/STARWISE_ADMIN_TOKEN=$(random_hex)/" \
            -e '1,2d' "$HERE/.env.example" >"$draft"
    ) || { rm -f "$draft"; die "could not write .env into $HERE."; }
    # A link is made only where there is nothing: of two at once, one is refused.
    ln "$draft" "$target" 2>/dev/null || { rm -f "$draft"; die ".env was made just now by another."; }
    rm -f "$draft"
    say "Made .env with a password and an administrator's token. Keep it to yourself; next:"
    say "  docker compose up --detach"
    say "  docker compose --profile admin up --detach   # the administrator's page"
}

# ---- What was asked ---------------------------------------------------------------------------

command=run
case ${1:-} in
-h | --help | help)
    usage
    exit
    ;;
env)
    [ $# = 1 ] || die "env takes no arguments: change what it made."
    make_env
    exit
    ;;
run | test | dashboard | lab | bench | practice | score | proxy | report | lock | backup | restore | prune)
    command=$1
    shift
    ;;
-* | '') ;;
*)
    say "run_all.sh: there is no command '$1'; see ./run_all.sh --help"
    exit 2
    ;;
esac

export PYTHONNOUSERSITE=1 PYTHONUNBUFFERED=1 PYTHONUTF8=1
unset PYTHONHOME PYTHONPATH
choose_environment
is_ready || set_up
export PATH="$ENVIRONMENT/bin:$PATH"

# -P: a file in the current folder must not stand in for a module.
case $command in
run)
    need_browser
    exec "$PYTHON" -P -m starwise run "$@"
    ;;
test)
    need_browser
    need_servers
    case " $* " in *' --images '*)
        if is_debian_root && ! { find_any buildah && find_any debootstrap; }; then
            step "Installing what builds images" apt_install buildah debootstrap || true
        fi
        ;;
    esac
    cd "$HERE"
    if [ "${1:-}" = --cloud ]; then
        shift
        need_checkers
    fi
    # Each file's tests stay together, for they share what was costly to start.
    [ $# -gt 0 ] || set -- --numprocesses 2 --dist loadfile
    given=
    for argument in "$@"; do
        [ ! -e "${argument%%::*}" ] || given=yes
    done
    [ -n "$given" ] || set -- "$@" lib/tests
    exec "$PYTHON" -P -m pytest -c lib/pyproject.toml "$@"
    ;;
lock)
    mkdir -p "$HERE/outputs"
    "$PYTHON" -m uv --version >/dev/null 2>&1 ||
        must "Installing uv, which writes the locks" "$PYTHON" -m "${PIP[@]}" --editable "$HERE/lib[lock]"
    exec "$PYTHON" -P "$HERE/lib/locks/renew.py" "$@"
    ;;
lab)
    [ "$(id -u)" != 0 ] || set -- --allow-root "$@"
    exec "$PYTHON" -P -m jupyterlab --ServerApp.root_dir="$HERE" \
        --LabApp.default_url=/lab/tree/notebooks/01_collect.ipynb "$@"
    ;;
*)
    exec "$PYTHON" -P -m starwise "$command" "$@"
    ;;
esac
