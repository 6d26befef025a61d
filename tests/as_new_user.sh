#!/usr/bin/env bash
# The README's commands as a new user meets them: an ordinary user, a home folder with a space in its name, an empty pip cache,
# no Java, and working folders that hold a folder named fruits: the parent of the checkout, and one of photos.
#     HOME=/home/somebody tests/as_new_user.sh      with the checkout in $HOME/fruits
set -euo pipefail

checkout=$HOME/fruits
photos=$HOME/photos
results=$HOME/results
[[ $EUID != 0 && $HOME == *" "* && -e $checkout/Makefile ]] || { echo "see the head of $0" >&2; exit 2; }
export JAVA_HOME=/nonexistent PIP_CACHE_DIR=$HOME/cache
unset PYTHONPATH

expect() {
    grep -F -- "$1" > /dev/null || { echo "missing: $1" >&2; exit 1; }
}

cd "$HOME"
make -C "$checkout" run | tee "$HOME/run.log"
expect '335 found, 335 featurized, 0 rejected' < "$HOME/run.log"
make -C "$checkout" run BACKEND=spark | tee "$HOME/run.log"
expect '335 found, 335 featurized, 0 rejected' < "$HOME/run.log"

mkdir -p "$photos/fruits"
cp -r "$checkout/fruits/sample/Test/Apple 10" "$checkout/fruits/sample/Test/Tomato 1" "$photos/fruits"
photo=$(find "$photos/fruits/Tomato 1" -name '*.jpg' -print -quit)
export PATH=$checkout/.venv/bin:$PATH
for folder in "$HOME" "$photos"; do
    cd "$folder"
    [[ -d fruits && ! -e fruits/__init__.py ]]
    python -m fruits --backend dask --input "$photos/fruits" --output "$results" --pca moments --components 5 --fresh > "$HOME/run.log"
    expect '10 found, 10 featurized, 0 rejected' < "$HOME/run.log"
    python -m fruits validate "$results" | expect valid
    python -m fruits similar "$results" "$photo" | expect 'Tomato 1'
    python -c 'from fruits import Job, run'
    # The console command, and Spark's workers, in the same folder.
    fruits --backend spark --input "$photos/fruits" --output "$HOME/from $(basename "$folder")" --features-only > "$HOME/run.log"
    expect '10 found, 10 featurized, 0 rejected' < "$HOME/run.log"
done
echo "the README's commands work for a new user with $(python --version)"
