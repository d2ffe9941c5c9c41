#!/bin/sh
# install.sh PURPOSE: installs what lib/locks/PURPOSE.txt names into /opt/starwise, for an image.
# Run by the Dockerfile, with CPU_WHEELS and CUDA of its build arguments.
set -eu

# No pip and no compiled modules in the image: each would be a tenth of it.
python3 -m venv --without-pip /opt/starwise
install() {
    /opt/tools/bin/python -m pip --python /opt/starwise/bin/python install --no-cache-dir \
        --no-compile --disable-pip-version-check --root-user-action=ignore "$@"
}

# Each file by its hash, and nothing is built, since what a build needs is in no lock.
locked() {
    install --no-deps --require-hashes --only-binary :all: "$@"
}

locked --requirement "locks/$1.txt"
if grep -q 'via torch$' "locks/$1.txt"; then
    if [ -n "${CUDA:-}" ]; then
        locked --requirement locks/cuda.txt
    else
        locked ${CPU_WHEELS:+--find-links "$CPU_WHEELS"} --requirement locks/torch.txt
    fi
    # pip passes over the lines that are for other machines: here it passed over all of them.
    /opt/starwise/bin/python -c 'import importlib.metadata as m; m.version("torch")' || {
        echo "locks/torch.txt has no torch for this Python and this machine." >&2
        exit 1
    }
fi

# What wheels carry for those who build upon them, test them, debug them or complete their code in
# an editor; drivers for other systems; and ways to stores and servers that no image uses.
cd /opt/starwise/lib/python3*/site-packages
rm -rf torch/test torch/include torch/bin/test_* torch/bin/protoc* pyarrow/include pyarrow/tests \
    pyarrow/*flight* pyarrow/*arrow_s3* pyarrow/_s3fs* tensorboard_data_server/bin debugpy \
    jedi/third_party selenium/webdriver/common/macos selenium/webdriver/common/windows \
    selenium/webdriver/common/linux-*
find . -type d -name tests -path '*/*/*' -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.py[xd]' -o -name '*.[ch]' -o -name '*.cpp' \) -delete
# Names of functions, for debuggers: a fifth of torch's largest library.
find torch pyarrow -name '*.so*' -type f -exec strip --strip-unneeded {} + 2>/dev/null || true
