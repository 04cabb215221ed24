# What test scripts of the program begin with: `. tests/cli/program.sh` from the top of the tree, $root. It goes to
# $scratch, where `home` is the program that was built.
. tests/test.sh
. tests/cli/checks.sh
root=$PWD
mkdir "$scratch/bin"
ln -s "$root/build/home" "$scratch/bin/home"
PATH=$scratch/bin:$PATH
cd "$scratch" || exit 1
